package consumer

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"time"
)

// Options changes how a Runner works; nil means the defaults.
type Options struct {
	// Batch is the most events that are handled and committed together; 1,000 by
	// default. A batch ends earlier at 4 MiB of data.
	Batch int
	// Attempts is how often an event is tried before it is parked; 5 by default.
	Attempts int
	// Backoff is the pause before the next try, after so many; by default 100 ms
	// doubled for each, up to 10 s.
	Backoff func(attempts int) time.Duration
	// Sleep pauses for d or until ctx ends.
	Sleep func(ctx context.Context, d time.Duration)
	// Poll is how often an idle Runner looks whether another process paused it or
	// asked for something; 2 s by default. A Runner on standby takes over when
	// events or requests wait and nothing has moved for five times as long.
	Poll time.Duration
	// StallAfter is how long a consumer with events ahead may stand still before
	// its status is Stalled; 30 s by default.
	StallAfter time.Duration
	// Clock measures lag and dates checkpoints; time.Now by default. Handlers
	// never see it.
	Clock func() time.Time
	// Logger is told what was parked and what stands still; slog.Default by
	// default.
	Logger *slog.Logger
	// Known refuses to begin a consumer: where views know none of that name, Run
	// ends with annals.ErrNotFound. Create makes them know it.
	Known bool
	// ID names this Runner to others of the same consumer; random by default.
	ID string
	// At, in tests, is called at each Step; an error stops the Runner there as a
	// crash would.
	At func(Step) error
}

const (
	defaultBatch    = 1000
	maxBatchBytes   = 4 << 20
	defaultAttempts = 5
	firstBackoff    = 100 * time.Millisecond
	maxBackoff      = 10 * time.Second
	defaultPoll     = 2 * time.Second
	defaultStall    = 30 * time.Second
	// flushAfter is how long a checkpoint may lag behind events that were passed
	// over because they don't match: nothing is lost with it but reading again.
	flushAfter    = time.Second
	takeOverPolls = 5
	// window is how many positions are read before the checkpoint is looked at,
	// so that a long scan without a match shows progress and can be paused.
	window = 100_000
)

// Complete returns a copy of o, which may be nil, with the defaults in the place of
// what is not set.
func (o *Options) Complete() *Options {
	c := Options{}
	if o != nil {
		c = *o
	}
	if c.Batch <= 0 {
		c.Batch = defaultBatch
	}
	if c.Attempts <= 0 {
		c.Attempts = defaultAttempts
	}
	if c.Backoff == nil {
		c.Backoff = func(attempts int) time.Duration {
			return min(firstBackoff<<min(attempts-1, 10), maxBackoff)
		}
	}
	if c.Sleep == nil {
		c.Sleep = Sleep
	}
	if c.Poll <= 0 {
		c.Poll = defaultPoll
	}
	if c.StallAfter <= 0 {
		c.StallAfter = defaultStall
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.ID == "" {
		c.ID = strings.ToLower(rand.Text())
	}
	if c.At == nil {
		c.At = func(Step) error { return nil }
	}
	return &c
}

// Sleep pauses for d by the machine's clock, or until ctx ends: the default of
// Options.Sleep.
func Sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
