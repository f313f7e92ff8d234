package embedded

import (
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// opFS numbers the operations that change something on a file system: those on files
// and directories, and the syncs. before is called in front of each, and what it
// returns fails the operation instead. Reads are passed on unseen.
type opFS struct {
	vfs.FS
	n      atomic.Int64
	before func(n int64, op, name string) error
	// working is held for reading by operations at work, so that a crash comes
	// between two of them.
	working sync.RWMutex
}

func (f *opFS) do(op, name string, change func() error) error {
	if f.before != nil {
		if err := f.before(f.n.Add(1), op, name); err != nil {
			return err
		}
	}
	f.working.RLock()
	defer f.working.RUnlock()
	return change()
}

// crash returns what a power failure leaves of the file system below, a crashable one.
func (f *opFS) crash(cfg vfs.CrashCloneCfg) *vfs.MemFS {
	f.working.Lock()
	defer f.working.Unlock()
	return f.FS.(*vfs.MemFS).CrashClone(cfg)
}

func (f *opFS) open(op, name string, open func() (vfs.File, error)) (file vfs.File, err error) {
	err = f.do(op, name, func() error {
		file, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &opFile{file, f, name}, nil
}

func (f *opFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.open("create", name, func() (vfs.File, error) { return f.FS.Create(name, c) })
}

func (f *opFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.open("open", name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, opts...) })
}

func (f *opFS) OpenDir(name string) (vfs.File, error) {
	return f.open("opendir", name, func() (vfs.File, error) { return f.FS.OpenDir(name) })
}

func (f *opFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.open("reuse", to, func() (vfs.File, error) { return f.FS.ReuseForWrite(from, to, c) })
}

func (f *opFS) Link(from, to string) error {
	return f.do("link", to, func() error { return f.FS.Link(from, to) })
}

func (f *opFS) Rename(from, to string) error {
	return f.do("rename", to, func() error { return f.FS.Rename(from, to) })
}

func (f *opFS) Remove(name string) error {
	return f.do("remove", name, func() error { return f.FS.Remove(name) })
}

func (f *opFS) RemoveAll(name string) error {
	return f.do("removeall", name, func() error { return f.FS.RemoveAll(name) })
}

func (f *opFS) MkdirAll(name string, perm os.FileMode) error {
	return f.do("mkdir", name, func() error { return f.FS.MkdirAll(name, perm) })
}

func (f *opFS) Lock(name string) (lock io.Closer, err error) {
	err = f.do("lock", name, func() error {
		lock, err = f.FS.Lock(name)
		return err
	})
	return lock, err
}

type opFile struct {
	vfs.File
	fs   *opFS
	name string
}

func (f *opFile) Write(b []byte) (n int, err error) {
	err = f.fs.do("write", f.name, func() error {
		n, err = f.File.Write(b)
		return err
	})
	return n, err
}

func (f *opFile) WriteAt(b []byte, at int64) (n int, err error) {
	err = f.fs.do("writeat", f.name, func() error {
		n, err = f.File.WriteAt(b, at)
		return err
	})
	return n, err
}

func (f *opFile) Sync() error     { return f.fs.do("sync", f.name, f.File.Sync) }
func (f *opFile) SyncData() error { return f.fs.do("syncdata", f.name, f.File.SyncData) }
func (f *opFile) SyncTo(n int64) (full bool, err error) {
	err = f.fs.do("syncto", f.name, func() error {
		full, err = f.File.SyncTo(n)
		return err
	})
	return full, err
}
