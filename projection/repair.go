package projection

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
)

// Repair is Rebuild that also compares the outside calls of events from opts.From
// on, up to what the live generation has reached, with those that were made, and
// sends none of them: effect.Differences then lists what differs, for
// effect.Approve. A generation that is being built is given up for it. A projection
// that makes no outside calls, such as one from a file, is just rebuilt.
//
// A call that was missing, and is approved, is made by a further generation, which
// Run begins by itself, as a fold needs its documents.
func (s *Set) Repair(ctx context.Context, name string, opts effect.RepairOptions) (int, error) {
	p, err := s.defined(name)
	if err != nil {
		return 0, err
	}
	g, err := readGenerations(ctx, s.views, name)
	if err != nil {
		return 0, err
	}
	if s.calling(p, 0) == nil || g.Live == 0 {
		if opts.From < 1 {
			return 0, annals.Invalid("from", "must be a position from 1")
		}
		return s.Rebuild(ctx, name)
	}
	live := g.find(g.Live)
	if live == nil {
		return 0, changedMeanwhile(name)
	}
	if err := s.began(ctx, name, live); err != nil {
		return 0, err
	}
	asked, err := effect.RequestRepair(ctx, s.store, name, opts)
	if err != nil {
		return 0, err
	}
	ledger := s.opts.Effects.Ledger(name)
	if err := ledger.Refresh(ctx); err != nil {
		return 0, err
	}
	t := tending{set: s, projection: p, ledger: ledger}
	if err := t.advance(ctx, ledger.Repair(asked.ID)); err != nil {
		return 0, &annals.Error{
			Code: annals.CodeOf(err), Err: err, Message: "the repair " + asked.ID + " is asked for, and its generation could not be begun now",
			Hint: "it is begun by whoever runs the projection; annals projection show " + name,
		}
	}
	g, err = readGenerations(ctx, s.views, name)
	if err != nil {
		return 0, err
	}
	if of := g.repairOf(asked.ID); of != nil {
		return of.Number, nil
	}
	return 0, changedMeanwhile(name)
}

// watchRepairs carries out repairs and corrections of all projections until ctx
// ends.
func (s *Set) watchRepairs(ctx context.Context) {
	opts := s.opts.Consumer
	opts.Poll = s.opts.Poll
	all := map[string]*tending{}
	effect.Watch(ctx, s.store, &opts, func(ctx context.Context) (again bool, problem error) { return s.repairRound(ctx, all) })
}

// repairRound does what there is to do about the repairs of all projections, of
// which all keeps what was read before; again says that something is under way.
func (s *Set) repairRound(ctx context.Context, all map[string]*tending) (again bool, problem error) {
	s.mu.Lock()
	current := maps.Clone(s.current)
	s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(current)) {
		p := current[name]
		if s.calling(p, 0) == nil {
			continue
		}
		if all[name] == nil {
			all[name] = &tending{set: s, ledger: s.opts.Effects.Ledger(name)}
		}
		all[name].projection = p
		more, err := all[name].round(ctx)
		again, problem = again || more, errors.Join(problem, err)
	}
	return again, problem
}

// tending is a process's work on the repairs of one projection.
type tending struct {
	set        *Set
	projection *Projection
	ledger     *effect.Ledger
}

// round does what there is to do; again says that something is under way.
func (t *tending) round(ctx context.Context) (again bool, err error) {
	if err := t.ledger.Refresh(ctx); err != nil {
		return false, err
	}
	due := t.ledger.Due()
	if due == nil && len(t.ledger.Approved()) == 0 {
		return false, nil
	}
	status, err := t.set.Status(ctx, t.consumer(ctx))
	if err != nil {
		return false, err
	}
	if status.State == consumer.Standby {
		return true, nil // the process that works on the live view does it
	}
	if due != nil {
		return true, t.advance(ctx, due)
	}
	return t.correct(ctx)
}

// consumer is that of the live generation; that of none where there is none.
func (t *tending) consumer(ctx context.Context) string {
	g, err := readGenerations(ctx, t.set.views, t.projection.name)
	if err != nil {
		return t.projection.name // reading its status fails too
	}
	return generationName(t.projection.name, g.Live)
}

// advance begins the generation of a repair, or sees whether it is done.
func (t *tending) advance(ctx context.Context, r *effect.RepairRun) error {
	name := t.projection.name
	g, err := readGenerations(ctx, t.set.views, name)
	if err != nil {
		return err
	}
	of := g.repairOf(r.ID)
	switch {
	case of == nil && r.State == effect.Requested:
		if of, err = t.generation(ctx, g, repairing{ID: r.ID, From: r.From, To: r.To}); err != nil || of == nil {
			return err
		}
	case of == nil || !g.kept(of):
		return t.ledger.Fail(ctx, r, errors.New("its generation was deleted before it was built"))
	}
	if r.State == effect.Requested {
		if err := t.ledger.Start(ctx, r, of.Repair.To); err != nil {
			return err
		}
	}
	position, err := t.set.control(name, of.Number).Position(ctx)
	if err != nil || position < of.Repair.To {
		return err
	}
	return t.ledger.Finish(ctx, r, 0)
}

// generation begins to build one that repairs, up to where the live one is at most;
// nil if another process was faster. It gives up only what is being built in seen,
// which is where its caller found that there is none for r yet: read again, it could
// be the very one that another process has begun for r meanwhile.
func (t *tending) generation(ctx context.Context, seen *generations, r repairing) (*generation, error) {
	name := t.projection.name
	g, err := t.set.existing(ctx, name)
	if err != nil {
		return nil, err
	}
	reached, err := t.set.control(name, g.Live).Position(ctx)
	if err != nil {
		return nil, err
	}
	if r.To == 0 || r.To > reached {
		r.To = reached
	}
	if next := seen.next(); next != nil {
		if err := t.set.Delete(ctx, name, next.Number); err != nil && !errors.Is(err, annals.ErrNotFound) {
			return nil, err
		}
	}
	free := func(g *generations) error {
		if g.next() != nil || g.Live == 0 {
			return errUnchanged
		}
		return nil
	}
	g, added, err := t.set.generate(ctx, t.projection, free, func(g *generations, of *generation) {
		of.Repair, g.Building = &r, of.Number
	})
	if err != nil || !added {
		return nil, err
	}
	return g.next(), nil
}

// correct sends what is approved. Calls that the folds are to make themselves wait
// for a generation that meets their events.
func (t *tending) correct(ctx context.Context) (again bool, err error) {
	past := t.past(ctx)
	var own []*effect.Finding
	for _, f := range t.ledger.Approved() {
		if f.State != effect.Approved {
			continue
		}
		asIs, err := t.ledger.Correct(ctx, f, past)
		if err != nil {
			return false, err
		}
		if asIs {
			own = append(own, f)
		}
	}
	if len(own) == 0 {
		return false, nil
	}
	return true, t.sendOwn(ctx, own)
}

// sendOwn sees that there is a generation that makes the calls of own, and says
// which of them the last one did not make.
func (t *tending) sendOwn(ctx context.Context, own []*effect.Finding) error {
	name := t.projection.name
	g, err := readGenerations(ctx, t.set.views, name)
	if err != nil {
		return err
	}
	for i := range g.List {
		of := &g.List[i]
		if of.Repair == nil || len(of.Repair.Send) == 0 || !g.kept(of) {
			continue
		}
		position, err := t.set.control(name, of.Number).Position(ctx)
		if err != nil || position < of.Repair.To {
			return err // it is under way
		}
		// What it made is settled before its position is written.
		if err := t.ledger.Refresh(ctx); err != nil {
			return err
		}
		for _, f := range own {
			if f.State != effect.Approved || !slices.Contains(of.Repair.Send, f.ID) {
				continue
			}
			if err := t.ledger.NotMade(ctx, f); err != nil {
				return err
			}
		}
	}
	r := repairing{}
	for _, f := range own {
		if f.State != effect.Approved {
			continue
		}
		if r.From == 0 || f.Position < r.From {
			r.From = f.Position
		}
		r.To, r.Send = max(r.To, f.Position), append(r.Send, f.ID)
	}
	if len(r.Send) == 0 {
		return nil
	}
	_, err = t.generation(ctx, g, r)
	return err
}

// past is the live view as its corrections need it.
func (t *tending) past(ctx context.Context) *effect.Past {
	control := t.set.Control(t.consumer(ctx))
	return &effect.Past{
		Reached: control.Position,
		Events: func(ctx context.Context, from, to int64) iter.Seq2[*consumer.Message, error] {
			q := t.projection.query
			q.After, q.Until = from-1, to
			return control.Handled(ctx, q)
		},
	}
}
