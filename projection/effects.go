package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
)

// calling is how the folds of one generation make outside calls.
type calling struct {
	set    *Set
	name   string // of the projection: all generations share a journal
	number int
	ledger *effect.Ledger
	began  bool // it is recorded since when the live generation makes calls
}

// A caller is a Handler whose folds may make outside calls.
type caller interface{ makesCalls(*calling) }

// calling is nil where the folds of p make no outside calls.
func (s *Set) calling(p *Projection, n int) *calling {
	if s.opts.Effects == nil || p.file != "" || p.rules != nil {
		return nil
	}
	return &calling{set: s, name: p.name, number: n, ledger: s.opts.Effects.Ledger(p.name)}
}

// A moment is what a generation may do about outside calls, as it was right before
// a batch. Where that changes meanwhile no harm is done: all generations share a
// journal, and a call that nobody has made is waited for, not left out.
type moment struct {
	*calling
	live    bool
	since   int64 // the live one makes calls for the events behind this position
	repair  *repairing
	reached int64          // by the live generation
	parked  map[int64]bool // there; where this one is live, for the previous one
}

// moment looks which generation is live. One that is not waits here until the live
// one is as far as batch goes, but not for ever: it may not need it.
func (c *calling) moment(ctx context.Context, batch []consumer.Message) (*moment, error) {
	g, err := readGenerations(ctx, c.set.views, c.name)
	if err != nil {
		return nil, consumer.Blameless(err)
	}
	of := g.find(c.number)
	if of == nil {
		return nil, consumer.Blameless(&annals.Error{Code: annals.CodeConflict, Message: fmt.Sprintf("generation %d of projection %s is being deleted", c.number, c.name)})
	}
	x := &moment{calling: c, live: g.Live == c.number, since: of.Since, repair: of.Repair}
	first, last := batch[0].Position, batch[len(batch)-1].Position
	if x.live {
		if !c.began {
			err = c.set.began(ctx, c.name, of)
			c.began = err == nil
		}
		if err == nil && g.Previous != 0 && (first <= x.since || batch[0].Retried) {
			x.parked, err = c.set.control(c.name, g.Previous).ParkedWithin(ctx, first-1, last)
		}
	} else if x.reached, err = c.set.liveReaches(ctx, c.name, g.Live, last); err == nil {
		x.parked, err = c.set.control(c.name, g.Live).ParkedWithin(ctx, first-1, last)
	}
	if err == nil && x.repair.holds(first, last) {
		err = c.ledger.Refresh(ctx)
	}
	if err != nil {
		return nil, consumer.Blameless(err)
	}
	return x, nil
}

// began records since when a projection makes calls, if nobody has: behind what of,
// which is live, has folded without a Gateway.
func (s *Set) began(ctx context.Context, name string, of *generation) error {
	position, err := s.control(name, of.Number).Position(ctx)
	if err == nil {
		_, err = s.opts.Effects.Began(ctx, name, max(position, of.Since, of.End))
	}
	return err
}

// liveReaches is how far the live generation has come, after a wait for position
// that is bounded.
func (s *Set) liveReaches(ctx context.Context, name string, live int, position int64) (int64, error) {
	const look = 100 * time.Millisecond
	waiting, cancel := context.WithTimeout(ctx, s.opts.Poll)
	defer cancel()
	for {
		reached, err := s.control(name, live).Position(ctx)
		if err != nil || reached >= position || waiting.Err() != nil {
			return reached, err
		}
		short, stop := context.WithTimeout(waiting, look)
		if r := s.runnerOf(name, live); r != nil && !r.finished() {
			// Its position is in memory before others see it.
			if r.runner.WaitFor(short, position) == nil {
				stop()
				return position, nil
			}
		}
		<-short.Done()
		stop()
	}
}

// handle runs f, the fold of m, by what this generation may do. suppressed says
// that f gave up because a call was not sent: m counts as handled and has changed
// nothing.
func (x *moment) handle(ctx context.Context, m *consumer.Message, f func(context.Context) error) (suppressed bool, err error) {
	elsewhere := false // the live generation has m parked, so that its calls are yet to be made
	// Strict, because nobody would notice what a view lacks.
	h := effect.Handling{Handler: x.name, Event: &m.Event, Mode: effect.Replay, Strict: true}
	switch {
	case x.live && (m.Position > x.since || m.Retried || x.parked[m.Position]):
		h.Mode = effect.Live
	case !x.live:
		h.Reached = func(context.Context) (int64, error) {
			if elsewhere = x.parked[m.Position]; elsewhere {
				return 0, errors.New("it is parked there")
			}
			return x.reached, nil
		}
	}
	folded := func(ctx context.Context) error {
		err := f(ctx)
		suppressed = err != nil
		return err
	}
	if x.repair.holds(m.Position, m.Position) && !x.parked[m.Position] {
		err = x.ledger.Turn(ctx, x.ledger.Repair(x.repair.ID), m, len(x.repair.Send) > 0, func(ctx context.Context, _ *effect.RepairTurn) error { return folded(ctx) })
	} else {
		err = x.set.opts.Effects.Handle(ctx, h, folded)
	}
	if elsewhere {
		return false, consumer.Permanent(&annals.Error{
			Code:    annals.CodeConflict,
			Message: fmt.Sprintf("event %s is parked for the live generation of projection %s, which is yet to make its outside calls", m.Cause(), x.name),
			Hint:    "annals parked list " + x.name + "; once it is handled there, retry it here",
		})
	}
	return suppressed && err == nil, err
}

// A repairing is the part of a generation's log in which outside calls are compared
// with the journal.
type repairing struct {
	ID   string `json:"id,omitempty"` // of the repair
	From int64  `json:"from,string"`
	To   int64  `json:"to,string"`
	// Send names the findings whose calls, which were missing, this generation is
	// to make, as they are approved.
	Send []string `json:"send,omitempty"`
}

// holds reports whether an event in first to last may be repaired.
func (r *repairing) holds(first, last int64) bool {
	return r != nil && first <= r.To && last >= r.From
}

// errSuppressed says that a batch has to be folded with care.
var errSuppressed = errors.New("a fold was suppressed")

// A saved is a document as it was before an event.
type saved[D any] struct {
	e    *entry[D]
	was  entry[D]
	text []byte // of the document; nil for none
}

// call folds m, which may make outside calls, into the documents under keys.
func (d *documents[D]) call(ctx context.Context, x *moment, keys []string, m *consumer.Message) error {
	var before []saved[D]
	if d.careful {
		var err error
		if before, err = d.save(keys); err != nil {
			return err
		}
	}
	suppressed, err := x.handle(ctx, m, func(ctx context.Context) error {
		called := m.WithContext(ctx)
		for _, key := range keys {
			if err := d.foldInto(d.cache.get(key), called); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err != nil || !suppressed:
		return err
	case !d.careful:
		return errSuppressed
	}
	for i := range before {
		if err := d.restore(&before[i]); err != nil {
			return err
		}
	}
	return nil
}

func (d *documents[D]) save(keys []string) ([]saved[D], error) {
	before := make([]saved[D], len(keys))
	for i, key := range keys {
		e := d.cache.get(key)
		before[i] = saved[D]{e: e, was: *e}
		if e.exists {
			var err error
			if before[i].text, err = d.folder.encode(e.doc); err != nil {
				return nil, consumer.Permanent(fmt.Errorf("document %q can't be written: %w", key, err))
			}
		}
	}
	return before, nil
}

func (d *documents[D]) restore(s *saved[D]) error {
	weight := s.e.weight
	*s.e = s.was
	s.e.weight = weight
	var none D
	if s.e.doc = none; s.text == nil {
		return nil
	}
	doc, err := d.folder.decode(s.text)
	if err != nil {
		return consumer.Permanent(fmt.Errorf("document %q can't be read back: %w", s.e.key, err))
	}
	s.e.doc = doc
	return nil
}

// makesCalls implements caller.
func (d *documents[D]) makesCalls(c *calling) { d.calling = c }

// makesCalls implements caller.
func (h *sqlHandler) makesCalls(c *calling) { h.calling = c }

func (g *generations) repairOf(id string) *generation {
	i := slices.IndexFunc(g.List, func(of generation) bool { return !of.Deleted && of.Repair != nil && of.Repair.ID == id })
	if i < 0 {
		return nil
	}
	return &g.List[i]
}
