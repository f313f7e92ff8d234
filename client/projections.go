package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/projection"
)

// Projections steers the projections and consumers of a server. Its methods are
// those of the HTTP API, with its errors, and are safe for concurrent use.
type Projections struct{ driver *driver }

// OpenProjections makes Projections of the server at address, such as
// http://127.0.0.1:4000. It connects when it is first used.
func OpenProjections(address string, opts *Options) (*Projections, error) {
	d, err := open(address, opts)
	if err != nil {
		return nil, err
	}
	return &Projections{d}, nil
}

// Close lets go of the connections. Calls under way end in annals.ErrClosed.
func (p *Projections) Close() error { return p.driver.Close() }

func projectionPath(name string, more ...string) string {
	path := "/v1/projections/" + url.PathEscape(name)
	for _, part := range more {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// List describes every projection, by name.
func (p *Projections) List(ctx context.Context) ([]projection.Info, error) {
	var all httpapi.Projections
	err := p.driver.call(ctx, http.MethodGet, "/v1/projections", nil, nil, &all)
	return all.Projections, err
}

// Show describes one projection.
func (p *Projections) Show(ctx context.Context, name string) (info projection.Info, err error) {
	return info, p.driver.call(ctx, http.MethodGet, projectionPath(name), nil, nil, &info)
}

// Rebuild begins a new generation beside the live one, by the definition as the
// server's file has it now.
func (p *Projections) Rebuild(ctx context.Context, name string) (projection.Info, error) {
	return p.post(ctx, name, "rebuild", nil)
}

// Repair is Rebuild that also compares the outside calls of events from opts.From on
// with those that were made; see projection.Set.Repair.
func (p *Projections) Repair(ctx context.Context, name string, opts effect.RepairOptions) (projection.Info, error) {
	values := url.Values{"repairFrom": {strconv.FormatInt(opts.From, 10)}}
	if opts.To != 0 {
		values.Set("repairTo", strconv.FormatInt(opts.To, 10))
	}
	if opts.Reason != "" {
		values.Set("reason", opts.Reason)
	}
	return p.post(ctx, name, "rebuild", values)
}

// Pause stops all generations of a projection where they are.
func (p *Projections) Pause(ctx context.Context, name string) (projection.Info, error) {
	return p.post(ctx, name, "pause", nil)
}

// Resume lets a paused projection go on.
func (p *Projections) Resume(ctx context.Context, name string) (projection.Info, error) {
	return p.post(ctx, name, "resume", nil)
}

// Switch lets reads be answered from the generation that was built; force does so
// although it is behind or has more parked events. generation is the one that the
// caller decided on: if another would go live by now, the error is annals.ErrConflict;
// 0 takes whichever was built last.
func (p *Projections) Switch(ctx context.Context, name string, generation int, force bool) (projection.Info, error) {
	return p.post(ctx, name, "switch", decided(generation, force))
}

// PlanSwitch says what Switch would do, with its errors.
func (p *Projections) PlanSwitch(ctx context.Context, name string, generation int, force bool) (projection.Plan, error) {
	return p.plan(ctx, http.MethodPost, projectionPath(name, "switch"), decided(generation, force))
}

// Rollback lets reads be answered from the generation that was live before; force
// does so although it is behind.
func (p *Projections) Rollback(ctx context.Context, name string, force bool) (projection.Info, error) {
	return p.post(ctx, name, "rollback", forced(force))
}

// PlanRollback says what Rollback would do, with its errors.
func (p *Projections) PlanRollback(ctx context.Context, name string, force bool) (projection.Plan, error) {
	return p.plan(ctx, http.MethodPost, projectionPath(name, "rollback"), forced(force))
}

// Delete removes a generation that is not live, with its documents; 0 removes the
// projection with all of them.
func (p *Projections) Delete(ctx context.Context, name string, generation int) (info projection.Info, err error) {
	return info, p.driver.call(ctx, http.MethodDelete, deletePath(name, generation), nil, nil, &info)
}

// PlanDelete says what Delete would do, with its errors.
func (p *Projections) PlanDelete(ctx context.Context, name string, generation int) (projection.Plan, error) {
	return p.plan(ctx, http.MethodDelete, deletePath(name, generation), nil)
}

func deletePath(name string, generation int) string {
	if generation == 0 {
		return projectionPath(name)
	}
	return projectionPath(name, "generations", strconv.Itoa(generation))
}

func forced(force bool) url.Values {
	if !force {
		return nil
	}
	return url.Values{"force": {"true"}}
}

func decided(generation int, force bool) url.Values {
	values := url.Values{}
	if generation != 0 {
		values.Set("generation", strconv.Itoa(generation))
	}
	if force {
		values.Set("force", "true")
	}
	return values
}

func (p *Projections) post(ctx context.Context, name, action string, values url.Values) (info projection.Info, err error) {
	return info, p.driver.call(ctx, http.MethodPost, projectionPath(name, action), values, nil, &info)
}

func (p *Projections) plan(ctx context.Context, method, path string, values url.Values) (plan projection.Plan, err error) {
	if values == nil {
		values = url.Values{}
	}
	values.Set("dryRun", "true")
	return plan, p.driver.call(ctx, method, path, values, nil, &plan)
}

// Diff compares two generations; 0 for a is the live one, and for b the one that
// is being built or else the previous one. limit bounds the differences that are
// listed; 0 is the server's own.
func (p *Projections) Diff(ctx context.Context, name string, a, b, limit int) (diff httpapi.Diff, err error) {
	values := url.Values{}
	bound(values, "a", int64(a), 0)
	bound(values, "b", int64(b), 0)
	bound(values, "limit", int64(limit), 0)
	return diff, p.driver.call(ctx, http.MethodGet, projectionPath(name, "diff"), values, nil, &diff)
}

// Consumers says where every consumer stands, by name.
func (p *Projections) Consumers(ctx context.Context) ([]consumer.Status, error) {
	var all httpapi.Consumers
	err := p.driver.call(ctx, http.MethodGet, "/v1/consumers", nil, nil, &all)
	return all.Consumers, err
}

func parkedPath(name string, position int64) string {
	path := "/v1/consumers/" + url.PathEscape(name) + "/parked"
	if position != 0 {
		path += "/" + strconv.FormatInt(position, 10)
	}
	return path
}

// Parked lists parked events of a consumer behind a position: a page of at most
// limit, whose Next is the position to go on behind. name is a projection's, for
// its live generation, or a consumer's own.
func (p *Projections) Parked(ctx context.Context, name string, after int64, limit int) (page httpapi.ParkedPage, err error) {
	values := url.Values{}
	bound(values, "after", after, 0)
	bound(values, "limit", int64(limit), 0)
	return page, p.driver.call(ctx, http.MethodGet, parkedPath(name, 0), values, nil, &page)
}

// Retry asks that a parked event be tried again; position 0 means all.
func (p *Projections) Retry(ctx context.Context, name string, position int64) (asked httpapi.Asked, err error) {
	return asked, p.driver.call(ctx, http.MethodPost, parkedPath(name, position)+"/retry", nil, nil, &asked)
}

// Edit has a parked event handled with other data, now and in every rebuild.
func (p *Projections) Edit(ctx context.Context, name string, position int64, data []byte, reason string) (asked httpapi.Asked, err error) {
	return asked, p.driver.call(ctx, http.MethodPut, parkedPath(name, position), url.Values{"reason": {reason}}, data, &asked)
}

// Drop has a parked event passed over, now and in every rebuild.
func (p *Projections) Drop(ctx context.Context, name string, position int64, reason string) (asked httpapi.Asked, err error) {
	return asked, p.driver.call(ctx, http.MethodDelete, parkedPath(name, position), url.Values{"reason": {reason}}, nil, &asked)
}
