package local

import (
	"context"
	"time"
)

// A Clock tells the time to mappings and schedules. Processes of functions live by
// the real one.
type Clock interface {
	Now() time.Time
	// After delivers once d has passed.
	After(d time.Duration) <-chan time.Time
}

type realClock struct{}

func (realClock) Now() time.Time                         { return time.Now() }
func (realClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// wait returns false if ctx ends before d has passed.
func wait(ctx context.Context, c Clock, d time.Duration) bool {
	select {
	case <-c.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
