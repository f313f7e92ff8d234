package dynamo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/eb901187/annals"
)

// Append implements annals.Driver: one conditional put, and before it one strong
// read where this process does not know the stream's end.
func (d *Driver) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	ctx, done, err := d.begin(ctx, "append")
	if err != nil {
		return annals.Commit{}, err
	}
	defer done()
	at, err := d.heads.take(ctx, stream)
	if err != nil {
		return annals.Commit{}, d.ended(err)
	}
	defer d.heads.give(at)
	a := appending{d: d, at: at, expected: expected, events: events}
	commit, err := a.run(ctx)
	if err != nil && !errors.Is(err, annals.ErrConflict) && !errors.Is(err, annals.ErrIDReused) {
		at.forget()
	}
	return commit, d.ended(err)
}

// appending is one append while it has the turn of its stream.
type appending struct {
	d        *Driver
	at       *head
	expected int64
	events   []annals.Event
	hashes   []uint64 // of the ids
	digest   annals.Hash
	lines    []byte
	fresh    bool // the head was read since the append began
}

func (a *appending) run(ctx context.Context) (annals.Commit, error) {
	a.hashes = make([]uint64, len(a.events))
	for i := range a.events {
		a.hashes[i] = idHash(a.events[i].ID)
	}
	a.lines = commitLines(a.events)
	a.digest = annals.Digest(a.at.stream, a.events)
	for {
		if err := a.check(ctx); err != nil {
			return annals.Commit{}, err
		}
		won, err := a.put(ctx)
		if err != nil {
			return annals.Commit{}, err
		}
		if won {
			a.at.hash = annals.Link(a.at.hash, a.at.version+1, len(a.events), a.digest)
			a.at.extend(a.at.version+1, a.hashes)
			return annals.Commit{Stream: a.at.stream, Version: a.at.version, Count: len(a.events)}, nil
		}
	}
}

// check decides by the head, reading what is not known of it.
func (a *appending) check(ctx context.Context) error {
	if !a.at.known {
		if err := a.d.calls.loadHead(ctx, a.at); err != nil {
			return err
		}
		a.fresh = true
	}
	if err := a.duplicate(ctx); err != nil {
		return err
	}
	if a.expected == annals.Any || a.expected == a.at.version || planted.noHeadCheck && a.expected > a.at.version {
		return nil
	}
	if !a.fresh && !planted.staleHead {
		if err := a.d.calls.loadHead(ctx, a.at); err != nil {
			return err
		}
		a.fresh = true
		return a.check(ctx)
	}
	if err := a.older(ctx); err != nil {
		return err
	}
	return a.conflict()
}

func (a *appending) conflict() error {
	return &annals.ConflictError{Stream: a.at.stream, Expected: a.expected, Actual: a.at.version}
}

// duplicate looks for the ids in the window of the head.
func (a *appending) duplicate(ctx context.Context) error {
	for i, hash := range a.hashes {
		if version, known := a.at.ids[hash]; known && !planted.noIDCheck {
			if err := a.compare(ctx, a.events[i].ID, version); err != nil {
				return err
			}
		}
	}
	return nil
}

// older looks whether the append is a repetition of one from before the window:
// then it stands right behind the version that it expects.
func (a *appending) older(ctx context.Context) error {
	if next := a.expected + 1; next <= a.at.version-window {
		return a.compare(ctx, a.events[0].ID, next)
	}
	return nil
}

// compare returns a *annals.DuplicateError if the event of the stream at version
// has this id. The answer that follows from it may acknowledge the commit, so
// its body must be there to stay.
func (a *appending) compare(ctx context.Context, id string, version int64) error {
	there, err := a.d.calls.containing(ctx, a.at.stream, version)
	if there == nil || err != nil {
		return err
	}
	events, pending, err := a.d.calls.eventsOf(ctx, there)
	if err != nil || events[version-there.first].ID != id {
		return err
	}
	if pending {
		if err := a.d.calls.promote(ctx, there.body()); err != nil {
			return unknown(a.at.stream, err)
		}
	}
	return &annals.DuplicateError{Stream: a.at.stream, ID: id, Version: version}
}

// put writes the commit behind the head; false means that another commit is
// there, which the head then knows.
func (a *appending) put(ctx context.Context) (won bool, err error) {
	c := a.d.calls
	first := a.at.version + 1
	if planted.noHeadCheck && a.expected > a.at.version {
		first = a.expected + 1
	}
	id := c.random()
	i, err := c.commitItem(ctx, a, first, id)
	if err != nil {
		return false, err
	}
	there, sent, err := c.put(ctx, c.eventsTable(), i)
	switch {
	case errors.Is(err, errTaken):
		// A reply that was lost on the way and then sent again finds itself.
		if !bytes.Equal(there.bytes(attrCommit), binary.BigEndian.AppendUint64(nil, id)) {
			return false, a.lost(ctx, there)
		}
	case err != nil && sent && !planted.lostIsRefused:
		return false, unknown(a.at.stream, err)
	case err != nil:
		return false, err
	}
	if hash := i.text(attrBody); hash != "" {
		if err := c.promote(ctx, hash); err != nil {
			c.owed.Store(hash, true)
			return false, unknown(a.at.stream, err)
		}
	}
	return true, nil
}

// lost takes in the commit that came first, and what came behind it: a conflict
// names the version that the stream is at, not one that it has left long ago.
func (a *appending) lost(ctx context.Context, there item) error {
	s, err := newStored(there)
	if err != nil {
		return err
	}
	hashes, link, err := a.d.calls.facts(ctx, &s, true)
	if err != nil {
		return err
	}
	a.at.extend(s.first, hashes)
	if !planted.staleHash {
		a.at.hash = link
	}
	a.fresh = true
	if err := a.d.calls.loadHead(ctx, a.at); err != nil || a.expected == annals.Any {
		return err
	}
	if err := a.duplicate(ctx); err != nil {
		return err
	}
	return a.conflict()
}

// maxAlone bounds a commit's item without a bucket: the page of the log that
// holds it must fit into an item too, and names the stream with each event.
const maxAlone = 300 << 10

// commitItem makes the item, and puts its body into the bucket where that is
// cheaper or the item has no room for it.
func (c *calls) commitItem(ctx context.Context, a *appending, first int64, id uint64) (item, error) {
	i := newItem(a.at.stream, first, a.events, id, a.at.hash)
	i[attrEvents] = attribute(i, a.lines)
	if i.writeUnits() <= c.sizes.commitUnits || c.s3 == nil && i.size() <= maxAlone {
		return i, nil
	}
	if c.s3 == nil {
		return nil, &annals.InvalidError{Code: annals.CodeTooLarge, Violations: []annals.Violation{{
			Field:   "events",
			Message: fmt.Sprintf("take %d bytes packed, the limit is %d in a store that was made without a bucket=…", i.size(), maxAlone),
		}}}
	}
	hash, err := c.keep(ctx, pack(a.lines))
	if err != nil {
		return nil, err
	}
	delete(i, attrEvents)
	i[attrBody], i[attrDigest] = textValue(hash), bytesValue(a.digest[:])
	if len(a.hashes) <= maxBodyIDs {
		ids := make([]byte, 0, 8*len(a.hashes))
		for _, h := range a.hashes {
			ids = binary.BigEndian.AppendUint64(ids, h)
		}
		i[attrIDs] = bytesValue(ids)
	}
	return i, nil
}
