package embedded

import (
	"errors"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"github.com/eb901187/annals"
)

// use runs f unless the index is closed, and keeps it from being closed
// meanwhile. Pebble panics when it is used after it was closed.
func (x *index) use(f func() error) error {
	x.using.RLock()
	defer x.using.RUnlock()
	if x.closed {
		return annals.ErrClosed
	}
	return f()
}

// close closes the index under its readers: they get ErrClosed.
func (x *index) close() error {
	x.using.Lock()
	defer x.using.Unlock()
	if x.closed {
		return nil
	}
	x.closed = true
	var err error
	for r := range x.readers {
		err = errors.Join(err, r.it.Close())
	}
	return errors.Join(err, x.db.Close())
}

// A chunkReader runs over the chunks of one list on disk, or over the versions of
// streams: see heads.
type chunkReader struct {
	x       *index
	it      *pebble.Iterator
	kind    indexKind
	name    string
	started bool // nextHead was called
}

type chunk struct {
	first     int64 // what the chunk's key says
	addresses []int64
}

// chunks opens a list for reading; the reader must be closed.
func (x *index) chunks(kind indexKind, name string) (*chunkReader, error) {
	lower := chunkKey(kind, name, 0)
	lower = lower[:len(lower)-8]
	upper := append([]byte(nil), lower...)
	upper[len(upper)-1]++
	return x.reader(kind, name, lower, upper)
}

func (x *index) reader(kind indexKind, name string, lower, upper []byte) (*chunkReader, error) {
	r := &chunkReader{x: x, kind: kind, name: name}
	return r, x.use(func() (err error) {
		if r.it, err = x.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper}); err != nil {
			return x.err(err)
		}
		x.readersMu.Lock()
		x.readers[r] = struct{}{}
		x.readersMu.Unlock()
		return nil
	})
}

func (r *chunkReader) close() error {
	err := r.x.use(func() error {
		r.x.readersMu.Lock()
		delete(r.x.readers, r)
		r.x.readersMu.Unlock()
		return r.x.err(r.it.Close())
	})
	if errors.Is(err, annals.ErrClosed) {
		return nil // the index has closed it
	}
	return err
}

// advance moves to the next chunk that may hold the number to: at first the one
// that starts at or before it, or the first behind. It appends the chunk's
// addresses to into. ok is false behind the last.
func (r *chunkReader) advance(to int64, dir direction, into []int64) (c chunk, ok bool, err error) {
	return c, ok, r.x.use(func() error {
		seek := chunkKey(r.kind, r.name, min(to, math.MaxInt64-1)+1)
		switch {
		// From the start of a list that is numbered; after SeekLT, Pebble would seek again
		// to turn round.
		case !r.it.Valid() && dir != backward && to <= 1:
			r.it.First()
		case !r.it.Valid():
			if !r.it.SeekLT(seek) && dir != backward {
				r.it.First()
			}
		// Chunks are short: the next one is tried before seeking.
		case dir == backward:
			if r.it.Prev() && keyOrdinal(r.it.Key()) > to {
				r.it.SeekLT(seek)
			}
		default:
			if r.it.Next() && keyOrdinal(r.it.Key()) <= to {
				r.it.SeekLT(seek)
			}
		}
		if !r.it.Valid() {
			return r.x.err(r.it.Error())
		}
		c.first = keyOrdinal(r.it.Key())
		if c.addresses, ok = parseChunk(into, r.it.Value()); !ok {
			return damagedIndex(r.x.dir, "a list of "+r.name+" is damaged", nil)
		}
		return nil
	})
}
