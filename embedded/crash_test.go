package embedded

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded/crashfs"
	"github.com/eb901187/annals/storetest"
)

var (
	crashes   = flag.Int("crashes", 30, "crashes of the crash test")
	crashSeed = flag.Uint64("seed", 0, "seed of the crash test; 0 takes the clock")
)

// Writers append to a file system that loses, keeps or tears what was not
// synced. After every crash each acknowledged event is there once, commits are
// whole, and Verify finds nothing.
func TestCrashes(t *testing.T) {
	seed := *crashSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: go test ./embedded -run TestCrashes -seed %d", seed, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	fs := crashfs.New()
	acknowledged := map[string]int64{} // id → position
	for crash := range *crashes {
		opts := Options{FS: fs, Logger: quiet(), sealEvery: 300, maxSegment: minSegmentSize}
		s := openTest(t, "store", opts)
		wantAcknowledged(t, s, acknowledged)
		wantListed(t, s)
		fs = writeUntilCrash(t, s, fs, random, crash, acknowledged)
		mustClose(t, s)
		opts.FS = fs
		r, err := Verify("store", &opts)
		if err != nil || len(r.Problems) > 0 {
			t.Fatalf("after crash %d: error %v, problems %q", crash, err, r.Problems)
		}
	}
}

// writeUntilCrash lets writers append until the file system is cloned as a crash
// leaves it, and adds what was acknowledged before that.
func writeUntilCrash(t *testing.T, s *annals.Store, fs *crashfs.FS, random *rand.Rand, crash int, acknowledged map[string]int64) *crashfs.FS {
	percent := []int{0, 50, 100}[crash%3]
	appends := 20 + random.IntN(300)
	var mu sync.Mutex
	var clone *crashfs.FS
	done := 0
	var writers sync.WaitGroup
	for w := range 4 {
		local := rand.New(rand.NewPCG(random.Uint64(), uint64(w)))
		writers.Go(func() {
			for i := 0; ; i++ {
				events := make([]annals.Event, 1+local.IntN(4))
				for k := range events {
					events[k] = storetest.Event(fmt.Sprintf("%d-%d-%d-%d", crash, w, i, k), "T", fmt.Sprintf(`"%0*d"`, local.IntN(3000), i))
				}
				c, err := s.Append(t.Context(), fmt.Sprint("stream-", local.IntN(5)), annals.Any, events...)
				if err != nil {
					t.Errorf("append: %v", err)
					return
				}
				mu.Lock()
				if clone != nil {
					mu.Unlock()
					return
				}
				for k := range events {
					acknowledged[events[k].ID] = c.Position - int64(c.Count-1-k)
				}
				if done++; done == appends {
					clone = fs.Crash(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(uint64(crash), 1))})
				}
				mu.Unlock()
			}
		})
	}
	writers.Wait()
	return clone
}

func wantAcknowledged(t *testing.T, s *annals.Store, acknowledged map[string]int64) {
	t.Helper()
	found, seen, next := 0, map[string]bool{}, int64(1)
	for e, err := range s.Log(t.Context(), annals.Query{}) {
		if err != nil || e.Position != next || seen[e.Stream+"\x00"+e.ID] {
			t.Fatalf("at position %d: %v, position %d, event %s of %s", next, err, e.Position, e.ID, e.Stream)
		}
		seen[e.Stream+"\x00"+e.ID] = true
		next++
		if position, ok := acknowledged[e.ID]; ok {
			if found++; position != e.Position {
				t.Fatalf("event %s was acknowledged at position %d and is at %d", e.ID, position, e.Position)
			}
		}
	}
	if found != len(acknowledged) {
		t.Fatalf("%d events were acknowledged, %d of them are there", len(acknowledged), found)
	}
}

func TestFailedSyncIsAnUnknownOutcomeAndStopsAppends(t *testing.T) {
	fs := &faultFS{FS: vfs.NewCrashableMem()}
	d := testDriver(t, "store", Options{FS: fs})
	fill(t, annals.New(d, nil), 0, 10)
	fs.failSync.Store(true)
	_, err := d.Append(t.Context(), "a", 0, stampedEvent("1"))
	if !errors.Is(err, annals.ErrUnknownOutcome) {
		t.Fatalf("got %v, want an unknown outcome", err)
	}
	fs.failSync.Store(false)
	if _, err = d.Append(t.Context(), "a", 0, stampedEvent("1")); !errors.Is(err, annals.ErrUnavailable) {
		t.Fatalf("got %v, want unavailable until the store is opened again", err)
	}
	_ = d.Close() // closing syncs nothing more that matters
	s := openTest(t, "store", Options{FS: fs})
	defer mustClose(t, s)
	if c, err := s.Append(t.Context(), "a", 0, stampedEvent("1")...); err != nil || c.Version != 1 {
		t.Fatalf("after opening again: %+v, %v", c, err)
	}
}

func stampedEvent(id string) []annals.Event {
	return []annals.Event{{ID: id, Type: "T", Source: "s", Time: storetest.Epoch, ContentType: annals.JSONContentType, Data: []byte(`1`)}}
}

// A write that reaches the disk in part and then fails must not come back.
func TestFailedWriteLeavesNothing(t *testing.T) {
	mem := vfs.NewCrashableMem()
	fs := &faultFS{FS: mem}
	s := openTest(t, "store", Options{FS: fs})
	fill(t, s, 0, 10)
	fs.tearWrite.Store(true)
	_, err := s.Append(t.Context(), "a", 0, stampedEvent("1")...)
	if err == nil || errors.Is(err, annals.ErrUnknownOutcome) {
		t.Fatalf("got %v, want a plain failure", err)
	}
	fill(t, s, 10, 10)
	crashed := mem.CrashClone(vfs.CrashCloneCfg{})
	mustClose(t, s)
	wantClean(t, "store", 20, &Options{FS: crashed, Logger: quiet()})
}

func TestDiskFull(t *testing.T) {
	fs := &faultFS{FS: vfs.Default}
	fs.limit(9 << 20)
	dir := t.TempDir()
	s := openTest(t, dir, Options{FS: fs, sealEvery: 1000})
	stored := 0
	var full error
	for full == nil {
		e := annals.Event{ID: fmt.Sprint(stored), Type: "T", Data: fmt.Appendf(nil, `"%01000d"`, stored)}
		if _, full = s.Append(t.Context(), "a", annals.Any, e); full == nil {
			stored++
		}
	}
	if !errors.Is(full, annals.ErrNoSpace) || annals.CodeOf(full).Info().Exit != 6 {
		t.Fatalf("after %d events: %v", stored, full)
	}
	if stored < 1000 {
		t.Fatalf("9 MiB took %d events of 1 kB", stored)
	}
	fs.limit(64 << 20)
	fill(t, s, 0, 3000)
	if end, err := s.End(t.Context()); err != nil || end != int64(stored+3000) {
		t.Fatalf("the log ends at %d, want %d; error %v", end, stored+3000, err)
	}
	mustClose(t, s)
	wantClean(t, dir, int64(stored+3000), &Options{Logger: quiet()})
}

// What an event's data holds can't make damage of a write that a crash has torn, be it
// a part of another store's log.
func TestDataLikeRecordsMakesNoDamageOfATornWrite(t *testing.T) {
	fs := vfs.NewMem()
	s := openTest(t, "store", Options{FS: fs})
	record := appendRecord(nil, "other", &annals.Event{ID: "1", Type: "T", Source: "s"}, 0, 1)
	finishRecord(record, place{address: 1 << 40, batch: 1 << 40, position: 9, version: 9})
	var records []byte
	for shift := range recordAlign {
		records = append(records, record...)
		records = append(records, make([]byte, recordAlign-shift)...)
		records = append(records, 1)
	}
	events := []annals.Event{{Type: "T", Data: bytes.Repeat([]byte{7}, 3*sector)}, {Type: "T", Data: records}}
	for i := range events {
		events[i].ContentType = "application/octet-stream"
	}
	if _, err := s.Append(t.Context(), "a", annals.Any, events...); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	file, err := fs.OpenReadWrite(fs.PathJoin("store/log", segmentName(0)), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(make([]byte, sector), 2*sector); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	wantClean(t, "store", 0, &Options{FS: fs, Logger: quiet()})
}
