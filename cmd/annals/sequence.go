package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals/dynamo"
)

// otherStores is why no other store needs a sequencer.
const otherStores = "directories number their log as they append; for a server over DynamoDB run annals serve --sequence there"

func (a *app) sequence() *cobra.Command {
	poll := time.Duration(0)
	c := &cobra.Command{
		Use:   "sequence",
		Short: "Number the log of a store in DynamoDB until interrupted",
		Long: "Number the log of a store in DynamoDB until interrupted. An append returns before its\n" +
			"events are numbered; log, trace and followers see them once they are. One sequencer is\n" +
			"enough. A second one does no harm, and takes over where the first one ends; so does\n" +
			"one that is started again. annals serve --sequence does the same beside serving.",
		Args: takes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := a.tables("sequence", otherStores); err != nil {
				return err
			}
			if poll <= 0 {
				return usage("--poll must be more than 0", "give a time such as 250ms")
			}
			return a.withTables(cmd.Context(), poll, func(driver *dynamo.Driver) error {
				if err := a.saySequencing(); err != nil {
					return err
				}
				return a.work(cmd.Context(), driver)
			})
		},
	}
	c.Flags().DurationVar(&poll, "poll", 250*time.Millisecond, "how often to look for new events while there are none")
	return c
}

func (a *app) saySequencing() (err error) {
	if a.asJSON {
		err = a.printJSON(map[string]string{"store": a.store})
	} else {
		_, err = fmt.Fprintf(a.out, "sequencing %s\n", a.store)
	}
	return errors.Join(err, a.out.Flush())
}

// work sequences until ctx ends, which is how it ends in order.
func (a *app) work(ctx context.Context, driver *dynamo.Driver) error {
	err := dynamo.NewWorker(driver).Run(ctx)
	if err != nil && ctx.Err() != nil {
		// Nothing is lost: the next worker reads a little twice.
		a.logger.Warn("the place in the stream was not saved", "error", err)
		return nil
	}
	return err
}

// whileSequencing runs f beside a worker, which ends after it. Where the worker
// fails, the context of f ends.
func (a *app) whileSequencing(ctx context.Context, driver *dynamo.Driver, f func(context.Context) error) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- a.work(working, driver)
		cancel()
	}()
	err := f(ctx)
	stop()
	if failed := <-ended; failed != nil {
		return failed // an error of f came of it
	}
	return err
}
