package subject

import (
	"context"
	"errors"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/eb901187/annals"
)

// copiesAtOnce is how many records a Copy works on at a time: each takes three requests
// to KMS and two to a table, of some milliseconds each.
const copiesAtOnce = 16

// Copied counts the records that a Copy found, each once.
type Copied struct {
	// Keys were wrapped for the other place.
	Keys int `json:"keys"`
	// Ended are the fences and tombstones that the other place did not have.
	Ended int `json:"ended"`
	// Unchanged were there already.
	Unchanged int `json:"unchanged"`
}

// Copy wraps the keys of k by the master key of to and puts them there, with the fences
// and tombstones; k keeps its own. It makes a new master key, or a new place, the one in
// use. Where both are the same place, keys are wrapped anew there, each tried before it
// takes the place of the old form.
//
// A subject that is fenced in either place is fenced in to, and its key is not copied.
// Nobody may make or erase keys in either place meanwhile: a subject that first appeared
// in both would have two. It may be repeated, after an error too, and then copies what
// is missing. Errors: annals.ErrConflict where a subject has another key in to;
// annals.ErrDamaged where a record can't be read or was wrapped by another master key.
func (k *Keyring) Copy(ctx context.Context, to *Keyring) (Copied, error) {
	var keys, ended, unchanged atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(copiesAtOnce)
	group.Go(func() error {
		for r, err := range k.shelf.List(ctx) {
			if err != nil {
				return err
			}
			group.Go(func() error {
				put, err := k.copyOne(ctx, r, to)
				switch put {
				case None:
					unchanged.Add(1)
				case Active:
					keys.Add(1)
				default:
					ended.Add(1)
				}
				return err
			})
		}
		return nil
	})
	err := group.Wait()
	return Copied{int(keys.Load()), int(ended.Load()), int(unchanged.Load())}, err
}

// copyOne brings the record in to up to r, and returns the state that it put there; None
// if it was as it should be.
func (k *Keyring) copyOne(ctx context.Context, r Record, to *Keyring) (State, error) {
	var last error
	put := None // perhaps
	for range tries {
		there, err := to.shelf.Get(ctx, r.Subject)
		if err != nil {
			return None, err
		}
		next, err := k.successor(ctx, r, there, to)
		if err != nil || next.State == None {
			return put, err
		}
		put, next.Edition = next.State, there.Edition+1
		if last = to.shelf.Put(ctx, next); last == nil {
			return put, nil
		}
		if !errors.Is(last, annals.ErrConflict) && !errors.Is(last, annals.ErrUnknownOutcome) {
			break
		}
	}
	return None, last
}

// successor is what has to follow the record that is there in to, given r; one in state
// None if nothing has.
func (k *Keyring) successor(ctx context.Context, r, there Record, to *Keyring) (Record, error) {
	if r.Fingerprint != "" && there.Fingerprint != "" && r.Fingerprint != there.Fingerprint {
		return Record{}, &annals.Error{
			Code: annals.CodeConflict, Message: "subject " + r.Subject + " has another key in " + to.Place() + " than in " + k.Place(),
			Hint: "what was sealed with one can't be opened with the other: find out which store uses which, and copy to a place of its own",
		}
	}
	switch {
	case there.State == Destroyed, there.State == Fenced && r.State != Destroyed:
		return Record{}, nil
	case r.State != Active:
		r.Wrapped = nil
		return r, nil
	case there.State == Active:
		_, _, err := to.unwrapped(ctx, there)
		if err == nil || !errors.Is(err, annals.ErrDamaged) {
			return Record{}, err
		}
	}
	plain, _, err := k.unwrapped(ctx, r)
	if err != nil {
		return Record{}, err
	}
	defer clear(plain)
	if r.Wrapped, err = to.wrapper.Wrap(ctx, r.Subject, plain); err != nil {
		return Record{}, err
	}
	_, _, err = to.unwrapped(ctx, r)
	return r, err
}
