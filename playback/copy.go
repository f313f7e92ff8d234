package playback

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/eb901187/annals"
)

const (
	// copyEvents and copyBytes bound what a copy appends, and makes durable, at once.
	copyEvents = 8192
	copyBytes  = 4 << 20
	// groupBytes leaves room in a commit for one more event of any size.
	groupBytes = annals.MaxCommitBytes / 2
)

// A copier appends events to a store in the order in which it is given them, with
// the ids, times and versions that they have. Repeating what was copied before, also
// in part, changes nothing. Neighbors of one stream may share a commit. It is for
// one goroutine at a time.
type copier struct {
	to *annals.Store
	// gaps has an event left out if its stream lacks the one before it.
	gaps bool
	// done, if set, is told of the events that the store holds, in order.
	done func(events []annals.Event)
}

// write returns once all events are durable. An error names the first event that is
// not; those before it are.
func (c *copier) write(ctx context.Context, events []annals.Event) error {
	left, most := groups(events), len(events)
	for len(left) > 0 {
		commits, err := c.to.AppendAll(ctx, left[:min(most, len(left))])
		for i := range commits {
			if c.done != nil {
				c.done(left[i].Events)
			}
		}
		if left = left[len(commits):]; err == nil {
			most *= 2
			continue
		}
		var conflict *annals.ConflictError
		switch failed := left[0]; {
		case errors.Is(err, annals.ErrIDReused) && len(failed.Events) > 1:
			// Some were copied before, in other commits.
			left = append(singles(failed.Events), left[1:]...)
		case c.gaps && errors.As(err, &conflict) && conflict.Actual < conflict.Expected:
			// More gaps may follow, and what is appended in vain costs time too.
			left, most = left[1:], max(1, 2*len(commits))
		default:
			return copyErr(&failed.Events[0], err)
		}
	}
	return nil
}

// groups makes one append of neighbors of one stream.
func groups(events []annals.Event) (all []annals.Append) {
	all = make([]annals.Append, 0, len(events))
	for from := 0; from < len(events); {
		to, size := from+1, sizeOf(&events[from])
		for to < len(events) && to-from < annals.MaxCommitEvents && size < groupBytes && events[to].Stream == events[from].Stream && events[to].Version == events[to-1].Version+1 {
			size += sizeOf(&events[to])
			to++
		}
		all = append(all, appendOf(events[from:to:to]))
		from = to
	}
	return all
}

func singles(events []annals.Event) (all []annals.Append) {
	for i := range events {
		all = append(all, appendOf(events[i:i+1:i+1]))
	}
	return all
}

func appendOf(events []annals.Event) annals.Append {
	return annals.Append{Stream: events[0].Stream, Expected: events[0].Version - 1, Events: events}
}

func copyErr(e *annals.Event, cause error) error {
	hint := ""
	if errors.Is(cause, annals.ErrConflict) || errors.Is(cause, annals.ErrIDReused) {
		hint = "somebody else has written to the stream there: copy to a store that nobody else writes to"
	}
	return &annals.Error{Code: annals.CodeOf(cause), Err: cause, Message: fmt.Sprintf("event %s@%d could not be copied", e.Stream, e.Version), Hint: hint}
}

func sizeOf(e *annals.Event) int {
	n := len(e.ID) + len(e.Type) + len(e.Source) + len(e.Correlation) + len(e.Causation) + len(e.ContentType) + len(e.Data)
	for name, value := range e.Attributes {
		n += len(name) + len(value)
	}
	return n
}

// inBatches gathers events for write, at most so many. Each batch has memory of its own.
func inBatches(events iter.Seq2[annals.Event, error], most int) iter.Seq2[[]annals.Event, error] {
	return func(yield func([]annals.Event, error) bool) {
		var batch []annals.Event
		size := 0
		for e, err := range events {
			if err != nil {
				yield(nil, err)
				return
			}
			if batch == nil {
				batch = make([]annals.Event, 0, most)
			}
			batch = append(batch, e)
			if size += sizeOf(&e); len(batch) < most && size < copyBytes {
				continue
			}
			if !yield(batch, nil) {
				return
			}
			batch, size = nil, 0
		}
		if len(batch) > 0 {
			yield(batch, nil)
		}
	}
}

// ahead yields what seq does, which goes on in a goroutine of its own meanwhile, two
// values ahead at most.
func ahead[T any](seq iter.Seq2[T, error]) iter.Seq2[T, error] {
	type result struct {
		value T
		err   error
	}
	return func(yield func(T, error) bool) {
		results, enough := make(chan result, 1), make(chan struct{})
		var reader sync.WaitGroup
		reader.Go(func() {
			defer close(results)
			for value, err := range seq {
				select {
				case results <- result{value, err}:
				case <-enough:
					return
				}
			}
		})
		defer reader.Wait()
		defer close(enough)
		for r := range results {
			if !yield(r.value, r.err) {
				return
			}
		}
	}
}
