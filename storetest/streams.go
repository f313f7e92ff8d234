package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/eb901187/annals"
)

// lists reports whether the store can list its streams. One that can't says so.
func lists(t *testing.T, s *annals.Store) bool {
	t.Helper()
	for _, err := range s.Streams(t.Context(), annals.StreamsQuery{}) {
		if errors.Is(err, annals.ErrNotFound) {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return true
}

// wantStreams wants streams as name@version.
func wantStreams(t *testing.T, s *annals.Store, q annals.StreamsQuery, want ...string) {
	t.Helper()
	got := []string{}
	for info, err := range s.Streams(t.Context(), q) {
		if err != nil {
			t.Fatalf("after %d streams: %v", len(got), err)
		}
		got = append(got, fmt.Sprintf("%s@%d", info.Name, info.Version))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%+v lists %q, want %q", q, got, want)
	}
}

func streamsError(ctx context.Context, s *annals.Store, q annals.StreamsQuery) (err error) {
	for _, err = range s.Streams(ctx, q) {
		if err != nil {
			return err
		}
	}
	return nil
}

// listed is a clause for the stores that list their streams.
func listed(name string, test func(t *testing.T, s *annals.Store)) clause {
	return clause{name, func(t *testing.T, s *annals.Store) {
		if lists(t, s) {
			test(t, s)
		}
	}}
}

// streamsClauses hold for drivers that are an annals.StreamLister.
var streamsClauses = []clause{
	listed("streams are listed in the order of their names' bytes", func(t *testing.T, s *annals.Store) {
		wantStreams(t, s, annals.StreamsQuery{})
		for i, name := range []string{"b", "a/b", "a", "aa", "a-", "B", "a.b", "~", "0"} {
			for v := range i%3 + 1 {
				mustAppend(t, s, name, int64(v), Event("", "T", `{}`))
			}
		}
		wantStreams(t, s, annals.StreamsQuery{}, "0@3", "B@3", "a@3", "a-@2", "a.b@1", "a/b@2", "aa@1", "b@1", "~@2")
	}),
	listed("streams are listed by prefix, behind a name and in pages", func(t *testing.T, s *annals.Store) {
		for i := range 25 {
			mustAppend(t, s, fmt.Sprintf("order-%02d", i), 0, Event("", "T", `{}`))
			mustAppend(t, s, fmt.Sprintf("p%02d", i), 0, Event("", "T", `{}`))
		}
		wantStreams(t, s, annals.StreamsQuery{Prefix: "order-1", Limit: 2}, "order-10@1", "order-11@1")
		wantStreams(t, s, annals.StreamsQuery{Prefix: "order-", After: "order-22"}, "order-23@1", "order-24@1")
		wantStreams(t, s, annals.StreamsQuery{Prefix: "order-", After: "order-225"}, "order-23@1", "order-24@1")
		wantStreams(t, s, annals.StreamsQuery{Prefix: "order-2", After: "a", Limit: 1}, "order-20@1")
		wantStreams(t, s, annals.StreamsQuery{Prefix: "order-", After: "p"})
		wantStreams(t, s, annals.StreamsQuery{Prefix: "none"})
		wantStreams(t, s, annals.StreamsQuery{Prefix: "~"})
		var pages []string
		for after := ""; ; {
			n := 0
			for info, err := range s.Streams(t.Context(), annals.StreamsQuery{After: after, Limit: 7}) {
				if err != nil {
					t.Fatal(err)
				}
				n++
				after = info.Name
				pages = append(pages, info.Name)
			}
			if n == 0 {
				break
			}
		}
		if len(pages) != 50 || !slices.IsSorted(pages) || len(slices.Compact(pages)) != 50 {
			t.Fatalf("pages hold %q", pages)
		}
	}),
	listed("Annals' own streams are listed only to who asks for them", func(t *testing.T, s *annals.Store) {
		for _, name := range []string{"annals", "annals-1", "annals.effects/a", "annals.z", "annals/b", "annalsa", "a", "z"} {
			mustAppend(t, s, name, 0, Event("", "T", `{}`))
		}
		wantStreams(t, s, annals.StreamsQuery{}, "a@1", "annals@1", "annals-1@1", "annals/b@1", "annalsa@1", "z@1")
		wantStreams(t, s, annals.StreamsQuery{Prefix: "annals"}, "annals@1", "annals-1@1", "annals/b@1", "annalsa@1")
		wantStreams(t, s, annals.StreamsQuery{After: "annals.b"}, "annals/b@1", "annalsa@1", "z@1")
		wantStreams(t, s, annals.StreamsQuery{Prefix: annals.OwnPrefix}, "annals.effects/a@1", "annals.z@1")
		wantStreams(t, s, annals.StreamsQuery{Prefix: annals.OwnPrefix + "e", After: "annals"}, "annals.effects/a@1")
	}),
	listed("a listing sees every append that had returned", func(t *testing.T, s *annals.Store) {
		for i := range 40 {
			name := fmt.Sprint("s", i%20)
			if _, err := s.Append(t.Context(), name, annals.Any, Event("", "T", `{}`)); err != nil {
				t.Fatal(err)
			}
			wantStreams(t, s, annals.StreamsQuery{Prefix: name, Limit: 1}, fmt.Sprintf("%s@%d", name, i/20+1))
		}
	}),
	listed("a listing may be left, interrupted, and go on beside appends", func(t *testing.T, s *annals.Store) {
		for i := range 30 {
			mustAppend(t, s, fmt.Sprintf("s%02d", i), 0, Event("", "T", `{}`))
		}
		ctx, cancel := context.WithCancel(t.Context())
		n, last := 0, error(nil)
		for info, err := range s.Streams(ctx, annals.StreamsQuery{}) {
			if last = err; err != nil {
				continue
			}
			mustAppend(t, s, info.Name, annals.Any, Event("", "T", `{}`))
			if n++; n == 10 {
				cancel()
			}
		}
		cancel()
		if !errors.Is(last, context.Canceled) || n == 30 {
			t.Fatalf("%d streams, then %v", n, last)
		}
	}),
	listed("bad bounds of a listing are refused, and a closed store says so", func(t *testing.T, s *annals.Store) {
		for _, q := range []annals.StreamsQuery{{Limit: -1}, {Prefix: "a b"}, {After: "\n"}} {
			wantError(t, streamsError(t.Context(), s, q), annals.ErrInvalid)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wantError(t, streamsError(t.Context(), s, annals.StreamsQuery{}), annals.ErrClosed)
	}),
}
