package embedded

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

var writeTestdata = flag.Bool("write-testdata", false, "write a store of the present format to testdata, where there is none")

// A kept store is testdata/formatN.zip: the closed directory of a store that the
// first program with format N wrote, below store/, and the commits that were
// appended to it, as contents.json.
func keptStore(version int) string {
	return filepath.Join("testdata", fmt.Sprintf("format%d.zip", version))
}

// variedCommits are what a kept store holds: commits of one event and of several,
// every field at its plainest and its fullest, data that is no JSON or none at all,
// and enough of it for more than one segment.
func variedCommits() (commits [][]annals.Event) {
	for i := range 330 {
		var events []annals.Event
		for k := range []int{1, 1, 3, 1, 2, 7}[i%6] {
			e := storetest.Event(fmt.Sprint(i, "-", k), fmt.Sprint("type-", i%4), fmt.Sprintf(`{"n":%d}`, i))
			e.Source, e.Time = fmt.Sprint("source-", i%3), storetest.Epoch.Add(time.Duration(i)*time.Second)
			e.Stream = fmt.Sprint("stream-", i%11)
			switch (i + k) % 5 {
			case 1:
				e.ID, e.Correlation, e.Causation = "ключ/"+e.ID, "запрос ü", fmt.Sprintf("stream-%d@1", i%11)
				e.Attributes = map[string]string{"subject": "日本 " + e.ID, "dataschema": "urn:x#1", "zone": ""}
			case 2:
				e.ContentType, e.Data = "application/octet-stream", []byte{0, 255, byte(i), '{', 0}
				e.Time = time.Date(1583, 2, 3, 4, 5, 6, 789, time.UTC)
			case 3:
				e.ContentType, e.Data = "text/plain; charset=utf-8", []byte(strings.Repeat("повтор ", 700))
			case 4:
				e.Data = nil
			}
			events = append(events, e)
		}
		commits = append(commits, events)
	}
	return commits
}

// TestKeptStore makes sure that a store of the present format is kept in testdata,
// so that those who change the format can't leave its stores behind.
func TestKeptStore(t *testing.T) {
	name := keptStore(currentFormat.Version)
	_, err := os.Stat(name)
	if os.IsNotExist(err) && *writeTestdata {
		err = writeKeptStore(t, name)
	}
	if err != nil {
		t.Fatalf("no store of format %d is kept: %v; run go test ./embedded -run TestKeptStore -write-testdata", currentFormat.Version, err)
	}
}

func writeKeptStore(t *testing.T, name string) error {
	dir := t.TempDir()
	s := openTest(t, filepath.Join(dir, "store"), Options{sealEvery: 250})
	var contents [][]annals.Event
	for _, events := range variedCommits() {
		c, err := s.Append(t.Context(), events[0].Stream, annals.Any, events...)
		if err != nil {
			return err
		}
		for k := range events {
			behind := int64(len(events) - 1 - k)
			events[k].Version, events[k].Position = c.Version-behind, c.Position-behind
		}
		contents = append(contents, events)
	}
	mustClose(t, s)
	text, err := json.Marshal(contents)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "contents.json"), text, 0o644)
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	w := zip.NewWriter(file)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return file.Close()
}

// unpackKeptStore returns the directory of a kept store's copy and its commits.
func unpackKeptStore(t *testing.T, version int) (dir string, commits [][]annals.Event) {
	t.Helper()
	r, err := zip.OpenReader(keptStore(version))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	dir = filepath.Join(t.TempDir(), "kept")
	if err := os.CopyFS(dir, r); err != nil {
		t.Fatal(err)
	}
	file, err := r.Open("contents.json")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(file)
	if err == nil {
		err = json.Unmarshal(text, &commits)
	}
	if err != nil || len(commits) == 0 {
		t.Fatalf("%d commits, %v", len(commits), err)
	}
	return filepath.Join(dir, "store"), commits
}

// A store of each format that there ever was opens, holds what was appended to it,
// stays as it is while it is only read, in its backups too, and goes on with the
// present format.
func TestUpgrade(t *testing.T) {
	for version := 1; version <= currentFormat.Version; version++ {
		t.Run(fmt.Sprint("format ", version), func(t *testing.T) {
			dir, commits := unpackKeptStore(t, version)
			opts := Options{Logger: quiet(), sealEvery: 250, MustExist: true}
			count := int64(len(slices.Concat(commits...)))
			wantClean(t, dir, count, &opts)
			s := openTest(t, dir, opts)
			heads := wantKept(t, s, commits, version == 1)
			mustClose(t, s)
			wantVersion(t, dir, version)
			before := filepath.Join(t.TempDir(), "before")
			if n, err := Backup(t.Context(), dir, before, &opts); err != nil || n != count {
				t.Fatalf("backup: %d of %d events, %v", n, count, err)
			}
			wantVersion(t, before, version)
			wantClean(t, before, count, &opts)
			s = openTest(t, dir, opts)
			for i, events := range commits[:20] {
				if c, err := s.Append(t.Context(), events[0].Stream, annals.Any, events...); err != nil || !c.Replayed {
					t.Fatalf("commit %d again: %+v, %v", i, c, err)
				}
			}
			for round := range 3 {
				count += appendBehind(t, s, heads, round)
				mustClose(t, s)
				wantVersion(t, dir, currentFormat.Version)
				wantClean(t, dir, count, &opts)
				s = openTest(t, dir, opts)
			}
			mustClose(t, s)
			copied := filepath.Join(t.TempDir(), "copy")
			if n, err := Backup(t.Context(), dir, copied, &opts); err != nil || n != count {
				t.Fatalf("backup: %d of %d events, %v", n, count, err)
			}
			wantClean(t, copied, count, &opts)
			if n, err := Reindex(dir, &opts); err != nil || n != count {
				t.Fatalf("reindex: %d of %d events, %v", n, count, err)
			}
			wantClean(t, dir, count, &opts)
		})
	}
}

func wantVersion(t *testing.T, dir string, want int) {
	t.Helper()
	if got, err := readFormat(vfs.Default, dir); err != nil || got != want {
		t.Fatalf("the store has format %d, %v; want %d", got, err, want)
	}
}

// wantKept wants a store to hold these commits, as log, as streams and as a chain, and
// returns the hashes of the streams' last ones.
func wantKept(t *testing.T, s *annals.Store, commits [][]annals.Event, unchained bool) map[string]annals.Hash {
	t.Helper()
	want := slices.Concat(commits...)
	wantSame(t, storetest.Collect(t, s.Log(t.Context(), annals.Query{})), want)
	heads := map[string]annals.Hash{}
	n := 0
	for c, err := range s.Chain(t.Context(), 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		stream := c.Events[0].Stream
		wantSame(t, c.Events, commits[n])
		previous := heads[stream]
		if unchained {
			previous = annals.Hash{}
		}
		if c.Unchained != unchained || c.Previous != previous {
			t.Fatalf("commit %d is unchained %v and names %s, want %v and %s", n, c.Unchained, c.Previous, unchained, previous)
		}
		heads[stream] = c.Hash()
		n++
	}
	for stream := range heads {
		own := slices.DeleteFunc(slices.Clone(want), func(e annals.Event) bool { return e.Stream != stream })
		wantSame(t, storetest.Collect(t, s.Stream(t.Context(), stream, nil)), own)
	}
	if n != len(commits) {
		t.Fatalf("the chain has %d commits, want %d", n, len(commits))
	}
	return heads
}

func wantSame(t *testing.T, got, want []annals.Event) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("read %d events, want %d", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("read %+v, want %+v", got[i], want[i])
		}
	}
}

// appendBehind appends to every stream, and a further one, a commit of two events and
// one more, wants them to be chained to what is there, and returns how many these are.
func appendBehind(t *testing.T, s *annals.Store, heads map[string]annals.Hash, round int) (n int64) {
	t.Helper()
	heads[fmt.Sprint("further-", round)] = annals.Hash{}
	end, err := s.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for stream := range heads {
		for k, size := range []int{2, 1} {
			var events []annals.Event
			for i := range size {
				events = append(events, storetest.Event(fmt.Sprint("further-", round, k, i), "further", `"ü"`))
			}
			c, err := s.Append(t.Context(), stream, annals.Any, events...)
			if err != nil || c.Replayed {
				t.Fatalf("%+v, %v", c, err)
			}
			n += int64(size)
		}
	}
	for c, err := range s.Chain(t.Context(), end, 0) {
		if err != nil || c.Unchained || c.Previous != heads[c.Events[0].Stream] {
			t.Fatalf("%+v names %s, want %s; error %v", c.Events[0], c.Previous, heads[c.Events[0].Stream], err)
		}
		heads[c.Events[0].Stream] = c.Hash()
	}
	return n
}

// A program that is older than its store leaves it alone.
func TestStoreOfALaterFormatIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	s := openTest(t, "store", Options{FS: fs})
	fill(t, s, 0, 3)
	mustClose(t, s)
	later := fmt.Appendf(nil, `{"format":"annals-embedded","version":%d}`, currentFormat.Version+1)
	if err := writeFile(fs, "store/FORMAT", later); err != nil {
		t.Fatal(err)
	}
	before := contents(t, fs, "store")
	_, err := Open("store", &Options{FS: fs, Logger: quiet()})
	if !errors.Is(err, annals.ErrInvalid) || !strings.Contains(err.Error(), fmt.Sprint(currentFormat.Version+1)) {
		t.Fatalf("got %v", err)
	}
	if after := contents(t, fs, "store"); !maps.Equal(before, after) {
		t.Fatal("the refusal changed files")
	}
}

// contents are the files below a directory, by path.
func contents(t *testing.T, fs vfs.FS, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			maps.Copy(files, contents(t, fs, path))
			continue
		}
		files[path] = string(readAll(t, fs, path))
	}
	return files
}

func readAll(t *testing.T, fs vfs.FS, path string) []byte {
	t.Helper()
	file, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(file)
	if err = errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	return text
}
