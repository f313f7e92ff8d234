package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
)

// verified is what --json prints.
type verified struct {
	Events   int64    `json:"events"`
	Streams  int64    `json:"streams"`
	OK       bool     `json:"ok"`
	Problems []string `json:"problems"`
}

func (a *app) verify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Check every event and every index entry of a store",
		Args:  takes,
		RunE: func(*cobra.Command, []string) error {
			dir, err := a.directory("verify")
			if err != nil {
				return err
			}
			bar := a.progress(-1, "verifying")
			report, err := embedded.Verify(dir, &embedded.Options{Progress: bar.at})
			bar.close()
			if err != nil {
				return err
			}
			v := verified{report.Events, report.Streams, len(report.Problems) == 0, append([]string{}, report.Problems...)}
			if err := a.printVerified(v); err != nil || v.OK {
				return err
			}
			return &annals.Error{
				Code: annals.CodeDamaged, Message: plural(len(v.Problems), "problem") + " in " + dir,
				Hint: "damage of the index is mended by annals reindex, damage of the log by a backup",
			}
		},
	}
}

func (a *app) printVerified(v verified) error {
	if a.asJSON {
		return a.printJSON(v)
	}
	for _, problem := range v.Problems {
		fmt.Fprintln(a.out, problem)
	}
	verdict := "all is well"
	if !v.OK {
		verdict = plural(len(v.Problems), "problem")
	}
	_, err := fmt.Fprintf(a.out, "%s in %s checked: %s\n", plural(int(v.Events), "event"), plural(int(v.Streams), "stream"), verdict)
	return err
}
