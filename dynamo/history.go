package dynamo

import (
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/eb901187/annals"
)

// history is what one place, the log or the events table, says of a stream: its
// next version, a sum over all of its events, and the hash of its last commit.
type history struct {
	next int64
	sum  uint64

	last  int64 // the last commit's first version; 0 where there is none
	hash  annals.Hash
	known bool // hash is that of the last commit

	logged      annals.Hash // of the table: the hash at the end of what the log has
	loggedKnown bool
}

func newHistory() *history { return &history{next: 1, known: true} }

func (h *history) add(e *annals.Event) {
	one := *e
	one.Position = 0
	line := one.AppendJSON(nil, true)
	h.sum = h.sum*31 + xxhash.Sum64(line)
	h.next = e.Version + 1
}

// link takes in a commit and returns what is wrong with the hash that it names,
// empty if nothing is. A commit without one says nothing of those before it, also
// behind commits with one: writers of an earlier version may be at work beside
// later ones. Who takes a hash away changes the commit's own, which the next commit
// and the log have.
func (h *history) link(c *annals.ChainedCommit) (problem string) {
	first := &c.Events[0]
	switch {
	case c.Unchained || !h.known || c.Previous == h.hash:
	case h.last == 0:
		problem = fmt.Sprintf("%s names %s as the hash of the commit before it, and there is none", eventName(first.Stream, first.Version), c.Previous)
	default:
		problem = fmt.Sprintf("%s names %s as the hash of the commit before it, and that of %s is %s: one of the two was changed or moved, or what was between them removed",
			eventName(first.Stream, first.Version), c.Previous, eventName(first.Stream, h.last), h.hash)
	}
	h.last, h.hash, h.known = first.Version, c.Hash(), true
	return problem
}
