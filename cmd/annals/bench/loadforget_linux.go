//go:build amd64 || arm64

package bench

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// forget tells the machine that the files of a directory are not needed in memory,
// and says whether it took note. Nobody may have them mapped.
func forget(dir string) bool {
	const dontNeed = 4 // POSIX_FADV_DONTNEED
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := f.Sync(); err != nil { // what is not written stays
			return err
		}
		if _, _, errno := syscall.Syscall6(syscall.SYS_FADVISE64, f.Fd(), 0, 0, dontNeed, 0, 0); errno != 0 {
			return errno
		}
		return nil
	})
	return err == nil
}
