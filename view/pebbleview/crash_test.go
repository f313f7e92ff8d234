package pebbleview

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

var (
	crashes   = flag.Int("crashes", 40, "crashes of TestCrashesLoseTheLastChangesAtMost")
	faultSeed = flag.Uint64("seed", 0, "seed of the tests that crash; 0 takes the clock")
)

func newRandom(t *testing.T) *rand.Rand {
	seed := *faultSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: repeat with -seed", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// A chain is changes that are numbered 1, 2, 3 … by a document that each expects
// of the one before. What the n-th holds follows from n, so that the number says
// what the whole store must be.
type chain struct {
	started, durable atomic.Int64 // the last that was begun; the last Durable one that was acknowledged
}

const chainDocuments = 23

func chainData(n int64) []byte {
	return fmt.Appendf(nil, `"%d %s"`, n, strings.Repeat(strconv.Itoa(int(n%10)), int(n*n*31%2500)))
}

func chainChange(n int64, durable bool) view.Change {
	number := view.Key{Space: "chain", Key: "number"}
	c := view.Change{
		Expect:  []view.Expectation{{Key: number}},
		Put:     []view.Put{{Space: "chain", Document: view.Document{Key: "number", Data: strconv.AppendInt(nil, n, 10)}}},
		Delete:  []view.Key{{Space: "a@1", Key: chainKey(n + 7)}},
		Durable: durable,
	}
	if n > 1 {
		c.Expect[0].Data = strconv.AppendInt(nil, n-1, 10)
	}
	for i := range n%3 + 1 {
		for _, space := range []string{"a", "a@1"} {
			c.Put = append(c.Put, view.Put{Space: space, Document: view.Document{Key: chainKey(n + i), Data: chainData(n), Position: n}})
		}
	}
	return c
}

func chainKey(n int64) string { return fmt.Sprintf("k%02d", n%chainDocuments) }

// at is what the spaces hold after the n-th change, which follows from the last
// rounds of keys.
func (c *chain) at(n int64) map[view.Key]string {
	documents := map[view.Key]string{}
	for i := max(1, n-3*chainDocuments); i <= n; i++ {
		change := chainChange(i, false)
		for _, p := range change.Put {
			documents[view.Key{Space: p.Space, Key: p.Key}] = string(p.Data)
		}
		for _, k := range change.Delete {
			delete(documents, k)
		}
	}
	return documents
}

// next makes the change behind the one that is there. It reports whether another
// writer was first.
func (c *chain) next(ctx context.Context, s *Store, durable bool) (bool, error) {
	n, err := numberOf(ctx, s)
	if err != nil {
		return false, err
	}
	n++
	for was := c.started.Load(); n > was && !c.started.CompareAndSwap(was, n); was = c.started.Load() {
		continue
	}
	err = s.Commit(ctx, chainChange(n, durable))
	if errors.Is(err, annals.ErrConflict) {
		return true, nil
	}
	for was := c.durable.Load(); err == nil && durable && n > was && !c.durable.CompareAndSwap(was, n); was = c.durable.Load() {
		continue
	}
	return false, err
}

func numberOf(ctx context.Context, s *Store) (int64, error) {
	documents, err := s.Get(ctx, "chain", "number")
	if err != nil || len(documents) == 0 {
		return 0, err
	}
	return strconv.ParseInt(string(documents["number"].Data), 10, 64)
}

// wantPrefix wants the store to be what it was after one of the chain's changes:
// not one before least, nor behind most.
func (c *chain) wantPrefix(t *testing.T, s *Store, least, most int64) {
	t.Helper()
	n, err := numberOf(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if n < least || n > most {
		t.Fatalf("change %d survived; %d was durable, %d was begun", n, least, most)
	}
	got := map[view.Key]string{}
	for _, space := range []string{"a", "a@1", "chain"} {
		for d, err := range s.Scan(t.Context(), space, view.Range{}) {
			if err != nil {
				t.Fatal(err)
			}
			got[view.Key{Space: space, Key: d.Key}] = string(d.Data)
		}
	}
	if want := c.at(n); !maps.Equal(got, want) {
		t.Fatalf("after change %d there are %v, want %v", n, slices.Sorted(keysOf(got)), slices.Sorted(keysOf(want)))
	}
}

func keysOf(m map[view.Key]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k, data := range m {
			if !yield(fmt.Sprintf("%s/%s=%.6s", k.Space, k.Key, data)) {
				return
			}
		}
	}
}

// smallOptions make a few changes fill logs and tables.
func smallOptions(fs vfs.FS) *Options {
	return &Options{FS: fs, Logger: slog.New(slog.DiscardHandler), memTable: 64 << 10}
}

// A hookFS calls before with the number of each operation that writes; its error
// becomes the operation's.
type hookFS struct {
	vfs.FS
	before     func(n int64) error
	operations atomic.Int64
}

func (f *hookFS) step() error { return f.before(f.operations.Add(1)) }

func (f *hookFS) file(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &hookFile{file, f}, nil
}

func (f *hookFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	return f.file(f.FS.Create(name, c))
}

func (f *hookFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	return f.file(f.FS.ReuseForWrite(from, to, c))
}

func (f *hookFS) OpenDir(name string) (vfs.File, error) { return f.file(f.FS.OpenDir(name)) }

func (f *hookFS) Rename(from, to string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

type hookFile struct {
	vfs.File
	fs *hookFS
}

// Write tears what it can't write whole.
func (f *hookFile) Write(b []byte) (int, error) {
	if err := f.fs.step(); err != nil {
		n, _ := f.File.Write(b[:len(b)/2])
		return n, err
	}
	return f.File.Write(b)
}

func (f *hookFile) Sync() error {
	if err := f.fs.step(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *hookFile) SyncData() error {
	if err := f.fs.step(); err != nil {
		return err
	}
	return f.File.SyncData()
}

// Two writers change a store whose file system crashes at a random write: it
// loses, keeps or tears what was not synced. What survives is the first changes,
// whole, with every one that was Durable and all before it.
func TestCrashesLoseTheLastChangesAtMost(t *testing.T) {
	random := newRandom(t)
	disk := vfs.NewCrashableMem()
	c := &chain{}
	lost, kept := 0, 0
	for crash := range *crashes {
		cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[crash%3], RNG: rand.New(rand.NewPCG(random.Uint64(), 1))}
		after, durables := int64(1+random.IntN(400)), 2+random.IntN(30)
		var once sync.Once
		var clone *vfs.MemFS
		var durable, started int64
		crashed := make(chan struct{})
		fs := &hookFS{FS: disk}
		fs.before = func(n int64) error {
			if n >= after {
				once.Do(func() {
					durable = c.durable.Load()
					clone = disk.CrashClone(cfg)
					started = c.started.Load()
					close(crashed)
				})
			}
			return nil
		}
		s, err := Open("views", smallOptions(fs))
		if err != nil {
			t.Fatal(err)
		}
		writeUntil(t, c, s, crashed, durables)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		disk = clone
		s = mustOpen(t, "views", smallOptions(disk))
		c.wantPrefix(t, s, durable, started)
		n, err := numberOf(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		kept, lost = kept+int(n-durable), lost+int(started-n)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		c.started.Store(n)
		c.durable.Store(n) // Close has made it so
	}
	t.Logf("of the changes behind the last durable one, %d survived and %d were lost", kept, lost)
	if *crashes >= 20 && (lost == 0 || kept == 0) {
		t.Error("the crashes did not come where anything was at stake")
	}
}

// writeUntil lets two writers make changes, one in so many of them Durable.
func writeUntil(t *testing.T, c *chain, s *Store, crashed <-chan struct{}, durables int) {
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for i := w; ; i++ {
				select {
				case <-crashed:
					return
				default:
				}
				if _, err := c.next(t.Context(), s, i%durables == 0); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
}

// A disk fails for good at each of its writes in turn, among them those of Open
// and Close. Nothing panics or hangs, what was durable is there, and every call
// after the failure says what is wrong.
func TestFailedWritesLoseTheLastChangesAtMost(t *testing.T) {
	random := newRandom(t)
	for at := int64(1); ; at += 1 + int64(random.IntN(3)) {
		cause := []error{syscall.ENOSPC, syscall.EIO}[random.IntN(2)]
		if done := failAt(t, at, cause, random.IntN(2) == 0); done {
			t.Logf("a run has %d writes", at)
			return
		}
	}
}

func failAt(t *testing.T, at int64, cause error, once bool) (done bool) {
	t.Helper()
	disk := vfs.NewCrashableMem()
	fs := &hookFS{FS: disk}
	failed := atomic.Bool{}
	fs.before = func(n int64) error {
		if n == at || n > at && !once {
			failed.Store(true)
			return cause
		}
		return nil
	}
	want := annals.ErrUnavailable
	if cause == syscall.ENOSPC {
		want = annals.ErrNoSpace
	}
	c := &chain{}
	s, err := Open("views", smallOptions(fs))
	if err == nil {
		for i := range 120 {
			if _, err = c.next(t.Context(), s, i%10 == 0); err != nil {
				break
			}
		}
		if err != nil {
			if !errors.Is(err, want) && !errors.Is(err, annals.ErrUnknownOutcome) {
				t.Fatalf("write %d failed with %v: the change says %v", at, cause, err)
			}
			if _, err := s.Get(t.Context(), "a", "1"); !errors.Is(err, want) {
				t.Fatalf("write %d failed with %v: a get behind it says %v", at, cause, err)
			}
		}
		if closed := s.Close(); failed.Load() && !errors.Is(closed, want) {
			t.Fatalf("write %d failed with %v: closing says %v", at, cause, closed)
		}
	} else if !errors.Is(err, want) {
		t.Fatalf("write %d failed with %v: opening says %v", at, cause, err)
	}
	for _, after := range []*vfs.MemFS{disk.CrashClone(vfs.CrashCloneCfg{}), disk} {
		again := mustOpen(t, "views", smallOptions(after))
		c.wantPrefix(t, again, c.durable.Load(), c.started.Load())
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return !failed.Load()
}
