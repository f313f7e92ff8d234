package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"testing"

	"github.com/eb901187/annals"
)

// ten appends events with ids 1 to 10 to a stream.
func ten(t *testing.T, s *annals.Store, stream string) {
	for i := range 10 {
		mustAppend(t, s, stream, int64(i), Event(fmt.Sprint(i+1), "T", `{}`))
	}
}

var readClauses = []clause{
	{"an unknown stream has no events", func(t *testing.T, s *annals.Store) {
		wantIDs(t, s.Stream(t.Context(), "none", nil))
		wantIDs(t, s.Stream(t.Context(), "none", &annals.StreamOptions{Backward: true}))
	}},
	{"a stream reads in order of version, and backward", func(t *testing.T, s *annals.Store) {
		ten(t, s, "a")
		wantIDs(t, s.Stream(t.Context(), "a", nil), "1", "2", "3", "4", "5", "6", "7", "8", "9", "10")
		wantIDs(t, s.Stream(t.Context(), "a", &annals.StreamOptions{Backward: true}), "10", "9", "8", "7", "6", "5", "4", "3", "2", "1")
	}},
	{"a stream reads between versions, both included", func(t *testing.T, s *annals.Store) {
		ten(t, s, "a")
		wantIDs(t, s.Stream(t.Context(), "a", &annals.StreamOptions{From: 3, To: 5}), "3", "4", "5")
		wantIDs(t, s.Stream(t.Context(), "a", &annals.StreamOptions{From: 3, To: 5, Backward: true}), "5", "4", "3")
		wantIDs(t, s.Stream(t.Context(), "a", &annals.StreamOptions{From: 9}), "9", "10")
		wantIDs(t, s.Stream(t.Context(), "a", &annals.StreamOptions{To: 2}), "1", "2")
		wantIDs(t, s.Stream(t.Context(), "a", &annals.StreamOptions{From: 11}))
		wantIDs(t, s.Stream(t.Context(), "a", &annals.StreamOptions{From: 6, To: 4}))
		wantIDs(t, s.Stream(t.Context(), "a", &annals.StreamOptions{From: 4, To: 99, Limit: 2}), "4", "5")
	}},
	{"a stream does not see its neighbours", func(t *testing.T, s *annals.Store) {
		for _, name := range []string{"a", "aa", "a-", "a/b", "b"} {
			mustAppend(t, s, name, 0, Event("of "+name, "T", `{}`))
		}
		wantIDs(t, s.Stream(t.Context(), "a", nil), "of a")
		wantIDs(t, s.Stream(t.Context(), "a/b", nil), "of a/b")
	}},
	{"a read sees every append that had returned", func(t *testing.T, s *annals.Store) {
		for i := range 50 {
			mustAppend(t, s, "a", int64(i), Event(fmt.Sprint(i), "T", `{}`))
			wantVersion(t, s, "a", int64(i+1))
		}
	}},
	{"positions have no gap and keep the order of versions", func(t *testing.T, s *annals.Store) {
		for i := range 20 {
			c := mustAppend(t, s, fmt.Sprint("s", i%3), annals.Any, Event(fmt.Sprint(i, "a"), "T", `{}`), Event(fmt.Sprint(i, "b"), "T", `{}`))
			if _, err := s.Wait(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		versions := map[string]int64{}
		for i, e := range Collect(t, s.Log(t.Context(), annals.Query{})) {
			if e.Position != int64(i+1) {
				t.Fatalf("event %d has position %d", i, e.Position)
			}
			if versions[e.Stream]++; e.Version != versions[e.Stream] {
				t.Fatalf("%s@%d follows version %d", e.Stream, e.Version, versions[e.Stream]-1)
			}
		}
	}},
	{"wait returns the position of a commit", func(t *testing.T, s *annals.Store) {
		mustAppend(t, s, "a", 0, Event("1", "T", `{}`))
		c, err := s.Wait(t.Context(), mustAppend(t, s, "b", 0, Event("2", "T", `{}`), Event("3", "T", `{}`)))
		if err != nil || c.Position != 3 {
			t.Fatalf("got %+v, %v", c, err)
		}
		if end, err := s.End(t.Context()); err != nil || end != 3 {
			t.Fatalf("the log ends at %d, %v", end, err)
		}
	}},
	{"an interrupted read ends in an error", func(t *testing.T, s *annals.Store) {
		ten(t, s, "a")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if n, err := firstError(s.Stream(ctx, "a", nil)); !errors.Is(err, context.Canceled) || n != 0 {
			t.Fatalf("a stream gave %d events and %v", n, err)
		}
		if n, err := firstError(s.Log(ctx, annals.Query{})); !errors.Is(err, context.Canceled) || n != 0 {
			t.Fatalf("the log gave %d events and %v", n, err)
		}
	}},
	{"a read that is interrupted in its middle ends in an error", func(t *testing.T, s *annals.Store) {
		for i := range 10 {
			mustAppend(t, s, "a", int64(i*100), hundred()...)
		}
		for name, read := range map[string]func(context.Context) iter.Seq2[annals.Event, error]{
			"stream": func(ctx context.Context) iter.Seq2[annals.Event, error] { return s.Stream(ctx, "a", nil) },
			"log":    func(ctx context.Context) iter.Seq2[annals.Event, error] { return s.Log(ctx, annals.Query{}) },
			"query": func(ctx context.Context) iter.Seq2[annals.Event, error] {
				return s.Log(ctx, annals.Query{Types: []string{"T"}})
			},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			n, last := 0, error(nil)
			for _, err := range read(ctx) {
				if last = err; err == nil {
					n++
				}
				if n == 10 {
					cancel()
				}
			}
			cancel()
			if !errors.Is(last, context.Canceled) || n == 1000 {
				t.Errorf("%s: %d events, then %v", name, n, last)
			}
		}
	}},
	{"a position past the end has nothing behind it", func(t *testing.T, s *annals.Store) {
		ten(t, s, "a")
		for _, after := range []int64{10, 11, math.MaxInt64 - 1, math.MaxInt64} {
			wantIDs(t, s.Log(t.Context(), annals.Query{After: after}))
			wantIDs(t, s.Log(t.Context(), annals.Query{After: after, Backward: true, Types: []string{"T"}}))
			wantIDs(t, s.Stream(t.Context(), "a", &annals.StreamOptions{From: max(after, 11)}))
		}
	}},
	{"invalid bounds are refused", func(t *testing.T, s *annals.Store) {
		for _, o := range []annals.StreamOptions{{From: -1}, {To: -1}, {Limit: -1}} {
			_, err := firstError(s.Stream(t.Context(), "a", &o))
			wantError(t, err, annals.ErrInvalid)
		}
		for _, q := range []annals.Query{{After: -1}, {Until: -1}, {Limit: -1}, {Types: []string{""}}, {Sources: []string{"a,b"}}, {Prefix: "a b"}, {Correlation: "\n"}} {
			_, err := firstError(s.Log(t.Context(), q))
			wantError(t, err, annals.ErrInvalid)
		}
	}},
	{"what a reader does to an event changes nothing stored", func(t *testing.T, s *annals.Store) {
		mustAppend(t, s, "a", 0, annals.Event{ID: "1", Type: "T", Data: []byte(`{"a":1}`), Attributes: map[string]string{"subject": "x"}})
		e := Collect(t, s.Stream(t.Context(), "a", nil))[0]
		e.Data[1] = 'X'
		e.Attributes["subject"] = "y"
		e = Collect(t, s.Stream(t.Context(), "a", nil))[0]
		if string(e.Data) != `{"a":1}` || e.Attributes["subject"] != "x" {
			t.Fatalf("read %+v", e)
		}
	}},
	{"a closed store says so", func(t *testing.T, s *annals.Store) {
		mustAppend(t, s, "a", 0, Event("1", "T", `{}`))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		_, err := s.Append(t.Context(), "a", 1, Event("2", "T", `{}`))
		wantError(t, err, annals.ErrClosed)
		_, err = firstError(s.Stream(t.Context(), "a", nil))
		wantError(t, err, annals.ErrClosed)
		_, err = firstError(s.Log(t.Context(), annals.Query{}))
		wantError(t, err, annals.ErrClosed)
		if err := s.Close(); err != nil {
			t.Fatalf("closing again: %v", err)
		}
	}},
	{"reads may be nested and left early", func(t *testing.T, s *annals.Store) {
		ten(t, s, "a")
		for outer, err := range s.Stream(t.Context(), "a", nil) {
			if err != nil {
				t.Fatal(err)
			}
			for inner, err := range s.Log(t.Context(), annals.Query{After: outer.Position}) {
				if err != nil || inner.Position != outer.Position+1 {
					t.Fatalf("read %+v, %v", inner, err)
				}
				break
			}
			mustAppend(t, s, "b", annals.Any, Event(fmt.Sprint("b", outer.ID), "T", `{}`))
			if outer.Version == 5 {
				break
			}
		}
		if got := Collect(t, s.Stream(t.Context(), "b", nil)); len(got) != 5 || !slices.IsSortedFunc(got, func(a, b annals.Event) int { return int(a.Version - b.Version) }) {
			t.Fatalf("read %v", got)
		}
	}},
}

func hundred() []annals.Event {
	events := make([]annals.Event, 100)
	for i := range events {
		events[i] = Event("", "T", fmt.Sprint(i))
	}
	return events
}
