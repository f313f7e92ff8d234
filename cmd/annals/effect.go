package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
)

func (a *app) effect() *cobra.Command {
	c := group("effect", "List outside calls, decide about unknown ones, and about what a repair has found")
	c.Long = "List the outside calls that handlers have made, say what became of those whose outcome is\n" +
		"unknown, and approve or reject what a repair has found. HANDLER is a reaction or a\n" +
		"projection, EVENT a stream@version. See docs/effects.md."
	c.AddCommand(a.effectList(), a.effectShow(), a.effectResolve(), a.effectDiff(), a.effectApprove(), a.effectReject())
	return c
}

var statuses = []effect.Status{effect.Intended, effect.Answered, effect.Failed, effect.Unknown}

func (a *app) effectList() *cobra.Command {
	handler, given := "", []string(nil)
	c := &cobra.Command{
		Use: "list", Short: "List outside calls; with --json one a line", Args: takes,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := effect.Filter{Handler: handler}
			for _, s := range given {
				if !slices.Contains(statuses, effect.Status(s)) {
					return usage(fmt.Sprintf("there is no status %q", s), "the statuses are intended, answered, failed and unknown")
				}
				f.Status = append(f.Status, effect.Status(s))
			}
			return a.with(cmd.Context(), false, func(store *annals.Store) error {
				return a.printEffects(cmd.Context(), store, f)
			})
		},
	}
	c.Flags().StringVar(&handler, "handler", "", "only those of this handler")
	c.Flags().StringSliceVar(&given, "status", nil, "only those that are intended, answered, failed or unknown")
	return c
}

func (a *app) printEffects(ctx context.Context, store *annals.Store, f effect.Filter) error {
	rows := [][]string{{"HANDLER", "EVENT", "CALL", "STATUS", "ATTEMPTS", "TIME", "REQUEST"}}
	for e, err := range effect.Entries(ctx, store, f) {
		if err != nil {
			return err
		}
		if a.asJSON {
			if err := a.printJSON(&e); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{e.Handler, e.Event, e.Call, e.Outcome(), fmt.Sprint(e.Attempts), e.Time.Format("2006-01-02 15:04:05Z07:00"), requestLine(e.Past())})
	}
	switch {
	case a.asJSON:
		return nil
	case len(rows) == 1:
		_, err := fmt.Fprintln(a.out, "no such call: nothing to do")
		return err
	}
	return table(a.out, rows)
}

// calls is what effect show prints with --json.
type calls struct {
	Handler string         `json:"handler"`
	Event   string         `json:"event"`
	Calls   []effect.Entry `json:"calls"`
}

func (a *app) effectShow() *cobra.Command {
	return &cobra.Command{
		Use: "show HANDLER EVENT", Short: "Show the outside calls that a handler has made for an event", Args: takes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(store *annals.Store) error {
				all, err := effect.Journal(cmd.Context(), store, args[0], args[1])
				switch {
				case err != nil:
					return err
				case len(all) == 0:
					return &annals.Error{
						Code: annals.CodeNotFound, Message: fmt.Sprintf("%s has made no outside call for %s", args[0], args[1]),
						Hint: "annals effect list --handler " + args[0] + " lists its calls",
					}
				case a.asJSON:
					return a.printJSON(calls{args[0], args[1], all})
				}
				for i := range all {
					if err := a.printEffect(&all[i]); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func (a *app) printEffect(e *effect.Entry) error {
	_, err := fmt.Fprintf(a.out, "call %s: %s after %s, at %s\n", e.Call, e.Outcome(), plural(e.Attempts, "attempt"), e.Time.Format("2006-01-02 15:04:05Z07:00"))
	line := func(name, text string) {
		if text != "" && err == nil {
			_, err = fmt.Fprintf(a.out, "  %-9s %s\n", name, text)
		}
	}
	line("request", requestLine(&e.Request))
	if e.Corrected != nil {
		line("corrected", requestLine(e.Corrected))
	}
	if e.Response != nil {
		line("response", responseLine(e.Response))
	}
	line("error", e.Error)
	if e.Status == effect.Intended {
		line("process", fmt.Sprintf("%s, until %s", e.Runner, e.Deadline.Format("2006-01-02 15:04:05Z07:00")))
	}
	line("key", e.Key)
	return err
}

func requestLine(r *effect.Request) string {
	return strings.TrimSpace(r.Method + " " + r.URL + " " + bodyLine(&r.Body))
}

func responseLine(r *effect.Response) string {
	text := bodyLine(&r.Body)
	if r.Status != 0 {
		text = fmt.Sprintf("%d %s", r.Status, text)
	}
	if r.Error != "" {
		text += "error: " + r.Error
	}
	return strings.TrimSpace(text)
}

// bodyLine is the start of a body on one line.
func bodyLine(b *effect.Body) string {
	switch {
	case b.Truncated:
		return fmt.Sprintf("(%d bytes, not kept)", b.Size)
	case b.Data != nil:
		text, err := json.Marshal(b.Data)
		if err != nil {
			return err.Error()
		}
		return shortDocument(text)
	case b.Text != "":
		return shortDocument([]byte(strings.ReplaceAll(b.Text, "\n", " ")))
	case len(b.Bytes) > 0:
		return fmt.Sprintf("(%d bytes)", len(b.Bytes))
	}
	return ""
}

func (a *app) effectResolve() *cobra.Command {
	resend, none := false, false
	response, reason := "", ""
	c := &cobra.Command{
		Use: "resolve HANDLER EVENT CALL", Short: "Say what became of a call whose outcome is unknown", Args: takes,
		Long: "Say what became of a call whose outcome is unknown: ask the other side first. The event is\n" +
			"handled again once it is retried, see annals parked retry.",
		Example: "  annals effect resolve charges order-7@1 0 --no-effect --reason 'not on the statement'",
		RunE: func(cmd *cobra.Command, args []string) error {
			decisions := map[effect.Decision]bool{effect.DecideResend: resend, effect.DecideNoEffect: none, effect.DecideAnswered: response != ""}
			var given []effect.Decision
			for d, is := range decisions {
				if is {
					given = append(given, d)
				}
			}
			switch {
			case len(given) != 1:
				return usage("effect resolve needs one of --resend, --no-effect and --response", help(cmd))
			case strings.TrimSpace(reason) == "":
				return usage("effect resolve needs --reason", "say why, for those who come later")
			}
			answer, err := a.response(cmd.Context(), response)
			if err != nil {
				return err
			}
			return a.with(cmd.Context(), false, func(store *annals.Store) error {
				if err := effect.Resolve(cmd.Context(), store, args[0], args[1], args[2], given[0], answer, reason); err != nil {
					return err
				}
				return a.showResolved(cmd.Context(), store, args)
			})
		},
	}
	c.Flags().BoolVar(&resend, "resend", false, "make it again with the same Idempotency-Key")
	c.Flags().BoolVar(&none, "no-effect", false, "it had no effect: make it again")
	c.Flags().StringVar(&response, "response", "", "it had its effect: a file with the answer, such as {\"status\":200,\"data\":{}}, or -")
	addReason(c, &reason)
	return c
}

// response reads an answer as effect show --json shows it; nil for no file.
func (a *app) response(ctx context.Context, name string) (*effect.Response, error) {
	if name == "" {
		return nil, nil
	}
	text, err := a.file(ctx, name)
	if err != nil {
		return nil, err
	}
	return effect.ParseResponse(name, text)
}

func (a *app) showResolved(ctx context.Context, store *annals.Store, args []string) error {
	all, err := effect.Journal(ctx, store, args[0], args[1])
	if err != nil {
		return err
	}
	for i := range all {
		switch e := &all[i]; {
		case e.Call != args[2]:
		case a.asJSON:
			return a.printJSON(e)
		default:
			if err := a.printEffect(e); err != nil {
				return err
			}
		}
	}
	if a.asJSON {
		return nil
	}
	next := "retry the event if it is parked: annals parked retry " + args[0]
	if strings.HasPrefix(args[2], "correction/") {
		next = "approve its difference again: annals effect diff " + args[0]
	}
	_, err = fmt.Fprintln(a.out, next)
	return err
}
