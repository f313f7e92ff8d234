package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals/dynamo"
)

// part is what --json prints of each part; without a status when nothing is made.
type part struct {
	Resource string `json:"resource"`
	Setting  string `json:"setting"`
	Status   string `json:"status,omitempty"`
}

func (a *app) init() *cobra.Command {
	dry := false
	c := &cobra.Command{
		Use:   "init",
		Short: "Make the tables and the bucket of a store in DynamoDB",
		Long: "Make the tables and the bucket of a store in DynamoDB, and the table of its views, or\n" +
			"complete what is there of them; events and views are left as they are, so that it may\n" +
			"run again at any time. Then keep annals sequence running: it numbers the log. A\n" +
			"directory needs no init.",
		Example: `  annals init --dry-run --store 'dynamodb://orders?region=eu-central-1&bucket=orders-events'`,
		Args:    takes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			address, err := a.tables("init", "give --store dynamodb://NAME?region=…&bucket=…; a directory needs no init, the first append makes its store")
			if err != nil {
				return err
			}
			if dry {
				for _, p := range address.Plan() {
					if err := a.printPart(p); err != nil {
						return err
					}
				}
				return nil
			}
			var unsaid error
			err = dynamo.Init(cmd.Context(), address, &dynamo.Options{Clock: a.clock, Logger: a.logger}, func(p dynamo.Part) {
				unsaid = errors.Join(unsaid, a.printPart(p), a.out.Flush()) // some take a while
			})
			return errors.Join(err, unsaid)
		},
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "print what there would be, and send no request")
	return c
}

func (a *app) printPart(p dynamo.Part) error {
	if a.asJSON {
		return a.printJSON(part(p))
	}
	line := p.Resource + ": " + p.Setting
	if p.Status != "" {
		line = p.Status + "  " + line
	}
	_, err := fmt.Fprintln(a.out, line)
	return err
}
