package embedded

import "slices"

// indexReserve is what must stay free on the disk beside a new segment, for the
// index to be sealed: this much, and indexBytesPerEvent for each event in memory.
const (
	indexReserve       = 1 << 20
	indexBytesPerEvent = 256
)

type spareSegment struct {
	segment *segment
	err     error
}

// makeRoom sees to it that the active segment takes size more bytes. Where it
// does not, it seals the segment and goes on with the next one, which is made
// ahead behind the scenes once half of the active one is used.
func (d *driver) makeRoom(size int64) error {
	c := &d.commit
	for {
		used := c.end.address - c.active.base
		if used+size <= c.active.room() {
			if used > c.active.size/2 && c.spare == nil && d.spaceFor(nextSegmentSize(d.log, size)) == nil {
				d.makeSpare(size)
			}
			return nil
		}
		next, err := d.nextSegment(size)
		if err != nil {
			return err
		}
		digest, err := next.hashTo(prologueSize)
		if err != nil {
			return err
		}
		if err := c.active.writeFooter(footer{end: used, hash: c.digest.Sum64(), position: c.end.position}); err != nil {
			return d.fail(err)
		}
		if err := c.active.rest(); err != nil {
			return d.fail(err)
		}
		c.active, c.digest = next, digest
		c.end.address = next.base + prologueSize
		d.mu.Lock()
		d.end.address = c.end.address
		d.mu.Unlock()
	}
}

func (d *driver) makeSpare(need int64) {
	base, size := d.log.logEnd(), nextSegmentSize(d.log, need)
	spare := make(chan spareSegment, 1)
	d.commit.spare = spare
	d.background.Go(func() {
		s, err := createSegment(d.fs, d.log.dir, base, size)
		spare <- spareSegment{s, err}
	})
}

// closeSpare closes a segment that was made ahead and not used.
func (c *committer) closeSpare() error {
	if c.spare == nil {
		return nil
	}
	if made := <-c.spare; made.err == nil {
		return made.segment.file.Close()
	}
	return nil
}

// nextSegment returns the empty segment after the active one. One that must be
// made takes size bytes; one that is there may be smaller.
func (d *driver) nextSegment(size int64) (*segment, error) {
	c := &d.commit
	list := d.log.segments()
	if i := slices.Index(list, c.active); i+1 < len(list) {
		return list[i+1], nil
	}
	if c.spare != nil {
		made := <-c.spare
		c.spare = nil
		if made.err == nil {
			d.log.add(made.segment)
			return made.segment, nil
		}
	}
	wanted := nextSegmentSize(d.log, size)
	if err := d.spaceFor(wanted); err != nil {
		return nil, err
	}
	s, err := createSegment(d.fs, d.log.dir, d.log.logEnd(), wanted)
	if err != nil {
		return nil, storeErr(d.dir, "making a segment of the log", err)
	}
	d.log.add(s)
	return s, nil
}
