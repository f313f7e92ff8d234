package playback

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/embedded"
)

var forkSeed = flag.Uint64("fork-seed", 0, "seed of the tests of forks; 0 takes the clock")

func forkRandom(t *testing.T) *rand.Rand {
	seed := *forkSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test ./playback -run '%s$' -fork-seed %d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// forkStore opens a store in memory, or in fs.
func forkStore(t testing.TB, fs vfs.FS) *annals.Store {
	t.Helper()
	if fs == nil {
		fs = vfs.NewMem()
	}
	s, err := embedded.Open("store", &embedded.Options{FS: fs, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

var forkEpoch = time.Date(2020, 5, 1, 20, 0, 0, 0, time.UTC)

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// randomLog appends n events, or a few more, to streams of users and of Annals itself,
// with times that mostly go up.
func randomLog(t *testing.T, r *rand.Rand, s *annals.Store, n int) {
	t.Helper()
	versions := map[string]int64{}
	var names []string
	for i := 0; i < n; {
		stream := fmt.Sprint(pick(r, "order-", "order-", "customer-", "cart/", "annals.effects/h/", "annals.playbacks/"), r.IntN(max(3, n/12)))
		events := make([]annals.Event, 1+r.IntN(3)*r.IntN(2))
		for k := range events {
			i++
			events[k] = randomEvent(r, i)
			if len(names) > 0 && r.IntN(3) == 0 {
				cause := pick(r, names...)
				events[k].Causation = fmt.Sprint(cause, "@", 1+r.Int64N(versions[cause]))
			}
		}
		c, err := s.Append(t.Context(), stream, annals.Any, events...)
		if err != nil {
			t.Fatal(err)
		}
		if versions[stream] == 0 {
			names = append(names, stream)
		}
		versions[stream] = c.Version
	}
}

func randomEvent(r *rand.Rand, i int) annals.Event {
	e := annals.Event{
		ID: fmt.Sprint("id-", i), Type: fmt.Sprint("type-", r.IntN(5)), Source: fmt.Sprint("source-", r.IntN(3)),
		Time: forkEpoch.Add(time.Duration(i)*time.Minute + time.Duration(r.IntN(20)*r.IntN(2)*r.IntN(2))*time.Hour),
		Data: fmt.Appendf(nil, "{\"email\" : \"a%d@example.com\",\t\"n\": 12345678901234567890.%d0 }", i, i),
	}
	switch r.IntN(6) {
	case 0:
		e.Correlation = fmt.Sprint("request-", r.IntN(6))
	case 1:
		e.Attributes = map[string]string{"subject": fmt.Sprint("s", i), "email": "b@example.com"}
	case 2:
		e.ContentType, e.Data = "application/octet-stream", []byte{0xff, byte(i)}
	case 3:
		e.Data = nil
	case 4:
		e.Data = []byte("null")
	}
	return e
}

func collected(t *testing.T, events func(yield func(annals.Event, error) bool)) (all []annals.Event) {
	t.Helper()
	for e, err := range events {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// withoutManifest leaves a fork's own events out.
func withoutManifest(events []annals.Event) []annals.Event {
	return slices.DeleteFunc(events, func(e annals.Event) bool { return e.Stream == effect.ForkStream })
}

// print is an event without its position, which is another one in a fork.
func print(e *annals.Event) string {
	return fmt.Sprintf("%s@%d %s %s %s %s %q %q %s %v %q", e.Stream, e.Version, e.ID, e.Type, e.Source, e.Time.Format(time.RFC3339Nano),
		e.Correlation, e.Causation, e.ContentType, slices.Sorted(maps.Keys(e.Attributes)), e.Data) + fmt.Sprint(e.Attributes["email"], e.Attributes["subject"])
}

func wantSame(t *testing.T, what string, got, want []annals.Event) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || print(&got[i]) != print(&want[i]) {
			t.Fatalf("%s: event %d of %d and %d differs:\n got %s\nwant %s", what, i, len(got), len(want), printAt(got, i), printAt(want, i))
		}
	}
}

func printAt(events []annals.Event, i int) string {
	if i >= len(events) {
		return "nothing"
	}
	return print(&events[i])
}

func mustFork(t *testing.T, from, to *annals.Store, opts *ForkOptions) Manifest {
	t.Helper()
	m, err := Fork(t.Context(), from, to, opts)
	if err != nil || m.Finished.IsZero() || m.Position != m.End {
		t.Fatalf("%+v, %v", m, err)
	}
	return m
}

// randomQuery draws a query on the source, and the same one on the fork, where places
// has the position of each position of the source, and 0 for what is not there.
func randomQuery(r *rand.Rand, places []int64) (on, fork annals.Query) {
	maybe := func() bool { return r.IntN(3) == 0 }
	if maybe() {
		on.Types = []string{fmt.Sprint("type-", r.IntN(6)), fmt.Sprint("type-", r.IntN(6))}[:1+r.IntN(2)]
	}
	if maybe() {
		on.Sources = []string{fmt.Sprint("source-", r.IntN(4)), "masked"}
	}
	if maybe() {
		on.Correlation = fmt.Sprint("request-", r.IntN(7))
	}
	if maybe() {
		on.Prefix = pick(r, "o", "order-", "order-1", "cart/", "annals.", "annals.effects/", "none")
	}
	span := time.Duration(len(places)) * time.Minute
	if maybe() {
		on.Since = forkEpoch.Add(time.Duration(r.Int64N(int64(span))))
	}
	if maybe() {
		on.Before = forkEpoch.Add(time.Duration(r.Int64N(int64(span))))
	}
	on.Backward = r.IntN(2) == 0
	fork = on
	if maybe() {
		on.After = r.Int64N(int64(len(places)))
		fork.After = placeAt(places, on.After)
	}
	if maybe() {
		on.Until = 1 + r.Int64N(int64(len(places)-1))
		if fork.Until = placeAt(places, on.Until); fork.Until == 0 {
			on.Until = 0
		}
	}
	return on, fork
}

// placeAt is where the last event up to a position of the source is in the fork.
func placeAt(places []int64, position int64) int64 {
	for ; position > 0; position-- {
		if places[position] > 0 {
			return places[position]
		}
	}
	return 0
}

var errForkCrash = errors.New("crashed")

// crashing ends a fork at the nth step that it comes to, counted from 0, and says
// whether it came to it.
func crashing(n int) (at func(ForkStep) error, crashed func() bool) {
	seen := 0
	return func(ForkStep) error {
		if seen++; seen == n+1 {
			return errForkCrash
		}
		return nil
	}, func() bool { return seen > n }
}

func wantForkError(t *testing.T, err, want error, parts ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Fatalf("%v says nothing of %q", err, part)
		}
	}
}

// streamsOf lists the names of the streams with events, and which events they hold.
func streamsOf(events []annals.Event) map[string][]annals.Event {
	streams := map[string][]annals.Event{}
	for _, e := range events {
		streams[e.Stream] = append(streams[e.Stream], e)
	}
	return streams
}

func logOf(t *testing.T, s *annals.Store) []annals.Event {
	t.Helper()
	return collected(t, s.Log(context.Background(), annals.Query{}))
}
