package pebbleview

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// maxChange bounds the memory that one change takes.
const maxChange = 10_000

// MaxChange implements view.Store.
func (s *Store) MaxChange() int { return maxChange }

// Commit implements view.Store. It can't be interrupted once it has begun.
func (s *Store) Commit(ctx context.Context, c view.Change) error {
	if err := c.Check(); err != nil {
		return err
	}
	if err := c.CheckSize(maxChange); err != nil {
		return err
	}
	if c.Work != nil {
		return annals.Invalid("change", "has work for a database of SQL, and these views are in a directory")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.use(func() error {
		batch := s.db.NewBatch()
		if err := write(batch, &c); err != nil {
			return errors.Join(storeErr(s.dir, "writing", err), batch.Close())
		}
		return errors.Join(s.apply(batch, &c), batch.Close())
	})
}

// write fills a batch with the puts and deletes of a change.
func write(batch *pebble.Batch, c *view.Change) error {
	var position [binary.MaxVarintLen64]byte
	for i := range c.Put {
		p := &c.Put[i]
		n := binary.PutUvarint(position[:], uint64(p.Position))
		op := batch.SetDeferred(len(p.Space)+1+len(p.Key), n+len(p.Data))
		appendKey(op.Key[:0], p.Space, p.Key)
		copy(op.Value[copy(op.Value, position[:n]):], p.Data)
		if err := op.Finish(); err != nil {
			return err
		}
	}
	for _, k := range c.Delete {
		op := batch.DeleteDeferred(len(k.Space) + 1 + len(k.Key))
		appendKey(op.Key[:0], k.Space, k.Key)
		if err := op.Finish(); err != nil {
			return err
		}
	}
	return nil
}

// apply makes a batch true if the change's expectations hold. While one waits for
// its sync, others are made behind it: what they find is in the log before them.
func (s *Store) apply(batch *pebble.Batch, c *view.Change) error {
	if err := s.make(batch, c); err != nil || batch.Empty() {
		return err
	}
	var err error
	if c.Durable {
		err = batch.SyncWait()
	}
	if failed := s.disk.failure(); failed != nil {
		err = failed
	}
	if err != nil {
		return &annals.Error{
			Code: annals.CodeUnknownOutcome, Err: err, Message: "the disk failed while views in " + s.dir + " were changed",
			Hint: "see to the disk, open the views again and read what is there",
		}
	}
	return nil
}

func (s *Store) make(batch *pebble.Batch, c *view.Change) error {
	s.committing.Lock()
	defer s.committing.Unlock()
	var name []byte
	for i := range c.Expect {
		e := &c.Expect[i]
		name = appendKey(name[:0], e.Space, e.Key.Key)
		if err := s.holds(name, e); err != nil {
			return err
		}
	}
	if len(c.Put) > 0 {
		if err := s.makeRoom(int64(batch.Len())); err != nil {
			return err
		}
	}
	switch {
	case batch.Empty():
		return nil
	case c.Durable:
		return storeErr(s.dir, "writing", s.db.ApplyNoSyncWait(batch, pebble.Sync))
	}
	return storeErr(s.dir, "writing", s.db.Apply(batch, pebble.NoSync))
}

// holds returns a conflict where an expectation does not hold.
func (s *Store) holds(name []byte, e *view.Expectation) error {
	equal := e.Data == nil
	err := s.look(name, func(value []byte) error {
		_, data, err := s.decode(e.Space, e.Key.Key, value)
		equal = e.Data != nil && bytes.Equal(data, e.Data)
		return err
	})
	if err == nil && !equal {
		return view.Conflict(e.Key)
	}
	return err
}

const (
	// reserve is what a change leaves free, for Pebble's own files: a disk that is
	// full to the last byte can't even delete.
	reserve = 32 << 20
	// askEvery is how many bytes are written before the disk is asked again.
	askEvery = 4 << 20
	// timesWritten is how often Pebble may write a byte before it frees the first
	// copy: to its log, to a table, to that of the next level.
	timesWritten = 3
)

// makeRoom refuses to write n bytes to a disk that has no room for them.
func (s *Store) makeRoom(n int64) error {
	n *= timesWritten
	if s.room -= n; s.room >= 0 {
		return nil
	}
	s.room = 0
	usage, err := s.disk.GetDiskUsage(s.dir)
	if err != nil {
		return nil // this file system can't tell; a write will
	}
	spare := int64(min(usage.AvailBytes, 1<<62)) - reserve - n
	if spare < 0 {
		return &annals.Error{
			Code:    annals.CodeNoSpace,
			Message: fmt.Sprintf("no space left in %s: %d bytes are free and %d are needed; nothing was changed", s.dir, usage.AvailBytes, n+reserve),
			Hint:    "free some space and try again; the views need not be opened anew",
		}
	}
	s.room = min(spare, askEvery)
	return nil
}

// Drop implements view.Store, in one step that a crash may undo like a change that
// was not Durable. The space on disk is free soon after.
func (s *Store) Drop(ctx context.Context, space string) error {
	if err := view.CheckSpace(space); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.use(func() error {
		s.committing.Lock()
		defer s.committing.Unlock()
		lower, upper := bounds(space, view.Range{})
		return storeErr(s.dir, "writing", s.db.DeleteRange(lower, upper, pebble.NoSync))
	})
}
