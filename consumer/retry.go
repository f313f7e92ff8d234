package consumer

import (
	"context"
	"fmt"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

const (
	// retryTurn is about how many parked events are retried before the log is
	// looked at again, so that the other streams go on meanwhile.
	retryTurn  = 1000
	maxRetried = 1000 // at once
)

// A queue is the parked events of a stream that are to be handled, in order. Those
// that come to wait behind them meanwhile join it.
type queue struct {
	stream   string
	events   []waiter
	size     int // of chunks: smaller after a failure, growing again
	attempts int // of the first event, in this session
}

// A waiter is what a retry keeps in memory of a parked event.
type waiter struct {
	position, version int64
	attempts          int // before this session
	since             time.Time
}

// found takes in a parked event; they come in order. The first one of a stream
// decides about it: where that only waits, a retry of the stream was interrupted.
func (r *Runner) found(s *session, p *Parked) {
	q := s.retrying[p.Stream]
	if s.blocked[p.Stream]++; s.blocked[p.Stream] == 1 && (p.Retry || p.Waiting) {
		q = &queue{stream: p.Stream, size: min(r.opts.Batch, maxRetried)}
		s.retrying[p.Stream], s.queues = q, append(s.queues, q)
	}
	if q != nil {
		q.events = append(q.events, waiter{p.Position, p.Version, p.Attempts, p.Since})
	}
}

// waits takes in an event that was parked because it waits behind another one.
func (s *session) waits(m *Message, now time.Time) {
	s.blocked[m.Stream]++
	if q := s.retrying[m.Stream]; q != nil {
		q.events = append(q.events, waiter{position: m.Position, version: m.Version, since: now.UTC()})
	}
}

// retrySome handles some of the parked events that an operator asked to retry, and
// of those that wait behind them, a chunk of each stream in turn. A failure ends
// the turn: others are not to wait for the next try.
func (r *Runner) retrySome(ctx context.Context, s *session) error {
	for done := 0; done < retryTurn && len(s.queues) > 0; {
		q := s.queues[0]
		n, err := r.retry(ctx, s, q)
		if err != nil {
			return err
		}
		s.queues = s.queues[1:]
		if len(q.events) > 0 {
			s.queues = append(s.queues, q)
		} else {
			delete(s.retrying, q.stream)
		}
		if n == 0 {
			return nil
		}
		done += n
	}
	return nil
}

// A chunk is the start of a queue that is retried at once.
type chunk struct {
	events []waiter
	live   []Message // those of them that the handler gets: that were not dropped
}

// before cuts c before the event at position.
func (c chunk) before(position int64) chunk {
	for i := range c.events {
		if c.events[i].position == position {
			c.events = c.events[:i]
			break
		}
	}
	for i := range c.live {
		if c.live[i].Position == position {
			c.live = c.live[:i]
			break
		}
	}
	return c
}

// retry handles a chunk of q and commits it. It returns how many events are no
// longer parked; 0 says that one of them failed.
func (r *Runner) retry(ctx context.Context, s *session, q *queue) (int, error) {
	if err := r.at(StepRetrying); err != nil {
		return 0, err
	}
	c, err := r.chunk(ctx, s, q)
	if err != nil {
		return 0, err
	}
	n := len(c.events)
	failed, err := r.handleChunk(ctx, s, c)
	switch {
	case err != nil:
		return 0, err
	case failed == nil:
		q.events, q.attempts, q.size = q.events[n:], 0, min(2*q.size, r.opts.Batch, maxRetried)
		if s.blocked[q.stream] -= n; s.blocked[q.stream] == 0 {
			delete(s.blocked, q.stream)
		}
		return n, r.at(StepRetried)
	case n > 1:
		q.size = n / 2
		return 0, nil
	}
	return 0, r.failedAgain(ctx, s, q, &c.live[0], failed)
}

// chunk reads as much of q as its size and the view store allow.
func (r *Runner) chunk(ctx context.Context, s *session, q *queue) (chunk, error) {
	room := r.room()
	c := chunk{events: q.events[:max(1, min(q.size, len(q.events), room/2))]}
	c, err := r.read(ctx, s, q, c)
	if err != nil {
		return c, err
	}
	if fits := r.fit(c.live, room-len(c.events)); fits < len(c.live) {
		c = c.before(c.live[fits].Position)
	}
	return c, nil
}

// read gets the events of c from their stream, which a store finds at once, and
// cuts c where they become too many bytes. A stream need not say positions.
func (r *Runner) read(ctx context.Context, s *session, q *queue, c chunk) (chunk, error) {
	wanted := make([]waiter, 0, len(c.events))
	for _, w := range c.events {
		if !s.decisions[w.position].Drop {
			wanted = append(wanted, w)
		}
	}
	if len(wanted) == 0 {
		return c, nil
	}
	size := 0
	versions := &annals.StreamOptions{From: wanted[0].version, To: wanted[len(wanted)-1].version}
	for e, err := range r.store.Stream(ctx, q.stream, versions) {
		if err != nil {
			return c, err
		}
		if len(c.live) == len(wanted) {
			break
		}
		w := wanted[len(c.live)]
		if e.Version < w.version {
			continue // it does not match the query, or was dropped
		}
		if e.Version != w.version || e.Position != 0 && e.Position != w.position {
			break
		}
		if size += len(e.Data); len(c.live) > 0 && size > maxBatchBytes {
			return c.before(w.position), nil
		}
		e.Position = w.position
		c.live = append(c.live, s.retried(ctx, e, w, q.attempts))
	}
	if len(c.live) < len(wanted) {
		return c, r.foreign(q.stream, wanted[len(c.live)])
	}
	return c, nil
}

// retried is e as the handler gets it after attempts tries of this session, which
// count while e is the only event of its chunk.
func (s *session) retried(ctx context.Context, e annals.Event, w waiter, attempts int) Message {
	m := Message{Event: e, Attempt: w.attempts + attempts + 1, Retried: true, ctx: ctx}
	if d, decided := s.decisions[w.position]; decided && !e.Erased() {
		m.Data, m.Edited = d.data(), true
	}
	return m
}

func (r *Runner) foreign(stream string, w waiter) error {
	return &annals.Error{
		Code:    annals.CodeDamaged,
		Message: fmt.Sprintf("stream %s has no version %d at position %d of the log, which is parked for consumer %s", stream, w.version, w.position, r.name),
		Hint:    "the view store belongs to another event store, or the event store was restored from an older backup",
	}
}

// handleChunk handles c once and commits it. failed is the fault of an event of
// c; err ends the session. The commit need not be durable: without it all of c is
// parked as before.
func (r *Runner) handleChunk(ctx context.Context, s *session, c chunk) (failed, err error) {
	var change view.Change
	if len(c.live) > 0 {
		if change, failed = r.handle(ctx, c.live); failed != nil {
			return r.blame(ctx, failed)
		}
	}
	for i := range c.events {
		change.Delete = append(change.Delete, r.control.parkedKey(c.events[i].position))
	}
	if err := r.commit(ctx, s, change, s.record.Position, -len(c.events)); err != nil {
		return r.refused(ctx, len(c.live), err)
	}
	return nil, nil
}

// failedAgain decides about m, the first event of q: pause before the next try, or
// leave it parked, and with it what waits behind it.
func (r *Runner) failedAgain(ctx context.Context, s *session, q *queue, m *Message, failed error) error {
	q.attempts++
	r.troubled(failed)
	if !r.hopeless(failed, q.attempts) {
		r.opts.Sleep(ctx, r.opts.Backoff(q.attempts))
		return ctx.Err()
	}
	if erased, err := r.erasedMeanwhile(ctx, m); err != nil || erased {
		q.attempts = 0
		return err // it is read anew
	}
	p, before := r.parkedOf(m), q.events[0]
	p.Since, p.Attempts = before.since, before.attempts
	p.failed(failed, q.attempts)
	put, err := p.put(parkedSpace + r.name)
	if err != nil {
		return err
	}
	r.opts.Logger.Error("a parked event failed again", "consumer", r.name, "event", m.Cause(), "position", m.Position, "attempts", p.Attempts, "error", failed)
	q.events = nil
	return r.commit(ctx, s, view.Change{Put: []view.Put{put}, Durable: true}, s.record.Position, 0)
}
