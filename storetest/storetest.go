package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

// Open opens the store that belongs to dir, an empty directory of the test's own:
// an empty store the first time, and the same one when it was closed since. A
// store that is not made of files may take dir for a name.
type Open func(t *testing.T, dir string) annals.Driver

type clause struct {
	name string
	test func(t *testing.T, s *annals.Store)
}

// Run tests every clause of the contract on stores that open makes.
func Run(t *testing.T, open Open) {
	for _, group := range [][]clause{appendClauses, inputClauses, readClauses, queryClauses, streamsClauses, followClauses, raceClauses, batchClauses, chainClauses} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) { c.test(t, newStore(t, open(t, t.TempDir()))) })
		}
	}
	for _, c := range reopenClauses {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.test(t, func() *annals.Store { return newStore(t, open(t, dir)) })
		})
	}
	for _, c := range slices.Concat(faultClauses, batchFaultClauses, chainFaultClauses) {
		t.Run(c.name, func(t *testing.T) {
			faulty := &Faulty{Driver: open(t, t.TempDir())}
			c.test(t, newStore(t, faulty), faulty)
		})
	}
}

func newStore(t *testing.T, d annals.Driver) *annals.Store {
	s := annals.New(d, options())
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return s
}

// Epoch is the first time that the clock of the tests shows.
var Epoch = time.Date(2020, 5, 1, 20, 0, 0, 0, time.UTC)

// options gives a store a clock of its own and numbered ids, so that a run
// repeats.
func options() *annals.Options {
	n := make(chan int, 1)
	n <- 0
	return &annals.Options{
		Clock: func() time.Time { return Epoch },
		NewID: func() string {
			i := <-n
			n <- i + 1
			return fmt.Sprintf("id-%d", i)
		},
		Pause: func(context.Context, int) {},
	}
}

// Event makes an event with JSON data.
func Event(id, typ, data string) annals.Event {
	return annals.Event{ID: id, Type: typ, Data: []byte(data)}
}

// Collect reads a sequence to its end.
func Collect(t *testing.T, seq iter.Seq2[annals.Event, error]) []annals.Event {
	t.Helper()
	var events []annals.Event
	for e, err := range seq {
		if err != nil {
			t.Fatalf("after %d events: %v", len(events), err)
		}
		events = append(events, e)
	}
	return events
}

func mustAppend(t *testing.T, s *annals.Store, stream string, expected int64, events ...annals.Event) annals.Commit {
	t.Helper()
	c, err := s.Append(t.Context(), stream, expected, events...)
	if err != nil {
		t.Fatalf("append to %s: %v", stream, err)
	}
	// The log may come to it later.
	if c, err = s.Wait(t.Context(), c); err != nil {
		t.Fatalf("wait for %s: %v", stream, err)
	}
	return c
}

func wantIDs(t *testing.T, seq iter.Seq2[annals.Event, error], want ...string) {
	t.Helper()
	got := []string{}
	for _, e := range Collect(t, seq) {
		got = append(got, e.ID)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("read %v, want %v", got, want)
	}
}

func wantVersion(t *testing.T, s *annals.Store, stream string, want int64) {
	t.Helper()
	got := int64(0)
	for _, e := range Collect(t, s.Stream(t.Context(), stream, &annals.StreamOptions{Backward: true, Limit: 1})) {
		got = e.Version
	}
	if got != want {
		t.Fatalf("stream %s is at version %d, want %d", stream, got, want)
	}
}

func wantConflict(t *testing.T, err error, expected, actual int64) {
	t.Helper()
	var c *annals.ConflictError
	if !errors.As(err, &c) || !errors.Is(err, annals.ErrConflict) {
		t.Fatalf("error %v, want a conflict", err)
	}
	if c.Expected != expected || c.Actual != actual {
		t.Fatalf("conflict of %d and %d, want %d and %d", c.Expected, c.Actual, expected, actual)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func firstError(seq iter.Seq2[annals.Event, error]) (n int, err error) {
	for _, err := range seq {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
