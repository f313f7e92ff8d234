package embedded

import (
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// logEnd says where the log ends.
type logEnd struct {
	address  int64 // behind the last whole commit
	position int64 // of the last event
}

// recovered is a log made ready for appending.
type recovered struct {
	logEnd
	active *segment       // the segment that takes the next records
	digest *xxhash.Digest // of the active segment up to the end
}

// recoverLog finds the end of the log, after a crash too, and clears what a
// torn write left behind it. Sealed segments are compared with their hashes,
// newest first, up to hashBudget bytes; older ones are checked whenever they are
// read, and by Verify.
func recoverLog(l *segmentLog, format int, hashBudget int64) (*recovered, error) {
	list := l.segments()
	active := -1
	for i, s := range list {
		if s.footer == nil {
			active = i
			break
		}
	}
	if active < 0 {
		// A log ends with a segment that is not sealed: each is made before the footer
		// of the one before it is written.
		if len(list) > 0 || format >= firstSegmentFirst {
			return nil, damaged(l.fs.PathJoin(l.dir, segmentName(l.logEnd())), 0, "the newest segment of the log is missing")
		}
		s, err := createSegment(l.fs, l.dir, l.logEnd(), nextSegmentSize(l, 0))
		if err != nil {
			return nil, err
		}
		l.add(s)
		list, active = l.segments(), len(list)
	}
	for i := active - 1; i >= 0 && hashBudget > 0; i-- {
		if err := list[i].checkHash(); err != nil {
			return nil, err
		}
		hashBudget -= list[i].footer.end
	}
	for _, s := range list[active+1:] {
		// Only the next segment may exist already, and only empty.
		if s.footer != nil || !s.zeroHeader(prologueSize) {
			return nil, damaged(list[active].name, list[active].room(), "the segment has no footer, but the next one holds records")
		}
	}
	s := list[active]
	position := int64(0)
	if active > 0 {
		position = list[active-1].footer.position
	}
	tail, err := s.findEnd(position)
	if err != nil {
		return nil, err
	}
	if err := s.clear(tail.end); err != nil {
		return nil, err
	}
	digest, err := s.hashTo(tail.end)
	if err != nil {
		return nil, err
	}
	return &recovered{logEnd{s.base + tail.end, tail.position}, s, digest}, nil
}

type segmentEnd struct {
	end      int64 // offset behind the last whole commit
	position int64 // of the last event
}

// findEnd reads the records of an unsealed segment whose first position comes
// after position. What stops the reading is the end of the log, or a write that
// a crash has torn, or damage; only damage is an error.
func (s *segment) findEnd(position int64) (segmentEnd, error) {
	whole := segmentEnd{prologueSize, position}
	offset := int64(prologueSize)
	index, count := 0, 0 // of the commit that is being read
	for offset+headerSize <= s.room() {
		h, _, err := s.record(offset)
		if err != nil {
			damage := s.damageAt(offset, err)
			if damage == nil {
				break
			}
			// Beside a writer the record may have been written between the two looks: what
			// stands behind it, and made this look like damage, was written later.
			if h, _, err = s.record(offset); err != nil {
				return whole, damage
			}
		}
		if h.position != position+1 || h.index != index || (index > 0 && h.count != count) {
			return whole, damaged(s.name, offset, fmt.Sprintf("found event %d of %d at position %d where position %d belongs", h.index+1, h.count, h.position, position+1))
		}
		offset += h.size()
		position++
		if index, count = index+1, h.count; h.lastOfItsCommit {
			whole, index = segmentEnd{offset, position}, 0
		}
	}
	return whole, nil
}

// damageAt decides what an unreadable record at offset is: nil for the end of
// the log or a write torn by a crash, else the damage.
//
// A crash can only tear the newest batch, and what it tears off are whole
// sectors, which still hold the zeros that the segment was made of. So it is
// damage if a later record says that this place was synced before it was
// written, or if no sector of the record is missing: none but those that held
// only zeros from the start.
func (s *segment) damageAt(offset int64, cause error) error {
	rest, err := s.read(offset, s.room()-offset)
	if err != nil {
		return err
	}
	for at := recordAlign; at+headerSize <= len(rest); at += recordAlign {
		if headerLength(rest[at:]) == 0 {
			continue
		}
		// No batch starts behind its own records: what says so is data that looks like one.
		if h, ok := parseHeader(rest[at:]); ok && h.batch > s.base+offset && h.batch <= s.base+offset+int64(at) {
			return cause
		}
	}
	length, zeros := max(headerLength(rest), headerSize), 0
	if h, ok := parseHeader(rest); ok {
		length, zeros = length+int(h.bodyLen), h.zeroSectors
	}
	if zeroSectors(rest[:min(length, len(rest))], offset, 0) > zeros {
		return nil
	}
	return cause
}

// clear overwrites what stands between the end of the records and the footer
// with zeros, so that nothing of a torn write can follow new records.
func (s *segment) clear(end int64) error {
	rest, err := s.read(end, s.room()-end)
	if err != nil {
		return err
	}
	last := len(rest)
	for last > 0 && rest[last-1] == 0 {
		last--
	}
	if last == 0 {
		return nil
	}
	if _, err := s.file.WriteAt(make([]byte, last), end); err != nil {
		return fmt.Errorf("clearing a torn write in %s at byte %d: %w", s.name, end, err)
	}
	return s.file.SyncData()
}

// nextSegmentSize doubles the log up to the largest segment, so that small
// stores stay small, and holds at least need bytes of records.
func nextSegmentSize(l *segmentLog, need int64) int64 {
	size := min(max(l.logEnd(), minSegmentSize), l.largest)
	for size < need+prologueSize+footerSize {
		size *= 2
	}
	return size
}
