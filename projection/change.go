package projection

import (
	"context"
	"errors"
	"fmt"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
)

func notFound(name string) error {
	return &annals.Error{Code: annals.CodeNotFound, Message: "there is no projection " + name, Hint: "annals projection list shows those that there are"}
}

func (s *Set) defined(name string) (*Projection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.projections[name]
	if p == nil {
		return nil, &annals.Error{Code: annals.CodeNotFound, Message: "there is no definition of a projection " + name, Hint: "put it into the directory of projections, or see annals projection list"}
	}
	return p, nil
}

// begin makes the first generation of p, live at once.
func (s *Set) begin(ctx context.Context, p *Projection) (int, error) {
	if err := s.create(ctx, p, 1); err != nil {
		return 0, err
	}
	end, err := s.store.End(ctx)
	if err != nil {
		return 0, err
	}
	g, err := s.edit(ctx, p.name, func(g *generations) error {
		if len(g.List) > 0 {
			return errUnchanged // another process was first
		}
		first := g.add(p, s.opts.Consumer.Clock())
		first.End, g.Live = end, first.Number
		return nil
	})
	if err != nil {
		return 0, err
	}
	return g.Live, s.expose(ctx, p.name, g.Live)
}

// Rebuild begins a new generation of the projection as it is defined now, beside
// the live one, and returns its number. If one of this very definition is being
// built already, be it the first one, that one goes on. The live view answers reads until Switch.
func (s *Set) Rebuild(ctx context.Context, name string) (int, error) {
	p, err := s.defined(name)
	if err != nil {
		return 0, err
	}
	g, err := readGenerations(ctx, s.views, name)
	if err != nil {
		return 0, err
	}
	if len(g.List) == 0 {
		return s.begin(ctx, p)
	}
	next := g.next()
	if next != nil && next.Revision == p.revision {
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
	if err := s.create(ctx, p, g.Last+1); err != nil {
		return 0, err
	}
	expected := g.Last
	g, err = s.edit(ctx, name, func(g *generations) error {
		if g.Last != expected || g.next() != nil {
			return errRaced
		}
		g.add(p, s.opts.Consumer.Clock())
		return nil
	})
	if errors.Is(err, errRaced) {
		return s.Rebuild(ctx, name)
	}
	if err != nil {
		return 0, err
	}
	return g.Last, nil
}

var errRaced = errors.New("another process began a generation")

// Switch makes the generation that was built beside the live one live, in one
// step. It is refused while that one is behind the live one, or holds parked
// events that the live one has not, unless force is set. The old one stays up to
// date for Rollback, until the next Switch.
func (s *Set) Switch(ctx context.Context, name string, force bool) (int, error) {
	g, err := s.existing(ctx, name)
	if err != nil {
		return 0, err
	}
	number, err := s.switchable(ctx, name, g, force)
	if err != nil {
		return 0, err
	}
	if g, err = s.edit(ctx, name, func(g *generations) error { return g.switchTo(name, number) }); err != nil {
		return 0, err
	}
	return g.Live, s.expose(ctx, name, g.Live)
}

// ready reports why a generation should not go live yet.
func (s *Set) ready(ctx context.Context, name string, live, next int) error {
	now, err := s.status(ctx, name, live)
	if err != nil {
		return err
	}
	then, err := s.status(ctx, name, next)
	if err != nil {
		return err
	}
	if then.Position < now.Position {
		return &annals.Error{
			Code: annals.CodeConflict, Message: fmt.Sprintf("generation %d of projection %s is at position %d and the live one at %d: answers would go back in time", next, name, then.Position, now.Position),
			Hint: "wait until it has caught up; annals projection show " + name,
		}
	}
	if then.Parked > now.Parked {
		return &annals.Error{
			Code: annals.CodeConflict, Message: fmt.Sprintf("generation %d of projection %s has %d parked events, the live one %d: documents would be missing events", next, name, then.Parked, now.Parked),
			Hint: "annals parked list " + generationName(name, next) + " shows them; --force switches all the same",
		}
	}
	return nil
}

// Rollback makes the generation live that was so before the last Switch.
func (s *Set) Rollback(ctx context.Context, name string) (int, error) {
	g, err := s.edit(ctx, name, func(g *generations) error { return g.rollBack(name) })
	if err != nil {
		return 0, err
	}
	return g.Live, s.expose(ctx, name, g.Live)
}

// Delete removes a generation that is not live, with its documents.
func (s *Set) Delete(ctx context.Context, name string, number int) error {
	_, err := s.edit(ctx, name, func(g *generations) error { return g.strike(name, number) })
	if err != nil {
		return err
	}
	return s.remove(ctx, name, number)
}

// DeleteAll removes a projection with all its generations. One that is still
// defined begins again when its Set is opened anew.
func (s *Set) DeleteAll(ctx context.Context, name string) error {
	g, err := s.edit(ctx, name, func(g *generations) error { return g.strikeAll(name) })
	if err != nil {
		return err
	}
	for _, of := range g.List {
		if err := s.remove(ctx, name, of.Number); err != nil {
			return err
		}
	}
	return nil
}

// remove finishes a deletion: the consumer's record first, which fences whoever
// still works on it, and the mention in the list last, so that what is left of an
// interrupted deletion says what is to be removed.
func (s *Set) remove(ctx context.Context, name string, number int) error {
	if r := s.runnerOf(name, number); r != nil {
		r.stop()
		<-r.done
		s.mu.Lock()
		delete(s.running, generationName(name, number))
		s.mu.Unlock()
	}
	if err := consumer.Remove(ctx, s.views, generationName(name, number)); err != nil {
		return err
	}
	if err := s.views.Drop(ctx, generationName(name, number)); err != nil {
		return err
	}
	if err := s.dropTables(ctx, name, number); err != nil {
		return err
	}
	_, err := s.edit(ctx, name, func(g *generations) error {
		for i := range g.List {
			if g.List[i].Number == number && g.List[i].Deleted {
				g.List = append(g.List[:i], g.List[i+1:]...)
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
	s.mu.Lock()
	r := s.running[consumer]
	s.mu.Unlock()
	if r != nil {
		r.runner.Wake()
	}
}

func (s *Set) existing(ctx context.Context, name string) (*generations, error) {
	g, err := readGenerations(ctx, s.views, name)
	if err != nil || len(g.List) > 0 {
		return g, err
	}
	if _, err := s.defined(name); err != nil {
		return g, notFound(name)
	}
	return g, &annals.Error{Code: annals.CodeNotFound, Message: "projection " + name + " is defined and has no view yet", Hint: "annals serve keeps one; annals projection rebuild " + name + " builds one"}
}
