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
		Long: "Measure this machine's store beside a bare log and SQLite.\n\n" +
			"Given a store in DynamoDB that annals init has made, measure that instead: what each\n" +
			"operation costs, and how fast appends and loads are beside a table of one item an\n" +
			"event, which is made for it and removed. The events stay, in streams bench/…; give it\n" +
			"a store of its own that nobody else uses meanwhile. A full run costs some cents.",
		Args: takes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			bar := a.progress(-1, "measuring")
			opts.Say = func(doing string) {
				if bar.ProgressBar != nil {
					bar.Describe(doing)
				}
			}
			report, err := a.measure(cmd, opts)
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
	c.Flags().BoolVar(&opts.Quick, "quick", false, "fewer events and shorter rounds, in under a minute")
	c.Flags().StringVar(&opts.Dir, "dir", "", "where to make the stores; a new temporary directory by default")
	c.Flags().StringSliceVar(&opts.Only, "only", nil, "only these workloads, separated by commas: append-1, load-10, ingest …")
	explainStore(c, "a store in DynamoDB to measure instead: dynamodb://NAME?region=…&bucket=…")
	return c
}

// measure measures stores of its own, unless it is told one in DynamoDB: no other
// can be measured beside its references.
func (a *app) measure(cmd *cobra.Command, opts bench.Options) (interface{ Table() string }, error) {
	if !cmd.Flags().Changed("store") {
		return bench.Run(cmd.Context(), opts)
	}
	address, err := a.tables("bench --store", "without --store, bench makes stores of its own and measures those")
	switch {
	case err != nil:
		return nil, err
	case opts.Dir != "":
		return nil, usage("--dir says where to make stores, and bench makes none for "+a.store, "leave --dir out")
	}
	return bench.RunTables(cmd.Context(), address, opts)
}
