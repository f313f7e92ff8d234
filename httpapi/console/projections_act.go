package console

import (
	"context"
	"fmt"
	"math"
	"net/http"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/projection"
)

var projectionActions = []action{
	{path: "projections/{name}/rebuild", what: "projection.rebuild", role: access.Operate, target: nameOf, do: (*console).rebuild},
	{path: "projections/{name}/pause", what: "projection.pause", role: access.Operate, target: nameOf, do: (*console).pauseProjection},
	{path: "projections/{name}/resume", what: "projection.resume", role: access.Operate, target: nameOf, do: (*console).resumeProjection},
	{path: "projections/{name}/switch", what: "projection.switch", role: access.Operate, target: nameOf, typed: true, do: (*console).switchOver},
	{path: "projections/{name}/rollback", what: "projection.rollback", role: access.Operate, target: nameOf, typed: true, do: (*console).rollBack},
	{path: "projections/{name}/generations/{generation}/delete", what: "projection.delete", role: access.Operate, target: generationOf, typed: true, do: (*console).deleteGeneration},
	{path: "projections/{name}/delete", what: "projection.delete", role: access.Operate, target: nameOf, typed: true, do: (*console).deleteProjection},
	{path: "consumers/{name}/pause", what: "consumer.pause", role: access.Operate, target: nameOf, do: (*console).pauseConsumer},
	{path: "consumers/{name}/resume", what: "consumer.resume", role: access.Operate, target: nameOf, do: (*console).resumeConsumer},
	{path: "consumers/{name}/retry", what: "parked.retry", role: access.Operate, target: nameOf, do: (*console).retryAll},
	{path: "consumers/{name}/parked/{position}/retry", what: "parked.retry", role: access.Operate, target: parkedOf, do: (*console).retryOne},
	{path: "consumers/{name}/parked/{position}/edit", what: "parked.edit", role: access.Operate, target: parkedOf, do: (*console).editParked},
	{path: "consumers/{name}/parked/{position}/drop", what: "parked.drop", role: access.Operate, target: parkedOf, typed: true, do: (*console).dropParked},
}

func nameOf(r *http.Request) string { return r.PathValue("name") }

func generationOf(r *http.Request) string {
	return r.PathValue("name") + "@" + r.PathValue("generation")
}

// digest tells one plan from another.
func digest(p projection.Plan) string { return fmt.Sprint(p.Changes) }

// plans looks up what operations would do, as far as they can be done at all.
func (c *console) plans(r *http.Request, data *projectionData) error {
	set, ctx, name := c.opts.Projections, r.Context(), data.Name
	find := func(target string, plan projection.Plan, err error) (*planned, error) {
		switch annals.CodeOf(err) {
		case annals.CodeConflict, annals.CodeNotFound:
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return &planned{Plan: plan, Target: target, Digest: digest(plan)}, nil
	}
	var err error
	plan, problem := set.PlanSwitch(ctx, name, 0, true)
	if data.Switch, err = find(name, plan, problem); err != nil {
		return err
	}
	if data.Switch != nil {
		data.Switch.Short = data.short(data.Next)
	}
	plan, problem = set.PlanRollback(ctx, name, true)
	if data.Rollback, err = find(name, plan, problem); err != nil {
		return err
	}
	plan, problem = set.PlanDeleteAll(ctx, name)
	if data.Gone, err = find(name, plan, problem); err != nil {
		return err
	}
	for _, g := range data.Generations {
		plan, problem = set.PlanDelete(ctx, name, g.Number)
		p, err := find(fmt.Sprintf("%s@%d", name, g.Number), plan, problem)
		if err != nil {
			return err
		}
		if p != nil {
			p.Number = g.Number
			data.Delete = append(data.Delete, *p)
		}
	}
	return nil
}

// short is what speaks against making next live, as far as the page shows it.
func (d *projectionData) short(next *standing) string {
	switch live := d.Serving; {
	case live == nil || next == nil:
	case next.Position < live.Position:
		return fmt.Sprintf("generation %d is at position %d and the live one at %d", next.Generation, next.Position, live.Position)
	case next.Parked > 0 && live.Parked < next.Parked:
		return fmt.Sprintf("generation %d has %d parked events and the live one %d", next.Generation, next.Parked, live.Parked)
	}
	return ""
}

// asPlanned does what the form's page has shown, and refuses it where that would
// be something else by now. do gets the plan.
func asPlanned(r *http.Request, plan func(context.Context) (projection.Plan, error), do func(context.Context, projection.Plan) error) error {
	p, err := plan(r.Context())
	if err != nil {
		return err
	}
	if digest(p) != r.PostFormValue("plan") {
		return &annals.Error{
			Code: annals.CodeConflict, Message: "the generations of projection " + p.Projection + " have changed since the page was made that showed what would be done",
			Hint: "open the page of the projection again",
		}
	}
	return do(r.Context(), p)
}

// operated is the answer to an action on a projection.
func (c *console) operated(r *http.Request, do func(set *projection.Set, name string) (string, error)) (done, next string, err error) {
	if c.opts.Projections == nil {
		return "", "", noProjections()
	}
	name := r.PathValue("name")
	if done, err = do(c.opts.Projections, name); err != nil {
		return "", "", err
	}
	return done, projectionAddress(name), nil
}

func (c *console) rebuild(r *http.Request) (done, next string, err error) {
	return c.operated(r, func(set *projection.Set, name string) (string, error) {
		if err := httpapi.Redefine(set, c.opts.Reload, name); err != nil {
			return "", err
		}
		number, err := set.Rebuild(r.Context(), name)
		return fmt.Sprintf("generation %d of %s is being built", number, name), err
	})
}

func (c *console) pauseProjection(r *http.Request) (done, next string, err error) {
	return c.operated(r, func(set *projection.Set, name string) (string, error) {
		return name + " is paused", set.Pause(r.Context(), name)
	})
}

func (c *console) resumeProjection(r *http.Request) (done, next string, err error) {
	return c.operated(r, func(set *projection.Set, name string) (string, error) {
		return name + " goes on", set.Resume(r.Context(), name)
	})
}

func (c *console) switchOver(r *http.Request) (done, next string, err error) {
	return c.operated(r, func(set *projection.Set, name string) (done string, err error) {
		force := r.PostFormValue("force") == "true"
		err = asPlanned(r, func(ctx context.Context) (projection.Plan, error) { return set.PlanSwitch(ctx, name, 0, force) }, func(ctx context.Context, p projection.Plan) error {
			number, err := set.Switch(ctx, name, p.NextLive(), force)
			done = fmt.Sprintf("generation %d of %s is live%s", number, name, forced(force))
			return err
		})
		return done, err
	})
}

func (c *console) rollBack(r *http.Request) (done, next string, err error) {
	return c.operated(r, func(set *projection.Set, name string) (done string, err error) {
		force := r.PostFormValue("force") == "true"
		err = asPlanned(r, func(ctx context.Context) (projection.Plan, error) { return set.PlanRollback(ctx, name, force) }, func(ctx context.Context, _ projection.Plan) error {
			number, err := set.Rollback(ctx, name, force)
			done = fmt.Sprintf("generation %d of %s is live again%s", number, name, forced(force))
			return err
		})
		return done, err
	})
}

func forced(force bool) string {
	if force {
		return ", which was forced"
	}
	return ""
}

func (c *console) deleteGeneration(r *http.Request) (done, next string, err error) {
	return c.operated(r, func(set *projection.Set, name string) (string, error) {
		n, err := number("generation", r.PathValue("generation"), math.MaxInt32)
		if err != nil {
			return "", err
		}
		return "generation " + generationOf(r) + " was deleted", asPlanned(r,
			func(ctx context.Context) (projection.Plan, error) { return set.PlanDelete(ctx, name, int(n)) },
			func(ctx context.Context, _ projection.Plan) error { return set.Delete(ctx, name, int(n)) })
	})
}

func (c *console) deleteProjection(r *http.Request) (done, next string, err error) {
	done, _, err = c.operated(r, func(set *projection.Set, name string) (string, error) {
		return "every generation of " + name + " was deleted", asPlanned(r,
			func(ctx context.Context) (projection.Plan, error) { return set.PlanDeleteAll(ctx, name) },
			func(ctx context.Context, _ projection.Plan) error { return set.DeleteAll(ctx, name) })
	})
	return done, Path + "projections", err
}
