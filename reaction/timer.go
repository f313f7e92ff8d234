package reaction

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/view"
)

// timerSpace, and the consumer's name, is where timers wait, in the order in which
// they are due.
const timerSpace = "annals.timers/"

// dueForm sorts as times do.
const dueForm = "2006-01-02T15:04:05.000000000Z"

// postponed is for how long a timer is put off that could not be fired because of
// its own saga.
const postponed = time.Minute

// A due is a timer: the timeout-set event at Version of Stream.
type due struct {
	Stream  string `json:"stream"`
	Version int64  `json:"version"`
	// Attempts counts the times it could not be fired.
	Attempts int    `json:"attempts,omitempty"`
	Error    string `json:"error,omitempty"`

	key string
	at  time.Time
}

func (d *due) document(at time.Time) (view.Document, error) {
	text, err := json.Marshal(d)
	return view.Document{Key: fmt.Sprintf("%s %s@%d", at.UTC().Format(dueForm), d.Stream, d.Version), Data: text}, err
}

// note has the timer of a timeout-set event written together with the checkpoint.
// It runs for its whole length from now: a process that was away while the command
// waited to be issued does not take the time from whoever answers.
func (p *Process) note(t *Turn) error {
	var en entry
	if err := json.Unmarshal(t.Data, &en); err != nil {
		return consumer.Permanent(err)
	}
	d := due{Stream: t.Stream, Version: t.Version}
	doc, err := d.document(p.reaction.opts.Clock().Add(en.At.Sub(t.Time)))
	doc.Position = t.Position
	t.puts = append(t.puts, view.Put{Space: timerSpace + p.reaction.name, Document: doc})
	return err
}

// runTimers fires timers as they become due, until ctx ends.
func (p *Process) runTimers(ctx context.Context) error {
	for ctx.Err() == nil {
		wait, err := p.fireDue(ctx, p.waitedFor)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, annals.ErrClosed):
			return err
		case err != nil:
			p.reaction.opts.Logger.Warn("timers of sagas wait", "consumer", p.reaction.name, "error", err)
			wait = p.reaction.opts.Poll
		}
		if wait > 0 {
			p.reaction.opts.Sleep(ctx, wait)
		}
	}
	return nil
}

// fireDue fires what is due and says how long nothing will be. Where handled says
// that an event up to a position is not, it does nothing.
func (p *Process) fireDue(ctx context.Context, handled func(ctx context.Context, position int64) (bool, error)) (time.Duration, error) {
	now := p.reaction.opts.Clock()
	list, err := p.waiting(ctx)
	if err != nil || len(list) == 0 {
		return p.reaction.opts.Poll, err
	}
	if wait := list[0].at.Sub(now); wait > 0 {
		return min(wait, p.reaction.opts.Poll), nil
	}
	// An answer that was stored before the time had passed must win, although
	// nobody may have read it yet.
	end, err := p.reaction.store.End(ctx)
	all := false
	if err == nil {
		all, err = handled(ctx, end)
	}
	if err != nil || !all {
		return 0, err
	}
	var change view.Change
	for i := range list {
		if list[i].at.After(now) {
			break
		}
		if err := p.fire(ctx, &list[i], &change); err != nil {
			return 0, err
		}
	}
	return 0, p.reaction.views.Commit(ctx, change)
}

// waiting are the first timers.
func (p *Process) waiting(ctx context.Context) ([]due, error) {
	// One that fires changes two documents at most.
	most := min(100, p.reaction.views.MaxChange()/2)
	var list []due
	for doc, err := range p.reaction.views.Scan(ctx, timerSpace+p.reaction.name, view.Range{Limit: most}) {
		if err != nil {
			return nil, err
		}
		d := due{key: doc.Key}
		err := json.Unmarshal(doc.Data, &d)
		if err == nil && len(doc.Key) > len(dueForm) {
			d.at, err = time.Parse(dueForm, doc.Key[:len(dueForm)])
		}
		if err != nil {
			return nil, &annals.Error{
				Code: annals.CodeDamaged, Message: fmt.Sprintf("document %q of %s is not what a saga writes", doc.Key, timerSpace+p.reaction.name), Err: err,
				Hint: "something else has written into this view store",
			}
		}
		list = append(list, d)
	}
	return list, nil
}

// fire tells a saga that a timer has passed; what becomes of the timer goes into
// change. A saga that can't be moved does not hold up the others.
func (p *Process) fire(ctx context.Context, d *due, change *view.Change) error {
	err := p.elapse(ctx, d)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, annals.ErrUnavailable), errors.Is(err, annals.ErrUnknownOutcome), errors.Is(err, annals.ErrNoSpace), errors.Is(err, annals.ErrClosed):
		return err
	case err != nil:
		d.Attempts, d.Error = d.Attempts+1, err.Error()
		doc, err := d.document(p.reaction.opts.Clock().Add(postponed))
		if err != nil {
			return err
		}
		p.reaction.opts.Logger.Error("a saga could not be told that its time has passed", "saga", d.Stream, "attempts", d.Attempts, "error", d.Error)
		change.Put = append(change.Put, view.Put{Space: timerSpace + p.reaction.name, Document: doc})
	}
	change.Delete = append(change.Delete, view.Key{Space: timerSpace + p.reaction.name, Key: d.key})
	return nil
}

// elapse appends what follows from a timer, which may be nothing by now.
func (p *Process) elapse(ctx context.Context, d *due) error {
	for try := 1; ; try++ {
		h, err := p.load(ctx, d.Stream)
		if err != nil {
			return err
		}
		m := p.plan.move(h, p.reaction.opts.Clock())
		m.elapsed(d.Version)
		err = p.append(ctx, h, m, fmt.Sprintf("%s@%d", d.Stream, d.Version))
		if !errors.Is(err, annals.ErrConflict) || try == tries {
			return err
		}
	}
}
