package aggregate

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/eb901187/annals"
)

// A Loaded is an aggregate as it was read.
type Loaded[S any] struct {
	State  S
	Stream string
	// Version is that of the last event; 0 for an aggregate without events.
	Version int64
	// Position is that of the last event in the log; 0 where the store numbers its
	// log later.
	Position int64
}

// Load returns the aggregate with all events whose append had returned. One
// without events has version 0 and the initial state. A read that is interrupted
// is an error, and so is an event that can't be decoded or a version that is
// missing: a state is never made of a part of the events.
func (r *Repository[S, E]) Load(ctx context.Context, id string) (Loaded[S], error) {
	stream, err := r.typ.Stream(id)
	if err != nil {
		return Loaded[S]{}, err
	}
	at, err := r.load(ctx, stream, math.MaxInt64, "")
	if err != nil {
		return Loaded[S]{}, err
	}
	return at.public(), nil
}

// LoadAt is Load for the aggregate as it was at version, 0 being the state before
// the first event. A version that is not reached yet is annals.ErrNotFound.
func (r *Repository[S, E]) LoadAt(ctx context.Context, id string, version int64) (Loaded[S], error) {
	stream, err := r.typ.Stream(id)
	if err == nil && version < 0 {
		err = annals.Invalid("version", "must be 0 or a version")
	}
	if err != nil {
		return Loaded[S]{}, err
	}
	at, err := r.load(ctx, stream, version, "")
	if err != nil {
		return Loaded[S]{}, err
	}
	if at.version < version {
		return Loaded[S]{}, &annals.Error{
			Code: annals.CodeNotFound, Message: fmt.Sprintf("stream %s is at version %d, and not at %d yet", stream, at.version, version),
			Hint: "name a version from 0 to its last one",
		}
	}
	return at.public(), nil
}

// loaded is an aggregate while it is read.
type loaded[S any] struct {
	stream   string
	state    S
	version  int64
	position int64
	base     int64  // version of the snapshot that it began from, 0 for none
	baseID   string // id of the event at base, by the snapshot
	keyed    int64  // version of the first event with the command's key, 0 if none was read
	subjects subjects
}

func (at *loaded[S]) public() Loaded[S] {
	return Loaded[S]{at.state, at.stream, at.version, at.position}
}

// load reads the aggregate of stream up to version to.
func (r *Repository[S, E]) load(ctx context.Context, stream string, to int64, k key) (*loaded[S], error) {
	if at := r.restore(ctx, stream, to); at != nil {
		err := r.read(ctx, at, to, k)
		if err == nil && at.version < at.base {
			err = errOtherHistory
		}
		if !errors.Is(err, errOtherHistory) {
			return at, err
		}
		r.opts.SnapshotFailed(ctx, stream, errOtherHistory)
	}
	at := &loaded[S]{stream: stream, state: r.typ.Initial()}
	return at, r.read(ctx, at, to, k)
}

// read folds the events behind at into it, up to version to.
func (r *Repository[S, E]) read(ctx context.Context, at *loaded[S], to int64, k key) error {
	if to <= at.version {
		return nil
	}
	opts := &annals.StreamOptions{From: at.version + 1}
	if to < math.MaxInt64 {
		opts.To = to
	}
	keyed := k.id(0)
	var events []E
	for e, err := range r.store.Stream(ctx, at.stream, opts) {
		if err != nil {
			return interrupted(at.stream, at.version, err)
		}
		if e.Version != at.version+1 {
			return &annals.Error{
				Code: annals.CodeDamaged, Message: fmt.Sprintf("stream %s has version %d behind version %d", at.stream, e.Version, at.version),
				Hint: "annals verify says what is damaged",
			}
		}
		if keyed != "" && e.ID == keyed {
			at.keyed = e.Version
		}
		if e.Version > at.base {
			if events, err = r.typ.schema.decode(events[:0], &e); err != nil {
				return err
			}
			at.state = r.typ.Evolve(at.state, events...)
			at.subjects.add(&e)
		} else if e.ID != at.baseID {
			return errOtherHistory
		}
		at.version, at.position = e.Version, e.Position
	}
	return nil
}

func interrupted(stream string, version int64, cause error) error {
	return &annals.Error{
		Code: annals.CodeOf(cause), Err: cause, Message: fmt.Sprintf("reading stream %s was interrupted behind version %d", stream, version),
	}
}
