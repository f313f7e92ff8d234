package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals/cmd/annals/bench"
)

func (a *app) bench() *cobra.Command {
	opts := bench.Options{}
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine's store beside a bare log and SQLite",
		Args:  takes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			bar := a.progress(-1, "measuring")
			opts.Say = func(doing string) {
				if bar.ProgressBar != nil {
					bar.Describe(doing)
				}
			}
			report, err := bench.Run(cmd.Context(), opts)
			bar.close()
			switch {
			case err != nil:
				return err
			case a.asJSON:
				return a.printJSON(report)
			}
			_, err = fmt.Fprint(a.out, report.Table())
			return err
		},
	}
	c.Flags().BoolVar(&opts.Quick, "quick", false, "fewer events and shorter rounds, in under 40 s")
	c.Flags().StringVar(&opts.Dir, "dir", "", "where to make the stores; a new temporary directory by default")
	c.Flags().StringSliceVar(&opts.Only, "only", nil, "only these workloads, separated by commas: append-1, load-10, ingest …")
	explainStore(c, "")
	return c
}
