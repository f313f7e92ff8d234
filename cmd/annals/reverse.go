package main

import (
	"context"
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/projection/fold"
	"github.com/eb901187/annals/reversal"
)

// A reversing is what the flags of annals reverse say.
type reversing struct {
	target         reversal.Target
	byQuery        bool
	query          annals.Query
	since, before  string
	fold, inverses string // files
	opts           reversal.Options
	dryRun         bool
}

// queryFlags choose events, as those of annals log do.
var queryFlags = []string{"types", "sources", "correlation", "prefix", "since", "before", "after", "until"}

func (a *app) reverse() *cobra.Command {
	var r reversing
	c := &cobra.Command{
		Use: "reverse [STREAM] [VERSION]", Short: "Undo events by appending further ones", Args: takes,
		Long: "Undo events by appending further ones; history stays as it is. The first of these ways that\n" +
			"applies is taken: the inverse that is declared for the event's type (--inverses) or stored\n" +
			"with the event (the attribute reverse); the inverse of its merge patch; the state that the\n" +
			"stream has without it, by merge patch or by --fold.\n\n" +
			"Prints the state before and after, and the events. A reversal is reversed like any event.",
		Example: "  annals reverse order-7 3 --reason 'entered twice' --dry-run\n" +
			"  annals reverse order-7 --event payment-4711 --inverses inverses.yaml\n" +
			"  annals reverse --query --correlation r-1 --types order-paid\n" +
			"  annals reverse --reversal 2WQZ6LSVNHOXD7B4CJ5RKFTYMA",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := noneEmpty(cmd, queryFlags...); err != nil {
				return err
			}
			if err := r.read(cmd, args); err != nil {
				return err
			}
			if err := a.readDeclared(cmd.Context(), &r); err != nil {
				return err
			}
			return a.with(cmd.Context(), false, func(store *annals.Store) error { return a.planAndReverse(cmd.Context(), store, &r) })
		},
	}
	r.addFlags(c)
	return c
}

func (r *reversing) addFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&r.target.EventID, "event", "", "the event with this id; without STREAM the whole log is searched for it")
	f.StringVar(&r.target.Reversal, "reversal", "", "take back all that the reversal of this id has done, in every stream")
	f.BoolVar(&r.byQuery, "query", false, "the events that the next flags choose, as with annals log")
	f.StringSliceVar(&r.query.Types, "types", nil, "only these types, separated by commas")
	f.StringSliceVar(&r.query.Sources, "sources", nil, "only these sources, separated by commas")
	f.StringVar(&r.query.Correlation, "correlation", "", "only the events of this request")
	f.StringVar(&r.query.Prefix, "prefix", "", "only streams whose names start so")
	f.StringVar(&r.since, "since", "", "only times from this one on (RFC 3339)")
	f.StringVar(&r.before, "before", "", "only times before this one (RFC 3339)")
	f.Int64Var(&r.query.After, "after", 0, "only positions behind this one")
	f.Int64Var(&r.query.Until, "until", 0, "only positions up to this one; 0 for the end")
	f.StringVar(&r.inverses, "inverses", "", "a file with the inverses of types, in jq")
	f.StringVar(&r.fold, "fold", "", "the file of a projection that folds the streams, instead of merging data")
	f.StringVar(&r.opts.Reason, "reason", "", "why, for those who come later")
	f.StringVar(&r.opts.ID, "id", "", "the reversal's id, to go on with one that was interrupted; a new one by default")
	f.BoolVar(&r.dryRun, "dry-run", false, "show what would be appended, and append nothing")
}

// read checks that the command line names one thing.
func (r *reversing) read(c *cobra.Command, args []string) (err error) {
	if err := r.readQuery(c); err != nil {
		return err
	}
	forms := 0
	for _, given := range []bool{len(args) > 0 || r.target.EventID != "", r.byQuery, r.target.Reversal != ""} {
		if given {
			forms++
		}
	}
	switch {
	case forms == 0:
		return usage("reverse needs to know which event", "give STREAM VERSION, --event ID, --query with what to look for, or --reversal ID")
	case forms > 1:
		return usage("STREAM and --event, --query and --reversal exclude each other", "leave all but one of them out")
	case len(args) == 1 && r.target.EventID == "":
		return usage("reverse "+args[0]+" needs a VERSION", "annals read "+args[0]+" shows the versions; --event names an event by its id")
	case len(args) == 2 && r.target.EventID != "":
		return usage("VERSION and --event exclude each other", "leave one of them out")
	}
	if len(args) > 0 {
		r.target.Stream = args[0]
	}
	if len(args) > 1 {
		if r.target.Version, err = strconv.ParseInt(args[1], 10, 64); err != nil || r.target.Version < 1 || args[1][0] == '+' {
			return usage("VERSION must be a number from 1, not "+strconv.Quote(args[1]), "annals read "+args[0]+" shows the versions")
		}
	}
	return nil
}

// readQuery reads the flags that choose events.
func (r *reversing) readQuery(c *cobra.Command) (err error) {
	chosen := ""
	for _, name := range queryFlags {
		if f := c.Flags().Lookup(name); f.Changed && (f.Value.Type() != "int64" || f.Value.String() != "0") {
			chosen = name
		}
	}
	switch {
	case !r.byQuery && chosen != "":
		return usage("--"+chosen+" belongs to --query", "add --query to reverse all that matches")
	case r.byQuery && chosen == "":
		return usage("--query alone would reverse every event of the store", "say which, for example --query --correlation r-1")
	}
	if r.query.Since, err = parseTime("since", r.since); err != nil {
		return err
	}
	if r.query.Before, err = parseTime("before", r.before); err != nil {
		return err
	}
	if r.byQuery {
		r.target.Query = &r.query
	}
	return nil
}

// readDeclared reads the files.
func (a *app) readDeclared(ctx context.Context, r *reversing) error {
	if r.inverses != "" {
		text, err := a.file(ctx, r.inverses)
		if err != nil {
			return err
		}
		if r.opts.Inverses, err = reversal.ParseInverses(r.inverses, text); err != nil {
			return err
		}
	}
	if r.fold != "" {
		text, err := a.file(ctx, r.fold)
		if err != nil {
			return err
		}
		d, err := fold.Parse(r.fold, text)
		if err != nil {
			return err
		}
		r.opts.Fold = reversal.FoldBy(d)
	}
	return nil
}

// replans is how often a reversal is planned again because others append to its
// streams.
const replans = 100

// planAndReverse applies a plan. Where somebody has appended to a stream meanwhile
// it plans again, and goes on if the change is the same.
func (a *app) planAndReverse(ctx context.Context, store *annals.Store, r *reversing) error {
	plan, err := reversal.NewPlan(ctx, store, r.target, &r.opts)
	if err != nil {
		return err
	}
	done := reversed{Plan: *plan, DryRun: r.dryRun}
	if r.dryRun || len(plan.Streams) == 0 {
		return a.printReversed(&done)
	}
	done.Streams = nil
	r.opts.ID = plan.ID
	for again := 0; ; again++ {
		commits, err := reversal.Apply(ctx, store, plan)
		done.add(plan.Streams[:len(commits)], commits)
		switch {
		case err == nil:
			return a.printReversed(&done)
		case !errors.Is(err, annals.ErrConflict) || again == replans:
			return brokenOff(err, plan.ID)
		}
		next, nextErr := reversal.NewPlan(ctx, store, r.target, &r.opts)
		if nextErr != nil {
			return nextErr
		}
		if !next.Within(plan) {
			return &annals.Error{
				Code: annals.CodeConflict, Message: "somebody has appended to the streams, so that the reversal would append something else than was planned",
				Hint: "run the same command with --id " + plan.ID + " --dry-run to see what it would be, then without --dry-run", Err: err,
			}
		}
		plan = next
	}
}

// brokenOff says how to go on.
func brokenOff(err error, id string) error {
	var own *annals.Error
	if !errors.As(err, &own) {
		return err
	}
	told := *own
	told.Hint = "run the same command with --id " + id + ": it goes on with what is left"
	return &told
}
