package consumer

import (
	"context"
	"time"

	"github.com/eb901187/annals"
)

// A Status is where a consumer stands.
type Status struct {
	Name     string    `json:"name"`
	State    State     `json:"state"`
	Position int64     `json:"position,string"` // of the last event that was handled or passed over
	End      int64     `json:"end,string"`      // of the log
	Lag      int64     `json:"lag"`             // events of the log behind Position, matching or not
	Seconds  float64   `json:"lagSeconds"`      // age of the first of them by its own time; 0 without lag
	Parked   int       `json:"parked"`          // events that failed or wait behind one
	Runner   string    `json:"runner"`          // the Runner that committed last
	Updated  time.Time `json:"updated"`         // when it did
	Error    string    `json:"error,omitempty"` // what it is trying to get past; known to its own process only
}

// Percent is how much of the log was handled or passed over, from 0 to 100 and rounded
// down; 100 of an empty log.
func (s *Status) Percent() int {
	if s.Position >= s.End {
		return 100
	}
	return int(100 * float64(s.Position) / float64(s.End))
}

// A State is a consumer's condition in one word.
type State string

// The states.
const (
	Running State = "running" // it has events ahead and moves
	Idle    State = "idle"    // it has handled everything
	Paused  State = "paused"
	Stalled State = "stalled" // it has events ahead and has not moved for Options.StallAfter
	Standby State = "standby" // another Runner does the work
)

// A Step is a point between two actions of a Runner, for tests that crash it
// there.
type Step string

// The steps, in the order in which a batch meets them.
const (
	StepLoaded    Step = "loaded"    // state and parked events were read
	StepRead      Step = "read"      // a batch was read from the log
	StepHandled   Step = "handled"   // the Handler returned
	StepCommitted Step = "committed" // the view and the checkpoint were written
	StepParking   Step = "parking"   // an event is about to be parked
	StepParked    Step = "parked"    // it was
	StepRetrying  Step = "retrying"  // parked events of a stream are about to be handled
	StepRetried   Step = "retried"   // they were, and are no longer parked
)

// Steps lists every Step.
func Steps() []Step {
	return []Step{StepLoaded, StepRead, StepHandled, StepCommitted, StepParking, StepParked, StepRetrying, StepRetried}
}

// Wake makes an idle Runner look at once whether something was asked of it.
func (r *Runner) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Position is that of the last event that this Runner handled or passed over, -1
// before it has read its checkpoint. The view may be ahead of what other
// processes can tell by the checkpoint.
func (r *Runner) Position() int64 {
	position, _ := r.place()
	return position
}

// WaitFor waits until every event up to position was handled, parked or found
// not to match.
func (r *Runner) WaitFor(ctx context.Context, position int64) error {
	for {
		at, moved := r.place()
		if at >= position {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *Runner) place() (int64, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.position, r.moved
}

// reached tells those who wait how far the consumer has come.
func (r *Runner) reached(position int64) {
	now := r.opts.Clock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if position == r.position {
		return
	}
	r.position, r.lastMove = position, now
	close(r.moved)
	r.moved = make(chan struct{})
}

// saw notes where the log ends. A consumer that had handled all that was seen
// begins to stand still only now.
func (r *Runner) saw(end int64) {
	now := r.opts.Clock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if end > r.position && r.position >= r.seen {
		r.lastMove = now
	}
	r.seen = max(r.seen, end)
}

// troubled notes what the consumer is trying to get past.
func (r *Runner) troubled(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble = err
}

// handlingFailed notes an error that is over once something was committed, or
// nothing is left to handle: that the stores can be read says nothing about it.
func (r *Runner) handlingFailed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble, r.handling = err, true
}

// recovered notes that the consumer got past its trouble, and loaded that it
// could read its state, which ends any trouble but one of handling.
func (r *Runner) recovered() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble, r.handling = nil, false
}

func (r *Runner) loaded() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.handling {
		r.trouble = nil
	}
}

func (r *Runner) resting(standby bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.standby = standby
}

// Status says where the consumer stands, as this process sees it.
func (r *Runner) Status(ctx context.Context) (Status, error) {
	s, err := r.control.Status(ctx)
	if err == nil {
		r.saw(s.End) // the Runner may not have looked yet
	}
	r.mu.Lock()
	position, lastMove, standby, trouble := r.position, r.lastMove, r.standby, r.trouble
	r.mu.Unlock()
	if err != nil {
		return s, err
	}
	if position > s.Position {
		s.Position, s.Lag = position, max(0, s.End-position)
	}
	switch {
	case s.State == Paused:
	case standby:
		s.State = Standby
	case s.Lag == 0:
		s.State, s.Seconds = Idle, 0
	case !lastMove.IsZero() && r.opts.Clock().Sub(lastMove) >= r.opts.StallAfter:
		s.State = Stalled
	default:
		s.State = Running
	}
	if trouble != nil {
		s.Error = trouble.Error()
	}
	return s, nil
}

// Status says where the consumer stands by what its Runner wrote last.
func (c *Control) Status(ctx context.Context) (Status, error) {
	rec, err := readRecord(ctx, c.views, c.name)
	if err != nil {
		return Status{}, err
	}
	end, err := c.store.End(ctx)
	if err != nil {
		return Status{}, err
	}
	s := Status{
		Name: c.name, State: Running, Position: rec.Position, End: end, Lag: max(0, end-rec.Position),
		Parked: rec.Parked, Runner: rec.Runner, Updated: rec.Updated,
	}
	now := c.opts.Clock()
	for e, err := range c.store.Log(ctx, annals.Query{After: rec.Position, Limit: 1}) {
		if err != nil {
			return s, err
		}
		s.Seconds = max(0, now.Sub(e.Time).Seconds())
	}
	long := c.opts.StallAfter
	switch {
	case rec.Paused:
		s.State = Paused
	case s.Lag == 0:
		s.State, s.Seconds = Idle, 0
	case now.Sub(rec.Updated) >= long && s.Seconds >= long.Seconds():
		s.State = Stalled
	}
	return s, nil
}

// Position is the checkpoint: that of the last event that was handled or passed
// over, as the Runner wrote it last.
func (c *Control) Position(ctx context.Context) (int64, error) {
	rec, err := readRecord(ctx, c.views, c.name)
	return rec.Position, err
}
