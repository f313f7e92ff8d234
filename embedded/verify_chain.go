package embedded

import (
	"fmt"

	"github.com/eb901187/annals"
)

// chainCheck follows the chain of hashes of each stream through the log.
type chainCheck struct {
	heads   map[string]head // of each stream, where known
	gaps    bool            // records were missing: what is before a stream may be unknown
	hashed  bool            // a commit with a hash was seen
	commit  annals.ChainedCommit
	ignored bool // the commit at hand did not begin, or has a gap
}

// gap says that records are missing here, so that no stream's head is known any more.
func (c *chainCheck) gap() {
	clear(c.heads)
	c.gaps, c.commit.Events, c.ignored = true, nil, true
}

// add takes the next record and says what is wrong with the chain at it.
func (c *chainCheck) add(stream string, h *header, b *body) (problem string) {
	if h.index == 0 {
		c.commit, c.ignored = chainedCommit(h), false
		problem = c.follows(h, stream)
	}
	c.commit.Events = append(c.commit.Events, b.event(h))
	if h.lastOfItsCommit && !c.ignored && len(c.commit.Events) == h.count {
		c.heads[stream] = head{h.version, c.commit.Hash()}
	}
	return problem
}

// follows compares what the first event of a commit names with what is before it.
func (c *chainCheck) follows(h *header, stream string) (problem string) {
	at := fmt.Sprintf("the commit of %s@%d at position %d", stream, h.version, h.position)
	if c.commit.Unchained {
		if c.hashed {
			return at + " has no hash of the commit before it, though commits before it have one"
		}
		return ""
	}
	c.hashed = true
	before, known := c.heads[stream]
	switch {
	case before.hash == c.commit.Previous, !known && c.gaps:
		return ""
	case !known:
		return fmt.Sprintf("%s names a commit before it, with the hash %s, and the log has none: it was removed", at, c.commit.Previous)
	case c.commit.Previous == annals.Hash{}:
		return fmt.Sprintf("%s says that it is its stream's first, but version %d is before it", at, before.version)
	}
	return fmt.Sprintf("%s follows a commit with the hash %s, but the one that ends at version %d has %s: one was changed, removed, or put elsewhere",
		at, c.commit.Previous, before.version, before.hash)
}
