package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
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
			dir, err := a.directory("backup")
			if err != nil {
				return err
			}
			if err := checkOutside(dir, args[0]); err != nil {
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

// checkOutside refuses a backup that would lie inside the store, where it would
// be lost with it.
func checkOutside(dir, to string) error {
	store, err := os.Stat(dir)
	if err != nil {
		return nil // without a store there is nothing to copy, which Backup says
	}
	at, err := filepath.Abs(to)
	if err != nil {
		return err
	}
	for ; ; at = filepath.Dir(at) {
		if info, err := os.Stat(at); err == nil && os.SameFile(info, store) {
			return &annals.Error{
				Code: annals.CodeInvalid, Message: to + " lies inside the store " + dir,
				Hint: "name a directory outside of it, best on another disk",
			}
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}
