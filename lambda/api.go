package lambda

import (
	"context"
	"errors"
	"net/http"

	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/view"
)

// An api serves a part of the HTTP API.
type api struct {
	place
	views   view.Store // nil for none
	handler http.Handler
}

func (a *api) handle(ctx context.Context, in *invocation) (any, error) {
	return serveHTTP(ctx, in, a.handler)
}

func (a *api) close() error {
	err := a.store.Close()
	if a.views != nil {
		err = errors.Join(err, a.views.Close())
	}
	return err
}

// options are those of every part of the HTTP API.
func (e *environment) options(groups ...httpapi.Group) *httpapi.Options {
	return &httpapi.Options{Clock: e.clock, Logger: e.logger, Groups: groups, LongPoll: longPoll, Stored: stored}
}

// newCommand makes the handler of role command: it appends.
func newCommand(ctx context.Context, e *environment) (handler, error) {
	at, err := e.openStore(ctx)
	if err != nil {
		return nil, err
	}
	return &api{place: at, handler: httpapi.New(at.store, e.options(httpapi.GroupCommand))}, nil
}

// newQuery makes the handler of role query: it reads, and writes nothing.
func newQuery(ctx context.Context, e *environment) (handler, error) {
	at, err := e.openStore(ctx)
	if err != nil {
		return nil, err
	}
	a := &api{place: at}
	if a.views, err = e.openViews(ctx); err != nil {
		return nil, errors.Join(err, at.store.Close())
	}
	opts := e.options(httpapi.GroupQuery, httpapi.GroupProcess)
	if opts.Projections, err = e.knownSet(ctx, at.store, a.views); err != nil {
		return nil, errors.Join(err, a.close())
	}
	a.handler = httpapi.New(at.store, opts)
	return a, nil
}
