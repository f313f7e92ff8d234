package embedded

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
)

// A wreck is what a crash leaves, and what had been acknowledged before it.
type wreck struct {
	at           string
	fs           *vfs.MemFS
	acknowledged int
}

// The power fails in front of each file operation of a workload that makes, fills,
// seals, closes and opens a store, and what was not synced is lost, kept, or kept in
// part. Each time all that was acknowledged is there, no commit in part, and the
// workload can go on. Now and then the power fails again while the store recovers.
func TestDurabilityCrashAtEveryOperation(t *testing.T) {
	seed := *crashSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: go test ./embedded -run TestDurabilityCrash -seed %d", seed, seed)
	for _, kept := range []int{0, 50, 100} {
		t.Run(fmt.Sprint(kept, " percent kept"), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, uint64(kept)))
			operations, wrecks := wreckAll(t, vfs.NewCrashableMem(), kept, some(25), random, 0, runWorkload)
			again := 0
			for i := range wrecks {
				if i%7 == 0 { // what is left of it crashes while it is opened
					_, more := wreckAll(t, wrecks[i].fs, kept, some(9), random, wrecks[i].acknowledged, openAndClose)
					again += len(more)
					wantSurvivors(t, more)
				}
			}
			wantSurvivors(t, wrecks)
			t.Logf("%d operations, %d crashes, %d of recoveries", operations, len(wrecks), again)
		})
	}
}

// wreckAll runs work on a copy of a file system and returns what a crash leaves in
// front of one in so many of its operations.
func wreckAll(t *testing.T, from *vfs.MemFS, kept int, one int64, random *rand.Rand, acknowledged int, work func(opts Options, acknowledged func(n int)) error) (operations int64, wrecks []wreck) {
	t.Helper()
	cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(random.Uint64(), 0))}
	fs := &opFS{FS: from.CrashClone(cfg)}
	var mu sync.Mutex
	offset := random.Int64N(one)
	fs.before = func(n int64, op, name string) error {
		if n%one != offset {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		// Counted first: what is acknowledged from here on need not be in the copy.
		done := acknowledged
		cfg.UnsyncedDataPercent = kept
		wrecks = append(wrecks, wreck{fmt.Sprintf("operation %d, %s of %s", n, op, name), fs.crash(cfg), done})
		return nil
	}
	if err := work(durable(fs), func(n int) {
		mu.Lock()
		defer mu.Unlock()
		acknowledged = max(acknowledged, n)
	}); err != nil {
		t.Fatal(err)
	}
	return fs.n.Load(), wrecks
}

func runWorkload(opts Options, acknowledged func(n int)) error {
	steps := workload()
	for _, part := range [][][]annals.Append{steps[:len(steps)/2], steps} {
		s, err := Open("store", &opts)
		if err != nil {
			return err
		}
		n, err := wantBeginning(s, allAppends(steps), 0)
		if err != nil {
			return err
		}
		err = appendWorkload(context.Background(), s, part, n, func(i int, _ annals.Commit) { acknowledged(i + 1) })
		if err != nil {
			return err
		}
		if err := s.Close(); err != nil {
			return err
		}
	}
	return nil
}

func openAndClose(opts Options, _ func(int)) error {
	s, err := Open("store", &opts)
	if err != nil {
		return err
	}
	return s.Close()
}

func wantSurvivors(t *testing.T, wrecks []wreck) {
	t.Helper()
	var checking sync.WaitGroup
	next := make(chan wreck)
	for range runtime.GOMAXPROCS(0) {
		checking.Go(func() {
			for w := range next {
				if err := survives("store", durable(w.fs), w.acknowledged); err != nil {
					t.Errorf("after a crash in front of %s, with %d commits acknowledged: %v", w.at, w.acknowledged, err)
				}
			}
		})
	}
	for _, w := range wrecks {
		next <- w
	}
	close(next)
	checking.Wait()
}
