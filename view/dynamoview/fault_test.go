package dynamoview

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/viewtest"
)

var faultSeed = flag.Uint64("fault-seed", 0, "seed of the tests under faults; 0 takes one from the clock")

func seed(t *testing.T) uint64 {
	seed := *faultSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: repeat with -fault-seed", seed)
	return seed
}

// at plants one of these faults in one try of eight.
func at(random *rand.Rand, faults []fault) func(string) *fault {
	return func(string) *fault {
		if random.IntN(8) != 0 {
			return nil
		}
		return &faults[random.IntN(len(faults))]
	}
}

func wantPlanted(t *testing.T, l *layer, faults []fault) {
	t.Helper()
	for _, f := range faults {
		if l.planted[f.name] == 0 {
			t.Errorf("the fault %q was never planted", f.name)
		}
	}
	t.Logf("planted %v", l.planted)
}

func TestStoreContractUnderFaults(t *testing.T) {
	seed := seed(t)
	l := &layer{pick: at(rand.New(rand.NewPCG(seed, 1)), clearFaults)}
	viewtest.Test(t, func(t *testing.T) view.Store { return newStore(t, l.install, parts(numbers(seed))) }, nil)
	wantPlanted(t, l, clearFaults)
}

// Eight writers add their ids to a list, by compare and set, while requests and
// replies get lost: by puts of one document, and by transactions of two. Whoever
// is told that the outcome is unknown looks. Each id ends up in the list once.
func TestNothingIsLostOrDoneTwiceUnderFaults(t *testing.T) {
	for _, documents := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d documents", documents), func(t *testing.T) {
			seed := seed(t)
			l := &layer{}
			s := newStore(t, l.install)
			all := append(doubtfulFaults[:len(doubtfulFaults):len(doubtfulFaults)], clearFaults...)
			l.pick = at(rand.New(rand.NewPCG(seed, 1)), all)
			const each = 25
			var writers sync.WaitGroup
			var unknown sync.Map
			for w := range 8 {
				writers.Go(func() {
					for i := range each {
						if err := addID(t.Context(), s, fmt.Sprintf("%d-%d", w, i), documents, &unknown); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			writers.Wait()
			l.pick = nil
			ids, _, err := list(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			times := map[string]int{}
			for _, id := range ids {
				times[id]++
			}
			if len(times) != 8*each || len(ids) != 8*each {
				t.Errorf("%d ids are in the list, %d different ones; want %d", len(ids), len(times), 8*each)
			}
			n := 0
			unknown.Range(func(any, any) bool { n++; return true })
			t.Logf("planted %v; %d outcomes were unknown", l.planted, n)
			if documents == 2 {
				wantPlanted(t, l, doubtfulFaults)
			}
		})
	}
}

func list(ctx context.Context, s *Store) (ids []string, data []byte, err error) {
	documents, err := s.Get(ctx, "a", "list")
	if err != nil || len(documents) == 0 {
		return nil, nil, err
	}
	data = documents["list"].Data
	return ids, data, json.Unmarshal(data, &ids)
}

// addID adds an id to the list, whatever it takes.
func addID(ctx context.Context, s *Store, id string, documents int, unknown *sync.Map) error {
	for {
		ids, before, err := list(ctx, s)
		if err != nil {
			continue // planted too
		}
		for _, there := range ids {
			if there == id {
				return nil
			}
		}
		after, err := json.Marshal(append(ids, id))
		if err != nil {
			return err
		}
		c := view.Change{
			Expect: []view.Expectation{{Key: view.Key{Space: "a", Key: "list"}, Data: before}},
			Put:    []view.Put{put("a", "list", string(after)), put("b", id, `1`)}[:documents],
		}
		switch err := s.Commit(ctx, c); {
		case err == nil:
			return nil
		case errors.Is(err, annals.ErrUnknownOutcome):
			unknown.Store(id, true)
		case !errors.Is(err, annals.ErrConflict) && !errors.Is(err, annals.ErrUnavailable):
			return err
		}
	}
}
