package pebbleview

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// haltingFS is a file system that stops to change at the first write that fails.
// What is written afterwards is dropped, without an error: the directory stays as
// a crash at that point would leave it, and Pebble, which ends the process where
// its log or its manifest can't be written, can be closed.
type haltingFS struct {
	vfs.FS
	halted func() // called once, when writing fails

	mu  sync.RWMutex
	err error
}

// failure is why the disk halted; nil if it has not.
func (f *haltingFS) failure() error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.err
}

// write changes the disk, or nothing once it has halted. done says that it did.
func (f *haltingFS) write(change func() error) (done bool) {
	if f.failure() != nil {
		return false
	}
	err := change()
	if err == nil {
		return true
	}
	f.mu.Lock()
	first := f.err == nil
	if first {
		f.err = err
	}
	f.mu.Unlock()
	if first {
		f.halted()
	}
	return false
}

// file makes a file, or one that takes everything to nowhere.
func (f *haltingFS) file(name string, create func() (vfs.File, error)) (vfs.File, error) {
	var file vfs.File
	if !f.write(func() (err error) { file, err = create(); return err }) {
		return nowhere{name}, nil
	}
	return &haltingFile{file, f}, nil
}

// Create makes the name of a manifest durable with it. Pebble syncs the directory
// only when the marker that points to the manifest stands there too, and a crash
// before that may keep the marker alone.
func (f *haltingFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) {
		file, err := f.FS.Create(name, c)
		if err == nil && strings.HasPrefix(f.PathBase(name), "MANIFEST-") {
			if err = syncDir(f.FS, f.PathDir(name)); err != nil {
				err = errors.Join(err, file.Close())
			}
		}
		return file, err
	})
}

func (f *haltingFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, opts...) })
}

func (f *haltingFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(to, func() (vfs.File, error) { return f.FS.ReuseForWrite(from, to, c) })
}

func (f *haltingFS) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &haltingFile{file, f}, nil
}

func (f *haltingFS) Link(from, to string) error {
	f.write(func() error { return f.FS.Link(from, to) })
	return nil
}

func (f *haltingFS) Rename(from, to string) error {
	f.write(func() error { return f.FS.Rename(from, to) })
	return nil
}

func (f *haltingFS) MkdirAll(dir string, mode os.FileMode) error {
	f.write(func() error { return f.FS.MkdirAll(dir, mode) })
	return nil
}

// A file that can't be removed harms nothing; but none may go once the writes
// that replaced it were dropped.
func (f *haltingFS) Remove(name string) error {
	if f.failure() != nil {
		return nil
	}
	return f.FS.Remove(name)
}

func (f *haltingFS) RemoveAll(name string) error {
	if f.failure() != nil {
		return nil
	}
	return f.FS.RemoveAll(name)
}

func (f *haltingFS) Unwrap() vfs.FS { return f.FS }

type haltingFile struct {
	vfs.File
	fs *haltingFS
}

func (f *haltingFile) Write(b []byte) (int, error) {
	f.fs.write(func() error { _, err := f.File.Write(b); return err })
	return len(b), nil
}

func (f *haltingFile) WriteAt(b []byte, at int64) (int, error) {
	f.fs.write(func() error { _, err := f.File.WriteAt(b, at); return err })
	return len(b), nil
}

func (f *haltingFile) Preallocate(at, n int64) error {
	f.fs.write(func() error { return f.File.Preallocate(at, n) })
	return nil
}

func (f *haltingFile) Sync() error {
	f.fs.write(f.File.Sync)
	return nil
}

func (f *haltingFile) SyncData() error {
	f.fs.write(f.File.SyncData)
	return nil
}

func (f *haltingFile) SyncTo(n int64) (full bool, err error) {
	f.fs.write(func() error { full, err = f.File.SyncTo(n); return err })
	return full, nil
}

// nowhere is a file of a disk that has halted. It takes everything and is empty.
type nowhere struct{ name string }

func (nowhere) Close() error                           { return nil }
func (nowhere) Read([]byte) (int, error)               { return 0, io.EOF }
func (nowhere) ReadAt([]byte, int64) (int, error)      { return 0, io.EOF }
func (nowhere) Write(b []byte) (int, error)            { return len(b), nil }
func (nowhere) WriteAt(b []byte, _ int64) (int, error) { return len(b), nil }
func (nowhere) Preallocate(int64, int64) error         { return nil }
func (f nowhere) Stat() (vfs.FileInfo, error)          { return f, nil }
func (nowhere) Sync() error                            { return nil }
func (nowhere) SyncTo(int64) (bool, error)             { return true, nil }
func (nowhere) SyncData() error                        { return nil }
func (nowhere) Prefetch(int64, int64) error            { return nil }
func (nowhere) Fd() uintptr                            { return vfs.InvalidFd }

func (f nowhere) Name() string         { return f.name }
func (nowhere) Size() int64            { return 0 }
func (nowhere) Mode() os.FileMode      { return 0o644 }
func (nowhere) ModTime() time.Time     { return time.Time{} }
func (nowhere) IsDir() bool            { return false }
func (nowhere) Sys() any               { return nil }
func (nowhere) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }
