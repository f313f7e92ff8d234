package projection

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/view"
)

func notFound(name string) error {
	return &annals.Error{Code: annals.CodeNotFound, Message: "there is no projection " + name, Hint: "annals projection list shows those that there are"}
}

func (s *Set) defined(name string) (*Projection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.current[name]
	if p == nil {
		return nil, &annals.Error{Code: annals.CodeNotFound, Message: "there is no definition of a projection " + name, Hint: "put it into the directory of projections, or see annals projection list"}
	}
	return p, nil
}

// begin makes the first generation of p, live at once.
func (s *Set) begin(ctx context.Context, p *Projection) (int, error) {
	end, err := s.store.End(ctx)
	if err != nil {
		return 0, err
	}
	another := func(g *generations) error {
		if g.any() {
			return errUnchanged // another process was first
		}
		return nil
	}
	if s.calling(p, 0) != nil {
		// Calls for what happened before there was a view are not made.
		if _, err := s.opts.Effects.Began(ctx, p.name, end); err != nil {
			return 0, err
		}
	}
	g, _, err := s.generate(ctx, p, another, func(g *generations, of *generation) {
		of.Since, of.End, g.Live, g.Previous, g.Building = end, end, of.Number, 0, 0
	})
	if err != nil {
		return 0, err
	}
	return g.Live, s.expose(ctx, p.name, g)
}

// Rebuild begins a new generation of the projection as it is defined now, beside
// the live one, and returns its number. If one of this very definition is being
// built already, be it the first one, that one goes on; one of another definition
// is given up for it. The live view answers reads until Switch. Of generations that
// are Stale the newest 8 are kept, and older ones deleted.
func (s *Set) Rebuild(ctx context.Context, name string) (int, error) {
	p, err := s.defined(name)
	if err != nil {
		return 0, err
	}
	g, err := readGenerations(ctx, s.views, name)
	if err != nil {
		return 0, err
	}
	if !g.any() {
		return s.begin(ctx, p)
	}
	next := g.next()
	if next != nil && next.Revision == p.revision && next.Part == nil {
		return next.Number, nil
	}
	if live := g.find(g.Live); next == nil && live != nil && live.End > 0 && live.Revision == p.revision {
		status, err := s.status(ctx, name, live.Number)
		if err != nil || status.Position < live.End {
			return live.Number, err
		}
	}
	if next != nil {
		if err := s.Delete(ctx, name, next.Number); err != nil {
			return 0, err
		}
	}
	if err := s.prune(ctx, name); err != nil {
		return 0, err
	}
	none := func(g *generations) error {
		if g.next() != nil || !g.any() {
			return errUnchanged
		}
		return nil
	}
	g, added, err := s.generate(ctx, p, none, func(g *generations, of *generation) { g.Building = of.Number })
	if err != nil {
		return 0, err
	}
	if !added {
		return s.Rebuild(ctx, name) // another process has begun or deleted one meanwhile
	}
	return g.Building, nil
}

// Switch makes the generation that was built beside the live one live, in one
// step. It is refused while that one is behind the live one, or holds parked
// events that the live one has not, unless force is set; where waiting can't help with
// these, the error matches ErrMoreParked. generation is the number of the one that the
// caller decided on: if another is to go live by now, Switch is refused with
// annals.ErrConflict; 0 takes whichever was built last. The old one stays up to date for
// Rollback, until the next Switch. Switch returns the number of the live generation.
func (s *Set) Switch(ctx context.Context, name string, generation int, force bool) (int, error) {
	g, err := s.existing(ctx, name)
	if err != nil {
		return 0, err
	}
	number, err := s.switchable(ctx, name, g, generation, force)
	if err != nil {
		return 0, err
	}
	g, err = s.edit(ctx, name, func(g *generations, _ *view.Change) error {
		return s.takeOver(ctx, name, g, func() error { return g.switchTo(name, number) })
	})
	if err != nil {
		return 0, err
	}
	return g.Live, s.expose(ctx, name, g)
}

// takeOver makes another generation live by change. Outside calls for the events
// that the one before it has reached are its business: the next one makes those
// behind.
func (s *Set) takeOver(ctx context.Context, name string, g *generations, change func() error) error {
	before := g.Live
	if err := change(); err != nil {
		return err
	}
	if before == 0 {
		return nil
	}
	since, err := s.control(name, before).Position(ctx)
	if err == nil {
		g.find(g.Live).Since = since
	}
	return err
}

// ErrMoreParked is why a Switch is refused for good where the generation has parked events
// that the live one has folded, or, as it is paused, won't reach.
var ErrMoreParked = errors.New("documents would be missing them")

// ready reports why a generation should not go live yet.
func (s *Set) ready(ctx context.Context, name string, live, next int) error {
	was, behind, err := s.behind(ctx, name, next, live)
	if err != nil {
		return err
	}
	if behind != "" {
		return &annals.Error{Code: annals.CodeConflict, Message: behind, Hint: "wait until it has caught up; annals projection show " + name}
	}
	missing, first, err := s.parkedBeside(ctx, name, live, next)
	if err != nil || missing == 0 {
		return err
	}
	refusal := &annals.Error{
		Code: annals.CodeConflict, Message: fmt.Sprintf("generation %d of projection %s has %d parked events that the live one has not", next, name, missing),
		Hint: "annals parked list " + generationName(name, next) + " shows them; --force switches all the same",
	}
	if first <= was.Position || was.State == consumer.Paused {
		refusal.Err = ErrMoreParked
	}
	return refusal
}

// parkedBeside counts the events that are parked for generation next but not for
// the live one, of which first is the position of the first.
func (s *Set) parkedBeside(ctx context.Context, name string, live, next int) (missing int, first int64, err error) {
	too, stop := iter.Pull2(s.control(name, live).Parked(ctx))
	defer stop()
	at := int64(0) // the position of the live one's parked event at hand
	for p, err := range s.control(name, next).Parked(ctx) {
		if err != nil {
			return missing, first, err
		}
		for at < p.Position {
			other, err, ok := too()
			if err != nil {
				return missing, first, err
			}
			if at = other.Position; !ok {
				at = math.MaxInt64
			}
		}
		if at != p.Position {
			if missing++; missing == 1 {
				first = p.Position
			}
		}
	}
	return missing, first, nil
}

// Rollback makes the generation live that was so before the last Switch, and leaves
// the other one beside it, so that Switch goes forth again. It is refused while the
// previous one is behind the live one, unless force is set: of Go code, a
// generation follows the log only where a process knows its revision.
func (s *Set) Rollback(ctx context.Context, name string, force bool) (int, error) {
	g, err := s.existing(ctx, name)
	if err != nil {
		return 0, err
	}
	if err := s.reversible(ctx, name, g, force); err != nil {
		return 0, err
	}
	live, previous := g.Live, g.Previous
	g, err = s.edit(ctx, name, func(g *generations, _ *view.Change) error {
		return s.takeOver(ctx, name, g, func() error { return g.rollBack(name, live, previous) })
	})
	if err != nil {
		return 0, err
	}
	return g.Live, s.expose(ctx, name, g)
}

// Delete removes a generation that is not live, with its documents.
func (s *Set) Delete(ctx context.Context, name string, number int) error {
	g, err := s.edit(ctx, name, func(g *generations, _ *view.Change) error { return g.strike(name, number) })
	if err != nil {
		return err
	}
	return s.removeDeleted(ctx, name, g)
}

// DeleteAll removes a projection with all its generations. One that is still
// defined begins again, with the next number, when its Set is opened anew.
func (s *Set) DeleteAll(ctx context.Context, name string) error {
	g, err := s.edit(ctx, name, func(g *generations, _ *view.Change) error { return g.strikeAll(name) })
	if err != nil {
		return err
	}
	return s.removeDeleted(ctx, name, g)
}

// prune deletes the generations that nobody is going to ask for any more. The list of
// all is one document, which must not outgrow what a document may take.
func (s *Set) prune(ctx context.Context, name string) error {
	old := false
	g, err := s.edit(ctx, name, func(g *generations, _ *view.Change) error {
		if old = g.strikeOld(); !old {
			return errUnchanged
		}
		return nil
	})
	if err != nil || !old {
		return err
	}
	return s.removeDeleted(ctx, name, g)
}

func (s *Set) removeDeleted(ctx context.Context, name string, g *generations) (problem error) {
	if problem = s.expose(ctx, name, g); problem != nil {
		return problem
	}
	for i := range g.List {
		if of := &g.List[i]; of.Deleted {
			problem = errors.Join(problem, s.remove(ctx, name, of))
		}
	}
	return problem
}

// remove finishes a deletion: the consumer's record first, which fences whoever
// still works on it, and the mention in the list last, so that what is left of an
// interrupted deletion says what is to be removed.
func (s *Set) remove(ctx context.Context, name string, of *generation) error {
	space := generationName(name, of.Number)
	s.mu.Lock()
	if r := s.running[space]; r != nil {
		r.stop()
		delete(s.running, space)
	}
	s.mu.Unlock()
	if err := consumer.Remove(ctx, s.views, space); err != nil {
		return err
	}
	if err := s.views.Drop(ctx, space); err != nil {
		return err
	}
	if err := s.dropTables(ctx, of.Tables, of.Number); err != nil {
		return err
	}
	_, err := s.edit(ctx, name, func(g *generations, _ *view.Change) error {
		for i := range g.List {
			if g.List[i].Number == of.Number && g.List[i].Deleted {
				g.List = slices.Delete(g.List, i, i+1)
				return nil
			}
		}
		return errUnchanged
	})
	return err
}

// Pause stops every generation of a projection; Resume lets them go on.
func (s *Set) Pause(ctx context.Context, name string) error {
	return s.each(ctx, name, (*consumer.Control).Pause)
}

// Resume lets the generations of a paused projection go on.
func (s *Set) Resume(ctx context.Context, name string) error {
	return s.each(ctx, name, (*consumer.Control).Resume)
}

func (s *Set) each(ctx context.Context, name string, f func(*consumer.Control, context.Context) error) error {
	g, err := s.existing(ctx, name)
	if err != nil {
		return err
	}
	for i := range g.List {
		of := &g.List[i]
		if !g.kept(of) {
			continue
		}
		if err := f(s.control(name, of.Number), ctx); err != nil {
			return err
		}
		s.Wake(generationName(name, of.Number))
	}
	return nil
}

// Wake makes this process's work on a consumer look at once what was asked of it.
func (s *Set) Wake(consumer string) {
	if r := s.at(consumer); r != nil {
		r.runner.Wake()
	}
}

func (s *Set) existing(ctx context.Context, name string) (*generations, error) {
	g, err := readGenerations(ctx, s.views, name)
	if err != nil || g.any() {
		return g, err
	}
	if _, err := s.defined(name); err != nil {
		return g, notFound(name)
	}
	return g, &annals.Error{Code: annals.CodeNotFound, Message: "projection " + name + " is defined and has no view yet", Hint: "annals serve keeps one; annals projection rebuild " + name + " builds one"}
}
