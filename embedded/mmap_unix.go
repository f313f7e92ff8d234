//go:build unix

package embedded

import "syscall"

// mapFile maps size bytes of an open file for reading.
func mapFile(fd uintptr, size int64) ([]byte, error) {
	return syscall.Mmap(int(fd), 0, int(size), syscall.PROT_READ, syscall.MAP_SHARED)
}

func unmapFile(data []byte) { _ = syscall.Munmap(data) }
