package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/projection"
)

// table writes rows of cells in columns.
func table(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		if _, err := fmt.Fprintln(t, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return t.Flush()
}

// generationCells are those that list and show have in common.
func generationCells(g *projection.Generation) []string {
	s := &g.Status
	return []string{string(s.State), fmt.Sprint(s.Position), fmt.Sprint(s.Lag), fmt.Sprintf("%.1f", s.Seconds), fmt.Sprint(s.Parked)}
}

var standingHeads = []string{"STATE", "POSITION", "LAG", "LAG (s)", "PARKED"}

func (a *app) printProjections(all []projection.Info) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(a.out, "no projections; docs/projections.md says how to write one")
		return err
	}
	rows := [][]string{append(append([]string{"NAME", "LIVE"}, standingHeads...), "BUILDING")}
	for i := range all {
		info := &all[i]
		row := []string{info.Name, "-", "not built", "-", "-", "-", "-"}
		if live := liveOf(info); live != nil {
			row = append([]string{info.Name, fmt.Sprint(live.Number)}, generationCells(live)...)
		}
		rows = append(rows, append(row, building(info)))
	}
	return table(a.out, rows)
}

func liveOf(info *projection.Info) *projection.Generation {
	for i := range info.Generations {
		if info.Generations[i].Role == projection.Live {
			return &info.Generations[i]
		}
	}
	return nil
}

// building says how far the next generation is.
func building(info *projection.Info) string {
	g := info.Building()
	if g == nil {
		return "-"
	}
	return fmt.Sprintf("%d (%d%%)", g.Number, g.Status.Percent())
}

func (a *app) printInfo(info *projection.Info) error {
	from := ""
	if info.File != "" {
		from = ", defined in " + info.File
	}
	if info.Revision == "" {
		from = ", which nothing here defines"
	}
	if _, err := fmt.Fprintf(a.out, "projection %s%s\n", info.Name, from); err != nil {
		return err
	}
	if len(info.Generations) == 0 {
		_, err := fmt.Fprintln(a.out, "no generation is built")
		return err
	}
	rows := [][]string{append(append([]string{"GENERATION", "ROLE"}, standingHeads...), "CREATED", "REVISION")}
	var errors []string
	for i := range info.Generations {
		g := &info.Generations[i]
		row := append([]string{fmt.Sprint(g.Number), string(g.Role)}, generationCells(g)...)
		rows = append(rows, append(row, g.Created.Format("2006-01-02 15:04:05Z07:00"), g.Revision))
		if g.Status.Error != "" {
			errors = append(errors, fmt.Sprintf("generation %d: %s", g.Number, g.Status.Error))
		}
	}
	if err := table(a.out, rows); err != nil {
		return err
	}
	for _, line := range errors {
		fmt.Fprintln(a.out, line)
	}
	return nil
}

func (a *app) printDiff(d *httpapi.Diff) error {
	side := func(s httpapi.Side) string {
		return fmt.Sprintf("generation %d at position %d", s.Generation, s.Position)
	}
	_, err := fmt.Fprintf(a.out, "a: %s\nb: %s\n%s the same, %d different, %d left out as the other generation is behind them\n",
		side(d.A), side(d.B), plural(d.Same, "document"), d.Different, d.Newer)
	for _, difference := range d.Differences {
		fmt.Fprintf(a.out, "%s\n  a: %s\n  b: %s\n", difference.Key, shortDocument(difference.A), shortDocument(difference.B))
	}
	if n := d.Different - len(d.Differences); n > 0 && err == nil {
		_, err = fmt.Fprintf(a.out, "… and %d more; --limit shows up to 1000\n", n)
	}
	return err
}

// shortDocument is the start of a document, or a dash where there is none.
func shortDocument(data []byte) string {
	const most = 200
	s := string(data)
	switch {
	case s == "" || s == "null":
		return "-"
	case len(s) > most:
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
