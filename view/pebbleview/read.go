package pebbleview

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/eb901187/annals/view"
)

// A document is a key of Pebble: its space, a zero byte and its own key. Neither
// part holds a zero byte, so that spaces stay apart. The value is its position as
// a varint, and its data.

func appendKey(b []byte, space, key string) []byte {
	b = append(append(b, space...), 0)
	return append(b, key...)
}

// decode splits a value; data is a part of it.
func (s *Store) decode(space, key string, value []byte) (position int64, data []byte, err error) {
	p, n := binary.Uvarint(value)
	if n <= 0 || int64(p) < 0 || n == len(value) {
		return 0, nil, damaged(s.dir, "document "+key+" of "+space+" can't be read", nil)
	}
	return int64(p), value[n:], nil
}

// Get implements view.Store.
func (s *Store) Get(ctx context.Context, space string, keys ...string) (map[string]view.Document, error) {
	if err := view.CheckKeys(space, keys); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	documents := make(map[string]view.Document, len(keys))
	err := s.use(func() error {
		i, err := s.db.NewIterWithContext(ctx, nil)
		if err != nil {
			return storeErr(s.dir, "reading", err)
		}
		var name []byte
		// In order, each step begins where the one before it ended.
		for _, key := range slices.Sorted(slices.Values(keys)) {
			name = appendKey(name[:0], space, key)
			if !i.SeekGE(name) || !bytes.Equal(i.Key(), name) {
				continue
			}
			position, data, err := s.decode(space, key, i.Value())
			if err != nil {
				return errors.Join(err, i.Close())
			}
			documents[key] = view.Document{Key: key, Data: slices.Clone(data), Position: position}
		}
		return storeErr(s.dir, "reading", i.Close())
	})
	if err != nil {
		return nil, err
	}
	return documents, nil
}

// look calls found with the value of a key, if there is one, which is valid until
// found returns.
func (s *Store) look(name []byte, found func(value []byte) error) error {
	value, closer, err := s.db.Get(name)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return storeErr(s.dir, "reading", err)
	}
	return errors.Join(found(value), closer.Close())
}

// A scan reads pages, so that nothing is held open between two steps of its
// reader.
const (
	pageDocuments = 512
	pageBytes     = 1 << 20
)

// Scan implements view.Store.
func (s *Store) Scan(ctx context.Context, space string, r view.Range) iter.Seq2[view.Document, error] {
	return func(yield func(view.Document, error) bool) {
		if err := r.Check(space); err != nil {
			yield(view.Document{}, err)
			return
		}
		rest := r
		for {
			page, more, err := s.page(ctx, space, rest)
			for _, d := range page {
				if !yield(d, nil) {
					return
				}
			}
			if err != nil {
				yield(view.Document{}, err)
				return
			}
			if rest.Limit > 0 {
				rest.Limit -= len(page)
				more = more && rest.Limit > 0
			}
			if !more {
				return
			}
			rest.After = page[len(page)-1].Key
		}
	}
}

// page reads the first documents of a range. more says that there may be others.
func (s *Store) page(ctx context.Context, space string, r view.Range) (page []view.Document, more bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	most := pageDocuments
	if r.Limit > 0 {
		most = min(most, r.Limit)
	}
	err = s.use(func() error {
		lower, upper := bounds(space, r)
		i, err := s.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: lower, UpperBound: upper})
		if err != nil {
			return storeErr(s.dir, "reading", err)
		}
		bytes, prefix := 0, len(space)+1
		for ok := i.First(); ok && !more && err == nil; ok = i.Next() {
			d := view.Document{Key: string(i.Key()[prefix:])}
			var data []byte
			if d.Position, data, err = s.decode(space, d.Key, i.Value()); err != nil {
				break
			}
			d.Data = slices.Clone(data)
			page = append(page, d)
			bytes += len(data)
			more = len(page) >= most || bytes >= pageBytes
		}
		return errors.Join(err, storeErr(s.dir, "reading", i.Close()))
	})
	return page, more, err
}

// bounds are the first key of a range and the first behind it.
func bounds(space string, r view.Range) (lower, upper []byte) {
	lower = appendKey(nil, space, r.Prefix)
	upper = slices.Clone(lower)
	upper[len(upper)-1]++ // a zero byte or one of UTF-8, which has no 0xff
	if r.After != "" && r.After >= r.Prefix {
		lower = append(appendKey(lower[:0], space, r.After), 0)
	}
	return lower, upper
}
