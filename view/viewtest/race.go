package viewtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// writers is how many goroutines change a Store at once.
const writers = 8

// again reports whether a caller tries a change once more: it was refused, and
// nothing has changed.
func again(err error) bool {
	return errors.Is(err, annals.ErrConflict) || errors.Is(err, annals.ErrUnavailable)
}

// increment adds 1 to the number in a document, by compare and set.
func increment(ctx context.Context, s view.Store, space, key string) error {
	for {
		documents, err := s.Get(ctx, space, key)
		if err != nil {
			return err
		}
		c := view.Change{Expect: []view.Expectation{{Key: view.Key{Space: space, Key: key}}}}
		n := 0
		if d, there := documents[key]; there {
			if n, err = strconv.Atoi(string(d.Data)); err != nil {
				return err
			}
			c.Expect[0].Data = d.Data
		}
		c.Put = []view.Put{put(space, key, strconv.Itoa(n+1))}
		if err = s.Commit(ctx, c); !again(err) {
			return err
		}
	}
}

// together runs f in as many goroutines as there are writers, and waits.
func together(f func(writer int)) {
	var done sync.WaitGroup
	for w := range writers {
		done.Go(func() { f(w) })
	}
	done.Wait()
}

var raceClauses = []clause{
	{"of many writers that compare and set, none loses a change", func(t *testing.T, s view.Store) {
		const each = 50
		together(func(int) {
			for range each {
				if err := increment(t.Context(), s, "a", "n"); err != nil {
					t.Error(err)
					return
				}
			}
		})
		wantData(t, s, "a", "n", strconv.Itoa(writers*each))
	}},
	{"of many writers that expect one document and change others, one wins each time", func(t *testing.T, s view.Store) {
		const rounds = 15
		others := min(s.MaxChange()-1, 99) // that take their time
		for round := range rounds {
			var mu sync.Mutex
			won := []int{}
			together(func(w int) {
				before := ""
				if round > 0 {
					before = strconv.Itoa(round)
				}
				c := view.Change{Expect: expect("state", "at", before), Put: []view.Put{put("state", "at", strconv.Itoa(round+1))}}
				for i := range others {
					c.Put = append(c.Put, put("rows", numbered(i), fmt.Sprintf(`"%d of %d"`, round, w)))
				}
				err := s.Commit(t.Context(), c)
				for errors.Is(err, annals.ErrUnavailable) {
					err = s.Commit(t.Context(), c)
				}
				if err != nil && !errors.Is(err, annals.ErrConflict) {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won = append(won, w)
				}
			})
			if len(won) != 1 {
				t.Fatalf("round %d was won by %v", round, won)
			}
			for key, d := range mustGet(t, s, "rows", numberedKeys(others)...) {
				if want := fmt.Sprintf(`"%d of %d"`, round, won[0]); string(d.Data) != want {
					t.Fatalf("document %s has %s, want %s", key, d.Data, want)
				}
			}
		}
	}},
	{"changes of the same documents in other orders are each made whole", func(t *testing.T, s view.Store) {
		const documents, rounds = 10, 20
		together(func(w int) {
			for round := range rounds {
				var c view.Change
				for i := range documents {
					c.Put = append(c.Put, put("a", numbered((i*(1+2*(w%2))+w)%documents), fmt.Sprintf(`"%d of %d"`, round, w)))
				}
				err := s.Commit(t.Context(), c)
				for again(err) {
					err = s.Commit(t.Context(), c)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
		got := mustGet(t, s, "a", numberedKeys(documents)...)
		for key, d := range got {
			if len(got) != documents || string(d.Data) != string(got[numbered(0)].Data) {
				t.Fatalf("%d documents, of which %s has %s and %s has %s", len(got), key, d.Data, numbered(0), got[numbered(0)].Data)
			}
		}
	}},
	{"a scan beside commits yields each document once, in order, as before or after", func(t *testing.T, s view.Store) {
		const documents = 1500
		mustPut(t, s, puts("a", documents)...)
		ctx, stop := context.WithCancel(t.Context())
		var done sync.WaitGroup
		for w := range 2 {
			done.Go(func() {
				for i := w; ctx.Err() == nil; i += 2 {
					c := view.Change{
						Put:    []view.Put{put("a", numbered(i%documents), fmt.Sprintf(`"changed %d"`, i%documents)), put("a", fmt.Sprintf("new-%d", i), `1`)},
						Delete: []view.Key{{Space: "a", Key: fmt.Sprintf("new-%d", i-10)}},
					}
					if err := s.Commit(ctx, c); err != nil && !again(err) && ctx.Err() == nil {
						t.Error(err)
						return
					}
				}
			})
		}
		defer done.Wait()
		defer stop()
		for range 5 {
			var keys []string
			for d, err := range s.Scan(t.Context(), "a", view.Range{Prefix: "0"}) {
				if err != nil {
					t.Fatal(err)
				}
				n, _ := strconv.Atoi(d.Key)
				if data := string(d.Data); data != strconv.Itoa(n) && data != fmt.Sprintf(`"changed %d"`, n) {
					t.Fatalf("document %s has %s", d.Key, data)
				}
				keys = append(keys, d.Key)
			}
			if !slices.Equal(keys, numberedKeys(documents)) {
				t.Fatalf("a scan yielded %d documents of %d: %.300q", len(keys), documents, keys)
			}
		}
	}},
	{"a store that is closed while it works answers every call", func(t *testing.T, s view.Store) {
		mustPut(t, s, puts("a", 200)...)
		var working, done sync.WaitGroup
		for name, call := range calls(s) {
			working.Add(1)
			done.Go(func() {
				err := call(t.Context())
				working.Done()
				for err == nil || again(err) || errors.Is(err, annals.ErrUnknownOutcome) {
					err = call(t.Context())
				}
				if !errors.Is(err, annals.ErrClosed) {
					t.Errorf("%s: error %v, want that the store is closed", name, err)
				}
			})
		}
		working.Wait()
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
		done.Wait()
	}},
}
