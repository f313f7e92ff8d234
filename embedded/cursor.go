package embedded

import "slices"

// A cursor runs over one posting list, within [low, high): first what the index
// holds, then the lists in memory, or the other way round.
type cursor struct {
	x         *index
	kind      indexKind
	name      string
	dir       direction
	low, high int64
	sealedEnd int64     // from here on, memory holds the list
	memory    [][]int64 // ascending, older list first

	reader *chunkReader
	stage  int     // sealed and each memory list, in the order of dir
	chunk  []int64 // the rest of the chunk at hand, in the order of dir
	failed error
}

// newCursor takes the list as it is now. The cursor must be closed.
func (d *driver) newCursor(kind indexKind, name string, low, high int64, dir direction) *cursor {
	c := &cursor{x: d.index, kind: kind, name: name, dir: dir, low: low, high: high}
	d.mu.RLock()
	c.sealedEnd = d.active.start
	if d.frozen != nil {
		c.sealedEnd = d.frozen.start
		c.memory = append(c.memory, d.frozen.lists(kind)[name])
	}
	c.memory = append(c.memory, d.active.lists(kind)[name])
	d.mu.RUnlock()
	if dir == backward {
		slices.Reverse(c.memory)
	}
	if low < c.sealedEnd {
		c.reader, c.failed = c.x.chunks(kind, name)
	}
	start := low
	if dir == backward {
		start = high - recordAlign
	}
	c.skip(start)
	return c
}

func (c *cursor) at() (int64, bool) {
	if len(c.chunk) == 0 || c.failed != nil {
		return 0, false
	}
	return c.chunk[0], true
}

func (c *cursor) err() error { return c.failed }

func (c *cursor) close() {
	if c.reader != nil {
		if err := c.reader.close(); c.failed == nil {
			c.failed = err
		}
		c.reader = nil
	}
}

func (c *cursor) skip(to int64) {
	for c.failed == nil {
		if n := len(c.chunk); n > 0 && !c.dir.before(c.chunk[n-1], to) {
			i, _ := slices.BinarySearchFunc(c.chunk, to, func(a, to int64) int {
				if c.dir.before(a, to) {
					return -1
				}
				return 1
			})
			c.chunk = c.chunk[i:]
			return
		}
		if !c.load(to) {
			return
		}
	}
	c.chunk = nil
}

// load replaces the chunk by a later one; false behind the last.
func (c *cursor) load(to int64) bool {
	disk, memory := 0, c.stage-1
	if c.dir == backward {
		disk, memory = len(c.memory), c.stage
	}
	c.chunk = nil
	switch {
	case c.stage > len(c.memory):
		return false
	case c.stage != disk:
		c.set(clip(c.memory[memory], c.low, c.high))
		c.stage++
	case c.reader == nil || !c.loadSealed(to):
		c.stage++
	}
	return c.failed == nil
}

// loadSealed moves to the index's next chunk that holds addresses from to on.
func (c *cursor) loadSealed(to int64) bool {
	for {
		next, ok, err := c.reader.advance(to, c.dir, make([]int64, 0, chunkLength))
		if !ok || err != nil {
			c.failed = err
			return false
		}
		c.set(clip(next.addresses, c.low, min(c.high, c.sealedEnd)))
		if len(c.chunk) > 0 {
			return true
		}
		if c.dir != backward && next.first >= c.high || c.dir == backward && next.first < c.low {
			return false
		}
	}
}

func (c *cursor) set(ascending []int64) {
	if c.dir == backward {
		ascending = slices.Clone(ascending)
		slices.Reverse(ascending)
	}
	c.chunk = ascending
}
