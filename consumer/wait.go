package consumer

import (
	"context"
	"fmt"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// end is the end of the log, which must not lie before what was handled.
func (r *Runner) end(ctx context.Context) (int64, error) {
	position, _ := r.place()
	end, err := r.store.End(ctx)
	if err == nil && end < position {
		err = &annals.Error{
			Code:    annals.CodeDamaged,
			Message: fmt.Sprintf("consumer %s has handled position %d but the log ends at %d: it belongs to another store, or the store was restored from an older backup", r.name, position, end),
			Hint:    "if the store was restored from a backup, remove the views, which are then built again; else open those that belong to it",
		}
	}
	return end, err
}

// idle waits for events, and writes down how far was read meanwhile.
func (r *Runner) idle(ctx context.Context, s *session) error {
	if r.due(s) {
		return r.write(ctx, s)
	}
	position, _ := r.place()
	wait, behind := r.opts.Poll, s.record.Position < position
	if behind {
		wait = min(wait, flushAfter)
	}
	moved, err := r.waitPast(ctx, position, wait)
	if err != nil || moved {
		return err
	}
	if behind {
		return r.write(ctx, s)
	}
	return r.unchanged(ctx, s)
}

// settle ends a CatchUp whose last look at the log, from a position on, found
// nothing, once the record says how far was read.
func (r *Runner) settle(ctx context.Context, s *session, from int64) error {
	position, _ := r.place()
	if position > s.record.Position || len(s.retrying) == 0 && s.record.Answered < s.record.Asked {
		return r.write(ctx, s)
	}
	if position > from {
		return nil
	}
	return errDone
}

// due reports whether the record is to be written although nothing was handled.
func (r *Runner) due(s *session) bool {
	if len(s.retrying) == 0 && s.record.Answered < s.record.Asked {
		return true
	}
	position, _ := r.place()
	age := r.opts.Clock().Sub(s.record.Updated) // negative where the clock went back
	return position > s.record.Position && (age < 0 || age >= flushAfter)
}

// write makes the record say how far was read.
func (r *Runner) write(ctx context.Context, s *session) error {
	position, _ := r.place()
	return r.commit(ctx, s, view.Change{}, position, 0)
}

// waitPast waits for events behind position, at most for so long, and for Wake.
func (r *Runner) waitPast(ctx context.Context, position int64, most time.Duration) (moved bool, err error) {
	waiting, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	over := false
	r.untilWoken(waiting, func(ctx context.Context) {
		_, err = r.store.WaitPast(ctx, position)
		over = ctx.Err() != nil
	})
	if err != nil && over {
		return false, ctx.Err()
	}
	return err == nil, err
}

// untilWoken runs wait, whose context Wake ends. It takes no Wake after wait has
// returned: that one is for whoever waits next.
func (r *Runner) untilWoken(ctx context.Context, wait func(context.Context)) {
	waiting, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-r.wake:
			cancel()
		case <-waiting.Done():
		}
	}()
	wait(waiting)
	cancel()
	<-ended
}

// unchanged is errChanged once the record differs from the session's.
func (r *Runner) unchanged(ctx context.Context, s *session) error {
	now, err := readRecord(ctx, r.views, r.name)
	switch {
	case err != nil:
		return err
	case string(now.text) != string(s.record.text):
		return errChanged
	}
	r.useful = true
	r.recovered()
	return nil
}

// untilChanged waits while the consumer is paused.
func (r *Runner) untilChanged(ctx context.Context, s *session) error {
	waiting, cancel := context.WithTimeout(ctx, r.opts.Poll)
	defer cancel()
	select {
	case <-r.wake:
	case <-waiting.Done():
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return r.unchanged(ctx, s)
}

// rest watches another Runner work, and returns once nothing has moved for a
// while although events wait, or what an operator asked for. In a CatchUp it is
// done as soon as the other one moves: that one looks at the log again after it.
func (r *Runner) rest(ctx context.Context) error {
	r.resting(true)
	defer r.resting(false)
	still, last := 0, int64(-1)
	for look := r.once; still < takeOverPolls && ctx.Err() == nil; look = false {
		if !look {
			r.untilWoken(ctx, func(ctx context.Context) { r.opts.Sleep(ctx, r.opts.Poll) })
		}
		now, err := readRecord(ctx, r.views, r.name)
		if err != nil || now.text == nil {
			return err
		}
		r.reached(now.Position)
		end, err := r.end(ctx)
		if err != nil {
			return err
		}
		r.recovered()
		waits := !now.Paused && (end > now.Position || now.Asked > now.Answered)
		if r.once && (!waits || last >= 0 && now.Revision != last) {
			return errDone
		}
		if still++; now.Revision != last || !waits {
			still, last = 0, now.Revision
		}
	}
	return nil
}
