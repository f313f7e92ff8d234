package main

import (
	"context"
	"errors"
	"fmt"
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
	ordered := false
	c := &cobra.Command{
		Use:   "ingest FILE…|-",
		Short: "Store messages from files: NDJSON, a JSON array or one JSON object",
		Long: "Store messages from files, or with - from the standard input: CloudEvents, tracking\n" +
			"messages and command bodies. Ids make it safe to run again after an interruption; a\n" +
			"command body without an id is a new event each time. A message that is refused is\n" +
			"named and left out; the exit code is then 5.\n\n" +
			"Messages of one stream are stored in their order. --ordered keeps it across streams\n" +
			"too, as for the export of another store: annals log --json --exact. A dynamodb:// store\n" +
			"numbers its log later, from what DynamoDB streams. Start annals sequence before; the\n" +
			"order across streams then holds where that is a single shard, as in stand-ins for AWS.",
		Args: takes,
		RunE: func(cmd *cobra.Command, files []string) error {
			for _, name := range files {
				if err := checkInput(name); err != nil {
					return err
				}
			}
			return a.with(cmd.Context(), true, func(store *annals.Store) error {
				runner := ingest.Runner{Store: store}
				if ordered {
					runner.Workers = 1
				}
				return a.ingestFiles(cmd.Context(), runner, files)
			})
		},
	}
	c.Flags().BoolVar(&ordered, "ordered", false, "one message at a time, in the order of the input; slower")
	return c
}

func (a *app) ingestFiles(ctx context.Context, runner ingest.Runner, files []string) error {
	report := ingestReport{Refusals: []refusal{}}
	began := a.clock()
	var err error
	for _, name := range files {
		if err = a.ingestFile(ctx, runner, name, &report); err != nil {
			break
		}
	}
	took := a.clock().Sub(began)
	if took > 0 {
		report.EventsPerSecond = float64(report.Stored+report.Replayed) / took.Seconds()
	}
	if err := a.printIngested(&report, took, err); err != nil {
		return err
	}
	return report.verdict(ctx, err)
}

// printIngested prints what was done by the end, or until broken ended it.
func (a *app) printIngested(r *ingestReport, took time.Duration, broken error) error {
	if a.asJSON {
		return a.printJSON(r)
	}
	if r.total() == 0 {
		if broken != nil {
			return nil
		}
		_, err := fmt.Fprintln(a.out, "0 messages")
		return err
	}
	_, err := fmt.Fprintf(a.out, "%d stored, %d stored before, %d refused", r.Stored, r.Replayed, r.Refused)
	// The rate of a moment says nothing about the store.
	if took >= time.Second && err == nil {
		_, err = fmt.Fprintf(a.out, " in %s: %.0f events/s", took.Round(time.Millisecond), r.EventsPerSecond)
	}
	if err == nil {
		err = a.out.WriteByte('\n')
	}
	return err
}

func (r *ingestReport) total() int64 { return r.Stored + r.Replayed + r.Refused }

// verdict is how an ingest ends that err broke off, if it is not nil.
func (r *ingestReport) verdict(ctx context.Context, err error) error {
	switch {
	case err != nil && ctx.Err() != nil:
		return &annals.Error{
			Code: annals.CodeCanceled, Message: "interrupted with " + plural(int(r.Stored+r.Replayed), "message") + " stored",
			Hint: "run the same command again: it goes on, and no message with an id is stored twice",
		}
	case err != nil:
		return err
	case r.Refused > 0:
		return &annals.Error{
			Code: annals.CodeInvalid, Message: fmt.Sprintf("%d of %s refused", r.Refused, plural(int(r.total()), "message")),
			Hint: "mend them and run the same command again: no message with an id is stored twice",
		}
	}
	return nil
}

func (a *app) ingestFile(ctx context.Context, runner ingest.Runner, name string, report *ingestReport) error {
	in, err := a.input(ctx, name)
	if err != nil {
		return err
	}
	shown := name
	if name == standardInput {
		shown = "standard input"
	}
	bar := a.progress(-1, shown)
	defer bar.close()
	done := int64(0)
	runner.Each = func(r ingest.Result) {
		done++
		bar.at(done)
		if r.Status != ingest.Refused {
			return
		}
		p := problem(r.Err)
		if len(report.Refusals) < maxRefusals {
			report.Refusals = append(report.Refusals, refusal{name, r.Number, p})
		}
		if !a.asJSON {
			fmt.Fprintf(a.errs, "%s:%d: refused: %s\n", shown, r.Number, p.Detail)
		}
	}
	summary, err := runner.Run(ctx, ingest.Items(in))
	report.Stored += summary.Stored
	report.Replayed += summary.Replayed
	report.Refused += summary.Refused
	if err = errors.Join(err, in.Close()); err != nil {
		return fmt.Errorf("%s: %w", shown, err)
	}
	return nil
}
