package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/projection"
)

func (a *app) state() *cobra.Command {
	var opts httpapi.StateOptions
	at, file := "", ""
	c := &cobra.Command{
		Use: "state STREAM", Short: "Show the state of a stream, also as of a version or a time", Args: takes,
		Long: "Show the state of a stream: the data of its events merged (RFC 7396), or what --fold, the\n" +
			"file of a projection, makes of them. As of a version or a time it is the state that the\n" +
			"stream had then.",
		Example: "  annals state order-7 --at-version 3\n  annals state order-7 --at-time 2020-05-01T20:00:00Z --fold projections/orders.yaml",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if cmd.Flags().Changed("at-version") && opts.AtVersion < 1 {
				return usage("--at-version must be a number from 1", "annals read "+args[0]+" shows the versions")
			}
			if opts.AtTime, err = parseTime("at-time", at); err != nil {
				return err
			}
			if opts.AtVersion > 0 && at != "" {
				return usage("--at-version and --at-time exclude each other", "leave one of them out")
			}
			s, err := a.readState(cmd, args[0], file, &opts)
			if err != nil {
				return err
			}
			return a.printState(&s)
		},
	}
	c.Flags().Int64Var(&opts.AtVersion, "at-version", 0, "as of this version")
	c.Flags().StringVar(&at, "at-time", "", "as of this time (RFC 3339): up to the first event that is later")
	c.Flags().StringVar(&file, "fold", "", "the file of a projection that folds the stream, instead of merging data")
	return c
}

// readState asks a server, but for a fold, whose file is here.
func (a *app) readState(cmd *cobra.Command, stream, file string, opts *httpapi.StateOptions) (s httpapi.State, err error) {
	if a.isRemote() && file == "" {
		if err := a.known(); err != nil {
			return s, err
		}
		err = a.useServer(func(p *client.Projections) error {
			s, err = p.State(cmd.Context(), stream, opts.AtVersion, opts.AtTime, "")
			return err
		})
		return s, err
	}
	if file != "" {
		if err := a.readFold(file, opts); err != nil {
			return s, err
		}
	}
	err = a.with(cmd.Context(), false, func(store *annals.Store) error {
		s, err = httpapi.ReadState(cmd.Context(), store, stream, opts)
		return err
	})
	return s, err
}

func (a *app) readFold(file string, opts *httpapi.StateOptions) error {
	if err := checkInput(file); err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return inputErr(file, err)
	}
	p, err := projection.Parse(file, text)
	if err != nil {
		return err
	}
	opts.Rules = p.Rules()
	return nil
}

func (a *app) printState(s *httpapi.State) error {
	if a.asJSON {
		return a.printJSON(s)
	}
	if _, err := fmt.Fprintf(a.out, "%s at version %d, %s\n", s.Stream, s.Version, s.Time.Format(time.RFC3339Nano)); err != nil {
		return err
	}
	return a.printDocument(s.State)
}
