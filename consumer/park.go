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
	if !r.hopeless(failed, s.attempts) {
		r.opts.Sleep(ctx, r.opts.Backoff(s.attempts))
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

// retryParked handles the parked events that an operator asked to retry, and
// those that wait behind them.
func (r *Runner) retryParked(ctx context.Context, s *session) error {
	if s.record.Parked == 0 {
		return nil
	}
	// The first parked event of a stream decides: one that only waits was left
	// behind when the process ended in the middle of this.
	seen := map[string]bool{}
	var asked []string
	for p, err := range r.control.Parked(ctx) {
		if err != nil {
			return err
		}
		if !seen[p.Stream] && (p.Retry || p.Waiting) {
			asked = append(asked, p.Stream)
		}
		seen[p.Stream] = true
	}
	for _, stream := range asked {
		if err := r.retryStream(ctx, s, stream); err != nil {
			return err
		}
	}
	return nil
}

func (r *Runner) retryStream(ctx context.Context, s *session, stream string) error {
	space := parkedSpace + r.name
	for doc, err := range r.views.Scan(ctx, space, view.Range{}) {
		if err != nil {
			return err
		}
		p, err := parseParked(space, doc)
		if err != nil {
			return err
		}
		if p.Stream != stream {
			continue
		}
		if !p.Retry && !p.Waiting {
			return nil
		}
		if again, err := r.retry(ctx, s, &p); err != nil || again {
			return err
		}
	}
	return nil
}

// retry handles one parked event, with as many tries as any other. failed says
// that it stays parked, and with it what waits behind it.
func (r *Runner) retry(ctx context.Context, s *session, p *parkedRecord) (failed bool, err error) {
	for attempts := 1; ; attempts++ {
		if err := r.at(StepRetrying); err != nil {
			return false, err
		}
		fault, err := r.tryParked(ctx, s, p, attempts)
		if err != nil {
			return false, err
		}
		if fault == nil {
			if s.blocked[p.Stream]--; s.blocked[p.Stream] == 0 {
				delete(s.blocked, p.Stream)
			}
			return false, r.at(StepRetried)
		}
		r.troubled(fault)
		if r.hopeless(fault, attempts) {
			return true, r.parkAgain(ctx, s, p, fault, attempts)
		}
		if r.opts.Sleep(ctx, r.opts.Backoff(attempts)); ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
}

// tryParked handles a parked event once and commits it. fault is the event's, err
// ends the session.
func (r *Runner) tryParked(ctx context.Context, s *session, p *parkedRecord, attempt int) (fault, err error) {
	change, fault, err := r.handleParked(ctx, s, p, attempt)
	if fault != nil || err != nil {
		return fault, err
	}
	change.Delete = append(change.Delete, view.Key{Space: parkedSpace + r.name, Key: positionKey(p.Position)})
	change.Durable = true
	return r.sorted(ctx, r.commit(ctx, s, change, s.record.Position, -1))
}

func (r *Runner) parkAgain(ctx context.Context, s *session, p *parkedRecord, fault error, attempts int) error {
	p.failed(fault, attempts)
	put, err := p.put(parkedSpace + r.name)
	if err != nil {
		return err
	}
	r.opts.Logger.Error("a parked event failed again", "consumer", r.name, "stream", p.Stream, "version", p.Version, "position", p.Position, "error", fault)
	return r.commit(ctx, s, view.Change{Put: []view.Put{put}, Durable: true}, s.record.Position, 0)
}

// handleParked has the handler work on a parked event, unless it was dropped.
func (r *Runner) handleParked(ctx context.Context, s *session, p *parkedRecord, attempt int) (change view.Change, fault, err error) {
	d, decided := s.decisions[p.Position]
	if decided && d.Drop {
		return change, nil, nil
	}
	for e, err := range r.store.Log(ctx, annals.Query{After: p.Position - 1, Until: p.Position}) {
		if err != nil {
			return change, nil, err
		}
		m := Message{Event: e, Attempt: p.Attempts + attempt}
		if decided {
			m.Data, m.Edited = d.data(), true
		}
		change, fault = r.handle(ctx, []Message{m})
		if fault != nil {
			fault, err = r.blame(ctx, fault)
		}
		return change, fault, err
	}
	return change, nil, &annals.Error{
		Code: annals.CodeDamaged, Message: "the log has no event at position " + positionKey(p.Position) + " that is parked for " + r.name,
		Hint: "the view store belongs to another event store",
	}
}
