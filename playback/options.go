package playback

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
)

// Options changes how playbacks work; nil means the defaults.
type Options struct {
	// ID is that of a playback that is started: 1 to 60 letters, digits, - and _;
	// random by default.
	ID string
	// Rate is the most events a second that a playback sends which is started, and
	// that each of its subscribers is given; 0 is no limit. At least MinRate.
	Rate float64
	// Runner names this process to others; by default the machine's name and the
	// process's number.
	Runner string
	// Interval is how often progress is recorded, and how long a Run may take to
	// notice that it was stopped elsewhere; 5 s by default.
	Interval time.Duration
	// Every is after how many events progress is recorded, however fast; 250,000 by
	// default. So many may be sent again after a crash.
	Every int64
	// Clock dates records and measures rates; time.Now by default.
	Clock func() time.Time
	// Sleep pauses for d or until ctx ends.
	Sleep func(ctx context.Context, d time.Duration)
	// Progress, if it is set, is told how far a Run has come, after each part that
	// it has written.
	Progress func(p *Playback)
	// At, in tests, is called at each Step; an error stops the Run there as a crash
	// would.
	At func(Step) error
}

// MinRate is the least Rate that is not 0, in events a second.
const MinRate = 0.001

const (
	defaultInterval = 5 * time.Second
	defaultEvery    = 250_000
	defaultIDBytes  = 12
)

// A Step is a point between two actions of a Run, for tests that crash it there.
type Step string

const (
	StepRecorded   Step = "recorded"   // that the playback was started or resumed
	StepOpened     Step = "opened"     // the target
	StepWritten    Step = "written"    // a part was written
	StepFlushed    Step = "flushed"    // all that was written is durable
	StepProgressed Step = "progressed" // that was recorded
	StepFinished   Step = "finished"   // the end was recorded
)

// Steps lists every Step.
func Steps() []Step {
	return []Step{StepRecorded, StepOpened, StepWritten, StepFlushed, StepProgressed, StepFinished}
}

// A crash is an error that Options.At has asked for: nothing may happen behind it.
type crash struct{ error }

func (c crash) Unwrap() error { return c.error }

func (o *Options) at(step Step) error {
	if err := o.At(step); err != nil {
		return crash{err}
	}
	return nil
}

func (o *Options) complete() *Options {
	c := Options{}
	if o != nil {
		c = *o
	}
	if c.Runner == "" {
		host, _ := os.Hostname() // without a name the number has to do
		c.Runner = fmt.Sprintf("%s/%d", host, os.Getpid())
	}
	if c.Interval <= 0 {
		c.Interval = defaultInterval
	}
	if c.Every <= 0 {
		c.Every = defaultEvery
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Sleep == nil {
		c.Sleep = consumer.Sleep
	}
	if c.Progress == nil {
		c.Progress = func(*Playback) {}
	}
	if c.At == nil {
		c.At = func(Step) error { return nil }
	}
	return &c
}

func newID() string { return strings.ToLower(rand.Text()[:defaultIDBytes]) }

func checkRate(rate float64) error {
	if rate != 0 && (rate < MinRate || math.IsNaN(rate) || math.IsInf(rate, 0)) {
		return annals.Invalid("rate", "must be 0 for no limit, or at least %v events a second", MinRate)
	}
	return nil
}
