package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
)

// differences is what effect diff prints with --json.
type differences struct {
	Differences []effect.Finding `json:"differences"`
}

func (a *app) effectDiff() *cobra.Command {
	all := false
	c := &cobra.Command{
		Use: "diff [HANDLER]", Short: "Show the outside calls that would be made otherwise today, as repairs have found them", Args: takes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(store *annals.Store) error {
				found, err := findings(cmd.Context(), store, strings.Join(args, ""), func(f *effect.Finding) bool {
					return all || !slices.Contains([]effect.FindingState{effect.Corrected, effect.Rejected, effect.Superseded}, f.State)
				})
				if err != nil {
					return err
				}
				if a.asJSON {
					return a.printJSON(differences{found})
				}
				return a.printFindings(found)
			})
		},
	}
	c.Flags().BoolVar(&all, "all", false, "also those that were corrected, rejected or superseded")
	return c
}

// findings are those of one handler, or of all for none, that match.
func findings(ctx context.Context, store *annals.Store, handler string, match func(*effect.Finding) bool) ([]effect.Finding, error) {
	names, found := []string{handler}, []effect.Finding{}
	if handler == "" {
		names = nil
		for h, err := range effect.Handlers(ctx, store) {
			if err != nil {
				return nil, err
			}
			names = append(names, h.Name)
		}
	}
	for _, name := range names {
		of, err := effect.Differences(ctx, store, name)
		if err != nil {
			return nil, err
		}
		for i := range of {
			if match(&of[i]) {
				found = append(found, of[i])
			}
		}
	}
	return found, nil
}

func (a *app) printFindings(found []effect.Finding) error {
	if len(found) == 0 {
		_, err := fmt.Fprintln(a.out, "no outside call differs: nothing to do")
		return err
	}
	for i := range found {
		f := &found[i]
		what := "call " + f.Call
		if f.Append != "" {
			what = "append to " + f.Append
		}
		if _, err := fmt.Fprintf(a.out, "%s  %s  %s for %s at position %d\n  was  %s\n  now  %s\n", f.ID, f.State, what, f.Event, f.Position, wasLine(f), nowLine(f)); err != nil {
			return err
		}
		for _, note := range []struct{ name, text string }{{"rejected", f.Reason}, {"error", worded(f.Error)}} {
			if note.text != "" {
				fmt.Fprintf(a.out, "  %s: %s\n", note.name, note.text)
			}
		}
	}
	text := plural(len(found), "difference")
	if slices.ContainsFunc(found, func(f effect.Finding) bool { return f.State == effect.Open }) {
		text += "; annals effect approve has corrections sent"
	}
	_, err := fmt.Fprintln(a.out, text)
	return err
}

func wasLine(f *effect.Finding) string {
	if f.Was == nil {
		return "(no call)"
	}
	text := requestLine(f.Was.Past())
	if f.Was.Response != nil && f.Append == "" {
		text += " → " + responseLine(f.Was.Response)
	}
	return text
}

func nowLine(f *effect.Finding) string {
	if f.Now == nil {
		return "(no call)"
	}
	return requestLine(f.Now)
}

// decided is what effect approve and reject print with --json.
type decided struct {
	State effect.FindingState `json:"state"`
	IDs   []string            `json:"ids"`
}

// deciding is a decision about findings, by their ids or all that are open.
type deciding struct {
	all     bool
	handler string
}

func (d *deciding) addFlags(c *cobra.Command) {
	c.Flags().BoolVar(&d.all, "all", false, "all that nobody has decided about")
	c.Flags().StringVar(&d.handler, "handler", "", "with --all, only those of this handler")
}

// decideOn finds the ids that are meant, and does what is to be done about them.
func (a *app) decideOn(cmd *cobra.Command, d *deciding, ids []string, state effect.FindingState, do func(store *annals.Store, ids []string) error) error {
	name := "effect " + cmd.Name()
	switch {
	case (len(ids) > 0) == d.all:
		return usage(name+" needs IDs or --all", "annals effect diff shows them")
	case d.handler != "" && !d.all:
		return usage("--handler goes with --all", "leave it out: an ID names its handler")
	}
	return a.with(cmd.Context(), false, func(store *annals.Store) error {
		if d.all {
			found, err := findings(cmd.Context(), store, d.handler, func(f *effect.Finding) bool { return f.State == effect.Open })
			if err != nil {
				return err
			}
			for i := range found {
				ids = append(ids, found[i].ID)
			}
		}
		if len(ids) > 0 {
			if err := do(store, ids); err != nil {
				return err
			}
		}
		if a.asJSON {
			return a.printJSON(decided{state, append([]string{}, ids...)})
		}
		return a.sayDecided(state, ids)
	})
}

func (a *app) sayDecided(state effect.FindingState, ids []string) error {
	text := fmt.Sprintf("%s %s", plural(len(ids), "difference"), state)
	switch {
	case len(ids) == 0:
		text = "no difference is open: nothing to do"
	case state == effect.Approved:
		text += "; corrections are sent once a program runs the handler, and annals effect diff --all shows what came of them"
	}
	_, err := fmt.Fprintln(a.out, text)
	return err
}

func (a *app) effectApprove() *cobra.Command {
	var d deciding
	c := &cobra.Command{
		Use: "approve [ID…]", Short: "Have corrections sent for what a repair has found", Args: takes,
		Long: "Have corrections sent for what a repair has found. The program that runs the handler sends\n" +
			"them: by its correction function, or as it is where a call was missing. None is approved\n" +
			"if one of them can't be.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.decideOn(cmd, &d, args, effect.Approved, func(store *annals.Store, ids []string) error {
				return effect.Approve(cmd.Context(), store, ids...)
			})
		},
	}
	d.addFlags(c)
	return c
}

func (a *app) effectReject() *cobra.Command {
	var d deciding
	reason := ""
	c := &cobra.Command{
		Use: "reject [ID…]", Short: "Leave outside calls as they were", Args: takes,
		Long: "Leave outside calls as they were. Later repairs don't find the same difference again.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return usage("effect reject needs --reason", "say why, for those who come later")
			}
			return a.decideOn(cmd, &d, args, effect.Rejected, func(store *annals.Store, ids []string) error {
				return effect.Reject(cmd.Context(), store, reason, ids...)
			})
		},
	}
	d.addFlags(c)
	addReason(c, &reason)
	return c
}
