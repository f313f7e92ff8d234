package proof

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/eb901187/annals"
)

// ledger is a log in memory whose commits tests change as no driver lets them.
type ledger struct {
	annals.Driver
	commits []annals.ChainedCommit
	broken  error        // that reading ends in
	reads   atomic.Int64 // events that were read
}

func (l *ledger) End(context.Context, int64) (int64, error) {
	if len(l.commits) == 0 {
		return 0, nil
	}
	return lastOf(l.commits[len(l.commits)-1]).Position, nil
}

func (l *ledger) Chain(ctx context.Context, after, until int64) iter.Seq2[annals.ChainedCommit, error] {
	return func(yield func(annals.ChainedCommit, error) bool) {
		for _, c := range l.commits {
			if p := lastOf(c).Position; p <= after || p > until {
				continue
			}
			if err := ctx.Err(); err != nil {
				yield(annals.ChainedCommit{}, err)
				return
			}
			l.reads.Add(int64(len(c.Events)))
			if !yield(c, nil) {
				return
			}
		}
		if l.broken != nil {
			yield(annals.ChainedCommit{}, l.broken)
		}
	}
}

func lastOf(c annals.ChainedCommit) annals.Event { return c.Events[len(c.Events)-1] }

// append appends a commit of n events as a driver does.
func (l *ledger) append(stream string, n int) {
	var c annals.ChainedCommit
	version, position := int64(0), int64(0)
	if len(l.commits) > 0 {
		position = lastOf(l.commits[len(l.commits)-1]).Position
	}
	for _, earlier := range slices.Backward(l.commits) {
		if earlier.Events[0].Stream == stream {
			c.Previous, version = earlier.Hash(), lastOf(earlier).Version
			break
		}
	}
	for i := range int64(n) {
		c.Events = append(c.Events, annals.Event{
			ID: fmt.Sprint(position + i + 1), Type: "T", Source: "test", Time: time.Unix(1600000000, position).UTC(),
			Data: fmt.Appendf(nil, "{\"n\": %d}", position+i+1), Stream: stream, Version: version + i + 1, Position: position + i + 1,
		})
	}
	l.commits = append(l.commits, c)
}

// renumber makes positions and versions follow the order of the commits again, and with
// chained the hashes too.
func (l *ledger) renumber(chained bool) {
	heads := map[string]annals.ChainedCommit{}
	position := int64(0)
	for i := range l.commits {
		c := &l.commits[i]
		before, known := heads[c.Events[0].Stream]
		version := int64(0)
		if known {
			version = lastOf(before).Version
		}
		for j := range c.Events {
			position, version = position+1, version+1
			c.Events[j].Position, c.Events[j].Version = position, version
		}
		if chained {
			c.Previous = annals.Hash{}
			if known {
				c.Previous = before.Hash()
			}
		}
		heads[c.Events[0].Stream] = *c
	}
}

func (l *ledger) store() *annals.Store { return annals.New(l, nil) }

// shop is a log of ten events: order-1 has 1, 3, 4 and 8, order-2 has 2, 7 and 10, and
// order-3 has 5, 6 and 9. 3 and 4 are one commit, and so are 5 and 6.
func shop() *ledger {
	l := &ledger{}
	for _, c := range []struct {
		order, n int
	}{{1, 1}, {2, 1}, {1, 2}, {3, 2}, {2, 1}, {1, 1}, {3, 1}, {2, 1}} {
		l.append(fmt.Sprintf("order-%d", c.order), c.n)
	}
	return l
}

// long is a log of n events of three streams, in commits of 1 to 7.
func long(n int64) *ledger {
	l := &ledger{}
	heads := [3]annals.ChainedCommit{}
	for position, i := int64(0), 0; position < n; i++ {
		c := annals.ChainedCommit{}
		head := &heads[i%3]
		version := int64(0)
		if head.Events != nil {
			c.Previous, version = head.Hash(), lastOf(*head).Version
		}
		for range min(int64(1+i*i%7), n-position) {
			position++
			version++
			c.Events = append(c.Events, annals.Event{
				ID: fmt.Sprint(position), Type: "T", Source: "test", Time: time.Unix(1600000000, 0), Stream: fmt.Sprintf("s%d", i%3), Version: version, Position: position,
			})
		}
		*head = c
		l.commits = append(l.commits, c)
	}
	return l
}

// plain are all hashes of the tree of a log, as tlog stores them, whose leaves are made
// as the documentation of the package says.
func (l *ledger) plain(t testing.TB) tlog.HashReaderFunc {
	t.Helper()
	var all []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (hashes []tlog.Hash, err error) {
		for _, i := range indexes {
			hashes = append(hashes, all[i])
		}
		return hashes, nil
	})
	n := int64(0)
	for _, c := range l.commits {
		for i, e := range c.Events {
			record := []byte("annals leaf 1\n")
			for _, number := range []int64{e.Position, e.Version, int64(i)} {
				for shift := 56; shift >= 0; shift -= 8 {
					record = append(record, byte(number>>shift))
				}
			}
			commit, digest := c.Hash(), annals.Digest(e.Stream, []annals.Event{e})
			record = append(append(record, commit[:]...), digest[:]...)
			hashes, err := tlog.StoredHashes(n, record, reader)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, hashes...)
			n++
		}
	}
	return reader
}

// rootOf is the root of the whole log.
func rootOf(t testing.TB, store *annals.Store) Root {
	t.Helper()
	r, err := NewTree(store, nil).Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}
