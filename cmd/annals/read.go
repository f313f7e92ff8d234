package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
)

func (a *app) read() *cobra.Command {
	var opts annals.StreamOptions
	exact := false
	c := &cobra.Command{
		Use:     "read STREAM",
		Short:   "Read the events of a stream",
		Example: "  annals read order-7\n  annals read order-7 --backward --limit 1 --json",
		Args:    takes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(store *annals.Store) error {
				n, err := a.printEvents(store.Stream(cmd.Context(), args[0], &opts), exact, a.streamLine)
				if n > 0 || err != nil {
					return err
				}
				for _, err := range store.Stream(cmd.Context(), args[0], &annals.StreamOptions{Backward: true, Limit: 1}) {
					return err // there is a stream, with no event between the bounds
				}
				return &annals.Error{Code: annals.CodeNotFound, Message: "there is no stream " + args[0], Hint: "annals streams lists them, and annals log events with their streams"}
			})
		},
	}
	f := c.Flags()
	f.Int64Var(&opts.From, "from", 0, "first version")
	f.Int64Var(&opts.To, "to", 0, "last version; 0 for the end")
	f.BoolVar(&opts.Backward, "backward", false, "from the end to the start")
	f.IntVar(&opts.Limit, "limit", 0, "the most events; 0 for all")
	addExact(c, &exact)
	return c
}

func addExact(c *cobra.Command, exact *bool) {
	c.Flags().BoolVar(exact, "exact", false, "with --json: give data whose line breaks JSON lines would lose as data_base64")
}

// printEvents prints events, as CloudEvents with --json, and flushes with each
// one that a reader may be waiting for.
func (a *app) printEvents(events iter.Seq2[annals.Event, error], exact bool, line func(*annals.Event) string) (n int, err error) {
	var buf []byte
	for e, err := range events {
		if err != nil {
			return n, err
		}
		n++
		if a.asJSON {
			buf = append(e.AppendJSON(buf[:0], exact), '\n')
		} else {
			buf = append(append(buf[:0], line(&e)...), '\n')
		}
		if _, err := a.out.Write(buf); err != nil {
			return n, err
		}
	}
	return n, nil
}

const lineTime = "2006-01-02 15:04:05.000Z07:00"

func (a *app) streamLine(e *annals.Event) string {
	return fmt.Sprintf("%6d  %s  %-24s  %s  %s", e.Version, e.Time.Format(lineTime), e.Type, origin(e), shortData(e))
}

func (a *app) logLine(e *annals.Event) string {
	return fmt.Sprintf("%8d  %s  %-20s  %-24s  %s  %s", e.Position, e.Time.Format(lineTime), fmt.Sprintf("%s@%d", e.Stream, e.Version), e.Type, origin(e), shortData(e))
}

// origin says which event this is, and where it came from.
func origin(e *annals.Event) string {
	s := ""
	for _, part := range []struct{ name, value string }{
		{"id", e.ID}, {"source", e.Source}, {"correlation", e.Correlation}, {"causation", e.Causation},
	} {
		switch {
		case part.value == "":
		case strings.ContainsAny(part.value, ` "`):
			s += fmt.Sprintf("%s=%q ", part.name, part.value)
		default:
			s += part.name + "=" + part.value + " "
		}
	}
	return strings.TrimSuffix(s, " ")
}

// shortData is the start of an event's data on one line.
func shortData(e *annals.Event) string {
	const most = 100
	switch e.ContentType {
	case annals.SealedContentType:
		return "(sealed for " + e.Subject() + ")"
	case annals.ErasedContentType:
		return "(erased, of " + e.Subject() + ")"
	}
	if !e.IsJSON() {
		return fmt.Sprintf("(%d bytes of %s)", len(e.Data), e.ContentType)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, e.Data); err != nil {
		return string(e.Data) // empty
	}
	s := strings.ToValidUTF8(compact.String(), "")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
