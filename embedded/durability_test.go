package embedded

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

var everyStep = flag.Bool("every", false, "durability: every file operation, call, 4 KB and bit, not some of them")

// some is how far apart the steps are that a short run takes: one of so many.
func some(one int64) int64 {
	if *everyStep {
		return 1
	}
	return one
}

// durable are the options of the durability tests: segments and tails so small that a
// short workload fills many of both.
func durable(fs vfs.FS) Options {
	store := &annals.Options{Pause: func(context.Context, int) {}}
	return Options{FS: fs, Logger: quiet(), Store: store, sealEvery: 16, maxSegment: 8 << 10}
}

// workload is what the durability tests append, in order: commits of one to five
// events, in four streams, some of them at once, and some of more bytes than a sector.
func workload() (steps [][]annals.Append) {
	n := 0
	for i := range 30 {
		step := []annals.Append{}
		for range []int{1, 1, 3, 1, 6}[i%5] {
			a := annals.Append{Stream: fmt.Sprint("stream-", n%4), Expected: annals.Any}
			for k := range 1 + n%5 {
				e := storetest.Event(fmt.Sprint(n, "-", k), fmt.Sprint("type-", k), fmt.Sprintf(`"%0*d"`, 1+n*41%700, n))
				e.Time, e.Source, e.Correlation = storetest.Epoch, "durability", fmt.Sprint("request-", n/3)
				a.Events = append(a.Events, e)
			}
			step = append(step, a)
			n++
		}
		steps = append(steps, step)
	}
	return steps
}

func allAppends(steps [][]annals.Append) []annals.Append { return slices.Concat(steps...) }

// appendWorkload appends the steps from the commit numbered from on, and tells of each
// acknowledged commit. It ends at the first error.
func appendWorkload(ctx context.Context, s *annals.Store, steps [][]annals.Append, from int, acknowledged func(int, annals.Commit)) error {
	n := 0
	for _, step := range steps {
		first := n
		n += len(step)
		step = step[min(max(from-first, 0), len(step)):]
		first = n - len(step)
		if len(step) == 0 {
			continue
		}
		commits, err := s.AppendAll(ctx, step)
		for i, c := range commits {
			acknowledged(first+i, c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// wantBeginning wants the store to hold a beginning of the workload, commit by commit,
// each whole and chained to the one before it in its stream, and at least so many of
// them. It returns how many there are.
func wantBeginning(s *annals.Store, want []annals.Append, atLeast int) (n int, err error) {
	heads := map[string]annals.Hash{}
	position := int64(0)
	for c, err := range s.Chain(context.Background(), 0, 0) {
		if err != nil {
			return n, err
		}
		if n == len(want) || len(c.Events) != len(want[n].Events) || c.Events[0].Stream != want[n].Stream {
			return n, fmt.Errorf("commit %d has %d events from %s@%d on", n, len(c.Events), c.Events[0].Stream, c.Events[0].Version)
		}
		for k, e := range c.Events {
			if position++; e.Position != position || e.ID != want[n].Events[k].ID {
				return n, fmt.Errorf("event %d of commit %d is %s at position %d", k, n, e.ID, e.Position)
			}
		}
		if c.Previous != heads[want[n].Stream] || annals.Digest(want[n].Stream, c.Events) != annals.Digest(want[n].Stream, want[n].Events) {
			return n, fmt.Errorf("commit %d of %s is not what was appended, or names %s before it", n, want[n].Stream, c.Previous)
		}
		heads[want[n].Stream] = c.Hash()
		n++
	}
	if n < atLeast {
		return n, fmt.Errorf("%d commits were acknowledged, %d are there", atLeast, n)
	}
	return n, nil
}

// survives opens what is left of the store in dir, and wants all acknowledged commits in it,
// nothing else but a beginning of the workload, that the rest can be appended, and that
// Verify then finds nothing.
func survives(dir string, opts Options, acknowledged int) error {
	steps := workload()
	want := allAppends(steps)
	s, err := Open(dir, &opts)
	if err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	n, err := wantBeginning(s, want, acknowledged)
	for i := range want[:n] {
		if err == nil && (i == 0 || i == n-1) {
			var c annals.Commit
			if c, err = s.Append(context.Background(), want[i].Stream, annals.Any, want[i].Events...); err == nil && !c.Replayed {
				err = fmt.Errorf("commit %d was stored twice: %+v", i, c)
			}
		}
	}
	if err == nil {
		err = appendWorkload(context.Background(), s, steps, n, func(int, annals.Commit) {})
	}
	if err == nil {
		_, err = wantBeginning(s, want, len(want))
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	r, err := Verify(dir, &opts)
	if err != nil || len(r.Problems) > 0 {
		return fmt.Errorf("verify: %w, %q", err, r.Problems)
	}
	return nil
}

// The workload covers what it is for: many segments, sealed tails, several sectors.
func TestDurabilityWorkloadFillsSegmentsAndTails(t *testing.T) {
	opts := durable(vfs.NewMem())
	d := testDriver(t, "store", opts).(*driver)
	s := annals.New(d, nil)
	if err := appendWorkload(t.Context(), s, workload(), 0, func(int, annals.Commit) {}); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	if segments, runs := len(d.log.segments()), len(*d.index.runs.Load()); segments < 5 || runs < 5 {
		t.Fatalf("%d segments, %d sealed tails", segments, runs)
	}
	if err := survives("store", opts, len(allAppends(workload()))); err != nil {
		t.Fatal(err)
	}
}
