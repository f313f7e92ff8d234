package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

var followClauses = []clause{
	{"follow reads what is there and then what arrives", func(t *testing.T, s *annals.Store) {
		mustAppend(t, s, "a", 0, Event("1", "T", `{}`))
		next := int64(1)
		for e, err := range s.Follow(t.Context(), annals.Query{Limit: 20}) {
			if err != nil || e.Position != next {
				t.Fatalf("read %+v, %v; want position %d", e, err, next)
			}
			next++
			mustAppend(t, s, "a", annals.Any, Event(fmt.Sprint(next), "T", `{}`))
		}
		if next != 21 {
			t.Fatalf("followed to %d", next)
		}
	}},
	{"follow filters and starts after a position", func(t *testing.T, s *annals.Store) {
		mustAppend(t, s, "a", 0, Event("1", "T", `{}`), Event("2", "U", `{}`), Event("3", "T", `{}`))
		mustAppend(t, s, "b", 0, Event("4", "U", `{}`), Event("5", "T", `{}`))
		var got []string
		for e, err := range s.Follow(t.Context(), annals.Query{Types: []string{"U"}, After: 2, Limit: 2}) {
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, e.ID); len(got) == 1 {
				mustAppend(t, s, "c", 0, Event("6", "T", `{}`), Event("7", "U", `{}`))
			}
		}
		if !slices.Equal(got, []string{"4", "7"}) {
			t.Fatalf("followed %v", got)
		}
	}},
	{"follow ends at until", func(t *testing.T, s *annals.Store) {
		ten(t, s, "a")
		wantIDs(t, s.Follow(t.Context(), annals.Query{After: 7, Until: 9}), "8", "9")
	}},
	{"follow ends with its context", func(t *testing.T, s *annals.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		mustAppend(t, s, "a", 0, Event("1", "T", `{}`))
		n := 0
		for _, err := range s.Follow(ctx, annals.Query{}) {
			if err != nil {
				wantError(t, err, context.Canceled)
				break
			}
			n++
			cancel()
		}
		if n != 1 {
			t.Fatalf("followed %d events", n)
		}
	}},
	{"follow can't go backward", func(t *testing.T, s *annals.Store) {
		_, err := firstError(s.Follow(t.Context(), annals.Query{Backward: true}))
		wantError(t, err, annals.ErrInvalid)
	}},
	{"closing ends a follower with an error", func(t *testing.T, s *annals.Store) {
		mustAppend(t, s, "a", 0, Event("1", "T", `{}`))
		reached, done := make(chan struct{}), make(chan error, 1)
		go func() {
			var last error
			for _, err := range s.Follow(t.Context(), annals.Query{}) {
				if err != nil {
					last = err
					break
				}
				close(reached)
			}
			done <- last
		}()
		<-reached
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantError(t, <-done, annals.ErrClosed)
	}},
}

var raceClauses = []clause{
	{"of writers that expect the same version, one wins", func(t *testing.T, s *annals.Store) {
		const writers, rounds = 8, 20
		for round := range rounds {
			var wg sync.WaitGroup
			var mu sync.Mutex
			won := 0
			for w := range writers {
				wg.Go(func() {
					_, err := s.Append(t.Context(), "a", int64(round), Event(fmt.Sprint(round, "-", w), "T", `{}`))
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						won++
					} else if !errors.Is(err, annals.ErrConflict) {
						t.Errorf("writer %d: %v", w, err)
					}
				})
			}
			if wg.Wait(); won != 1 {
				t.Fatalf("round %d has %d winners", round, won)
			}
		}
		wantVersion(t, s, "a", rounds)
	}},
	{"the same event from many writers is stored once", func(t *testing.T, s *annals.Store) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		fresh := 0
		for range 8 {
			wg.Go(func() {
				for i := range 20 {
					c, err := s.Append(t.Context(), "a", annals.Any, Event(fmt.Sprint(i), "T", fmt.Sprint(i)))
					if err == nil {
						_, err = s.Wait(t.Context(), c)
					}
					mu.Lock()
					if err != nil {
						t.Error(err)
					} else if !c.Replayed {
						fresh++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if n := len(Collect(t, s.Log(t.Context(), annals.Query{}))); n != 20 || fresh != 20 {
			t.Fatalf("%d events in the log, %d commits that were not replayed; want 20", n, fresh)
		}
	}},
	{"a commit is seen whole or not at all", func(t *testing.T, s *annals.Store) {
		const commits, size = 40, 5
		var writer sync.WaitGroup
		writer.Go(func() {
			for i := range commits {
				var events []annals.Event
				for k := range size {
					events = append(events, Event(fmt.Sprint(i, "-", k), "T", fmt.Sprint(k)))
				}
				if _, err := s.Append(t.Context(), "a", int64(i*size), events...); err != nil {
					t.Error(err)
					return
				}
			}
		})
		defer writer.Wait()
		for seen := 0; seen < commits*size && !t.Failed(); {
			inStream := len(Collect(t, s.Stream(t.Context(), "a", nil)))
			inLog := len(Collect(t, s.Log(t.Context(), annals.Query{Types: []string{"T"}})))
			if inStream%size != 0 || inLog%size != 0 || inStream < seen {
				t.Fatalf("the stream has %d events and the log %d, after %d", inStream, inLog, seen)
			}
			seen = inStream
		}
	}},
	{"a reader beside writers sees a stable prefix", func(t *testing.T, s *annals.Store) {
		const writers, each = 4, 40
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					if _, err := s.Append(ctx, fmt.Sprint("s", w), int64(2*i), Event(fmt.Sprint(i, "a"), "T", `{}`), Event(fmt.Sprint(i, "b"), "T", `{}`)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		seen := []string{}
		for e, err := range s.Follow(ctx, annals.Query{Limit: 2 * writers * each}) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Position != int64(len(seen)+1) {
				t.Fatalf("position %d follows %d", e.Position, len(seen))
			}
			seen = append(seen, fmt.Sprint(e.Stream, "@", e.Version, e.ID))
		}
		wg.Wait()
		for i, e := range Collect(t, s.Log(ctx, annals.Query{})) {
			if got := fmt.Sprint(e.Stream, "@", e.Version, e.ID); got != seen[i] {
				t.Fatalf("position %d was %s and is %s", i+1, seen[i], got)
			}
		}
	}},
}
