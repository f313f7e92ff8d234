package reaction_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/reaction"
)

// A forgetful driver is as weak as the contract allows: it looks for ids only at
// the expected version and among the last 1,000 events of a stream, and Stream
// says no positions.
type forgetful struct {
	annals.Driver

	mu sync.Mutex
	n  int
}

const window = 1000

func (f *forgetful) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known, seen := map[string]int64{}, 0
	for e, err := range f.Stream(ctx, stream, expected+1, expected+1, false) {
		if err != nil {
			return annals.Commit{}, err
		}
		known[e.ID] = e.Version
	}
	for e, err := range f.Stream(ctx, stream, 1, math.MaxInt64, true) {
		if err != nil {
			return annals.Commit{}, err
		}
		if known[e.ID] = e.Version; seen == window-1 {
			break
		}
		seen++
	}
	hidden := make([]annals.Event, len(events))
	for i, e := range events {
		if version, ok := known[e.ID]; ok {
			return annals.Commit{}, &annals.DuplicateError{Stream: stream, ID: e.ID, Version: version}
		}
		// The driver below must not know them again.
		f.n++
		e.ID = fmt.Sprintf("%s~%d", e.ID, f.n)
		hidden[i] = e
	}
	commit, err := f.Driver.Append(ctx, stream, expected, hidden)
	commit.Position = 0
	return commit, err
}

func (f *forgetful) Stream(ctx context.Context, stream string, from, to int64, backward bool) iter.Seq2[annals.Event, error] {
	return func(yield func(annals.Event, error) bool) {
		for e, err := range f.Driver.Stream(ctx, stream, from, to, backward) {
			e.ID, _, _ = strings.Cut(e.ID, "~")
			e.Position = 0
			if !yield(e, err) {
				return
			}
		}
	}
}

func (f *forgetful) Wait(ctx context.Context, c annals.Commit) (annals.Commit, error) {
	for e, err := range f.Driver.Stream(ctx, c.Stream, c.Version, c.Version, false) {
		c.Position = e.Position
		return c, err
	}
	return c, errors.New("there is no such commit")
}

// An event comes again when its handler's append is thousands of events behind:
// with the version that was expected then, with the version that the stream has
// now, and with none.
func TestRedeliveryLongAfter(t *testing.T) {
	for name, expected := range map[string]func(call int, version int64) int64{
		"any version":       func(int, int64) int64 { return annals.Any },
		"the version now":   func(_ int, version int64) int64 { return version },
		"the version first": func(call int, version int64) int64 { return 700 },
	} {
		for _, between := range []int{10, 499, 500, 999, 1000, 2700} {
			t.Run(fmt.Sprint(name, " ", between), func(t *testing.T) {
				w := newWorld(t)
				store := annals.New(&forgetful{Driver: w.faulty}, nil)
				fill := func(n int) {
					for n > 0 {
						events := make([]annals.Event, min(n, 100))
						for i := range events {
							events[i] = annals.Event{Type: "noise"}
						}
						if _, err := store.Append(t.Context(), "busy", annals.Any, events...); err != nil {
							t.Fatal(err)
						}
						n -= len(events)
					}
				}
				fill(700)
				w.append("order-7", event("order-placed", `{}`))
				call := 0
				r, err := reaction.New(store, w.views, "test", orders, func(ctx context.Context, turn *reaction.Turn) error {
					call++
					c, err := turn.Append(ctx, "busy", expected(call, int64(len(w.stream("busy")))), event("noted", `{}`))
					if err != nil {
						return err
					}
					if want := (annals.Commit{Stream: "busy", Version: 701, Count: 1, Replayed: call == 2}); c != want {
						t.Errorf("call %d returned %+v, want %+v", call, c, want)
					}
					if call == 1 {
						fill(between)
						return errors.New("what comes next fails")
					}
					return nil
				}, w.options())
				if err != nil {
					t.Fatal(err)
				}
				w.start(r)
				w.settle(r)
				if n := strings.Count(w.types("busy"), "noted"); n != 1 || call != 2 {
					t.Fatalf("%d events stand after %d calls, want 1 after 2", n, call)
				}
			})
		}
	}
}
