package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi"
)

func (a *app) streams() *cobra.Command {
	var q annals.StreamsQuery
	c := &cobra.Command{
		Use:   "streams [PREFIX]",
		Short: "List the streams by name, with their versions",
		Long: "List the streams whose names start with PREFIX, or all but Annals' own, which are listed\n" +
			"with a PREFIX such as annals. A dynamodb:// store keeps no list.",
		Example: "  annals streams order- --limit 10\n  annals streams --after order-7 --json",
		Args:    takes,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				q.Prefix = args[0]
			}
			return a.with(cmd.Context(), false, func(store *annals.Store) error {
				for info, err := range store.Streams(cmd.Context(), q) {
					if err != nil {
						return err
					}
					if err := a.printStream(info); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	c.Flags().StringVar(&q.After, "after", "", "only names behind this one")
	c.Flags().IntVar(&q.Limit, "limit", 0, "the most streams; 0 for all")
	return c
}

func (a *app) printStream(info annals.StreamInfo) error {
	if a.asJSON {
		return a.printJSON(httpapi.StreamVersion{Stream: info.Name, Version: info.Version})
	}
	_, err := fmt.Fprintf(a.out, "%8d  %s\n", info.Version, info.Name)
	return err
}
