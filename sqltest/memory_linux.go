package sqltest

import (
	"os"
	"syscall"
)

// parent is where servers keep their data: in memory if there is enough of it,
// where a database is made ten times faster than on a disk, unless the
// environment says where temporary files go.
func parent() string {
	const memory, enough = "/dev/shm", 2 << 30
	var fs syscall.Statfs_t
	if os.Getenv("TMPDIR") != "" || syscall.Statfs(memory, &fs) != nil || fs.Bavail*uint64(fs.Bsize) < enough {
		return os.TempDir()
	}
	return memory
}
