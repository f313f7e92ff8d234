package consumer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// A Fitter is a Handler that knows how many events fit into one Change of so
// many documents. A Runner asks it before it hands over a batch, so that what is
// too large for the view store is not worked on twice.
type Fitter interface {
	// Fit returns how many events from the start of batch change no more than
	// documents documents; at least 1. One that panics counts as 1.
	Fit(batch []Message, documents int) int
}

// work handles batch, whose events are in order, and moves the checkpoint to
// until once all of them are done.
func (r *Runner) work(ctx context.Context, s *session, batch []Message, until int64) error {
	for len(batch) > 0 {
		if err := r.at(StepRead); err != nil {
			return err
		}
		part := r.part(s, batch)
		to := until
		if len(part.all) < len(batch) {
			to = part.all[len(part.all)-1].Position
		}
		failed, err := r.attempt(ctx, s, part, to)
		switch {
		case err != nil:
			return err
		case failed == nil:
			batch = batch[len(part.all):]
			s.attempts, s.size = 0, min(2*s.size, r.opts.Batch)
			r.reached(to)
		case len(part.all) > 1:
			s.size = max(1, len(part.all)/2)
		default:
			done, err := r.failure(ctx, s, part, failed)
			if err != nil {
				return err
			}
			if done {
				batch = batch[len(part.all):]
			}
		}
	}
	r.reached(until)
	return nil
}

// A part is the start of a batch that is worked on at once.
type part struct {
	all     []Message // its events
	live    []Message // those that the handler gets
	waiting []Message // those that wait behind a parked one
}

// room is how many documents a Change may touch beside the record.
func (r *Runner) room() int { return r.views.MaxChange() - 1 }

// part takes as much of batch as the session's size and the view store allow.
func (r *Runner) part(s *session, batch []Message) part {
	room := r.room()
	p := part{all: batch[:min(s.size, len(batch))]}
	if len(s.blocked) == 0 && len(s.decisions) == 0 {
		p.live = p.all
	} else {
		p = s.sorted(p.all, max(1, room/2)) // half of the room is always enough for one of either kind
	}
	if fits := r.fit(p.live, room-len(p.waiting)); fits < len(p.live) {
		return p.upTo(p.live[fits-1].Position)
	}
	return p
}

// fit is how many events from the start of batch one Change has room for, as far
// as the handler knows. What it panics at, Handle meets again and reports.
func (r *Runner) fit(batch []Message, documents int) (n int) {
	f, ok := r.handler.(Fitter)
	if !ok || len(batch) == 0 {
		return len(batch)
	}
	defer func() {
		if recover() != nil {
			r.handler.Forget()
			n = 1
		}
	}()
	return min(len(batch), max(1, f.Fit(batch, max(1, documents))))
}

// sorted makes a part of the start of batch, in which at most so many wait.
func (s *session) sorted(batch []Message, waiting int) part {
	p := part{all: batch}
	for i := range p.all {
		m := p.all[i]
		d, decided := s.decisions[m.Position]
		switch {
		case s.blocked[m.Stream] > 0:
			p.waiting = append(p.waiting, m)
		case decided && d.Drop:
		default:
			if decided && !m.Erased() {
				m.Data, m.Edited = d.data(), true
			}
			p.live = append(p.live, m)
		}
		if len(p.waiting) >= waiting {
			p.all = p.all[:i+1]
			break
		}
	}
	return p
}

// upTo cuts p behind position.
func (p part) upTo(position int64) part {
	cut := func(list []Message) []Message {
		n := 0
		for n < len(list) && list[n].Position <= position {
			n++
		}
		return list[:n]
	}
	return part{all: cut(p.all), live: cut(p.live), waiting: cut(p.waiting)}
}

// attempt handles p and commits it. failed is the fault of an event of p; err
// ends the session.
func (r *Runner) attempt(ctx context.Context, s *session, p part, to int64) (failed, err error) {
	var change view.Change
	if len(p.live) > 0 {
		p.live[0].Attempt = s.attempts + 1
		if change, failed = r.handle(ctx, p.live); failed != nil {
			return r.blame(ctx, failed)
		}
	}
	for i := range p.waiting {
		parked := r.parkedOf(&p.waiting[i])
		parked.Waiting = true
		put, err := parked.put(parkedSpace + r.name)
		if err != nil {
			return nil, err
		}
		change.Put = append(change.Put, put)
	}
	if err := r.at(StepHandled); err != nil {
		return nil, err
	}
	if err := r.commit(ctx, s, change, to, len(p.waiting)); err != nil {
		return r.refused(ctx, len(p.live), err)
	}
	for i := range p.waiting {
		s.waits(&p.waiting[i], r.opts.Clock())
	}
	return nil, r.at(StepCommitted)
}

// refused sorts what the commit of so many handled events failed by: what an event
// asked for, or something that ends the session.
func (r *Runner) refused(ctx context.Context, events int, refusal error) (failed, err error) {
	var work *view.WorkError
	asked := errors.As(refusal, &work)
	for _, kind := range []error{annals.ErrTooLarge, annals.ErrInvalid, annals.ErrConflict} {
		asked = asked || errors.Is(refusal, kind)
	}
	if asked && events > 0 {
		return r.blame(ctx, refusal)
	}
	return nil, refusal
}

// blame sorts an error of handling: the event's fault, or that of a store that
// can't be reached, which ends the session.
func (r *Runner) blame(ctx context.Context, failed error) (error, error) {
	r.handler.Forget()
	var stop *stopped
	if ctx.Err() != nil || unreachable(failed) || errors.As(failed, &stop) {
		r.handlingFailed(failed)
		return nil, failed
	}
	return failed, nil
}

// A panicked is a panic of a handler.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("the handler panicked: %v", p.value) }

func (r *Runner) handle(ctx context.Context, batch []Message) (change view.Change, err error) {
	defer caught(&err)
	change, err = r.handler.Handle(ctx, batch)
	if work := change.Work; work != nil {
		change.Work = func(ctx context.Context, tx *sql.Tx) (err error) {
			defer caught(&err)
			return work(ctx, tx)
		}
	}
	return change, err
}

// caught, deferred, turns a panic into an error.
func caught(err *error) {
	if value := recover(); value != nil {
		*err = Permanent(&panicked{value, debug.Stack()})
	}
}

// commit makes change true together with the next record. An error ends the
// session, but for those that attempt sorts out.
func (r *Runner) commit(ctx context.Context, s *session, change view.Change, position int64, parked int) error {
	next := s.record
	next.Position, next.Runner, next.Updated = position, r.opts.ID, r.opts.Clock().UTC()
	next.Parked += parked
	if len(s.retrying) == 0 {
		next.Answered = next.Asked
	}
	put, err := next.put(r.name)
	if err != nil {
		return err
	}
	own := len(change.Expect) > 0
	change.Expect = append(change.Expect, s.record.expects(r.name))
	change.Put = append(change.Put, put)
	err = r.views.Commit(ctx, change)
	switch {
	case err == nil:
		s.record, r.useful = next, true
		r.recovered()
		return nil
	case errors.Is(err, annals.ErrConflict):
		return r.conflict(ctx, s, own, err)
	}
	return err // what came of an unknown outcome the record says to the next session
}

// conflict says whose change refusal is about: another Runner's, an operator's, or
// with own that of a document that the handler expected to be otherwise.
func (r *Runner) conflict(ctx context.Context, s *session, own bool, refusal error) error {
	now, err := readRecord(ctx, r.views, r.name)
	was := &s.record
	switch {
	case err != nil:
		return err
	case own && string(now.text) == string(was.text):
		return refusal
	case now.text == nil:
		return errChanged
	case now.Runner != was.Runner || now.Position != was.Position || now.Parked != was.Parked || !now.Updated.Equal(was.Updated):
		return errOvertaken // these a Runner alone writes
	}
	return errChanged
}
