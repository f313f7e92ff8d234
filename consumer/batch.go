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
	// documents documents; at least 1.
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

// part takes as much of batch as the session's size and the view store allow.
func (r *Runner) part(s *session, batch []Message) part {
	const own = 1 // the record
	room := r.views.MaxChange() - own
	n := min(s.size, len(batch))
	if f, ok := r.handler.(Fitter); ok {
		n = min(n, max(1, f.Fit(batch[:n], room)))
	}
	p := part{all: batch[:n]}
	if len(s.blocked) == 0 && len(s.decisions) == 0 {
		p.live = p.all
		return p
	}
	for i := range p.all {
		m := p.all[i]
		d, decided := s.decisions[m.Position]
		switch {
		case s.blocked[m.Stream] > 0:
			p.waiting = append(p.waiting, m)
		case decided && d.Drop:
		default:
			if decided {
				m.Data, m.Edited = d.data(), true
			}
			p.live = append(p.live, m)
		}
		// Half of the room for each kind is always enough for one of either.
		if len(p.waiting) >= max(1, room/2) {
			p.all = p.all[:i+1]
			break
		}
	}
	if f, ok := r.handler.(Fitter); ok && len(p.waiting) > 0 && len(p.live) > 0 {
		if fits := f.Fit(p.live, max(1, room-len(p.waiting))); fits < len(p.live) {
			return r.upTo(p, p.live[fits-1].Position)
		}
	}
	return p
}

// upTo cuts p behind position.
func (r *Runner) upTo(p part, position int64) part {
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
	if failed, err = r.sorted(ctx, r.commit(ctx, s, change, to, len(p.waiting))); failed != nil || err != nil {
		return failed, err
	}
	for i := range p.waiting {
		s.blocked[p.waiting[i].Stream]++
	}
	return nil, r.at(StepCommitted)
}

// sorted tells apart what a commit failed by: what its event asked for, or
// something that ends the session.
func (r *Runner) sorted(ctx context.Context, committed error) (failed, err error) {
	var work *view.WorkError
	if errors.As(committed, &work) || errors.Is(committed, annals.ErrTooLarge) || errors.Is(committed, annals.ErrInvalid) {
		return r.blame(ctx, committed)
	}
	return nil, committed
}

// blame sorts an error of handling: the event's fault, or that of a store that
// can't be reached, which ends the session.
func (r *Runner) blame(ctx context.Context, failed error) (error, error) {
	r.handler.Forget()
	var stop *stopped
	if ctx.Err() != nil || unreachable(failed) || errors.As(failed, &stop) {
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
	put, err := next.put(r.name)
	if err != nil {
		return err
	}
	change.Expect = append(change.Expect, s.record.expects(r.name))
	change.Put = append(change.Put, put)
	err = r.views.Commit(ctx, change)
	switch {
	case err == nil:
		s.record = next
		r.troubled(nil)
		return nil
	case errors.Is(err, annals.ErrConflict):
		return r.overtaken(ctx, s)
	}
	return err // what came of an unknown outcome the record says to the next session
}

// overtaken says who changed the record: another Runner, or an operator.
func (r *Runner) overtaken(ctx context.Context, s *session) error {
	now, err := readRecord(ctx, r.views, r.name)
	switch {
	case err != nil:
		return err
	case now.Position != s.record.Position:
		return errOvertaken
	}
	return errChanged
}
