package spool

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fill makes a spool of two files with appends of 1, 2 and 3 records each, and
// returns the name of the first and how many records it holds.
func fill(t *testing.T, dir string) (string, int) {
	t.Helper()
	s, err := Open(dir, 1<<20, &Options{SegmentBytes: 900, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	inFirst := 0
	for n, k := 0, 1; len(s.segments) < 2; n, k = n+k, k%3+1 {
		if err := s.Append(texts(n, n+k)); err != nil {
			t.Fatal(err)
		}
		if len(s.segments) == 1 {
			inFirst = n + k
		}
	}
	name := s.segments[0].name
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return name, inFirst
}

// Whatever byte of a file changes, only the records that it lies in are missing,
// and as many are said to be lost.
func TestEachChangedByteCostsItsRecordOnly(t *testing.T) {
	dir := t.TempDir()
	name, inFirst := fill(t, dir)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, file := range []string{name, filepath.Join(dir, segmentName(int64(inFirst+1)))} {
		if files[file], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	for at := 0; at < len(whole); at += 3 {
		mem := vfs.NewMem()
		for file, text := range files {
			text = slices.Clone(text)
			if file == name {
				text[at] ^= 0x10
			}
			write(t, mem, "spool", filepath.Base(file), text)
		}
		s := open(t, mem, 1<<20, 900)
		records, _ := s.Len()
		got := drain(t, s, 4)
		missing := int64(got[len(got)-1]+1) - int64(len(got))
		if s.Lost() != missing || missing > 1 || at >= segmentHeader && missing != 1 || records != int64(len(got)) {
			t.Fatalf("byte %d changed: got %v, %d counted before, %d said to be lost", at, got, records, s.Lost())
		}
	}
}

func write(t *testing.T, fs vfs.FS, dir, name string, text []byte) {
	t.Helper()
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create(fs.PathJoin(dir, name), vfs.WriteCategoryUnspecified)
	if err == nil {
		if _, err = f.Write(slices.Clone(text)); err == nil {
			err = f.Close()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A file that shrinks or changes under an open spool costs what is gone, and the
// rest is read.
func TestDamageWhileOpen(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, 1<<20, &Options{SegmentBytes: 900, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	for i := range 10 {
		if err := s.Append(texts(i, i+1)); err != nil {
			t.Fatal(err)
		}
	}
	first := s.segments[0]
	if err := os.Truncate(first.name, first.size-10); err != nil {
		t.Fatal(err)
	}
	n := int(first.waiting)
	got := drain(t, s, 100)
	if slices.Contains(got, n-1) || len(got) != 9 || s.Lost() != 1 {
		t.Fatalf("got %v, %d lost", got, s.Lost())
	}
	if records, _ := s.Len(); records != 0 {
		t.Fatalf("%d records wait", records)
	}
}

// What the place file says is not trusted when it is damaged: records come
// again.
func TestDamagedPlaceRepeats(t *testing.T) {
	for _, both := range []bool{false, true} {
		fs := vfs.NewMem()
		s := open(t, fs, 1<<20, 1<<19)
		if err := s.Append(texts(0, 9)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			b, err := s.Peek(2, 1<<20)
			if err == nil {
				err = s.Advance(b)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		text := read(t, fs, "spool/place")
		text[3] ^= 1
		if both {
			text[slotSize+3] ^= 1
		}
		write(t, fs, "spool", placeFile, text)
		s = open(t, fs, 1<<20, 1<<19)
		want := map[bool]int{false: 4, true: 0}[both]
		if got := drain(t, s, 100); got[0] > 6 || got[0] < want || got[len(got)-1] != 8 || s.Lost() != 0 {
			t.Fatalf("got %v, %d lost", got, s.Lost())
		}
	}
}

func read(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(f)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A hole in the last append may be one that a crash left, in what was never
// acknowledged; before a later append it is damage.
func TestHolesCountAsLostOnceWhatFollowsProvesThem(t *testing.T) {
	head := appendSegmentHeader(nil, 1, 1)
	first := appendRecord(nil, 1, 1, text(0))
	hole := make([]byte, len(appendRecord(nil, 2, 1, text(1))))
	third := appendRecord(nil, 3, 1, text(2))
	fourth := appendRecord(nil, 4, 4, text(3))
	for _, proven := range []bool{false, true} {
		fs := vfs.NewMem()
		file, want := slices.Concat(head, first, hole, third), []int{0, 2, 9}
		if proven {
			file, want = append(file, fourth...), []int{0, 2, 3, 9}
		}
		write(t, fs, "spool", segmentName(1), file)
		s := open(t, fs, 1<<20, 1<<19)
		if lost := s.Lost(); (lost == 1) != proven || lost > 1 {
			t.Fatalf("proven %v: %d lost", proven, lost)
		}
		if err := s.Append(texts(9, 10)); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, fs, 1<<20, 1<<19)
		if lost := s.Lost(); (lost == 1) != proven || lost > 1 {
			t.Fatalf("proven %v: %d lost after another opening", proven, lost)
		}
		if got := drain(t, s, 100); !slices.Equal(got, want) {
			t.Fatalf("proven %v: got %v", proven, got)
		}
	}
}
