package embedded

import (
	"errors"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// faultFS plants faults under the log. Its limit counts the bytes that files
// grow by; overwriting takes no space, as on a disk.
type faultFS struct {
	vfs.FS
	failSync   atomic.Bool
	tearWrite  atomic.Bool // the next WriteAt writes half and fails
	limited    atomic.Bool
	free       atomic.Int64
	capacity   atomic.Int64
	beforeSync atomic.Pointer[func()]
	tearLarge  atomic.Int32 // counts large writes down; the last one is like tearWrite
}

// limit sets how large all files together may grow.
func (f *faultFS) limit(capacity int64) {
	f.free.Add(capacity - f.capacity.Swap(capacity))
	f.limited.Store(true)
}

func (f *faultFS) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	if f.limited.Load() {
		return vfs.DiskUsage{AvailBytes: uint64(max(f.free.Load(), 0)), TotalBytes: uint64(f.capacity.Load())}, nil
	}
	return f.FS.GetDiskUsage(path)
}

func (f *faultFS) wrap(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &faultFile{file, f}, nil
}

func (f *faultFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.wrap(f.FS.Create(name, c))
}

func (f *faultFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.wrap(f.FS.OpenReadWrite(name, c, opts...))
}

type faultFile struct {
	vfs.File
	fs *faultFS
}

var errPlanted = errors.New("planted failure")

func (f *faultFile) Write(b []byte) (int, error) {
	if f.fs.limited.Load() && f.fs.free.Add(-int64(len(b))) < 0 {
		f.fs.free.Add(int64(len(b)))
		return 0, syscall.ENOSPC
	}
	return f.File.Write(b)
}

func (f *faultFile) WriteAt(b []byte, at int64) (int, error) {
	const large = 4 << 20
	if f.fs.tearWrite.Swap(false) || len(b) > large && f.fs.tearLarge.Add(-1) == 0 {
		n, _ := f.File.WriteAt(b[:len(b)/2], at)
		return n, errPlanted
	}
	return f.File.WriteAt(b, at)
}

func (f *faultFile) SyncData() error {
	if hook := f.fs.beforeSync.Load(); hook != nil {
		(*hook)()
	}
	if f.fs.failSync.Load() {
		return errPlanted
	}
	return f.File.SyncData()
}
