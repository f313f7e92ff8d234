package crashfs

import (
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// An FS can crash while it links files: vfs.MemFS takes its lock twice in Link, and a
// crash that comes between waits for ever. It is safe for concurrent use.
type FS struct {
	*vfs.MemFS
	linking sync.RWMutex
}

// New is an empty FS.
func New() *FS { return &FS{MemFS: vfs.NewCrashableMem()} }

// Link implements vfs.FS.
func (f *FS) Link(from, to string) error {
	f.linking.RLock()
	defer f.linking.RUnlock()
	return f.MemFS.Link(from, to)
}

// Crash is the FS as a crash at this moment leaves it. f itself goes on.
func (f *FS) Crash(cfg vfs.CrashCloneCfg) *FS {
	f.linking.Lock()
	defer f.linking.Unlock()
	return &FS{MemFS: f.CrashClone(cfg)}
}
