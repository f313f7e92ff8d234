package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"pgregory.net/rapid"

	"github.com/eb901187/annals"
)

var quiet = slog.New(slog.DiscardHandler)

func open(t testing.TB, fs vfs.FS, maxBytes, segment int64) *Spool {
	t.Helper()
	s, err := Open("spool", maxBytes, &Options{FS: fs, SegmentBytes: segment, Logger: quiet})
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

// text is the body of record i, of a length that varies.
func text(i int) []byte { return fmt.Appendf(nil, "%d %0*d", i, i*37%200, 0) }

func texts(from, to int) (all [][]byte) {
	for i := from; i < to; i++ {
		all = append(all, text(i))
	}
	return all
}

// drain takes everything in batches of at most n and returns which records came.
func drain(t testing.TB, s *Spool, n int) (all []int) {
	t.Helper()
	for {
		b, err := s.Peek(n, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Records) == 0 {
			return all
		}
		all = append(all, numbers(t, b)...)
		if err := s.Advance(b); err != nil {
			t.Fatal(err)
		}
	}
}

func numbers(t testing.TB, b Batch) (all []int) {
	t.Helper()
	for _, r := range b.Records {
		i, err := strconv.Atoi(string(r[:max(slices.Index(r, ' '), 0)]))
		if err != nil || string(r) != string(text(i)) {
			t.Fatalf("the spool gave %q", r)
		}
		all = append(all, i)
	}
	return all
}

func TestRecordsComeInOrderAndOnce(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, 1<<20, 500)
	for i := range 20 {
		if err := s.Append(texts(i*5, i*5+5)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := s.Peek(7, 1<<20)
	if err != nil || !slices.Equal(numbers(t, b), []int{0, 1, 2, 3, 4}) { // the first file's
		t.Fatalf("got %q, %v", b.Records, err)
	}
	if again, err := s.Peek(3, 1<<20); err != nil || !slices.Equal(numbers(t, again), []int{0, 1, 2}) {
		t.Fatalf("without Advance: %q, %v", again.Records, err)
	}
	if err := s.Advance(b); err != nil {
		t.Fatal(err)
	}
	if records, _ := s.Len(); records != 95 {
		t.Fatalf("%d records wait, want 95", records)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, fs, 1<<20, 500)
	if got := drain(t, s, 4); len(got) != 95 || got[0] != 5 || !slices.IsSorted(got) {
		t.Fatalf("after opening again: %v", got)
	}
	if records, bytes := s.Len(); records != 0 || bytes != 0 {
		t.Fatalf("drained, %d records in %d bytes wait", records, bytes)
	}
}

func TestFullSpoolTakesNothingUntilThereIsRoom(t *testing.T) {
	s := open(t, vfs.NewMem(), 4096, 512)
	n := 0
	for ; ; n++ {
		err := s.Append([][]byte{text(n)})
		if err == nil {
			continue
		}
		if !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		break
	}
	if _, bytes := s.Len(); bytes > 4096 || n < 10 {
		t.Fatalf("%d records, %d bytes", n, bytes)
	}
	for range n / 2 {
		b, err := s.Peek(1, 1)
		if err == nil {
			err = s.Advance(b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Append([][]byte{text(n)}); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	if got := drain(t, s, 100); got[0] != n/2 || got[len(got)-1] != n {
		t.Fatalf("got %v", got)
	}
	if err := s.Append([][]byte{make([]byte, MaxRecordBytes+1)}); annals.CodeOf(err) != annals.CodeTooLarge {
		t.Fatalf("too large a record: %v", err)
	}
}

func TestOneOpener(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, 1<<20, nil); !errors.Is(err, annals.ErrInUse) {
		t.Fatalf("a second opener: %v", err)
	}
	if err := s.Append([][]byte{text(1)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Append([][]byte{text(1)}); !errors.Is(err, annals.ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
	if _, err := s.Peek(1, 1); !errors.Is(err, annals.ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
	if s, err = Open(dir, 1<<20, nil); err != nil {
		t.Fatal(err)
	}
	if got := drain(t, s, 10); !slices.Equal(got, []int{1}) {
		t.Fatalf("got %v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestRandomOperationsAgainstAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fs := vfs.NewMem()
		s := open(t, fs, 8192, 700)
		var model []int
		n := 0
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) {
				k := rapid.IntRange(1, 6).Draw(rt, "records")
				err := s.Append(texts(n, n+k))
				if err != nil && !errors.Is(err, ErrFull) {
					rt.Fatal(err)
				}
				for range k {
					if err == nil {
						model = append(model, n)
					}
					n++
				}
			},
			"take": func(rt *rapid.T) {
				b, err := s.Peek(rapid.IntRange(1, 5).Draw(rt, "at most"), int64(rapid.IntRange(0, 900).Draw(rt, "bytes")))
				if err != nil {
					rt.Fatal(err)
				}
				got := numbers(t, b)
				if (len(got) == 0) != (len(model) == 0) || !slices.Equal(got, model[:len(got)]) {
					rt.Fatalf("got %v, want of %v", got, model)
				}
				if err := s.Advance(b); err != nil {
					rt.Fatal(err)
				}
				model = model[len(got):]
			},
			"reopen": func(rt *rapid.T) {
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				s = open(t, fs, 8192, 700)
			},
			"": func(rt *rapid.T) {
				if records, bytes := s.Len(); records != int64(len(model)) || bytes > 8192 || s.Lost() != 0 {
					rt.Fatalf("%d records in %d bytes, %d lost; the model has %d", records, bytes, s.Lost(), len(model))
				}
			},
		})
	})
}

// A history is what a program did with a spool until a crash.
type history struct {
	acknowledged, tried, done int
	last                      []int // acknowledged after a failure
}

// work appends and takes until it ends or an operation fails.
func (h *history) work(s *Spool) error {
	for i := range 12 {
		h.tried = h.acknowledged + 1 + i%4
		if err := s.Append(texts(h.acknowledged, h.tried)); err != nil {
			return err
		}
		h.acknowledged = h.tried
		if i%3 != 2 {
			continue
		}
		b, err := s.Peek(6, 1<<20)
		if err != nil {
			return err
		}
		h.done += len(b.Records) // before Advance tries: an error may have moved the place
		if err := s.Advance(b); err != nil {
			return err
		}
	}
	return nil
}

// The machine crashes at each operation on a file in turn, and keeps none, some
// or all of what was not synced.
func TestCrashAtEachFileOperation(t *testing.T) {
	for _, percent := range []int{0, 50, 100} {
		for at := 1; ; at++ {
			fs := vfs.NewCrashableMem()
			var crashed *vfs.MemFS
			var h, atCrash history
			count := 0
			watched := errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if count++; count == at {
					crashed = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(uint64(at), 7))})
					atCrash = h
				}
				return nil
			}))
			s, err := Open("spool", 1<<20, &Options{FS: watched, SegmentBytes: 400, Logger: quiet})
			if err == nil {
				err = h.work(s)
			}
			if err != nil {
				t.Fatal(err)
			}
			if crashed == nil {
				if at < 60 {
					t.Fatalf("only %d operations", at)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				break
			}
			wantAfterCrash(t, fmt.Sprintf("crash at operation %d, %d %% kept", at, percent), crashed, atCrash)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func wantAfterCrash(t *testing.T, name string, fs *vfs.MemFS, h history) {
	t.Helper()
	for range 2 { // what a crash left is still read right after another opening
		s := open(t, fs, 1<<20, 400)
		if s.Lost() != 0 {
			t.Fatalf("%s: %d records lost of %+v", name, s.Lost(), h)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, fs, 1<<20, 400)
	if err := s.Append(texts(1000, 1003)); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, fs, 1<<20, 400)
	got := drain(t, s, 5)
	if !slices.IsSorted(got) || s.Lost() != 0 {
		t.Fatalf("%s: got %v, %d lost", name, got, s.Lost())
	}
	must := h.last
	for i := h.done; i < h.acknowledged; i++ {
		must = append(must, i)
	}
	for _, i := range must {
		if !slices.Contains(got, i) {
			t.Fatalf("%s: record %d of %+v is missing in %v", name, i, h, got)
		}
	}
	if n := len(got); n < 3 || !slices.Equal(got[n-3:], []int{1000, 1001, 1002}) || slices.Contains(got, max(h.tried, h.acknowledged)) {
		t.Fatalf("%s: got %v of %+v", name, got, h)
	}
}

// An operation fails once: the queue goes on, and repeats rather than loses.
func TestFailureOfEachFileOperation(t *testing.T) {
	planted := errors.New("planted failure")
	for at := 1; ; at++ {
		fs := vfs.NewMem()
		count := 0
		s, err := Open("spool", 1<<20, &Options{SegmentBytes: 400, Logger: quiet, FS: errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if count++; count == at {
				return planted
			}
			return nil
		}))})
		if err != nil {
			if !errors.Is(err, planted) {
				t.Fatal(err)
			}
			continue
		}
		var h history
		if err = h.work(s); err != nil && !errors.Is(err, planted) {
			t.Fatalf("failure of operation %d: %v", at, err)
		}
		ended := err == nil
		h.last = []int{500, 501, 502}
		err = s.Append(texts(500, 503))
		if errors.Is(err, planted) {
			h.last = []int{600, 601, 602}
			err = s.Append(texts(600, 603))
		}
		if err != nil {
			t.Fatalf("after the failure of operation %d: %v", at, err)
		}
		if err := s.Close(); err != nil && !errors.Is(err, planted) {
			t.Fatal(err)
		}
		failed := count >= at
		wantAfterCrash(t, fmt.Sprintf("failure of operation %d", at), fs, h)
		if ended && !failed {
			return
		}
	}
}
