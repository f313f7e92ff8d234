package lambda

import (
	"context"
	"errors"

	"github.com/eb901187/annals/httpapi"
)

// newWrite makes the handler of role write: projections fold the log into views,
// and requests operate them.
func newWrite(ctx context.Context, e *environment) (handler, error) {
	at, err := e.openStore(ctx)
	if err != nil {
		return nil, err
	}
	views, err := e.openViews(ctx)
	if err != nil {
		return nil, errors.Join(err, at.store.Close())
	}
	closing := func() error { return errors.Join(at.store.Close(), views.Close()) }
	set, err := e.keptSet(ctx, at.store, views)
	if err != nil {
		return nil, errors.Join(err, closing())
	}
	opts := e.options(httpapi.GroupOperate)
	opts.Projections = set
	return &waker{
		place: at, env: e, table: e.config.Store.Name + "-log", stream: e.config.PlaybackStream,
		catchUp: set.CatchUp, api: httpapi.New(at.store, opts), closing: closing,
	}, nil
}
