package embedded

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded/crashfs"
	"github.com/eb901187/annals/storetest"
)

// numberedBatch makes appends whose ids are counted on from first.
func numberedBatch(first, n, size int) []annals.Append {
	batch := make([]annals.Append, n)
	for i := range batch {
		e := storetest.Event(fmt.Sprint(first+i), "T", fmt.Sprintf(`"%0*d"`, size, first+i))
		batch[i] = annals.Append{Stream: fmt.Sprint("stream-", (first+i)%17), Expected: annals.Any, Events: []annals.Event{e}}
	}
	return batch
}

// wantPrefix wants the log to hold the events numbered from 0, in order, at least so many.
func wantPrefix(t *testing.T, s *annals.Store, atLeast int) (n int) {
	t.Helper()
	for e, err := range s.Log(t.Context(), annals.Query{}) {
		if err != nil || e.ID != fmt.Sprint(n) {
			t.Fatalf("position %d holds event %s: %v", n+1, e.ID, err)
		}
		n++
	}
	if n < atLeast {
		t.Fatalf("%d events are there, want %d", n, atLeast)
	}
	return n
}

// Whenever the power fails, the log holds a beginning of what was appended at once, and
// all that was acknowledged; the same appends again complete it.
func TestCrashesOfBatches(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if *crashSeed != 0 {
		seed = *crashSeed
	}
	t.Logf("seed %d: go test ./embedded -run TestCrashesOfBatches -seed %d", seed, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 8 {
		disk := crashfs.New()
		fs := &faultFS{FS: disk}
		opts := Options{FS: fs, sealEvery: 300, maxSegment: minSegmentSize}
		s := openTest(t, "store", opts)
		crashAt, size := 1+random.IntN(12), 100+random.IntN(40_000)
		var mu sync.Mutex // syncs come from the background too
		var after *crashfs.FS
		acknowledged, atCrash, syncs := 0, 0, 0
		crash := func() {
			mu.Lock()
			defer mu.Unlock()
			if syncs++; syncs == crashAt {
				atCrash = acknowledged
				after = disk.Crash(vfs.CrashCloneCfg{UnsyncedDataPercent: random.IntN(101), RNG: random})
			}
		}
		crashed := func() bool { mu.Lock(); defer mu.Unlock(); return after != nil }
		fs.beforeSync.Store(&crash)
		for !crashed() {
			// Larger than what the committer writes at once, some of them.
			mu.Lock()
			n := 1 + random.IntN(600)
			mu.Unlock()
			batch := numberedBatch(acknowledged, n, size)
			if _, err := s.AppendAll(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			acknowledged += len(batch)
			mu.Unlock()
		}
		mustClose(t, s)
		opts.FS = after
		s = openTest(t, "store", opts)
		wantPrefix(t, s, atCrash)
		if commits, err := s.AppendAll(t.Context(), numberedBatch(0, acknowledged, size)); err != nil || len(commits) != acknowledged {
			t.Fatalf("%d of %d: %v", len(commits), acknowledged, err)
		}
		wantPrefix(t, s, acknowledged)
		mustClose(t, s)
	}
}

// Appends at once that wait for their turn when their context ends are not stored.
func TestBatchIsWithdrawn(t *testing.T) {
	d := testDriver(t, "store", Options{FS: vfs.NewMem()}).(*driver)
	s := annals.New(d, nil)
	defer mustClose(t, s)
	c := &d.commit
	c.mu.Lock()
	c.leading = true // somebody else, who takes long
	c.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		commits, err := s.AppendAll(ctx, numberedBatch(0, 200, 10))
		if len(commits) > 0 {
			err = fmt.Errorf("%d commits, %w", len(commits), err)
		}
		result <- err
	}()
	waiting := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.queue)
	}
	for deadline := time.Now().Add(10 * time.Second); waiting() < 200; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("the appends do not wait")
		}
	}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) || waiting() > 0 {
		t.Fatalf("%v, %d wait", err, waiting())
	}
	c.mu.Lock()
	c.leading = false
	c.mu.Unlock()
	wantPrefix(t, s, 0)
	if commits, err := s.AppendAll(t.Context(), numberedBatch(0, 200, 10)); err != nil || commits[199].Position != 200 {
		t.Fatal(commits, err)
	}
}

// A conflict in what the committer writes as one batch, or in an earlier part of what it
// writes as several, keeps all behind it out; other appends go on.
func TestBatchEndsAtAConflictAcrossWrites(t *testing.T) {
	for _, at := range []int{1, 100, 300} {
		s := openTest(t, "store", Options{FS: vfs.NewMem()})
		batch := numberedBatch(0, 400, 100_000) // of 8 MiB each 80
		batch[at].Expected = 1000
		commits, err := s.AppendAll(t.Context(), batch)
		if !errors.Is(err, annals.ErrConflict) || len(commits) != at {
			t.Fatalf("%d commits, %v", len(commits), err)
		}
		if n := wantPrefix(t, s, at); n != at {
			t.Fatalf("%d events are stored, want %d", n, at)
		}
		mustClose(t, s)
	}
}

// Of a write that fails nothing is stored, and nothing behind it.
func TestBatchOfWhichAWriteFails(t *testing.T) {
	fs := &faultFS{FS: vfs.NewMem()}
	s := openTest(t, "store", Options{FS: fs})
	defer mustClose(t, s)
	fs.tearLarge.Store(3)
	commits, err := s.AppendAll(t.Context(), numberedBatch(0, 400, 100_000))
	if err == nil || errors.Is(err, annals.ErrUnknownOutcome) || len(commits) == 0 || len(commits) == 400 {
		t.Fatalf("%d commits, %v", len(commits), err)
	}
	if n := wantPrefix(t, s, len(commits)); n != len(commits) {
		t.Fatalf("%d events are stored, %d were acknowledged", n, len(commits))
	}
	if _, err := s.AppendAll(t.Context(), numberedBatch(0, 400, 100_000)); err != nil {
		t.Fatal(err)
	}
	wantPrefix(t, s, 400)
}

func TestBatchOnAClosedStore(t *testing.T) {
	s := openTest(t, "store", Options{FS: vfs.NewMem()})
	mustClose(t, s)
	if commits, err := s.AppendAll(t.Context(), numberedBatch(0, 100, 10)); !errors.Is(err, annals.ErrClosed) || len(commits) > 0 {
		t.Fatalf("%v, %v", commits, err)
	}
}
