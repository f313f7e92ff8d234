package dynamo

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/eb901187/annals"
)

// containing is the commit that holds a version of a stream; nil if none does.
func (c *calls) containing(ctx context.Context, stream string, version int64) (*stored, error) {
	i, err := c.first(ctx, c.eventsTable(), span{pk: stream, from: max(1, version-annals.MaxCommitEvents+1), to: version, backward: true})
	if i == nil || err != nil {
		return nil, err
	}
	s, err := newStored(i)
	if err != nil || s.last() < version {
		return nil, err
	}
	return &s, nil
}

// commits yields the commits that hold events with from ≤ version ≤ to.
func (c *calls) commits(ctx context.Context, stream string, from, to int64, backward bool) iter.Seq2[stored, error] {
	if backward {
		return c.commitsBackward(ctx, stream, from, to)
	}
	return func(yield func(stored, error) bool) {
		begun := from == 1
		for i, err := range c.query(ctx, c.eventsTable(), span{pk: stream, from: from, to: to}) {
			var s stored
			if err == nil {
				s, err = newStored(i)
			}
			if err != nil {
				yield(s, err)
				return
			}
			// The event asked for first may lie inside a commit, whose key is lower.
			if !begun && s.first > from && !c.begin(ctx, stream, from, yield) {
				return
			}
			begun = true
			if !yield(s, nil) {
				return
			}
		}
		if !begun {
			c.begin(ctx, stream, from, yield)
		}
	}
}

// begin yields the commit that holds version and starts before it, if there is
// one; false ends the sequence.
func (c *calls) begin(ctx context.Context, stream string, version int64, yield func(stored, error) bool) bool {
	s, err := c.containing(ctx, stream, version)
	switch {
	case err != nil:
		yield(stored{}, err)
		return false
	case s != nil:
		return yield(*s, nil)
	}
	return true
}

func (c *calls) commitsBackward(ctx context.Context, stream string, from, to int64) iter.Seq2[stored, error] {
	return func(yield func(stored, error) bool) {
		// Often only the newest event is wanted.
		for i, err := range c.query(ctx, c.eventsTable(), span{pk: stream, from: max(1, from-annals.MaxCommitEvents+1), to: to, backward: true, few: 2}) {
			var s stored
			if err == nil {
				s, err = newStored(i)
			}
			if err == nil && s.last() < from {
				return
			}
			if !yield(s, err) || err != nil || s.first <= from {
				return
			}
		}
	}
}

// committed is a commit with its events.
type committed struct {
	stored
	events []annals.Event
}

// keepDigest takes the digest of events that are in the bucket, where the item does
// not have it: their reader may change them, and they are not fetched again.
func (c *committed) keepDigest() {
	if c.body() != "" && c.digest == (annals.Hash{}) {
		c.digest = annals.Digest(c.stream, c.events)
	}
}

// read is commits, with their events.
func (c *calls) read(ctx context.Context, stream string, from, to int64, backward bool) iter.Seq2[*committed, error] {
	return func(yield func(*committed, error) bool) {
		var before *stored
		for s, err := range c.commits(ctx, stream, from, to, backward) {
			var events []annals.Event
			if err == nil {
				err = follows(before, &s, backward)
				before = &s
			}
			if err == nil {
				events, err = c.events(ctx, &s)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(&committed{s, events}, nil) {
				return
			}
		}
	}
}

// follows returns an error if a commit is missing between two.
func follows(before, s *stored, backward bool) error {
	if before == nil {
		return nil
	}
	if backward {
		before, s = s, before
	}
	if s.first == before.last()+1 {
		return nil
	}
	return damaged("stream "+s.stream, fmt.Errorf("version %d follows version %d", s.first, before.last()))
}

// Stream implements annals.Driver. Positions of its events are 0. Reading a
// stream to its end tells this process all that an append needs to know of it.
func (d *Driver) Stream(ctx context.Context, stream string, from, to int64, backward bool) iter.Seq2[annals.Event, error] {
	return func(yield func(annals.Event, error) bool) {
		ctx, done, err := d.begin(ctx, "stream")
		if err != nil {
			yield(annals.Event{}, err)
			return
		}
		defer done()
		whole := !backward && from == 1 && to == math.MaxInt64
		seen := head{}
		var last *committed
		for commit, err := range d.calls.read(ctx, stream, from, to, backward) {
			if err != nil {
				yield(annals.Event{}, d.ended(err))
				return
			}
			if last = commit; whole {
				seen.follow(commit.events)
				commit.keepDigest()
			}
			if backward {
				slices.Reverse(commit.events)
			}
			for _, e := range commit.events {
				if e.Version < from || e.Version > to {
					continue
				}
				if err := ctx.Err(); err != nil {
					yield(annals.Event{}, d.ended(err))
					return
				}
				if !yield(e, nil) {
					return
				}
			}
		}
		if !whole {
			return
		}
		if last != nil {
			// From the item: what was yielded is its reader's to change.
			if seen.hash, err = d.calls.hash(ctx, &last.stored); err != nil {
				yield(annals.Event{}, d.ended(err))
				return
			}
		}
		d.heads.learn(stream, &seen)
	}
}
