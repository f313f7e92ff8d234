package erase

import (
	"context"
	"errors"
	"fmt"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/subject"
)

// views rids the views of what they made of the subject's events.
func (e *erasure) views(ctx context.Context) error {
	done, err := e.Views.EraseTurn(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := e.At(StepForgetting); err != nil {
		return err
	}
	edits, err := e.Views.Forget(ctx, e.positions)
	if err != nil {
		return err
	}
	e.receipt.Edits = edits
	all, err := e.Views.List(ctx)
	if err != nil {
		return err
	}
	for i := range all {
		v := e.plan(&all[i])
		if v.Outcome == subject.Planned {
			if err := e.rebuild(ctx, &v); err != nil {
				return fmt.Errorf("projection %s: %w", v.Projection, err)
			}
		}
		e.receipt.Views = append(e.receipt.Views, v)
	}
	if len(e.positions) == 0 {
		return nil // neither this run nor one that was broken off has deleted anything of the subject's
	}
	if err := e.At(StepScrubbing); err != nil {
		return err
	}
	e.receipt.Scrubbed, err = e.Views.Scrub(ctx)
	return err
}

// rebuild builds a generation that has never seen the subject's data, makes it live and
// deletes all others.
func (e *erasure) rebuild(ctx context.Context, v *subject.ViewReceipt) error {
	number, err := e.begin(ctx, v)
	if err != nil || v.Outcome == subject.Left {
		return err
	}
	if err := e.At(StepSwitching); err != nil {
		return err
	}
	if done, err := e.follow(ctx, v, number); err != nil || !done {
		return err
	}
	info, err := e.Views.Show(ctx, v.Projection)
	if err != nil {
		return err
	}
	for _, g := range info.Generations {
		if g.Number == number {
			continue
		}
		if err := e.At(StepDeleting); err != nil {
			return err
		}
		err := e.Views.Delete(ctx, v.Projection, g.Number)
		if errors.Is(err, annals.ErrNotFound) {
			continue // a deletion that was broken off was finished with another, or by somebody else
		}
		if err != nil {
			return err
		}
		v.Deleted = append(v.Deleted, g.Number)
	}
	v.Outcome, v.Generation = subject.Rebuilt, number
	return nil
}

// begin begins a generation behind the destruction of the key, and returns its number.
// Where none can be begun, v says that it is left, and why.
func (e *erasure) begin(ctx context.Context, v *subject.ViewReceipt) (int, error) {
	name := v.Projection
	for {
		if err := e.At(StepRebuilding); err != nil {
			return 0, err
		}
		info, err := e.Views.Show(ctx, name)
		if err != nil {
			return 0, err
		}
		last := 0
		for _, g := range info.Generations {
			last = max(last, g.Number)
		}
		if b := info.Building(); b != nil {
			// It may have begun before.
			err := e.Views.Delete(ctx, name, b.Number)
			if err != nil && !isConflict(err) && !errors.Is(err, annals.ErrNotFound) {
				return 0, err
			}
			if err == nil {
				v.Deleted = append(v.Deleted, b.Number)
			}
		}
		number, err := e.Views.Rebuild(ctx, name)
		if err != nil || number > last {
			return number, err
		}
		// The first generation is not complete yet: Rebuild goes on with it.
		if paused(&info, number) {
			leave(v, pausedNote, number)
			return 0, nil
		}
		if e.Pause(ctx); ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
}

// follow waits until a generation has come as far as the live one, and switches. Where
// it can't be switched to, done is false and v says why.
func (e *erasure) follow(ctx context.Context, v *subject.ViewReceipt, number int) (done bool, err error) {
	for {
		_, err := e.Views.Switch(ctx, v.Projection, number, false)
		if err == nil {
			return true, nil
		}
		if !isConflict(err) {
			return false, err
		}
		info, showErr := e.Views.Show(ctx, v.Projection)
		if showErr != nil {
			return false, showErr
		}
		switch {
		case info.Live == number: // somebody else has switched
			return true, nil
		case errors.Is(err, projection.ErrMoreParked), gone(&info, number):
			leave(v, "generation %d is built and holds no data of the subject, but can't go live: %v; see to that, switch, and erase again", number, err)
			return false, nil
		case paused(&info, number):
			leave(v, pausedNote, number)
			return false, nil
		}
		if e.Pause(ctx); ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
}

// leave says of a view that the erasure can't make it ready, and why.
func leave(v *subject.ViewReceipt, format string, args ...any) {
	v.Outcome, v.Note = subject.Left, fmt.Sprintf(format, args...)
}

// pausedNote is for what an operator has stopped, which time won't take further.
const pausedNote = "generation %d is paused: resume it, and erase again"

func paused(info *projection.Info, number int) bool {
	g := info.Generation(number)
	return g != nil && g.Status.State == consumer.Paused
}

// gone reports whether a generation is not being built any more, or nothing is live.
func gone(info *projection.Info, number int) bool {
	g := info.Generation(number)
	return g == nil || g.Role != projection.Building || info.Generation(info.Live) == nil
}
