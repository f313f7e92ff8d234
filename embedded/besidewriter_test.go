package embedded

import (
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// lateFS shows zeros where a record stands, the first time that it is read: to a reader
// beside the writer it was written between two looks.
type lateFS struct {
	vfs.FS
	at     int64
	looked atomic.Bool
}

func (f *lateFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	file, err := f.FS.OpenReadWrite(name, c, opts...)
	if err != nil {
		return nil, err
	}
	return &lateFile{file, f}, nil
}

type lateFile struct {
	vfs.File
	fs *lateFS
}

func (f *lateFile) ReadAt(b []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(b, at)
	if at == f.fs.at && !f.fs.looked.Swap(true) {
		clear(b)
	}
	return n, err
}

// What is written while a backup reads is no damage, however slow the backup is.
func TestRecordThatIsWrittenBetweenTwoLooks(t *testing.T) {
	mem := vfs.NewMem()
	s := openTest(t, "store", Options{FS: mem, Logger: quiet()})
	fill(t, s, 0, 50)
	mustClose(t, s)
	read := func(fs vfs.FS) *segment {
		t.Helper()
		segment, err := openSegment(fs, "store/"+logDir, 0)
		if err != nil {
			t.Fatal(err)
		}
		return segment
	}
	plain := read(mem)
	first, _, err := plain.record(prologueSize)
	if err != nil {
		t.Fatal(err)
	}
	want, err := plain.findEnd(0)
	if err != nil || want.position != 50 {
		t.Fatal(want, err)
	}
	fs := &lateFS{FS: mem, at: prologueSize + first.size()}
	late := read(fs)
	if end, err := late.findEnd(0); err != nil || end != want || !fs.looked.Load() {
		t.Errorf("found the end at %+v, %v, want %+v", end, err, want)
	}
	for _, segment := range []*segment{plain, late} {
		if err := segment.close(); err != nil {
			t.Error(err)
		}
	}
}
