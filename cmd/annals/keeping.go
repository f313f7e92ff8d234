package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/view"
)

// keeping is how a server keeps views up to date.
type keeping struct {
	viewing
	state   bool // also the built-in view of every stream's state
	rebuild bool // begin new generations of what has changed
}

func (k *keeping) addFlags(c *cobra.Command) {
	k.viewing.addFlags(c)
	c.Flags().BoolVar(&k.state, "state", false, "keep the built-in view "+projection.StateName+" too: the latest state of every stream")
	c.Flags().BoolVar(&k.rebuild, "rebuild", false, "begin to build projections that have changed anew, beside their live views")
}

// keep runs the projections of a store while f runs. Without any, and without a
// place for views, there is nothing to keep.
func (a *app) keep(ctx context.Context, store *annals.Store, k *keeping, opts *httpapi.Options, f func() error) error {
	definitions, err := k.load()
	if err != nil {
		return err
	}
	if k.state {
		definitions = append(definitions, projection.State())
	}
	if len(definitions) == 0 && k.views == "" && k.definitions == "" {
		return f()
	}
	open := func(views view.Store) (*projection.Set, error) {
		return projection.Open(ctx, store, views, definitions, &projection.Options{
			Rebuild: k.rebuild, Part: playback.ParsePart, Consumer: consumer.Options{Clock: a.clock, Logger: a.logger},
		})
	}
	return a.withSet(ctx, &k.viewing, open, func(set *projection.Set) error {
		opts.Projections, opts.Reload = set, k.reload
		if !a.asJSON {
			if _, err := fmt.Fprintf(a.out, "keeping the views of %s\n", plural(len(definitions), "projection")); err != nil {
				return err
			}
		}
		return whileRunning(ctx, set, f)
	})
}
