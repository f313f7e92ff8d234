package lambda

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/eb901187/annals"
)

// newReact makes the handler of role react: the reactions and sagas of the program.
func newReact(ctx context.Context, e *environment) (handler, error) {
	if e.program.Reactors == nil {
		return nil, &annals.Error{
			Code: annals.CodeInvalid, Message: "role react has nothing to run: this bootstrap brings no reactions",
			Hint: "build a bootstrap of your own that calls lambda.Main with a Program, as docs/aws.md shows",
		}
	}
	at, err := e.openStore(ctx)
	if err != nil {
		return nil, err
	}
	views, err := e.openViews(ctx)
	if err != nil {
		return nil, errors.Join(err, at.store.Close())
	}
	closing := func() error { return errors.Join(at.store.Close(), views.Close()) }
	effects, err := e.gateway(ctx, at.store)
	if err != nil {
		return nil, errors.Join(err, closing())
	}
	pace := e.pace()
	reactors, err := e.program.Reactors(ctx, &Workplace{Store: at.store, Views: views, Effects: effects, Consumer: &pace})
	if err == nil && len(reactors) == 0 {
		err = annals.Invalid("Reactors", "must make at least one Reaction or Process")
	}
	if err != nil {
		return nil, errors.Join(err, closing())
	}
	return &waker{place: at, env: e, table: e.config.Store.Name + "-log", catchUp: allCatchUp(reactors), closing: closing}, nil
}

// allCatchUp lets all catch up at once. One that can't go on keeps no other from it.
func allCatchUp(reactors []Reactor) func(context.Context) error {
	return func(ctx context.Context) error {
		failed := make([]error, len(reactors))
		var working sync.WaitGroup
		for i, r := range reactors {
			working.Go(func() {
				if err := r.CatchUp(ctx); err != nil {
					failed[i] = fmt.Errorf("%s: %w", r.Name(), err)
				}
			})
		}
		working.Wait()
		return errors.Join(failed...)
	}
}
