package annals

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// An Append is one append of several; see Store.AppendAll.
type Append struct {
	Stream   string
	Expected int64 // Any, NoStream or the exact version
	Events   []Event
}

// A BatchAppender is a Driver that takes many appends at once for less than they
// cost one by one.
type BatchAppender interface {
	// AppendBatch does for each of batch, in this order, what Driver.Append does,
	// and returns once all are durable: each is all or none by itself and may expect
	// what those before it leave, and the log has them in this order. It ends at the
	// first that fails, with the commits of those before, which are durable, and
	// with that one's error; those behind it are not stored. Only where the error
	// matches ErrUnknownOutcome may they be, as may the one that failed.
	AppendBatch(ctx context.Context, batch []Append) ([]Commit, error)
}

// AppendAll does what Append does for each of appends, in this order, and ends at
// the first that fails: it returns the commits of those before it, so that their
// number says which one failed, and its error. Each is all or none by itself and
// may expect what those before it leave. Repeating the call is safe where the
// events have ids and times.
//
// A store that numbers its log as it appends has the events in this order, and
// nothing behind the append that failed. One that numbers its log later keeps the
// order of each stream, and that of causes before effects: the other appends go
// side by side, and some behind the one that failed may be stored. A BatchAppender
// makes all of them durable at once, which is much faster.
func (s *Store) AppendAll(ctx context.Context, appends []Append) ([]Commit, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	valid := make([]Append, 0, len(appends))
	var invalid error // of the first that can't be stored
	for _, a := range appends {
		a.Events = s.stamp(a.Events)
		invalid = commitErr(a.Stream, a.Expected, a.Events)
		if invalid == nil {
			invalid = s.seal(ctx, a.Stream, a.Events)
		}
		if invalid != nil {
			break
		}
		valid = append(valid, a)
	}
	b := batch{store: s, given: appends, stamped: valid}
	commits, err := b.append(ctx)
	if err == nil {
		err = invalid
	}
	return commits, err
}

// A batch is one AppendAll under way.
type batch struct {
	store   *Store
	given   []Append
	stamped []Append
	commits []Commit // of the first of them
	// unknown says that any of the others may be stored already.
	unknown bool
}

func (b *batch) append(ctx context.Context) ([]Commit, error) {
	driver, takesBatches := b.store.driver.(BatchAppender)
	together := takesBatches
	for len(b.commits) < len(b.stamped) {
		if together {
			done, err := driver.AppendBatch(ctx, b.stamped[len(b.commits):])
			b.commits = append(b.commits, done...)
			b.unknown = b.unknown || errors.Is(err, ErrUnknownOutcome)
			var duplicate *DuplicateError
			if err != nil && !b.unknown && !errors.As(err, &duplicate) {
				return b.commits, err
			}
			together = false // the one that failed is settled by itself
			continue
		}
		commit, err := b.one(ctx, len(b.commits))
		if err != nil {
			return b.commits, err
		}
		b.commits = append(b.commits, commit)
		if !takesBatches && commit.Position == 0 {
			return b.sideBySide(ctx)
		}
		// Where one was stored before, the next mostly was too.
		together = takesBatches && !commit.Replayed
	}
	return b.commits, nil
}

func (b *batch) one(ctx context.Context, i int) (Commit, error) {
	if err := ctx.Err(); err != nil {
		return Commit{}, err
	}
	a := &b.stamped[i]
	return b.store.settled(ctx, a.Stream, a.Expected, b.given[i].Events, a.Events, b.unknown)
}

// appendsAtOnce is how many appends to a store that numbers its log later are
// under way at once.
const appendsAtOnce = 32

// sideBySide does the appends that are left, each after those before it to its
// stream and to the streams that its events name as causes.
func (b *batch) sideBySide(ctx context.Context) ([]Commit, error) {
	first := len(b.commits)
	n := len(b.stamped) - first
	commits, errs, done := make([]Commit, n), make([]error, n), make([]chan struct{}, n)
	latest := map[string]int{} // the latest append to a stream
	slots := make(chan struct{}, appendsAtOnce)
	var failed atomic.Int64 // the first that did
	failed.Store(math.MaxInt64)
	var all sync.WaitGroup
	for i := range n {
		a := &b.stamped[first+i]
		after := predecessors(a, latest)
		latest[a.Stream] = i
		done[i] = make(chan struct{})
		slots <- struct{}{} // those before have theirs, so that nobody waits for ever
		all.Go(func() {
			defer func() { close(done[i]); <-slots }()
			for _, before := range after {
				<-done[before]
			}
			if int64(i) > failed.Load() {
				return
			}
			if commits[i], errs[i] = b.one(ctx, first+i); errs[i] == nil {
				return
			}
			for was := failed.Load(); int64(i) < was && !failed.CompareAndSwap(was, int64(i)); {
				was = failed.Load()
			}
		})
	}
	all.Wait()
	if i := failed.Load(); i < int64(n) {
		return append(b.commits, commits[:i]...), errs[i]
	}
	return append(b.commits, commits...), nil
}

// predecessors are the appends that a must come after.
func predecessors(a *Append, latest map[string]int) (after []int) {
	if i, ok := latest[a.Stream]; ok {
		after = append(after, i)
	}
	for k := range a.Events {
		if a.Events[k].Causation == "" {
			continue
		}
		cause, _, err := ParseCausation(a.Events[k].Causation)
		if i, ok := latest[cause]; err == nil && ok && !slices.Contains(after, i) {
			after = append(after, i)
		}
	}
	return after
}
