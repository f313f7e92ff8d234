package lambda

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/view"
)

// definitions are the projections of the files, where there are any, and those of
// the program.
func (e *environment) definitions() ([]*projection.Projection, error) {
	_, err := os.Stat(e.config.Projections)
	switch {
	case errors.Is(err, fs.ErrNotExist) && e.config.Projections == defaultProjections:
		return e.program.Projections, nil
	case err != nil:
		return nil, annals.Invalid("ANNALS_PROJECTIONS", "names %s, which can't be read: %v", e.config.Projections, err)
	}
	files, err := projection.Load(e.config.Projections)
	return append(files, e.program.Projections...), err
}

// pace is how a consumer works in a function. It looks often whether one that does
// the same work has stopped, since waiting is paid for.
func (e *environment) pace() consumer.Options {
	return consumer.Options{Clock: e.clock, Logger: e.logger, Poll: 200 * time.Millisecond}
}

func (e *environment) gateway(ctx context.Context, store *annals.Store) (*effect.Gateway, error) {
	if e.program.Gateway == nil {
		return nil, nil
	}
	return e.program.Gateway(ctx, store)
}

// keptSet is the Set of a function that keeps views up to date. It begins to build
// what is new or has changed.
func (e *environment) keptSet(ctx context.Context, store *annals.Store, views view.Store) (*projection.Set, error) {
	definitions, err := e.definitions()
	if err != nil {
		return nil, err
	}
	effects, err := e.gateway(ctx, store)
	if err != nil {
		return nil, err
	}
	set, err := projection.Open(ctx, store, views, definitions, &projection.Options{
		Rebuild: true, Poll: 200 * time.Millisecond, Consumer: e.pace(), Effects: effects, Part: playback.ParsePart,
	})
	if err != nil {
		return nil, err
	}
	return set, withState(ctx, set)
}

// knownSet is the Set of a function that reads views, or begins generations for
// others to build. It makes no view.
func (e *environment) knownSet(ctx context.Context, store *annals.Store, views view.Store) (*projection.Set, error) {
	definitions, err := e.definitions()
	if err != nil {
		return nil, err
	}
	set, err := projection.Open(ctx, store, views, nil, &projection.Options{Consumer: e.pace(), Part: playback.ParsePart})
	if err != nil {
		return nil, err
	}
	for _, p := range definitions {
		if err := set.Define(p); err != nil {
			return nil, err
		}
	}
	return set, withState(ctx, set)
}

// withState defines the built-in view of states where the store has one.
func withState(ctx context.Context, set *projection.Set) error {
	info, err := set.Show(ctx, projection.StateName)
	switch {
	case errors.Is(err, annals.ErrNotFound):
		return nil
	case err == nil && info.Revision == "": // nothing else has its name
		err = set.Define(projection.State())
	}
	return err
}
