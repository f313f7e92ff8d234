//go:build unix

package listen

import "syscall"

// Descriptors is how many files the process may have open; 0 if nobody knows.
func Descriptors() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(uint64(limit.Cur), 1<<30))
}
