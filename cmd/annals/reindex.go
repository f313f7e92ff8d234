package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals/embedded"
)

func (a *app) reindex() *cobra.Command {
	return &cobra.Command{
		Use:   "reindex",
		Short: "Build the index again from the log",
		Args:  takes,
		RunE: func(*cobra.Command, []string) error {
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
