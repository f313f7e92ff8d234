package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/ingest"
)

// ingestReport is what --json prints.
type ingestReport struct {
	Stored          int64     `json:"stored"`
	Replayed        int64     `json:"replayed"`
	Refused         int64     `json:"refused"`
	EventsPerSecond float64   `json:"eventsPerSecond"`
	Refusals        []refusal `json:"refusals"` // the first maxRefusals
}

type refusal struct {
	File    string          `json:"file"`
	Number  int             `json:"number"` // of the line in NDJSON, else of the message
	Problem httpapi.Problem `json:"problem"`
}

const maxRefusals = 1000

func (a *app) ingest() *cobra.Command {
	return &cobra.Command{
		Use:   "ingest FILE…|-",
		Short: "Store messages from files: NDJSON, a JSON array or one JSON object",
		Long: "Store messages from files, or with - from the standard input: CloudEvents, tracking\n" +
			"messages and command bodies. Ids make it safe to run again after an interruption. A\n" +
			"message that is refused is named and left out; the exit code is then 5.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			return a.with(true, func(store *annals.Store) error {
				return a.ingestFiles(cmd.Context(), store, files)
			})
		},
	}
}

func (a *app) ingestFiles(ctx context.Context, store *annals.Store, files []string) error {
	report := ingestReport{Refusals: []refusal{}}
	began := a.clock()
	var err error
	for _, name := range files {
		if err = a.ingestFile(ctx, store, name, &report); err != nil {
			break
		}
	}
	total := report.Stored + report.Replayed
	took := a.clock().Sub(began)
	if took > 0 {
		report.EventsPerSecond = float64(total) / took.Seconds()
	}
	if a.asJSON {
		if err := a.printJSON(report); err != nil {
			return err
		}
	} else if total+report.Refused > 0 {
		fmt.Fprintf(a.out, "%d stored, %d stored before, %d refused in %s: %.0f events/s\n",
			report.Stored, report.Replayed, report.Refused, took.Round(time.Millisecond), report.EventsPerSecond)
	}
	if err == nil && report.Refused > 0 {
		err = annals.Invalid("input", "%d of %d messages were refused", report.Refused, total+report.Refused)
	}
	return err
}

func (a *app) ingestFile(ctx context.Context, store *annals.Store, name string, report *ingestReport) error {
	var in io.Reader = a.in
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return &annals.Error{Code: annals.CodeNotFound, Message: "the file can't be read", Err: err}
		}
		defer file.Close()
		in = file
	}
	bar := a.progress(-1, name)
	defer bar.close()
	done := int64(0)
	runner := ingest.Runner{Store: store, Each: func(r ingest.Result) {
		done++
		bar.at(done)
		if r.Status != ingest.Refused {
			return
		}
		if len(report.Refusals) < maxRefusals {
			report.Refusals = append(report.Refusals, refusal{name, r.Number, httpapi.NewProblem(r.Err)})
		}
		if !a.asJSON {
			fmt.Fprintf(a.errs, "%s:%d: refused: %v\n", name, r.Number, r.Err)
		}
	}}
	summary, err := runner.Run(ctx, ingest.Items(in))
	report.Stored += summary.Stored
	report.Replayed += summary.Replayed
	report.Refused += summary.Refused
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
