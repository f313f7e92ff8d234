package spool

import (
	"errors"
	"io"
	"log/slog"
)

// A Batch is records from the front of a Spool.
type Batch struct {
	// Records are in their order; none if the spool is empty. They must not be
	// changed.
	Records [][]byte

	after int64 // number behind the last
	end   int64 // offset behind it
	from  *segment
}

// Peek returns up to maxRecords of at most maxBytes together from the front, at
// least one if there is one. They stay at the front until Advance.
func (s *Spool) Peek(maxRecords int, maxBytes int64) (Batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Batch{}, s.closedError()
	}
	for len(s.segments) > 0 {
		g := s.segments[0]
		if g.waiting > 0 {
			if err := s.readOn(g); err != nil {
				return Batch{}, s.failed("reading "+g.name, err)
			}
			if batch := s.gather(g, maxRecords, maxBytes); len(batch.Records) > 0 {
				return batch, nil
			}
			s.lose(g.name, g.waiting)
			s.records -= g.waiting
			g.waiting = 0
		}
		if s.active != nil && len(s.segments) == 1 {
			break
		}
		if err := s.drop(); err != nil {
			return Batch{}, s.failed("removing "+g.name, err)
		}
	}
	return Batch{}, nil
}

// gather takes records from g.
func (s *Spool) gather(g *segment, maxRecords int, maxBytes int64) Batch {
	batch, bytes := Batch{from: g}, int64(0)
	for r, ok := next(g.text, g.read-g.base); ok; r, ok = next(g.text, r.end) {
		if r.number < s.front {
			continue
		}
		bytes += int64(len(r.body))
		if n := len(batch.Records); n >= maxRecords || n > 0 && bytes > maxBytes {
			break
		}
		batch.Records = append(batch.Records, r.body)
		batch.after, batch.end = r.number+1, g.base+r.end
	}
	return batch
}

// Advance takes the records of b, the latest that Peek returned, off the front.
// After an error they may come again.
func (s *Spool) Advance(b Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.closedError()
	}
	if len(b.Records) == 0 || b.after <= s.front {
		return nil
	}
	g, n := b.from, int64(len(b.Records))
	s.front = b.after
	s.records -= n
	g.waiting -= n
	g.read = b.end
	if err := s.place.write(s.front); err != nil {
		return s.failed("writing "+placeFile, err)
	}
	if g.waiting > 0 || g != s.segments[0] {
		return nil
	}
	if s.active != nil && len(s.segments) == 1 {
		if g.size < s.opts.SegmentBytes/2 {
			return nil
		}
		err := s.active.Close()
		if s.active = nil; err != nil {
			return s.failed("closing "+g.name, err)
		}
	}
	if err := s.drop(); err != nil {
		return s.failed("removing "+g.name, err)
	}
	return nil
}

// drop removes the first segment, which holds nothing that waits. The place is
// synced before, so that the numbers that go with the file are not missed.
func (s *Spool) drop() error {
	g := s.segments[0]
	if err := s.place.write(s.front); err != nil {
		return err
	}
	if err := s.place.file.SyncData(); err != nil {
		return err
	}
	if err := s.opts.FS.Remove(g.name); err != nil {
		return err
	}
	s.segments = s.segments[1:]
	s.bytes -= g.size
	return nil
}

// readOn reads what g has that was not read yet, and forgets what is done with.
func (s *Spool) readOn(g *segment) error {
	from := g.base + int64(len(g.text))
	if from >= g.valid {
		return nil
	}
	if len(g.text) == 0 {
		from = g.read
	}
	file, err := s.opts.FS.Open(g.name)
	if err != nil {
		return err
	}
	text := make([]byte, g.valid-g.read) // batches that were peeked keep the old one
	if len(g.text) > 0 {
		copy(text, g.text[g.read-g.base:])
	}
	n, err := file.ReadAt(text[from-g.read:], from)
	if err == io.EOF {
		err = nil // the file was cut off: what is missing counts as lost
	}
	g.base, g.text = g.read, text[:from-g.read+int64(n)]
	return errors.Join(err, file.Close())
}

// lose counts n records that damage took.
func (s *Spool) lose(name string, n int64) {
	if n <= 0 {
		return
	}
	s.lost += n
	s.opts.Logger.Error("a spool is damaged: records are lost, the others are read", slog.String("file", name), slog.Int64("records", n))
}

// A tally counts the records of segments as they are loaded, and those that are
// missing.
type tally struct {
	*Spool
	expected int64 // number of the next record
	doubt    int64 // records missing from that batch: lost only if it was synced
}

// add loads a segment.
func (t *tally) add(name string, first int64) error {
	g := &segment{name: name, synced: first}
	if err := t.measure(g); err != nil {
		return err
	}
	if before, whole := parseSegmentHeader(g.text); whole {
		t.synced(name, before)
	}
	t.expected, t.doubt = max(t.expected, first), 0
	g.read = min(segmentHeader, g.size)
	for r, ok := next(g.text, g.read); ok; r, ok = next(g.text, r.end) {
		if r.number < t.expected {
			g.synced = r.number + 1
			continue
		}
		t.synced(name, r.batch)
		t.doubt += r.number - t.expected
		t.expected = r.number + 1
		if g.waiting++; t.doubt == 0 {
			g.synced = t.expected
		}
	}
	g.text, g.base = nil, 0
	t.records += g.waiting
	t.bytes += g.size
	t.segments = append(t.segments, g)
	return nil
}

// synced is told that all records below number had been synced.
func (t *tally) synced(name string, number int64) {
	if number >= t.expected {
		t.lose(name, t.doubt+number-t.expected)
		t.expected = number
		t.doubt = 0
	}
}

// measure reads all of g.
func (t *tally) measure(g *segment) error {
	info, err := t.opts.FS.Stat(g.name)
	if err != nil {
		return err
	}
	g.size = info.Size()
	g.valid = g.size
	return t.readOn(g)
}
