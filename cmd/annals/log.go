package main

import (
	"context"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
)

func (a *app) log() *cobra.Command {
	var q annals.Query
	var since, before string
	var follow, exact, explain bool
	c := &cobra.Command{
		Use:   "log",
		Short: "Read the events of all streams in order, and follow them",
		Example: `  annals log --types order-placed,order-paid --since 2020-05-01T00:00:00Z
  annals log --follow --after 120 --json --store http://127.0.0.1:4000`,
		Args: takes,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if q.Since, err = parseTime("since", since); err != nil {
				return err
			}
			if q.Before, err = parseTime("before", before); err != nil {
				return err
			}
			if follow {
				if err := a.followable(); err != nil {
					return err
				}
			}
			if explain {
				if err := a.explainable(follow); err != nil {
					return err
				}
				return a.explainLog(cmd.Context(), q, exact)
			}
			return a.with(cmd.Context(), false, func(store *annals.Store) error {
				if !follow {
					_, err := a.printEvents(store.Log(cmd.Context(), q), exact, a.logLine)
					return err
				}
				return a.follow(cmd.Context(), store, q, exact)
			})
		},
	}
	f := c.Flags()
	f.Int64Var(&q.After, "after", 0, "only positions behind this one")
	f.Int64Var(&q.Until, "until", 0, "only positions up to this one; 0 for the end")
	f.StringSliceVar(&q.Types, "types", nil, "only these types, separated by commas")
	f.StringSliceVar(&q.Sources, "sources", nil, "only these sources, separated by commas")
	f.StringVar(&q.Correlation, "correlation", "", "only the events of this request")
	f.StringVar(&q.Prefix, "prefix", "", "only streams whose names start so")
	f.StringVar(&since, "since", "", "only times from this one on (RFC 3339)")
	f.StringVar(&before, "before", "", "only times before this one (RFC 3339)")
	f.BoolVar(&q.Backward, "backward", false, "from the end to the start")
	f.IntVar(&q.Limit, "limit", 0, "the most events; 0 for all")
	f.BoolVar(&follow, "follow", false, "go on with new events as they arrive")
	f.BoolVar(&explain, "explain", false, "say on stderr how a dynamodb:// store answered, and for how much")
	addExact(c, &exact)
	return c
}

// followable refuses a directory: whoever has it open is the only one who could
// append to it.
func (a *app) followable() error {
	if err := a.known(); err != nil || a.isRemote() || a.isDynamo() {
		return err
	}
	return usage("a store that this command itself has open gets no new events to follow",
		"run annals serve --store "+a.store+", and follow it with --store http://"+defaultListen)
}

// follow prints events until an interrupt, which is how following ends.
func (a *app) follow(ctx context.Context, store *annals.Store, q annals.Query, exact bool) error {
	last := q.After
	seen := func(yield func(annals.Event, error) bool) {
		for e, err := range store.Follow(ctx, q) {
			last = max(last, e.Position)
			if !yield(e, err) {
				return
			}
		}
	}
	_, err := a.printEvents(a.flushing(seen), exact, a.logLine)
	if err == nil || ctx.Err() != nil {
		return nil
	}
	if info := annals.CodeOf(err).Info(); !info.Retryable {
		return err
	}
	return &annals.Error{
		Code: annals.CodeOf(err), Message: fmt.Sprintf("following broke off at position %d", last), Err: err,
		Hint: fmt.Sprintf("continue with --after %d", last),
	}
}

// flushing prints what came before it waits for the next event.
func (a *app) flushing(events iter.Seq2[annals.Event, error]) iter.Seq2[annals.Event, error] {
	return func(yield func(annals.Event, error) bool) {
		for e, err := range events {
			if !yield(e, err) {
				return
			}
			if err := a.out.Flush(); err != nil {
				yield(annals.Event{}, err)
				return
			}
		}
	}
}
