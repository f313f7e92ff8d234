package local

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// endWithUs lets the system kill a child when a test runs into its time limit,
// which skips cleanups.
func endWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// resident returns the most memory that a process has had, in bytes.
func resident(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0 // it has ended
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmHWM:" {
			kilobytes, _ := strconv.ParseInt(fields[1], 10, 64) // the kernel wrote it
			return kilobytes << 10
		}
	}
	return 0
}
