package proof

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/eb901187/annals"
)

// A leaf is one event as the tree holds it.
type leaf struct {
	event  *annals.Event
	index  int // in its commit
	commit annals.Hash
	hash   tlog.Hash
}

func leafHash(e *annals.Event, index int, commit, digest annals.Hash) tlog.Hash {
	const tag = "annals leaf 1\n"
	b := make([]byte, 0, len(tag)+3*8+len(commit)+len(digest))
	b = append(b, tag...)
	for _, n := range [...]int64{e.Position, e.Version, int64(index)} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	b = append(b, commit[:]...)
	b = append(b, digest[:]...)
	return tlog.RecordHash(b)
}

// leaves yields those of a commit.
func leaves(c *annals.ChainedCommit) iter.Seq[leaf] {
	return func(yield func(leaf) bool) {
		first := &c.Events[0]
		digest := annals.Digest(first.Stream, c.Events)
		commit := annals.Link(c.Previous, first.Version, len(c.Events), digest)
		for i := range c.Events {
			e := &c.Events[i]
			if len(c.Events) > 1 {
				digest = annals.Digest(e.Stream, c.Events[i:i+1])
			}
			if !yield(leaf{e, i, commit, leafHash(e, i, commit, digest)}) {
				return
			}
		}
	}
}

// readLeaves yields the leaves with after < position ≤ until, all of them: a log that
// has a gap there, or ends before, is an error of CodeDamaged.
func readLeaves(ctx context.Context, store *annals.Store, after, until int64) iter.Seq2[leaf, error] {
	return func(yield func(leaf, error) bool) {
		if after >= until {
			return
		}
		end, err := store.End(ctx)
		if err != nil {
			yield(leaf{}, err)
			return
		}
		next := after + 1
		// A commit that begins up to until may end behind it.
		for c, err := range store.Chain(ctx, after, min(end, until+annals.MaxCommitEvents-1)) {
			if err != nil {
				yield(leaf{}, err)
				return
			}
			for l := range leaves(&c) {
				switch {
				case l.event.Position <= after:
					continue
				case l.event.Position > until:
					return
				case l.event.Position != next:
					yield(leaf{}, gap(l.event, next))
					return
				}
				if next++; !yield(l, nil) {
					return
				}
			}
		}
		if next <= until {
			yield(leaf{}, &annals.Error{Code: annals.CodeDamaged, Message: fmt.Sprintf("the log ends before position %d, and had events up to %d", next, until), Hint: verifyHint})
		}
	}
}

const verifyHint = "annals verify --root with a root that was kept names what is not as it was"

func gap(e *annals.Event, expected int64) error {
	return &annals.Error{
		Code: annals.CodeDamaged, Hint: verifyHint,
		Message: fmt.Sprintf("the log holds %s@%d at position %d where position %d is to be", e.Stream, e.Version, e.Position, expected),
	}
}
