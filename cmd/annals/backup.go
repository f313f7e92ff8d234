package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals/embedded"
)

func (a *app) backup() *cobra.Command {
	return &cobra.Command{
		Use:   "backup DIR",
		Short: "Copy a consistent store to DIR, also while annals serve has it open",
		Long: "Copy a consistent store to DIR, which must be empty or not exist. Another process may\n" +
			"go on writing: what was acknowledged before is in the copy. To restore, open the copy.",
		Args: takes,
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.isDynamo() {
				return usage("annals backup copies a directory, and "+a.store+" is none",
					"DynamoDB has point-in-time recovery, which annals init switches on; annals log --json --exact exports the events")
			}
			dir, err := a.directory("backup")
			if err != nil {
				return err
			}
			bar := a.progress(-1, "copying")
			position, err := embedded.Backup(cmd.Context(), dir, args[0], &embedded.Options{Progress: bar.at})
			bar.close()
			switch {
			case err != nil:
				return err
			case a.asJSON:
				return a.printJSON(map[string]string{"directory": args[0], "position": fmt.Sprint(position)})
			}
			_, err = fmt.Fprintf(a.out, "%s copied to %s\n", plural(int(position), "event"), args[0])
			return err
		},
	}
}
