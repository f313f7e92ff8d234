package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// An arrival is one request of an open loop: it comes when it is due, whatever
// became of those before it.
type arrival struct {
	i   int
	due time.Time
}

// An outcome is how a request ended. code is the HTTP status, with the problem's
// code behind it unless that is a refusal for want of capacity; or a word where no
// answer came.
type outcome struct {
	kind       string // of request
	code       string
	retryAfter bool
}

func (o outcome) ok() bool { return strings.HasPrefix(o.code, "2") }

// shed tells a refusal for want of capacity, which must say when to come again.
func (o outcome) shed() bool { return o.code == "429" || o.code == "503" }

// gaveUp is the code of an arrival that found no connection free within its
// patience: it was not sent.
const gaveUp = "unsent"

// outcomes are what became of requests. They are safe for concurrent use until they are
// read.
type outcomes struct {
	mu           sync.Mutex
	began        time.Time
	good         latencies // of what was answered with 2xx, from when it was due
	shed         latencies // of what was refused
	kinds        map[string]*latencies
	codes        map[string]int64
	noRetryAfter int64
	window       time.Duration
	windows      []latencies // of good ones, by the window of time in which they were due; none if window is 0
	elapsed      time.Duration
}

func newOutcomes() *outcomes {
	return &outcomes{began: time.Now(), kinds: map[string]*latencies{}, codes: map[string]int64{}}
}

func (t *outcomes) add(a arrival, o outcome) {
	took := time.Since(a.due)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.codes[o.code]++
	switch {
	case o.ok():
		t.good.add(took)
		if t.kinds[o.kind] == nil {
			t.kinds[o.kind] = &latencies{}
		}
		t.kinds[o.kind].add(took)
		t.inWindow(a).add(took)
	case o.shed():
		t.shed.add(took)
		if !o.retryAfter {
			t.noRetryAfter++
		}
	}
}

// inWindow are the latencies of what was due in the window of a.
func (t *outcomes) inWindow(a arrival) *latencies {
	if t.window == 0 {
		return &latencies{} // nobody asks
	}
	i := int(a.due.Sub(t.began) / t.window)
	for len(t.windows) <= i {
		t.windows = append(t.windows, latencies{})
	}
	return &t.windows[i]
}

// requests is how many have ended.
func (t *outcomes) requests() (n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, of := range t.codes {
		n += of
	}
	return n
}

// sent is how many of them reached the server, or tried to.
func (t *outcomes) sent() int64 { return t.requests() - t.codes[gaveUp] }

// failures is how many were not answered with 2xx.
func (t *outcomes) failures() int64 { return t.requests() - t.good.n }

// said is the number of answers by code.
func (t *outcomes) said() string {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(t.codes)) {
		parts = append(parts, fmt.Sprintf("%d × %s", t.codes[code], code))
	}
	return strings.Join(parts, ", ")
}

// p99s are the 99th percentiles of the windows.
func (t *outcomes) p99s() []time.Duration {
	var all []time.Duration
	for i := range t.windows {
		all = append(all, t.windows[i].at(0.99))
	}
	return all
}

// An openRun is requests that arrive on a clock.
type openRun struct {
	rate     float64 // arrivals a second
	lasting  time.Duration
	patience time.Duration // how long an arrival waits for a worker; 0: for ever
	workers  int           // requests under way at most
	window   time.Duration // of outcomes.windows
}

// backlog is how many arrivals can be due before a worker takes one. Beyond it the
// clock runs behind, but what is measured is still counted from when it was due.
const backlog = 1 << 16

// run calls do for each arrival, by a worker that no other call uses meanwhile, and
// tallies what it returns. It ends early with ctx.
func (r openRun) run(ctx context.Context, do func(worker int, a arrival) outcome) *outcomes {
	t := newOutcomes()
	t.window = r.window
	r.into(ctx, t, do)
	return t
}

func (r openRun) into(ctx context.Context, t *outcomes, do func(worker int, a arrival) outcome) {
	arrivals(ctx, t.began, int(r.rate*r.lasting.Seconds()), r.rate, r.workers, func(w int, a arrival) {
		if r.patience > 0 && time.Since(a.due) > r.patience {
			t.add(a, outcome{code: gaveUp})
			return
		}
		t.add(a, do(w, a))
	})
	t.elapsed = time.Since(t.began)
}

// arrivals calls do n times at a rate a second, each time by a worker that no other call
// uses meanwhile, and waits for all. It ends early with ctx.
func arrivals(ctx context.Context, began time.Time, n int, rate float64, workers int, do func(worker int, a arrival)) {
	due := make(chan arrival, min(n, backlog))
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for a := range due {
				do(w, a)
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		a := arrival{i, began.Add(time.Duration(float64(i) / rate * float64(time.Second)))}
		for wait := time.Until(a.due); wait > 0; wait = time.Until(a.due) {
			pause(wait)
		}
		due <- a
	}
	close(due)
	all.Wait()
}

// saturated is how many requests a second are answered with 2xx where each worker
// sends one as soon as the one before is answered.
func saturated(ctx context.Context, workers int, lasting time.Duration, do func(worker int, a arrival) outcome) (float64, *outcomes) {
	t := newOutcomes()
	var next atomic.Int64
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for time.Since(t.began) < lasting && ctx.Err() == nil {
				a := arrival{int(next.Add(1)) - 1, time.Now()}
				t.add(a, do(w, a))
			}
		})
	}
	all.Wait()
	t.elapsed = time.Since(t.began)
	return float64(t.good.n) / t.elapsed.Seconds(), t
}
