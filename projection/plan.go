package projection

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
)

// A Plan is what an operation would do to the generations of a projection.
type Plan struct {
	Projection string       `json:"projection"`
	Changes    []RoleChange `json:"changes"`
}

// A RoleChange is a generation that gets another role. What is Deleted then goes
// with all its documents; what is Stale no longer follows the log.
type RoleChange struct {
	Generation int  `json:"generation"`
	From       Role `json:"from"`
	To         Role `json:"to"`
}

// NextLive is the generation that goes live; 0 if none does.
func (p *Plan) NextLive() int {
	for _, c := range p.Changes {
		if c.To == Live {
			return c.Generation
		}
	}
	return 0
}

// PlanSwitch says what Switch would do, with its errors.
func (s *Set) PlanSwitch(ctx context.Context, name string, generation int, force bool) (Plan, error) {
	return s.plan(ctx, name, func(g *generations) error {
		number, err := s.switchable(ctx, name, g, generation, force)
		if err != nil {
			return err
		}
		return g.switchTo(name, number)
	})
}

// PlanRollback says what Rollback would do, with its errors.
func (s *Set) PlanRollback(ctx context.Context, name string, force bool) (Plan, error) {
	return s.plan(ctx, name, func(g *generations) error {
		if err := s.reversible(ctx, name, g, force); err != nil {
			return err
		}
		return g.rollBack(name, g.Live, g.Previous)
	})
}

// PlanDelete says what Delete would do, with its errors.
func (s *Set) PlanDelete(ctx context.Context, name string, number int) (Plan, error) {
	return s.plan(ctx, name, func(g *generations) error { return g.strike(name, number) })
}

// PlanDeleteAll says what DeleteAll would do, with its errors.
func (s *Set) PlanDeleteAll(ctx context.Context, name string) (Plan, error) {
	return s.plan(ctx, name, func(g *generations) error { return g.strikeAll(name) })
}

// plan compares the roles before and after a change that is not written down.
func (s *Set) plan(ctx context.Context, name string, change func(*generations) error) (Plan, error) {
	p := Plan{Projection: name, Changes: []RoleChange{}}
	g, err := s.existing(ctx, name)
	if err != nil {
		return p, err
	}
	before := make([]Role, len(g.List))
	for i := range g.List {
		before[i] = g.role(&g.List[i])
	}
	if err := change(g); err != nil {
		return p, err
	}
	for i := range g.List {
		if after := g.role(&g.List[i]); after != before[i] {
			p.Changes = append(p.Changes, RoleChange{g.List[i].Number, before[i], after})
		}
	}
	return p, nil
}

// switchable is the number of the generation that a switch makes live: wanted, unless
// that is 0.
func (s *Set) switchable(ctx context.Context, name string, g *generations, wanted int, force bool) (int, error) {
	next := g.next()
	if next == nil {
		return 0, &annals.Error{Code: annals.CodeConflict, Message: "projection " + name + " has no generation but the live one to switch to", Hint: "annals projection rebuild " + name + " builds one"}
	}
	if wanted != 0 && wanted != next.Number {
		return 0, &annals.Error{
			Code: annals.CodeConflict, Message: fmt.Sprintf("a switch of projection %s makes generation %d live by now, and not generation %d", name, next.Number, wanted),
			Hint: "annals projection show " + name + " shows both; decide again",
		}
	}
	if !force && next.Part != nil {
		return 0, notWhole(name, next)
	}
	if !force {
		if err := s.ready(ctx, name, g.Live, next.Number); err != nil {
			return 0, err
		}
	}
	return next.Number, nil
}

// reversible reports why the previous generation should not go live again.
func (s *Set) reversible(ctx context.Context, name string, g *generations, force bool) error {
	if g.find(g.Previous) == nil {
		return &annals.Error{Code: annals.CodeConflict, Message: "projection " + name + " has no generation to go back to", Hint: "annals projection show " + name + " lists its generations"}
	}
	if force {
		return nil
	}
	_, behind, err := s.behind(ctx, name, g.Previous, g.Live)
	if err != nil || behind == "" {
		return err
	}
	return &annals.Error{
		Code: annals.CodeConflict, Message: behind,
		Hint: "wait until it has caught up, as annals serve has both do; --force rolls back all the same",
	}
}

// behind says where the live generation was at first, and how far another one is behind
// that; empty if it is not. One that follows as closely as it can is given a moment.
func (s *Set) behind(ctx context.Context, name string, number, live int) (now consumer.Status, far string, err error) {
	if now, err = s.status(ctx, name, live); err != nil {
		return now, "", err
	}
	const moment = time.Second
	short, cancel := context.WithTimeout(ctx, moment)
	defer cancel()
	then, _, err := s.waitFor(short, name, number, now.Position)
	if err == nil {
		return now, "", nil
	}
	if annals.CodeOf(err) != annals.CodeTimeout || ctx.Err() != nil {
		return now, "", err
	}
	return now, fmt.Sprintf("generation %d of projection %s is at position %d and the live one at %d: answers would go back in time", number, name, then.Position, now.Position), nil
}

func changedMeanwhile(name string) error {
	return &annals.Error{Code: annals.CodeConflict, Message: "the generations of projection " + name + " were changed meanwhile", Hint: "see annals projection show " + name}
}

func (g *generations) switchTo(name string, number int) error {
	if g.Building != number || g.next() == nil {
		return changedMeanwhile(name)
	}
	g.Live, g.Previous, g.Building = number, g.Live, 0
	return nil
}

// rollBack goes from generation live back to previous. What it leaves can be
// switched to again, not rolled back to: asked for twice, it happens once.
func (g *generations) rollBack(name string, live, previous int) error {
	if g.Live != live || g.Previous != previous || g.find(previous) == nil {
		return changedMeanwhile(name)
	}
	g.Live, g.Previous = previous, 0
	if g.next() == nil {
		g.Building = live
	}
	return nil
}

// strike marks a generation as one that is to be removed, if it is not.
func (g *generations) strike(name string, number int) error {
	of := g.find(number)
	switch {
	case slices.ContainsFunc(g.List, func(of generation) bool { return of.Number == number && of.Deleted }):
		return nil
	case !g.any():
		return notFound(name)
	case of == nil:
		return noGeneration(name, number)
	case number == g.Live:
		return &annals.Error{Code: annals.CodeConflict, Message: fmt.Sprintf("generation %d of projection %s is live", number, name), Hint: "switch or roll back first; --all deletes the whole projection"}
	}
	of.Deleted = true
	switch number {
	case g.Previous:
		g.Previous = 0
	case g.Building:
		g.Building = 0
	}
	return nil
}

// staleKept is how many Stale generations a Rebuild leaves.
const staleKept = 8

// strikeOld reports whether there were more than that.
func (g *generations) strikeOld() bool {
	stale := 0
	for i := range slices.Backward(g.List) {
		if of := &g.List[i]; g.role(of) == Stale {
			stale++
			of.Deleted = stale > staleKept
		}
	}
	return stale > staleKept
}

func (g *generations) strikeAll(name string) error {
	if len(g.List) == 0 {
		return notFound(name)
	}
	for i := range g.List {
		g.List[i].Deleted = true
	}
	g.Live, g.Previous, g.Building = 0, 0, 0
	return nil
}
