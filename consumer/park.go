package consumer

import (
	"context"
	"errors"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// failure decides about p, which is one event: pause before the next try, or park
// it. done says that it is parked.
func (r *Runner) failure(ctx context.Context, s *session, p part, failed error) (done bool, err error) {
	s.attempts++
	r.troubled(failed)
	hopeless := r.hopeless(failed, s.attempts)
	if !hopeless {
		r.opts.Sleep(ctx, r.opts.Backoff(s.attempts))
	}
	erased, err := r.erasedMeanwhile(ctx, &p.all[0])
	switch {
	case err != nil:
		return false, err
	case erased:
		s.attempts = 0
	}
	if erased || !hopeless {
		return false, ctx.Err()
	}
	m := &p.live[0]
	parked := r.parkedOf(m)
	parked.failed(failed, s.attempts)
	put, err := parked.put(parkedSpace + r.name)
	if err == nil {
		err = r.at(StepParking)
	}
	if err != nil {
		return false, err
	}
	if err := r.commit(ctx, s, view.Change{Put: []view.Put{put}, Durable: true}, m.Position, 1); err != nil {
		return false, err
	}
	r.opts.Logger.Error("an event was parked", "consumer", r.name, "event", m.Cause(), "position", m.Position, "attempts", s.attempts, "error", failed)
	s.blocked[m.Stream]++
	s.attempts = 0
	r.reached(m.Position)
	return true, r.at(StepParked)
}

// erasedMeanwhile reports whether m has been erased since it was read, and makes it so:
// neither the handler nor the views are to get what was erased.
func (r *Runner) erasedMeanwhile(ctx context.Context, m *Message) (bool, error) {
	if m.Subject() == "" || m.Erased() {
		return false, nil
	}
	for e, err := range r.store.Stream(ctx, m.Stream, &annals.StreamOptions{From: m.Version, To: m.Version}) {
		if err != nil {
			return false, err
		}
		if e.Erased() {
			m.Data, m.ContentType = nil, e.ContentType
		}
	}
	return m.Erased(), nil
}

func (r *Runner) hopeless(err error, attempts int) bool {
	var p *permanent
	return attempts >= r.opts.Attempts || errors.As(err, &p) || errors.Is(err, annals.ErrTooLarge)
}

func (r *Runner) parkedOf(m *Message) *parkedRecord {
	return &parkedRecord{Parked: Parked{
		Consumer: r.name, Position: m.Position, Stream: m.Stream, Version: m.Version, Type: m.Type, Since: r.opts.Clock().UTC(),
	}, ContentType: m.ContentType}
}

func (p *parkedRecord) failed(err error, attempts int) {
	p.Waiting, p.Retry = false, false
	p.Attempts += attempts
	p.Error = cut(err.Error(), 4<<10)
	p.Stack = ""
	var panic *panicked
	if errors.As(err, &panic) {
		p.Stack = cut(string(panic.stack), 16<<10)
	}
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n] + " …"
	}
	return s
}
