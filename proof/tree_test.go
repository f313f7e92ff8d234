package proof

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/eb901187/annals"
)

// borders are sizes that trees are shaped by.
func borders(n int64) []int64 {
	var all []int64
	for b := int64(1); b <= n; b *= 2 {
		all = append(all, b-1, b, b+1)
	}
	for b := int64(blockSize); b <= n; b += blockSize {
		all = append(all, b-1, b, b+1)
	}
	all = append(all, 0, n)
	all = slices.DeleteFunc(all, func(b int64) bool { return b > n })
	slices.Sort(all)
	return slices.Compact(all)
}

// Roots and proofs are those of tlog over all hashes.
func TestTreeIsThatOfTlog(t *testing.T) {
	l := long(5*blockSize + 700)
	store, plain := l.store(), l.plain(t)
	tree := NewTree(store, nil)
	sizes := borders(5*blockSize + 700)
	for _, size := range sizes {
		want, err := tlog.TreeHash(size, plain)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tree.Root(t.Context(), size)
		if err != nil || got != (Root{size, annals.Hash(want)}) {
			t.Fatalf("root of %d is %v, %v, want %v", size, got, err, annals.Hash(want))
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		size := rapid.OneOf(rapid.SampledFrom(sizes[1:]), rapid.Int64Range(1, 5*blockSize+700)).Draw(r, "size")
		position := rapid.OneOf(rapid.SampledFrom(sizes[1:]), rapid.Int64Range(1, size)).Filter(func(p int64) bool { return p <= size }).Draw(r, "position")
		in, err := tree.Inclusion(t.Context(), position, size)
		if err != nil {
			r.Fatal(err)
		}
		want, err := tlog.ProveRecord(size, position-1, plain)
		if err != nil || !slices.Equal(in.Hashes, fromTree(want)) || in.Event.Position != position {
			r.Fatalf("%d in %d: %v, %v", position, size, in, err)
		}
		out, err := tree.Extension(t.Context(), position, size)
		if err != nil {
			r.Fatal(err)
		}
		longer, err := tlog.ProveTree(size, position, plain)
		if err != nil || !slices.Equal(out.Hashes, fromTree(longer)) {
			r.Fatalf("%d to %d: %v, %v", position, size, out, err)
		}
	})
}

// Proofs of all sizes of a small log hold, from the empty one on.
func TestProofsOfEverySize(t *testing.T) {
	store := shop().store()
	tree := NewTree(store, nil)
	for size := range int64(11) {
		root, err := tree.Root(t.Context(), size)
		if err != nil {
			t.Fatal(err)
		}
		if size == 0 && (root != Empty() || root.String() != "0:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855") {
			t.Fatalf("the root of nothing is %v", root)
		}
		for old := range size + 1 {
			from, err := tree.Root(t.Context(), old)
			if err != nil {
				t.Fatal(err)
			}
			p, err := tree.Extension(t.Context(), old, size)
			if err != nil || p.Check(from, root) != nil {
				t.Fatalf("%d to %d: %v, %v", old, size, err, p.Check(from, root))
			}
			if old == 0 {
				continue
			}
			p, err = tree.Inclusion(t.Context(), old, size)
			if err != nil || p.Check(root) != nil {
				t.Fatalf("%d in %d: %v, %v", old, size, err, p.Check(root))
			}
		}
	}
}

// A Tree follows a log that grows, and reads each whole block once.
func TestTreeGrows(t *testing.T) {
	l := long(3*blockSize + 10)
	whole := l.commits
	tree := NewTree(l.store(), nil)
	for n := 100; n <= len(whole); n += 100 {
		l.commits = whole[:n]
		size := lastOf(whole[n-1]).Position
		got, err := tree.Latest(t.Context())
		if want := rootOf(t, l.store()); err != nil || got != want || got.Size != size {
			t.Fatalf("%d: %v, %v, want %v", size, got, err, want)
		}
	}
	l.commits = whole
	if _, err := tree.Latest(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.reads.Store(0)
	if _, err := tree.Inclusion(t.Context(), 1500, 3*blockSize+10); err != nil || l.reads.Load() > 2*(blockSize+annals.MaxCommitEvents) {
		t.Fatalf("one proof reads %d events, %v", l.reads.Load(), err)
	}
}

func TestTreeAtOnce(t *testing.T) {
	l := long(4 * blockSize)
	store := l.store()
	want := rootOf(t, store)
	tree := NewTree(store, nil)
	var all sync.WaitGroup
	for i := range int64(8) {
		all.Go(func() {
			p, err := tree.Inclusion(t.Context(), 1+i*500, 4*blockSize)
			if err != nil || p.Check(want) != nil {
				t.Errorf("%d: %v, %v", i, err, p.Check(want))
			}
		})
	}
	all.Wait()
}

// A read that is cut off is gone on with.
func TestTreeGoesOnAfterAnInterrupt(t *testing.T) {
	l := long(4 * blockSize)
	ctx, cancel := context.WithCancel(t.Context())
	tree := NewTree(l.store(), &TreeOptions{Progress: func(n int64) {
		if n == 2*blockSize {
			cancel()
		}
	}})
	if _, err := tree.Latest(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	l.reads.Store(0)
	got, err := tree.Latest(t.Context())
	if err != nil || l.reads.Load() > 2*blockSize+10 {
		t.Fatalf("%d events were read again, %v", l.reads.Load(), err)
	}
	if want := rootOf(t, l.store()); got != want {
		t.Fatalf("%v, want %v", got, want)
	}
}

func TestTreeRefuses(t *testing.T) {
	l := shop()
	tree := NewTree(l.store(), nil)
	for what, c := range map[string]struct {
		do   func() error
		want annals.Code
	}{
		"a size past the end":   {func() error { _, err := tree.Root(t.Context(), 11); return err }, annals.CodeNotFound},
		"a negative size":       {func() error { _, err := tree.Root(t.Context(), -1); return err }, annals.CodeInvalid},
		"position 0":            {func() error { _, err := tree.Inclusion(t.Context(), 0, 10); return err }, annals.CodeNotFound},
		"a position behind":     {func() error { _, err := tree.Inclusion(t.Context(), 8, 7); return err }, annals.CodeNotFound},
		"a shrinking extension": {func() error { _, err := tree.Extension(t.Context(), 8, 7); return err }, annals.CodeInvalid},
		"a store without hashes": {func() error {
			_, err := NewTree(annals.New(struct{ annals.Driver }{l}, nil), nil).Latest(t.Context())
			return err
		}, annals.CodeUsage},
	} {
		if err := c.do(); annals.CodeOf(err) != c.want {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// What changes while a Tree lives is noticed by the next proof that reads it.
func TestTreeNoticesChanges(t *testing.T) {
	for what, c := range map[string]struct {
		change func(l *ledger)
		want   string
	}{
		"a changed event": {func(l *ledger) { l.commits[1].Events[0].Type = "other" }, "positions 1 to 1024 are not those that were read there before"},
		"a removed one":   {func(l *ledger) { l.commits = slices.Delete(l.commits, 1, 2) }, "where position 2 is to be"},
	} {
		l := long(2 * blockSize)
		tree := NewTree(l.store(), nil)
		if _, err := tree.Latest(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.change(l)
		if _, err := tree.Inclusion(t.Context(), 700, 2*blockSize); !errors.Is(err, annals.ErrDamaged) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
