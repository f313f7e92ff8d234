package embedded

import (
	"fmt"
	"iter"
	"slices"
	"sort"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// segmentLog is the row of segments. Reading is safe at any time up to an end
// that the committer has published; adding a segment is the committer's.
type segmentLog struct {
	fs  vfs.FS
	dir string
	// largest bounds the size of new segments.
	largest int64
	list    atomic.Pointer[[]*segment]
}

// openLog opens every segment in dir and checks that they make a row.
func openLog(fs vfs.FS, dir string, largest int64) (*segmentLog, error) {
	l := &segmentLog{fs: fs, dir: dir, largest: largest}
	l.list.Store(&[]*segment{})
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		base, ok := segmentBase(name)
		if !ok {
			continue
		}
		s, err := openSegment(fs, dir, base)
		if err != nil {
			l.close()
			return nil, err
		}
		l.add(s)
		if want := l.followingBase(s); s.base != want {
			l.close()
			return nil, damaged(s.name, 0, "the segment before it is missing: "+segmentName(want))
		}
		if list := l.segments(); len(list) > 1 {
			if err := list[len(list)-2].rest(); err != nil {
				l.close()
				return nil, storeErr(dir, "closing "+list[len(list)-2].name, err)
			}
		}
	}
	return l, nil
}

func (l *segmentLog) segments() []*segment { return *l.list.Load() }

func (l *segmentLog) add(s *segment) {
	list := append(slices.Clone(l.segments()), s)
	l.list.Store(&list)
}

// followingBase is where s has to start, after the segment before it.
func (l *segmentLog) followingBase(s *segment) int64 {
	list := l.segments()
	i := slices.Index(list, s)
	if i <= 0 {
		return 0
	}
	return list[i-1].base + list[i-1].size
}

// logEnd is where the next segment starts.
func (l *segmentLog) logEnd() int64 {
	list := l.segments()
	if len(list) == 0 {
		return 0
	}
	last := list[len(list)-1]
	return last.base + last.size
}

func (l *segmentLog) find(address int64) (*segment, int, error) {
	list := l.segments()
	i := sort.Search(len(list), func(i int) bool { return list[i].base > address }) - 1
	if i < 0 || address >= list[i].base+list[i].size {
		return nil, 0, fmt.Errorf("no segment of %s holds address %d", l.dir, address)
	}
	return list[i], i, nil
}

// record reads the record at address.
func (l *segmentLog) record(address int64) (header, body, error) {
	s, _, err := l.find(address)
	if err != nil {
		return header{}, body{}, err
	}
	return s.record(address - s.base)
}

// A placed record is a record and its address.
type placed struct {
	address int64
	header
	body
}

// scan yields the records from address to end, which must be where records
// start or end. It checks that positions follow each other, starting with first.
func (l *segmentLog) scan(address, end, first int64) iter.Seq2[placed, error] {
	return func(yield func(placed, error) bool) {
		next := first
		for address < end {
			s, _, err := l.find(address)
			if err != nil {
				yield(placed{}, err)
				return
			}
			offset := max(address-s.base, prologueSize)
			stop := min(end-s.base, s.room())
			for offset < stop {
				h, b, err := s.record(offset)
				if err != nil {
					if s.zeroHeader(offset) {
						break // the rest of the segment is empty
					}
					yield(placed{}, err)
					return
				}
				if h.position != next {
					yield(placed{}, damaged(s.name, offset, fmt.Sprintf("found position %d where %d belongs", h.position, next)))
					return
				}
				if !yield(placed{s.base + offset, h, b}, nil) {
					return
				}
				offset += h.size()
				next++
			}
			if s.base+offset < end && s.base+s.size >= end {
				yield(placed{}, damaged(s.name, offset, fmt.Sprintf("the log ends here, before position %d", next)))
				return
			}
			address = s.base + s.size
		}
	}
}

func (s *segment) zeroHeader(offset int64) bool {
	if offset+headerSize > s.room() {
		return true
	}
	raw, err := s.read(offset, headerSize)
	return err == nil && allZero(raw)
}

func (l *segmentLog) close() error {
	var first error
	for _, s := range l.segments() {
		if err := s.close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}
