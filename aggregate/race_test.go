package aggregate_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/aggregate"
	"github.com/eb901187/annals/storetest"
)

var faultSeed = flag.Uint64("seed", 0, "seed of the tests with faults; 0 takes the clock")

// seeded returns the seed of a test and says how to repeat it.
func seeded(t *testing.T) uint64 {
	seed := *faultSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: go test ./aggregate -run %s -seed %d", seed, t.Name(), seed)
	return seed
}

// wantSeen checks that every command saw the state that it appended to, and
// returns how often each made an event.
func wantSeen(t *testing.T, s *annals.Store, stream string) map[string]int {
	t.Helper()
	by := map[string]int{}
	for _, e := range storetest.Collect(t, s.Stream(t.Context(), stream, nil)) {
		var seen Seen
		if err := json.Unmarshal(e.Data, &seen); err != nil || seen.Count != e.Version-1 {
			t.Fatalf("the command of version %d saw %d events", e.Version, seen.Count)
		}
		by[seen.By]++
	}
	return by
}

func TestManyWritersLoseNothing(t *testing.T) {
	const writers, each = 16, 100
	for name, opts := range policies() {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, memory(t))
			r := aggregate.NewRepository(s, accounts(t, opts), strict(t, math.MaxInt))
			var done sync.WaitGroup
			for w := range writers {
				done.Go(func() {
					for i := range each {
						result, err := r.Execute(t.Context(), "7", see(fmt.Sprint(w, "-", i)), nil)
						if err != nil || result.State.Count != result.Version || result.Count != 1 || result.Replayed {
							t.Errorf("writer %d: %+v, %v", w, result, err)
							return
						}
					}
				})
			}
			done.Wait()
			by := wantSeen(t, s, "account-7")
			for w := range writers {
				for i := range each {
					if n := by[fmt.Sprint(w, "-", i)]; n != 1 {
						t.Errorf("command %d of writer %d is stored %d times", i, w, n)
					}
				}
			}
			if at := mustLoad(t, r, "7"); at.State.Count != writers*each {
				t.Fatalf("got %+v", at)
			}
		})
	}
}

// plant makes the next calls of a driver fail at random.
func plant(f *storetest.Faulty, random *rand.Rand) {
	appends, reads := make([]storetest.Fault, random.IntN(7)), make([]storetest.Fault, random.IntN(5))
	kinds := []storetest.Fault{storetest.None, storetest.None, storetest.LostRequest, storetest.LostReply, storetest.Refused}
	for i := range appends {
		appends[i] = kinds[random.IntN(len(kinds))]
	}
	for i := range reads {
		reads[i] = []storetest.Fault{storetest.None, storetest.None, storetest.Refused}[random.IntN(3)]
	}
	f.FailAppends(appends...)
	f.FailReads(reads...)
}

// persist executes a command with the same key until it succeeds, as a caller
// does who is told that the store failed.
func persist(t *testing.T, f *storetest.Faulty, random *rand.Rand, r *bankRepository, id, key string, decide func(Account) ([]Event, error)) (aggregate.Result[Account], bool) {
	for {
		plant(f, random)
		result, err := r.Execute(t.Context(), id, decide, keyed("%s", key))
		switch {
		case err == nil:
			return result, true
		case !errors.Is(err, annals.ErrUnavailable) && !errors.Is(err, annals.ErrUnknownOutcome) && !errors.Is(err, annals.ErrConflict):
			t.Errorf("command %s: %v", key, err)
			return result, false
		}
	}
}

// Requests and answers are lost, reads fail, and others append in between.
func TestCommandsUnderFaultsAreExecutedOnce(t *testing.T) {
	seed := seeded(t)
	for name, opts := range policies() {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			f := &storetest.Faulty{Driver: memory(t)}
			s, calm := newStore(t, f), annals.New(f.Driver, nil)
			r := aggregate.NewRepository(s, accounts(t, opts), (&reported{}).options())
			results := map[string]aggregate.Result[Account]{}
			for i := range 400 {
				key := fmt.Sprint("c", random.IntN(i+1)) // a new one, or one from before
				first, known := results[key]
				rivals := 0
				result, ok := persist(t, f, random, r, "7", key, func(a Account) ([]Event, error) {
					events := []Event{Seen{key, a.Count}, Seen{key, a.Count + 1}}[:1+random.IntN(2)]
					if rivals++; random.IntN(3) == 0 {
						rival := fmt.Appendf(nil, `{"By":"rival %d.%d","Count":%d}`, i, rivals, a.Count)
						if _, err := calm.Append(t.Context(), "account-7", annals.Any, annals.Event{Type: "seen", Data: rival}); err != nil {
							t.Error(err)
						}
					}
					return events, nil
				})
				if !ok {
					return
				}
				if first.Replayed = true; known && result != first {
					t.Fatalf("%s: first %+v, again %+v", key, first, result)
				}
				if !known {
					results[key] = result
				}
			}
			by := wantSeen(t, calm, "account-7")
			for key, result := range results {
				if by[key] != result.Count {
					t.Errorf("%s is stored %d times, want %d", key, by[key], result.Count)
				}
			}
		})
	}
}

// The same commands come to several programs at once, under faults.
func TestSameCommandsInParallelAreExecutedOnce(t *testing.T) {
	seed := seeded(t)
	const writers, commands = 8, 60
	for name, opts := range policies() {
		t.Run(name, func(t *testing.T) {
			f := &storetest.Faulty{Driver: memory(t)}
			s := newStore(t, f)
			results := make([]map[string]aggregate.Result[Account], writers)
			var done sync.WaitGroup
			for w := range writers {
				results[w] = map[string]aggregate.Result[Account]{}
				done.Go(func() {
					random := rand.New(rand.NewPCG(seed, uint64(w)))
					r := aggregate.NewRepository(s, accounts(t, opts), (&reported{}).options())
					for _, i := range random.Perm(commands) {
						key := fmt.Sprint("c", i)
						result, ok := persist(t, f, random, r, "7", key, see(key))
						if !ok {
							return
						}
						result.Replayed = false
						results[w][key] = result
					}
				})
			}
			done.Wait()
			f.FailAppends()
			f.FailReads()
			by := wantSeen(t, s, "account-7")
			for i := range commands {
				key := fmt.Sprint("c", i)
				if by[key] != 1 {
					t.Errorf("%s is stored %d times", key, by[key])
				}
				for w := range writers {
					if results[w][key] != results[0][key] {
						t.Errorf("%s: writer 0 was told %+v, writer %d %+v", key, results[0][key], w, results[w][key])
					}
				}
			}
		})
	}
}
