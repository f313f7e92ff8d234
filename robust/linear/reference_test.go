package linear

import (
	"context"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

// reference is the simplest driver that holds the contract, in memory, and those that
// just fail to.
type reference struct {
	annals.Driver // the log, which nobody reads here
	bug           string

	mu      sync.Mutex
	streams map[string][]annals.Event
	synced  map[string]int // how many of the events a crash leaves; the rest is lost
	calls   int
}

// bugs are what the checker has to see, and what they stand for.
var bugs = []string{
	"no version check",      // appends wherever the stream is
	"lost update",           // writes over what another has appended
	"acknowledged unsaved",  // a crash loses what was acknowledged
	"stale read",            // answers a read from a copy that lags
	"stale conflict",        // compares with a version of a while ago
	"stored twice",          // does not know an append again
	"half a commit",         // stores the first event only, now and then
	"reordered",             // shows two events in the wrong order
	"dirty read",            // shows what is not stored in the end
	"stored and refused",    // calls an unknown outcome a refusal
	"altered",               // changes the data of an event
	"gap",                   // leaves a version out
	"wrong before an error", // shows an altered event in a read that then fails
}

func newReference(bug string) *reference {
	return &reference{bug: bug, streams: map[string][]annals.Event{}, synced: map[string]int{}}
}

// has reports whether to make the mistake in this call, one in n.
func (r *reference) has(bug string, n int) bool { return r.bug == bug && r.calls%n == 0 }

func (r *reference) Append(_ context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	all := r.streams[stream]
	if r.has("acknowledged unsaved", 40) {
		all = all[:r.synced[stream]]
		r.streams[stream], r.synced[stream] = all, len(all)
	}
	if r.calls%7 == 0 {
		r.synced[stream] = len(all)
	}
	for _, e := range events {
		if i := slices.IndexFunc(all, func(s annals.Event) bool { return s.ID == e.ID }); i >= 0 && r.bug != "stored twice" {
			return annals.Commit{}, &annals.DuplicateError{Stream: stream, ID: e.ID, Version: int64(i) + 1}
		}
	}
	actual := int64(len(all))
	if r.has("stale conflict", 10) && actual > 0 {
		actual--
	}
	if expected != annals.Any && expected != actual && !r.has("no version check", 10) {
		if r.has("lost update", 3) && expected == actual-1 {
			all = all[:expected]
		} else {
			return annals.Commit{}, &annals.ConflictError{Stream: stream, Expected: expected, Actual: actual}
		}
	}
	return r.store(stream, all, events)
}

// store is Append once it is decided.
func (r *reference) store(stream string, all, events []annals.Event) (annals.Commit, error) {
	all = slices.Clip(all)
	for i, e := range events {
		if r.has("half a commit", 5) && i > 0 {
			break
		}
		e.Stream, e.Version = stream, int64(len(all))+1
		if r.has("gap", 20) {
			e.Version++
		}
		if r.has("altered", 20) {
			e.Data = []byte(`"altered"`)
		}
		all = append(all, e)
	}
	version := int64(len(r.streams[stream]) + len(events))
	if r.bug == "lost update" {
		version = int64(len(all))
	}
	r.streams[stream] = all
	if r.has("stored and refused", 20) {
		return annals.Commit{}, annals.ErrUnavailable
	}
	return annals.Commit{Stream: stream, Version: version, Count: len(events), Position: 1}, nil
}

func (r *reference) Stream(_ context.Context, stream string, from, to int64, backward bool) iter.Seq2[annals.Event, error] {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	all := r.streams[stream]
	n := len(all)
	var failure error
	switch {
	case r.has("wrong before an error", 10) && from > 1 && int64(n) >= from:
		all = slices.Clone(all)
		all[n-1].Data, failure = []byte(`"altered"`), annals.ErrUnavailable
	case r.has("stale read", 10) && n > 0:
		all = all[:n-1]
	case r.has("reordered", 10) && n > 1:
		all = slices.Clone(all)
		all[n-1], all[n-2] = all[n-2], all[n-1]
		all[n-1].Version, all[n-2].Version = int64(n), int64(n-1)
	case r.has("dirty read", 20):
		all = append(slices.Clip(all), annals.Event{ID: "dirty", Stream: stream, Version: int64(n) + 1})
	}
	low, high := min(from-1, int64(len(all))), min(to, int64(len(all)))
	part := slices.Clone(all[low:max(low, high)])
	if backward {
		slices.Reverse(part)
	}
	return func(yield func(annals.Event, error) bool) {
		for _, e := range part {
			if !yield(e, nil) {
				return
			}
		}
		if failure != nil {
			yield(annals.Event{}, failure)
		}
	}
}

// The checker finds nothing in a driver that is right, and something in each that is
// wrong in one place.
func TestBugsInADriverAreCaught(t *testing.T) {
	seed := seed(t)
	small := plan{rounds: 1, streams: 2, clients: 8, operations: 600, mistaken: 55, timeout: 100 * time.Millisecond}
	w := newDirect(newReference(""), seed)
	wantLinearizable(t, run(t, w, small, seed), w)
	small.rounds = 5
	for _, bug := range bugs {
		r := run(t, newDirect(newReference(bug), seed), small, seed)
		if len(r.Illegal) == 0 {
			t.Errorf("seed %d: %s was not caught in %d operations; undecided: %q", seed, bug, r.Operations, r.Undecided)
		} else {
			t.Logf("%s: caught within %d operations; undecided: %q", bug, r.Operations, r.Undecided)
		}
	}
}
