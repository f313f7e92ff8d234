package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/embedded"
)

func (a *app) reindex() *cobra.Command {
	return &cobra.Command{
		Use:   "reindex",
		Short: "Build the index again from the log",
		Long: "Build the index again from the log. Of a store in DynamoDB, read every commit and\n" +
			"number those that the log does not hold: the sequencer reads a stream that forgets what\n" +
			"is older than a day, and a restored table has none.",
		Args: takes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.isDynamo() {
				return a.reindexTables(cmd.Context())
			}
			dir, err := a.directory("reindex")
			if err != nil {
				return err
			}
			bar := a.progress(-1, "indexing")
			events, err := embedded.Reindex(dir, &embedded.Options{Progress: bar.at})
			bar.close()
			switch {
			case err != nil:
				return err
			case a.asJSON:
				return a.printJSON(map[string]int64{"events": events})
			}
			_, err = fmt.Fprintf(a.out, "%s indexed\n", plural(int(events), "event"))
			return err
		},
	}
}

func (a *app) reindexTables(ctx context.Context) error {
	if err := a.known(); err != nil {
		return err
	}
	return a.withTables(ctx, 0, func(driver *dynamo.Driver) error {
		bar := a.progress(-1, "reading commits")
		commits, err := driver.Reindex(ctx, bar.at)
		bar.close()
		switch {
		case err != nil:
			return err
		case a.asJSON:
			return a.printJSON(map[string]int64{"commits": commits})
		}
		_, err = fmt.Fprintf(a.out, "%s numbered that the log did not hold\n", plural(int(commits), "commit"))
		return err
	})
}
