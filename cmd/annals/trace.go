package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/tracking"
)

func (a *app) trace() *cobra.Command {
	return &cobra.Command{
		Use:   "trace REQUEST_ID",
		Short: "Show the flow of a request and the service at fault",
		Args:  takes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), false, func(store *annals.Store) error {
				t, err := tracking.Read(cmd.Context(), store, args[0], a.clock())
				if err != nil {
					return err
				}
				if a.asJSON {
					return a.printJSON(t)
				}
				return printTrace(a.out, t)
			})
		},
	}
}

// mostIndent is how many levels of calls are drawn; deeper ones stand below those.
const mostIndent = 12

// printTrace draws a request: its calls as a waterfall, each below the one that it was
// made within, with the one at fault marked, then its verdict.
func printTrace(w io.Writer, t *tracking.Trace) error {
	var b strings.Builder
	began, ended := span(t)
	fmt.Fprintf(&b, "request %s: %s, %s, %s\n", t.RequestID, plural(len(t.Events), "event"), plural(len(t.Calls), "call"), round(ended.Sub(began)))
	indented := func(c *tracking.Call) string { return strings.Repeat("  ", min(c.Depth, mostIndent)) + c.Service }
	width := 20
	for i := range t.Calls {
		width = max(width, min(utf8.RuneCountInString(indented(&t.Calls[i])), 40))
	}
	faulty := t.FaultyCall()
	for c := range t.Walk() {
		status, took := "   ", round(c.Duration)
		if c.Status != 0 {
			status = fmt.Sprintf("%3d", c.Status)
		}
		mark, verdict := "✓", ""
		switch {
		case c.Open():
			mark, took = "·", "still open"
		case c.Failed():
			mark, verdict = "✗", "  "+c.Error
		case c.Canceled():
			mark, verdict = "-", "  "+cmp.Or(c.Error, string(c.ErrorKind))
		}
		if c == faulty {
			verdict += "  ← at fault"
		}
		fmt.Fprintf(&b, "  %s %s  %-*s  %s  %10s  %s%s\n", mark, c.Began.Format("15:04:05.000"), width, indented(c), status, took, waterfall(c, began, ended), verdict)
	}
	if t.Faulty == "" {
		b.WriteString("no service at fault\n")
	} else {
		fmt.Fprintf(&b, "at fault: %s\n", t.Faulty)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func round(d time.Duration) string {
	if d < time.Second {
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

func span(t *tracking.Trace) (began, ended time.Time) {
	began, ended = t.Events[0].Time, t.Events[len(t.Events)-1].Time
	for i := range t.Calls {
		if c := &t.Calls[i]; c.Began.Before(began) {
			began = c.Began
		} else if c.Ended.After(ended) {
			ended = c.Ended
		}
	}
	return began, ended
}

// waterfall draws when a call ran within its request.
func waterfall(c *tracking.Call, began, ended time.Time) string {
	const width = 30
	total := ended.Sub(began)
	if total <= 0 {
		return strings.Repeat(" ", width)
	}
	end := c.Ended
	if c.Open() {
		end = ended
	}
	// In floating point, as nanoseconds times width go past an int64 after ten years.
	column := func(at time.Time) int {
		return max(0, min(int(width*(float64(at.Sub(began))/float64(total))), width))
	}
	from := min(column(c.Began), width-1)
	to := max(column(end), from+1)
	return strings.Repeat(" ", from) + strings.Repeat("█", to-from) + strings.Repeat(" ", width-to)
}
