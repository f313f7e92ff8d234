package embedded

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

// listStreams reads a listing as name → version and wants it in order.
func listStreams(t testing.TB, s *annals.Store, q annals.StreamsQuery) (names []string, versions map[string]int64) {
	versions = map[string]int64{}
	for info, err := range s.Streams(t.Context(), q) {
		if err != nil {
			t.Fatalf("after %d streams: %v", len(names), err)
		}
		names, versions[info.Name] = append(names, info.Name), info.Version
	}
	if !slices.IsSorted(names) || len(versions) != len(names) {
		t.Fatalf("%+v lists %q", q, names)
	}
	return names, versions
}

// Whatever was appended, sealed, and opened again, a listing is that of a map.
func TestStreamsAgainstAModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		opts := Options{FS: vfs.NewCrashableMem(), sealEvery: rapid.IntRange(3, 9).Draw(r, "sealEvery")}
		s := openTest(t, "store", opts)
		defer func() { mustClose(t, s) }()
		model := map[string]int64{}
		name := rapid.StringMatching(`(a|annals|annals\.|b)[-a.~]{0,2}`)
		r.Repeat(map[string]func(*rapid.T){
			"append": func(r *rapid.T) {
				for range rapid.IntRange(1, 5).Draw(r, "appends") {
					stream := name.Draw(r, "stream")
					if _, err := s.Append(t.Context(), stream, model[stream], storetest.Event("", "T", `{}`)); err != nil {
						r.Fatal(err)
					}
					model[stream]++
				}
			},
			"open again": func(r *rapid.T) {
				if rapid.IntRange(0, 3).Draw(r, "seldom") > 0 {
					r.Skip()
				}
				mustClose(t, s)
				s = openTest(t, "store", opts)
			},
			"list": func(r *rapid.T) {
				q := annals.StreamsQuery{Limit: rapid.IntRange(0, 5).Draw(r, "limit")}
				if rapid.Bool().Draw(r, "by prefix") {
					q.Prefix = name.Draw(r, "prefix")
				}
				if rapid.Bool().Draw(r, "behind") {
					q.After = name.Draw(r, "after")
				}
				want := slices.DeleteFunc(slices.Sorted(maps.Keys(model)), func(name string) bool {
					hidden := strings.HasPrefix(name, annals.OwnPrefix) && !strings.HasPrefix(q.Prefix, annals.OwnPrefix)
					return hidden || !strings.HasPrefix(name, q.Prefix) || name <= q.After
				})
				if q.Limit > 0 {
					want = want[:min(q.Limit, len(want))]
				}
				names, versions := listStreams(t, s, q)
				if !slices.Equal(names, want) {
					r.Fatalf("%+v lists %q, want %q", q, names, want)
				}
				for name, version := range versions {
					if version != model[name] {
						r.Fatalf("%s is listed at version %d, want %d", name, version, model[name])
					}
				}
			},
		})
	})
}

// Listings beside writers, while tails are sealed under them, miss no stream that
// was acknowledged before, and no version of one.
func TestStreamsBesideWritersAndSealing(t *testing.T) {
	s := openTest(t, "store", Options{FS: vfs.NewCrashableMem(), sealEvery: 11})
	defer mustClose(t, s)
	var mu sync.Mutex
	acknowledged := map[string]int64{}
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			for i := range 200 {
				stream := fmt.Sprint("stream-", w, "-", i*7%60)
				c, err := s.Append(t.Context(), stream, annals.Any, storetest.Event("", "T", `{}`))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acknowledged[stream] = c.Version
				mu.Unlock()
			}
		})
	}
	done := make(chan struct{})
	go func() { writers.Wait(); close(done) }()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		mu.Lock()
		before := maps.Clone(acknowledged)
		mu.Unlock()
		_, versions := listStreams(t, s, annals.StreamsQuery{})
		for stream, version := range before {
			if versions[stream] < version {
				t.Fatalf("%s was acknowledged at version %d and is listed at %d", stream, version, versions[stream])
			}
		}
	}
}

// A store that is closed under a listing ends it with ErrClosed.
func TestStreamsOfAStoreThatIsClosedMeanwhile(t *testing.T) {
	s := openTest(t, "store", Options{FS: vfs.NewCrashableMem(), sealEvery: 11})
	fill(t, s, 0, 200)
	n, last := 0, error(nil)
	for _, err := range s.Streams(t.Context(), annals.StreamsQuery{}) {
		if last = err; err == nil {
			n++
		}
		if n == 10 {
			mustClose(t, s)
		}
	}
	if !errors.Is(last, annals.ErrClosed) || n > 11 {
		t.Fatalf("%d streams, then %v", n, last)
	}
}

// wantListed wants the listing to be what the log says.
func wantListed(t *testing.T, s *annals.Store) {
	t.Helper()
	want := map[string]int64{}
	for e, err := range s.Log(t.Context(), annals.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		want[e.Stream] = e.Version
	}
	if _, versions := listStreams(t, s, annals.StreamsQuery{}); !maps.Equal(versions, want) {
		t.Fatalf("streams are listed as %v, want %v", versions, want)
	}
}
