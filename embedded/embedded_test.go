package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func testDriver(t *testing.T, dir string, opts Options) annals.Driver {
	t.Helper()
	opts.Logger = quiet()
	d, err := OpenDriver(dir, &opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// openTest opens a store that the test closes.
func openTest(t *testing.T, dir string, opts Options) *annals.Store {
	t.Helper()
	return annals.New(testDriver(t, dir, opts), nil)
}

func mustClose(t *testing.T, s *annals.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("closing: %v", err)
	}
}

// fill appends n events to streams of three events and more, with types,
// sources and correlations that differ.
func fill(t *testing.T, s *annals.Store, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		e := annals.Event{
			ID: fmt.Sprint("id-", i), Type: fmt.Sprint("type-", i%5), Source: fmt.Sprint("source-", i%3),
			Data: fmt.Appendf(nil, `{"n":%d,"text":"%0*d"}`, i, i%700, i),
		}
		if i%2 == 0 {
			e.Correlation = fmt.Sprint("request-", i/10)
		}
		if _, err := s.Append(t.Context(), fmt.Sprint("stream-", i%97), annals.Any, e); err != nil {
			t.Fatal(err)
		}
	}
}

func wantClean(t *testing.T, dir string, events int64, opts *Options) {
	t.Helper()
	r, err := Verify(dir, opts)
	if err != nil || len(r.Problems) > 0 || r.Events != events {
		t.Fatalf("verify found %d events (want %d), error %v, problems %q", r.Events, events, err, r.Problems)
	}
}

func TestContractOnDisk(t *testing.T) {
	storetest.Run(t, func(t *testing.T, dir string) annals.Driver { return testDriver(t, dir, Options{}) })
}

func TestContractOnCrashableFileSystem(t *testing.T) {
	disks := map[string]*vfs.MemFS{}
	storetest.Run(t, func(t *testing.T, dir string) annals.Driver {
		if disks[dir] == nil {
			disks[dir] = vfs.NewCrashableMem()
		}
		return testDriver(t, "store", Options{FS: disks[dir]})
	})
}

// With tails of a few events, every read crosses the index on disk, a tail that
// is being sealed, and the active one.
func TestContractAcrossSealedIndexes(t *testing.T) {
	storetest.Run(t, func(t *testing.T, dir string) annals.Driver {
		d := testDriver(t, dir, Options{sealEvery: 7})
		d.(*driver).background.Wait() // the filter of ids is asked from the start
		return d
	})
}

func TestSecondProcessIsToldWhatToDo(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, Options{})
	defer mustClose(t, s)
	_, err := Open(dir, nil)
	var e *annals.Error
	if !errors.Is(err, annals.ErrInUse) || !errors.As(err, &e) || e.Hint == "" {
		t.Fatalf("got %v, want ErrInUse with a hint", err)
	}
	if _, err := Verify(dir, nil); !errors.Is(err, annals.ErrInUse) {
		t.Fatalf("verify: %v", err)
	}
	if _, err := Reindex(dir, nil); !errors.Is(err, annals.ErrInUse) {
		t.Fatalf("reindex: %v", err)
	}
}

func TestOneDirectoryUnderTwoNamesIsOpenedOnce(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	s := openTest(t, dir, Options{})
	defer mustClose(t, s)
	t.Chdir(filepath.Dir(dir))
	for _, other := range []string{link, filepath.Base(dir), dir + "/", "./" + filepath.Base(dir) + "/."} {
		if _, err := Open(other, nil); !errors.Is(err, annals.ErrInUse) {
			t.Errorf("%s: %v", other, err)
		}
	}
}

func TestAFileIsNoStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "paid.json")
	if err := os.WriteFile(file, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if _, err := Open(dir, nil); !errors.Is(err, annals.ErrInvalid) || !strings.Contains(err.Error(), "a file") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

func TestBackupNamesItsTarget(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir, Options{})
	fill(t, s, 0, 3)
	mustClose(t, s)
	if _, err := Backup(t.Context(), dir, filepath.Join(dir, "copy"), nil); !errors.Is(err, annals.ErrInvalid) {
		t.Errorf("into the store itself: %v", err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, to := range []string{"copy", "not/yet/there", filepath.Join(link, "copy"), "."} {
		if _, err := Backup(t.Context(), dir, to, nil); !errors.Is(err, annals.ErrInvalid) || !strings.Contains(err.Error(), "lies inside") {
			t.Errorf("into the store itself as %s: %v", to, err)
		}
	}
	to := filepath.Join(t.TempDir(), "copy")
	if n, err := Backup(t.Context(), dir, to+"/", nil); err != nil || n != 3 {
		t.Errorf("with a slash behind: %d, %v", n, err)
	}
	wantClean(t, to, 3, nil)
}

// An append that looked before its stream was in a tail must look again, even if
// the index gave it the right version: its ids may not have been there yet.
func TestStreamThatCameIntoATailMeanwhileHasMoved(t *testing.T) {
	d := testDriver(t, t.TempDir(), Options{}).(*driver)
	s := annals.New(d, nil)
	defer mustClose(t, s)
	if _, err := s.Append(t.Context(), "a", 0, annals.Event{ID: "1", Type: "T"}); err != nil {
		t.Fatal(err)
	}
	if !d.moved(&pending{stream: "a", head: head{version: 1}, generation: d.generation}) {
		t.Error("the stream has not moved on")
	}
}

func TestOpenRefusesAForeignDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := writeFile(vfs.Default, filepath.Join(dir, "notes.txt"), []byte("mine")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, nil); !errors.Is(err, annals.ErrInvalid) {
		t.Fatalf("got %v", err)
	}
	if _, err := Open(filepath.Join(dir, "none"), &Options{MustExist: true}); !errors.Is(err, annals.ErrNotFound) {
		t.Fatalf("got %v", err)
	}
}

func TestReopenReindexAndVerify(t *testing.T) {
	dir := t.TempDir()
	opts := Options{sealEvery: 500, Logger: quiet()}
	for round := range 4 {
		s := openTest(t, dir, opts)
		fill(t, s, round*700, 700)
		mustClose(t, s)
		wantClean(t, dir, int64(700*(round+1)), &opts)
	}
	if n, err := Reindex(dir, &opts); err != nil || n != 2800 {
		t.Fatalf("reindexed %d events, error %v", n, err)
	}
	wantClean(t, dir, 2800, &opts)
	s := openTest(t, dir, opts)
	defer mustClose(t, s)
	if c, err := s.Append(t.Context(), "stream-0", annals.Any, annals.Event{ID: "id-0", Type: "type-0", Source: "source-0", Correlation: "request-0", Data: []byte(`{"n":0,"text":"0"}`)}); err != nil || !c.Replayed {
		t.Fatalf("an id from before: %+v, %v", c, err)
	}
}

func TestBackupBesideWriters(t *testing.T) {
	dir, to := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	s := openTest(t, dir, Options{sealEvery: 1000})
	defer mustClose(t, s)
	fill(t, s, 0, 3000)
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for ctx.Err() == nil {
				events := make([]annals.Event, 5)
				for i := range events {
					events[i] = annals.Event{Type: "T", Data: make([]byte, 700), ContentType: "application/octet-stream"}
				}
				if _, err := s.Append(ctx, fmt.Sprint("writer-", w), annals.Any, events...); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	for round := range 5 {
		to := fmt.Sprint(to, round)
		before, err := s.End(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n, err := Backup(t.Context(), dir, to, nil)
		if err != nil || n < before {
			t.Fatalf("the copy holds %d events of at least %d; error %v", n, before, err)
		}
		wantClean(t, to, n, nil)
		if _, err := Backup(t.Context(), dir, to, nil); !errors.Is(err, annals.ErrInvalid) {
			t.Fatalf("a second backup to %s: %v", to, err)
		}
	}
	stop()
	writers.Wait()
}

// Closing under readers and writers gives them errors, never a panic, even to
// one that closes in the middle of its own read; on disk, where segments are
// mapped, and in memory, where they are read from the file.
func TestCloseUnderLoad(t *testing.T) {
	for range 10 {
		closeUnderLoad(t, Options{sealEvery: 100})
		closeUnderLoad(t, Options{sealEvery: 100, FS: vfs.NewMem()})
	}
}

func closeUnderLoad(t *testing.T, opts Options) {
	t.Helper()
	s := openTest(t, t.TempDir(), opts)
	fill(t, s, 0, 1000)
	var users, ready sync.WaitGroup
	for u := range 6 {
		ready.Add(1)
		users.Go(func() {
			ready.Done()
			for err := error(nil); err == nil; {
				switch u % 4 {
				case 0:
					_, err = s.Append(t.Context(), fmt.Sprint("stream-", u), annals.Any, annals.Event{Type: "T"})
				case 1:
					for _, err = range s.Log(t.Context(), annals.Query{Types: []string{"type-1"}, Sources: []string{"source-1", "source-2"}}) {
					}
				case 2:
					for _, err = range s.Stream(t.Context(), "stream-1", &annals.StreamOptions{Backward: true}) {
					}
				case 3:
					for _, err = range s.Log(t.Context(), annals.Query{}) {
					}
				}
				if err != nil && !errors.Is(err, annals.ErrClosed) {
					t.Errorf("user %d: %v", u, err)
				}
			}
		})
	}
	ready.Wait()
	var last error
	for _, err := range s.Log(t.Context(), annals.Query{Types: []string{"type-1"}}) {
		if last = err; err == nil {
			mustClose(t, s)
		}
	}
	if !errors.Is(last, annals.ErrClosed) {
		t.Errorf("a read that closes its store ends in %v", last)
	}
	users.Wait()
}
