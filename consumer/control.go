package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// Control steers the consumer called name through what it keeps in views, from
// any process. Its Runner notices within Options.Poll, or at once by Wake. It is
// safe for concurrent use.
type Control struct {
	store *annals.Store
	views view.Store
	name  string
	opts  *Options
}

// NewControl makes a Control. Of opts it uses Clock and StallAfter.
func NewControl(store *annals.Store, views view.Store, name string, opts *Options) *Control {
	return &Control{store, views, name, opts.Complete()}
}

// A Parked is an event that could not be handled, or that waits behind one of
// its stream.
type Parked struct {
	Consumer string    `json:"consumer"`
	Position int64     `json:"position,string"`
	Stream   string    `json:"stream"`
	Version  int64     `json:"version,string"`
	Type     string    `json:"type"`
	Waiting  bool      `json:"waiting"`         // it was not tried: an earlier event of its stream is parked
	Attempts int       `json:"attempts"`        // that were made
	Error    string    `json:"error,omitempty"` // of the last one
	Stack    string    `json:"stack,omitempty"` // where the handler panicked
	Since    time.Time `json:"since"`
	Retry    bool      `json:"retry,omitempty"` // a retry was asked for
}

// Parked lists parked events by position.
func (c *Control) Parked(ctx context.Context) iter.Seq2[Parked, error] { return c.ParkedAfter(ctx, 0) }

// ParkedAfter lists the parked events behind a position, by position.
func (c *Control) ParkedAfter(ctx context.Context, position int64) iter.Seq2[Parked, error] {
	return func(yield func(Parked, error) bool) {
		space := parkedSpace + c.name
		for doc, err := range c.views.Scan(ctx, space, view.Range{After: positionKey(position)}) {
			var p parkedRecord
			if err == nil {
				p, err = parseParked(space, doc)
			}
			if !yield(p.Parked, err) || err != nil {
				return
			}
		}
	}
}

// ParkedAt is the parked event at position.
// Errors: annals.ErrNotFound where none is parked there.
func (c *Control) ParkedAt(ctx context.Context, position int64) (Parked, error) {
	p, err := c.parked(ctx, position)
	return p.Parked, err
}

// Edited is the data that an operator has given the event at position, and why; nil
// where none has.
func (c *Control) Edited(ctx context.Context, position int64) (data []byte, reason string, err error) {
	space, key := decisionsOf(c.name), positionKey(position)
	found, err := c.views.Get(ctx, space, key)
	doc, ok := found[key]
	if err != nil || !ok {
		return nil, "", err
	}
	var d decision
	if err := json.Unmarshal(doc.Data, &d); err != nil {
		return nil, "", damaged(space, key, err)
	}
	if d.Drop {
		return nil, "", nil
	}
	return d.data(), d.Reason, nil
}

// Retry asks that these events be tried again, or all that failed if none is
// named. The events that wait behind each follow once it has been handled. It
// returns how many will be tried.
func (c *Control) Retry(ctx context.Context, positions ...int64) (int, error) {
	if len(positions) == 0 {
		for p, err := range c.Parked(ctx) {
			if err != nil {
				return 0, err
			}
			if !p.Waiting {
				positions = append(positions, p.Position)
			}
		}
	}
	for i, position := range positions {
		if err := c.ask(ctx, position, nil); err != nil {
			return i, err
		}
	}
	return len(positions), nil
}

// Edit has the event at position handled with other data, now and in every later
// rebuild, and asks for a retry. The log keeps the event as it is. reason says
// why and must not be empty. Other generations that run learn of it; one that
// has passed the event keeps what it made of it. Error: one of CodeErased where the
// event's data was erased.
func (c *Control) Edit(ctx context.Context, position int64, data []byte, reason string) error {
	p, err := c.parked(ctx, position)
	if err != nil {
		return err
	}
	for e, err := range c.store.Stream(ctx, p.Stream, &annals.StreamOptions{From: p.Version, To: p.Version}) {
		if err != nil {
			return err
		}
		if e.Erased() {
			return &annals.Error{
				Code: annals.CodeErased, Message: "the data subject of event " + e.Stream + "@" + strconv.FormatInt(e.Version, 10) + " is erased, and so is its data",
				Hint: "drop the event, or retry it as it is",
			}
		}
	}
	return c.ask(ctx, position, &decision{Data: data, Reason: reason})
}

// Drop has the event at position passed over, now and in every later rebuild.
// reason says why and must not be empty. Other generations that run learn of it;
// one that has passed the event keeps what it made of it.
func (c *Control) Drop(ctx context.Context, position int64, reason string) error {
	return c.ask(ctx, position, &decision{Drop: true, Reason: reason})
}

// ask marks a parked event for its Runner, together with a decision about it.
func (c *Control) ask(ctx context.Context, position int64, d *decision) error {
	if d != nil && strings.TrimSpace(d.Reason) == "" {
		return annals.Invalid("reason", "must say why, for those who come later")
	}
	err := c.change(ctx, func(rec *record, change *view.Change) error {
		p, err := c.parked(ctx, position)
		if err != nil {
			return err
		}
		if p.Waiting && d == nil {
			return annals.Invalid("position", "%d waits behind an earlier event of %s that failed: retry that one", position, p.Stream)
		}
		if d != nil {
			put, err := c.decide(*d, p)
			if err != nil {
				return err
			}
			change.Put = append(change.Put, put)
		}
		if p.Waiting {
			return nil // its turn comes once the one before it is done
		}
		change.Expect = append(change.Expect, view.Expectation{Key: c.parkedKey(position), Data: p.text})
		p.Retry = true
		put, err := p.put(parkedSpace + c.name)
		change.Put = append(change.Put, put)
		rec.Asked++
		return err
	})
	if err != nil || d == nil {
		return err
	}
	return c.tell(ctx)
}

// tell has the Runners of the other consumers that share the decisions of this one
// read them again: a record that changes fences whoever has not.
func (c *Control) tell(ctx context.Context) error {
	names, err := Names(ctx, c.views)
	if err != nil {
		return fmt.Errorf("the decision is stored, but other generations could not be told of it; ask again: %w", err)
	}
	for _, name := range names {
		if name == c.name || decisionsOf(name) != decisionsOf(c.name) {
			continue
		}
		other := NewControl(c.store, c.views, name, c.opts)
		err := other.change(ctx, func(*record, *view.Change) error { return nil })
		if err != nil && !errors.Is(err, annals.ErrNotFound) {
			return fmt.Errorf("the decision is stored, but consumer %s could not be told of it; ask again: %w", name, err)
		}
	}
	return nil
}

func (c *Control) decide(d decision, p parkedRecord) (view.Put, error) {
	d.Position, d.At = p.Position, c.opts.Clock().UTC()
	if edited := []byte(d.Data); edited != nil {
		event := annals.Event{ContentType: p.ContentType}
		if !event.IsJSON() {
			d.Data, d.Bytes = nil, edited
		} else if err := annals.CheckJSON(edited); err != nil {
			return view.Put{}, err
		}
	}
	text, err := json.Marshal(d)
	return view.Put{Space: decisionsOf(c.name), Document: view.Document{Key: positionKey(p.Position), Data: text, Position: p.Position}}, err
}

func (c *Control) parked(ctx context.Context, position int64) (parkedRecord, error) {
	key := c.parkedKey(position)
	found, err := c.views.Get(ctx, key.Space, key.Key)
	if err != nil {
		return parkedRecord{}, err
	}
	doc, ok := found[key.Key]
	if !ok {
		return parkedRecord{}, &annals.Error{
			Code: annals.CodeNotFound, Message: fmt.Sprintf("consumer %s has no parked event at position %d", c.name, position),
			Hint: "list the parked events; it may have been handled meanwhile",
		}
	}
	return parseParked(key.Space, doc)
}

// Pause stops the consumer after the batch that it is at.
func (c *Control) Pause(ctx context.Context) error {
	return c.change(ctx, func(rec *record, _ *view.Change) error { rec.Paused = true; return nil })
}

// Resume lets a paused consumer go on.
func (c *Control) Resume(ctx context.Context) error {
	return c.change(ctx, func(rec *record, _ *view.Change) error { rec.Paused = false; return nil })
}

// change edits the record and what belongs to it, again when a Runner comes in
// between.
func (c *Control) change(ctx context.Context, edit func(*record, *view.Change) error) error {
	const tries = 1000 // a busy Runner commits some hundred times a second
	for try := 1; ; try++ {
		rec, err := readRecord(ctx, c.views, c.name)
		if err != nil {
			return err
		}
		if rec.text == nil {
			return noConsumer(c.name)
		}
		change := view.Change{Expect: []view.Expectation{rec.expects(c.name)}, Durable: true}
		if err := edit(&rec, &change); err != nil {
			return err
		}
		put, err := rec.put(c.name)
		if err != nil {
			return err
		}
		change.Put = append(change.Put, put)
		err = c.views.Commit(ctx, change)
		if err == nil || !errors.Is(err, annals.ErrConflict) || try == tries || ctx.Err() != nil {
			return err
		}
	}
}

func noConsumer(name string) error {
	return &annals.Error{Code: annals.CodeNotFound, Message: "there is no consumer " + name, Hint: "a consumer is known once it has run"}
}

// Create adds to change that views know a consumer called name from then on, with
// nothing handled, and that they did not know it before.
func Create(change *view.Change, name string) error {
	var r record
	change.Expect = append(change.Expect, r.expects(name))
	put, err := r.put(name)
	change.Put = append(change.Put, put)
	return err
}

// Remove makes views forget the consumer called name: its checkpoint and its
// parked events, not what was decided about events. A Runner of it is fenced.
func Remove(ctx context.Context, views view.Store, name string) error {
	change := view.Change{Delete: []view.Key{{Space: recordSpace, Key: name}}, Durable: true}
	if err := views.Commit(ctx, change); err != nil {
		return err
	}
	return views.Drop(ctx, parkedSpace+name)
}

// Names lists the consumers that views know, in order.
func Names(ctx context.Context, views view.Store) ([]string, error) {
	var names []string
	for doc, err := range views.Scan(ctx, recordSpace, view.Range{}) {
		if err != nil {
			return nil, err
		}
		names = append(names, doc.Key)
	}
	return names, nil
}
