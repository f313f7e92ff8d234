package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/embedded"
)

// verified is what --json prints.
type verified struct {
	Events   int64    `json:"events"`
	Streams  int64    `json:"streams"`
	OK       bool     `json:"ok"`
	Problems []string `json:"problems"`
	Waiting  int64    `json:"waiting"` // commits that the log does not hold yet
}

func (a *app) verify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Check every event and every index entry of a store",
		Args:  takes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			check, mend := a.verifyDirectory, "damage of the index is mended by annals reindex, damage of the log by a backup"
			if a.isDynamo() {
				check, mend = a.verifyTables, "restore the tables with point-in-time recovery, or the objects that are named"
			}
			v, err := check(cmd.Context())
			if err != nil {
				return err
			}
			if err := a.printVerified(v); err != nil || v.OK {
				return err
			}
			return &annals.Error{Code: annals.CodeDamaged, Message: plural(len(v.Problems), "problem") + " in " + a.store, Hint: mend}
		},
	}
}

func newVerified(events, streams, waiting int64, problems []string) verified {
	return verified{events, streams, len(problems) == 0, append([]string{}, problems...), waiting}
}

func (a *app) verifyDirectory(context.Context) (verified, error) {
	dir, err := a.directory("verify")
	if err != nil {
		return verified{}, err
	}
	bar := a.progress(-1, "verifying")
	defer bar.close()
	r, err := embedded.Verify(dir, &embedded.Options{Progress: bar.at})
	return newVerified(r.Events, r.Streams, 0, r.Problems), err
}

func (a *app) verifyTables(ctx context.Context) (v verified, err error) {
	if err := a.known(); err != nil {
		return v, err
	}
	err = a.withTables(ctx, 0, func(driver *dynamo.Driver) error {
		bar := a.progress(-1, "verifying")
		defer bar.close()
		r, err := driver.Verify(ctx, bar.at)
		v = newVerified(r.Events, r.Streams, r.Waiting, r.Problems)
		return err
	})
	return v, err
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
	if err == nil && v.Waiting > 0 {
		waits := "wait"
		if v.Waiting == 1 {
			waits = "waits"
		}
		_, err = fmt.Fprintf(a.out, "%s %s to be numbered, which annals sequence does\n", plural(int(v.Waiting), "commit"), waits)
	}
	return err
}
