package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/subject"
	"github.com/eb901187/annals/subject/erase"
	"github.com/eb901187/annals/view"
)

func (a *app) erase() *cobra.Command {
	var v viewing
	var asked subject.Request
	yes := false
	c := &cobra.Command{
		Use: "erase SUBJECT", Short: "Erase a data subject: destroy its key, rebuild views, print a receipt", Args: takes,
		Long: "Erase a data subject. Its key is fenced, so that no process uses it any more, and destroyed\n" +
			"some seconds later. The events that name it stay in the log as they are, and nobody can read\n" +
			"their data. Views that have folded them are built anew and the older generations are deleted.\n\n" +
			"This can't be undone, and so asks for --yes. After an interruption the same command is given\n" +
			"again. On http:// the server does the work, with its own keys and views.",
		Example: "  annals erase account-7 --keys ./keys --dry-run\n" +
			"  annals erase account-7 --keys ./keys --reason 'request 12' --yes",
		RunE: func(cmd *cobra.Command, args []string) error {
			asked.Subject = args[0]
			if err := subject.CheckName(asked.Subject); err != nil {
				return err
			}
			if !asked.DryRun && !yes {
				return usage("annals erase destroys the key of "+args[0]+" for ever", "see what it would do with --dry-run, then add --yes")
			}
			receipt, err := a.eraseSubject(cmd.Context(), &v, asked)
			if err != nil {
				return err
			}
			if a.asJSON {
				return a.printJSON(receipt)
			}
			return a.printReceipt(&receipt)
		},
	}
	f := c.Flags()
	f.BoolVar(&asked.DryRun, "dry-run", false, "show what would be erased, and do nothing")
	f.BoolVar(&yes, "yes", false, "do it; it can't be undone")
	f.StringVar(&asked.Reason, "reason", "", "why, for those who come later; without a word about the person, as it is kept for ever")
	v.addFlags(c)
	return c
}

func (a *app) eraseSubject(ctx context.Context, v *viewing, asked subject.Request) (receipt subject.Receipt, err error) {
	if err := a.known(); err != nil {
		return receipt, err
	}
	if a.isRemote() {
		return a.eraseRemote(ctx, v, asked)
	}
	if _, err := a.someKeys(ctx); err != nil {
		return receipt, err
	}
	definitions, err := v.load()
	if err != nil {
		return receipt, err
	}
	return receipt, a.with(ctx, false, func(store *annals.Store) error {
		if v.views == "" && a.scheme() == "" && !isDir(filepath.Join(a.store, viewsDir)) {
			receipt, err = a.eraseWith(ctx, store, nil, asked)
			return err
		}
		open := func(views view.Store) (*projection.Set, error) { return a.commandSet(ctx, store, views, definitions) }
		return a.withSet(ctx, v, open, func(set *projection.Set) error {
			return whileRunning(ctx, set, func() error {
				receipt, err = a.eraseWith(ctx, store, set, asked)
				return err
			})
		})
	})
}

func (a *app) eraseRemote(ctx context.Context, v *viewing, asked subject.Request) (receipt subject.Receipt, err error) {
	if v.definitions != "" || v.views != "" {
		return receipt, usage("--projections and --views are those of the server "+a.store, "leave them out, or give them to annals serve")
	}
	opts, err := a.remote()
	if err == nil {
		err = a.noKeys()
	}
	if err != nil {
		return receipt, err
	}
	return client.Erase(ctx, a.store, asked, opts)
}

// eraseWith erases in a store that was opened with the keys of this command.
func (a *app) eraseWith(ctx context.Context, store *annals.Store, set *projection.Set, asked subject.Request) (subject.Receipt, error) {
	do, err := erase.New(erase.Options{Store: store, Keys: a.keysOpened, Views: set, Clock: a.clock})
	if err != nil {
		return subject.Receipt{}, err
	}
	return do(ctx, asked)
}

// eraser is what a server erases with; nil without keys. What it works on is looked up
// when it is asked for.
func (a *app) eraser(store *annals.Store, opts *httpapi.Options) subject.Eraser {
	if a.keysOpened == nil {
		return nil
	}
	return func(ctx context.Context, r subject.Request) (subject.Receipt, error) {
		a.logger.Info("a data subject is being erased", "dryRun", r.DryRun, "by", r.By)
		receipt, err := a.eraseWith(ctx, store, opts.Projections, r)
		if err != nil && !errors.Is(err, annals.ErrInvalid) {
			a.logger.Error("an erasure was broken off", slog.Any("error", err))
		}
		return receipt, err
	}
}

func keyLine(k subject.KeyReceipt) string {
	line := "no key: nothing was ever sealed for this subject"
	if k.Fingerprint != "" {
		line = "key " + k.Fingerprint + ", made " + k.Created.Format(time.RFC3339)
	}
	switch k.State {
	case subject.Fenced:
		line += "; fenced " + k.Fenced.Format(time.RFC3339) + ", not destroyed yet"
	case subject.Destroyed:
		line += "; destroyed " + k.Destroyed.Format(time.RFC3339)
	}
	return line
}

// printf writes to the output.
func (a *app) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(a.out, format, args...)
	return err
}

func (a *app) printReceipt(r *subject.Receipt) error {
	var b strings.Builder
	title := "ERASED"
	switch {
	case r.DryRun:
		title = "WOULD BE ERASED"
	case !r.Complete:
		title = "ERASED IN PART: see below what is left"
	}
	fmt.Fprintf(&b, "%s  %s\n", title, r.Subject)
	if r.Reason != "" {
		fmt.Fprintf(&b, "reason     %s\n", r.Reason)
	}
	fmt.Fprintf(&b, "key        %s\n", keyLine(r.Key))
	fmt.Fprintf(&b, "keys       %s, wrapped by %s\n", r.Keys, r.Master)
	fmt.Fprintf(&b, "events     %d in %s of the log up to position %d\n", r.Events, plural(r.Streams, "stream"), r.LogEnd)
	for _, s := range r.ByStream {
		fmt.Fprintf(&b, "           %8d  %s\n", s.Events, s.Stream)
	}
	if r.OtherKeys > 0 {
		fmt.Fprintf(&b, "other keys %d of them are sealed with a key that is not among these: erase with the keys that the store was used with\n", r.OtherKeys)
	}
	if r.InClear > 0 {
		fmt.Fprintf(&b, "in clear   %d of them were stored before there were keys, and stay readable for ever\n", r.InClear)
	}
	for _, c := range r.Copies {
		fmt.Fprintf(&b, "copies     %d in %s\n", c.Events, c.Kind)
	}
	if r.Edits > 0 {
		fmt.Fprintf(&b, "edits      %d of operators, and texts of errors, removed\n", r.Edits)
	}
	for _, v := range r.Views {
		fmt.Fprintf(&b, "view       %s: %s", v.Projection, v.Outcome)
		if v.Outcome == subject.Rebuilt {
			fmt.Fprintf(&b, ", generation %d is live; deleted %v", v.Generation, v.Deleted)
		}
		if v.Note != "" {
			fmt.Fprintf(&b, ": %s", v.Note)
		}
		b.WriteByte('\n')
	}
	if len(r.Views) == 0 {
		b.WriteString("view       none was looked at\n")
	}
	if !r.Done.IsZero() {
		fmt.Fprintf(&b, "done       %s, noted in stream %s\n", r.Done.Format(time.RFC3339), erase.Stream)
	}
	b.WriteString("not covered:\n")
	for _, what := range r.NotCovered {
		fmt.Fprintf(&b, "  - %s\n", what)
	}
	return a.printf("%s", b.String())
}
