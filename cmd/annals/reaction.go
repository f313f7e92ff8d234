package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
)

func (a *app) reaction() *cobra.Command {
	c := group("reaction", "List what makes outside calls, and repair what it did wrong")
	c.Long = "List the handlers that make outside calls, reactions and projections, and repair what a\n" +
		"reaction did wrong. Reactions run in your own programs; see docs/effects.md."
	c.AddCommand(a.reactionList(), a.reactionRepair())
	return c
}

// knownHandlers is what reaction list prints with --json.
type knownHandlers struct {
	Handlers []effect.KnownHandler `json:"handlers"`
}

func (a *app) reactionList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the handlers that make outside calls", Args: takes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.with(cmd.Context(), false, func(store *annals.Store) error {
				all := knownHandlers{[]effect.KnownHandler{}}
				for h, err := range effect.Handlers(cmd.Context(), store) {
					if err != nil {
						return err
					}
					all.Handlers = append(all.Handlers, h)
				}
				if a.asJSON {
					return a.printJSON(all)
				}
				return a.printHandlers(all.Handlers)
			})
		},
	}
}

func (a *app) printHandlers(all []effect.KnownHandler) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(a.out, "no handler of this store makes outside calls")
		return err
	}
	rows := [][]string{{"NAME", "CALLS SINCE POSITION", "LAST REPAIR", "OPEN DIFFERENCES"}}
	for i := range all {
		h, last := &all[i], "-"
		if h.Repair != nil {
			last = h.Repair.ID + " " + string(h.Repair.State)
		}
		rows = append(rows, []string{h.Name, fmt.Sprint(h.Began), last, fmt.Sprint(h.Open)})
	}
	return table(a.out, rows)
}

const (
	repairPoll = 200 * time.Millisecond
	// repairPatience is how long a command waits for a process that begins a repair.
	repairPatience = 10 * time.Second
)

func (a *app) reactionRepair() *cobra.Command {
	var o effect.RepairOptions
	leave := false
	c := &cobra.Command{
		Use: "repair NAME", Short: "Handle events again and show which outside calls would now differ", Args: takes,
		Long: "Ask the program that runs a reaction to handle events again, by its code as it is now, and\n" +
			"to compare the outside calls with those that were made then. Nothing is sent and nothing\n" +
			"is appended. annals effect diff shows what differs, annals effect approve has corrections\n" +
			"sent. The request is stored: a program that starts later carries it out.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkRange(cmd, &o); err != nil {
				return err
			}
			return a.with(cmd.Context(), false, func(store *annals.Store) error {
				run, err := effect.RequestRepair(cmd.Context(), store, args[0], o)
				if err != nil {
					return err
				}
				// Nobody else has a directory open.
				if !leave && (a.isRemote() || a.isDynamo()) {
					if err := a.followRepair(cmd.Context(), store, &run); err != nil {
						return err
					}
				}
				return a.printRepair(&run)
			})
		},
	}
	addRange(c, &o)
	c.Flags().BoolVar(&leave, "no-wait", false, "don't wait for the program that runs it")
	return c
}

// followRepair waits until a repair is over, or nobody has begun it for a while.
func (a *app) followRepair(ctx context.Context, store *annals.Store, run *effect.RepairRun) error {
	bar := a.progress(1, "repairing "+run.Handler)
	defer bar.close()
	begun := a.clock()
	for !run.Over() && (run.State != effect.Requested || a.clock().Sub(begun) < repairPatience) {
		if err := pause(ctx, repairPoll); err != nil {
			return &annals.Error{Code: annals.CodeCanceled, Message: "interrupted; the repair " + run.ID + " goes on", Hint: "annals reaction list says when it is over"}
		}
		all, err := effect.Repairs(ctx, store, run.Handler)
		if err != nil {
			return err
		}
		for _, r := range all {
			if r.ID == run.ID {
				*run = r
			}
		}
		bar.of(max(0, run.Position-run.From), max(0, run.To-run.From))
	}
	return nil
}

func (a *app) printRepair(run *effect.RepairRun) error {
	if a.asJSON {
		if err := a.printJSON(run); err != nil {
			return err
		}
	}
	text := ""
	switch run.State {
	case effect.Broken:
		return &annals.Error{Code: annals.CodeInvalid, Message: "the repair " + run.ID + " failed: " + worded(run.Error), Hint: "mend the code, or begin behind that event with --from"}
	case effect.Repaired:
		text = fmt.Sprintf("the repair %s has handled %s again: %s differ", run.ID, plural(int(run.Events), "event"), plural(int(run.Differences), "more outside call"))
		if run.Differences > 0 {
			text += "; annals effect diff " + run.Handler + " shows them"
		}
	default:
		text = fmt.Sprintf("the repair %s is asked for; it begins once a program runs %s", run.ID, run.Handler)
		if run.State == effect.Repairing {
			text = fmt.Sprintf("the repair %s is under way at position %d of %d", run.ID, run.Position, run.To)
		}
	}
	if a.asJSON {
		return nil
	}
	_, err := fmt.Fprintln(a.out, text)
	return err
}
