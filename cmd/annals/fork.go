package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/playback"
)

// A forking is what the flags of annals fork say.
type forking struct {
	to, until, mask string
	opts            playback.ForkOptions
}

func (a *app) fork() *cobra.Command {
	var f forking
	c := &cobra.Command{
		Use: "fork", Short: "Copy the log, or a part of it, into a new store: a test environment", Args: takes,
		Long: "Copy the log, or a part of it, into a new store with the same ids, streams, versions, times\n" +
			"and order. Outside calls are off in it. The stream annals.fork says what was copied.\n\n" +
			"The target must be empty; a directory is made, tables of a dynamodb:// store are made by\n" +
			"annals init before. After an interruption run the same command again: it goes on.\n\n" +
			"A mask is jq: . is the event, and its output is the event as the fork shall have it.",
		Example: "  annals fork --to ./test-data --mask mask.jq\n" +
			"  annals fork --to ./july --until 2020-07-31T23:59:59Z --streams 'order-*,customer-*'",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := noneEmpty(cmd, "until", "streams", "types", "mask"); err != nil {
				return err
			}
			target, err := a.target(f.to)
			if err != nil {
				return err
			}
			if err := a.readForking(cmd.Context(), &f); err != nil {
				return err
			}
			f.opts.Source = a.canonical()
			return a.with(cmd.Context(), false, func(from *annals.Store) error { return a.forkInto(cmd.Context(), from, target, &f.opts) })
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.to, "to", "", "the new store: a directory, http://HOST:PORT or dynamodb://NAME?… (required)")
	flags.StringVar(&f.until, "until", "", "the last position, or a time (RFC 3339): each stream up to its first later event")
	flags.StringSliceVar(&f.opts.Streams, "streams", nil, "only these streams, separated by commas; order-* for all that start so")
	flags.StringSliceVar(&f.opts.Types, "types", nil, "only these types, separated by commas; placeholders keep the versions")
	flags.StringVar(&f.mask, "mask", "", "a file with jq that masks each event; snapshots are left out")
	return c
}

// readForking reads what does not come from a store.
func (a *app) readForking(ctx context.Context, f *forking) error {
	if f.until != "" {
		if err := f.readUntil(); err != nil {
			return err
		}
	}
	if f.mask == "" {
		return nil
	}
	text, err := a.file(ctx, f.mask)
	if err != nil {
		return err
	}
	f.opts.Mask, err = playback.ParseMask(f.mask, text)
	return err
}

func (f *forking) readUntil() error {
	position, err := strconv.ParseInt(f.until, 10, 64)
	if err == nil && position > 0 {
		f.opts.Until = position
		return nil
	}
	if f.opts.UntilTime, err = time.Parse(time.RFC3339Nano, f.until); err != nil {
		return annals.Invalid("until", "must be a position from 1, or an RFC 3339 time such as 2020-05-01T20:00:00Z")
	}
	return nil
}

// forkInto makes the target once it is known that there is something to copy.
func (a *app) forkInto(ctx context.Context, from *annals.Store, target *app, opts *playback.ForkOptions) error {
	if err := playback.CheckFork(ctx, from, opts); err != nil {
		return err
	}
	return target.with(ctx, true, func(to *annals.Store) error {
		bar := a.progress(1, "forking into "+target.store)
		opts.Progress = func(m *playback.Manifest) { bar.of(m.Position, m.End) }
		m, err := playback.Fork(ctx, from, to, opts)
		bar.close()
		switch {
		case err != nil && ctx.Err() != nil && m.ID != "":
			return &annals.Error{
				Code: annals.CodeCanceled, Message: fmt.Sprintf("interrupted, the fork at position %d of %d", m.Position, m.End),
				Hint: "run the same command again: it goes on from there",
			}
		case err != nil:
			return err
		case a.asJSON:
			return a.printJSON(m)
		}
		return a.printFork(target, &m)
	})
}

func (a *app) printFork(target *app, m *playback.Manifest) error {
	if m.Repeated {
		_, err := fmt.Fprintf(a.out, "nothing to do: %s is this fork of %s, finished at %s\n", target.store, m.Source, m.Finished.Format(time.RFC3339))
		return err
	}
	text := fmt.Sprintf("%s of %s copied from %s to %s", plural(int(m.Events), "event"), plural(int(m.CopiedStreams), "stream"), m.Source, target.store)
	if m.Placeholders > 0 {
		text += fmt.Sprintf(", with %s for other types", plural(int(m.Placeholders), "placeholder"))
	}
	if m.WithoutSnapshots {
		text += "; snapshots are left out"
	}
	text += "\nno outside call leaves it; annals read annals.fork says what it is\n"
	if target.isDynamo() {
		text += "annals sequence numbers its log\n"
	}
	_, err := a.out.WriteString(text)
	return err
}
