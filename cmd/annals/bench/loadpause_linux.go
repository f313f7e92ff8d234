package bench

import (
	"syscall"
	"time"
)

// pause sleeps for less than a millisecond where asked to: a sleep of Go's wakes on
// an idle machine up to a millisecond late, which would stand in every latency. A
// signal ends it early.
func pause(d time.Duration) {
	ts := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&ts, nil) // the caller looks at the clock
}
