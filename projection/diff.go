package projection

import (
	"bytes"
	"context"
	"iter"

	"github.com/eb901187/annals/view"
)

// A Difference is a document that two generations don't agree about.
type Difference struct {
	Key string
	// A and B are the document in each generation; nil where it has none.
	A, B []byte
}

// A Comparison is two generations set against one another.
type Comparison struct {
	A, B      Snapshot
	Same      int // documents that are equal
	Different int // documents that differ
	// Newer is how many documents were left out because one generation has folded
	// events into them that the other has not reached.
	Newer int
	// Next is the key behind which the documents are that were not compared; empty
	// where none were left.
	Next string
}

// Diff compares generations a and b document by document, in the order of keys,
// and yields what differs; c is complete once the sequence has ended. Where one
// generation is ahead, what it changed since is left out and counted, but for
// documents that it deleted.
func (s *Set) Diff(ctx context.Context, name string, a, b int) (differences iter.Seq2[Difference, error], c *Comparison, err error) {
	return s.DiffRange(ctx, name, a, b, view.Range{})
}

// DiffRange is Diff of the documents in r. It compares no more than r.Limit keys, if
// that is not 0, and reads about as many documents of each generation; c.Next says
// where to go on.
func (s *Set) DiffRange(ctx context.Context, name string, a, b int, r view.Range) (differences iter.Seq2[Difference, error], c *Comparison, err error) {
	c = new(Comparison)
	spaceA, atA, err := s.reading(ctx, name, &ReadOptions{Generation: a})
	if err != nil {
		return nil, c, err
	}
	spaceB, atB, err := s.reading(ctx, name, &ReadOptions{Generation: b})
	if err != nil {
		return nil, c, err
	}
	c.A, c.B = atA, atB
	both := min(atA.Position, atB.Position)
	return func(yield func(Difference, error) bool) {
		compared, last := 0, ""
		read := r
		if r.Limit > 0 {
			read.Limit = r.Limit + 1
		}
		for pair, err := range s.pairs(ctx, spaceA, spaceB, read) {
			if err == nil {
				if compared == r.Limit && r.Limit > 0 {
					c.Next = last
					return
				}
				compared, last = compared+1, pair.Key
			}
			switch {
			case err != nil:
				yield(Difference{}, err)
				return
			case pair.position > both:
				c.Newer++
			case bytes.Equal(pair.A, pair.B):
				c.Same++
			default:
				if c.Different++; !yield(pair.Difference, nil) {
					return
				}
			}
		}
	}, c, nil
}

type pair struct {
	Difference
	position int64 // of the last event in either document
}

// pairs walks two spaces at once and yields every key in r that one of them has. With
// a limit in r it is complete for the first so many keys only.
func (s *Set) pairs(ctx context.Context, spaceA, spaceB string, r view.Range) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		nextA, stopA := iter.Pull2(s.views.Scan(ctx, spaceA, r))
		defer stopA()
		nextB, stopB := iter.Pull2(s.views.Scan(ctx, spaceB, r))
		defer stopB()
		a, errA, okA := nextA()
		b, errB, okB := nextB()
		for okA || okB {
			if err := firstOf(errA, errB); err != nil {
				yield(pair{}, err)
				return
			}
			var p pair
			takeA := okA && (!okB || a.Key <= b.Key)
			takeB := okB && (!okA || b.Key <= a.Key)
			if takeA {
				p.Key, p.A, p.position = a.Key, a.Data, a.Position
			}
			if takeB {
				p.Key, p.B, p.position = b.Key, b.Data, max(p.position, b.Position)
			}
			if !yield(p, nil) {
				return
			}
			if takeA {
				a, errA, okA = nextA()
			}
			if takeB {
				b, errB, okB = nextB()
			}
		}
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
