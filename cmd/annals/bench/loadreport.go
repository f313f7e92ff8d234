package bench

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A LoadRow is what one load, or one part of it, came to.
type LoadRow struct {
	Load      string  `json:"load"`
	PerSecond float64 `json:"perSecond"` // answered with 2xx
	Latency           // of those, from when they were due
	// Codes are how many ended how: by HTTP status, or by a word where no answer came.
	Codes map[string]int64 `json:"codes,omitempty"`
	// ServerCores is how many cores the server kept busy.
	ServerCores float64 `json:"serverCores,omitempty"`
	Note        string  `json:"note,omitempty"`
}

// A LoadPart is what one part of RunLoad measured.
type LoadPart struct {
	Part   string      `json:"part"`
	Rows   []LoadRow   `json:"rows"`
	Facts  []string    `json:"facts,omitempty"`
	Judged []Judgement `json:"judged"`
	// Account is of the events that were sent, where they were searched for afterwards.
	Account *Account `json:"account,omitempty"`
	// Samples are what the server had of the machine, at equal distances.
	Samples []ProcessUsage `json:"samples,omitempty"`
}

func (p *LoadPart) fact(format string, args ...any) {
	p.Facts = append(p.Facts, fmt.Sprintf(format, args...))
}

// A LoadReport is the result of RunLoad.
type LoadReport struct {
	Parts []LoadPart `json:"parts"`
}

// Met says whether everything was as asked.
func (r LoadReport) Met() bool {
	for _, p := range r.Parts {
		for _, j := range p.Judged {
			if !j.Met {
				return false
			}
		}
	}
	return true
}

// row summarizes outcomes.
func (t *outcomes) row(load string) LoadRow {
	return LoadRow{Load: load, PerSecond: tenths(float64(t.good.n) / t.elapsed.Seconds()), Latency: t.good.summary(), Codes: t.codes}
}

// rows are the one of all and, if there are several, one for each kind of request.
func (t *outcomes) rows(load string) []LoadRow {
	rows := []LoadRow{t.row(load)}
	for _, kind := range slices.Sorted(maps.Keys(t.kinds)) {
		if of := t.kinds[kind]; len(t.kinds) > 1 {
			rows = append(rows, LoadRow{Load: load + ", " + kind, PerSecond: tenths(float64(of.n) / t.elapsed.Seconds()), Latency: of.summary()})
		}
	}
	return rows
}

// cores is how many of them were busy with what took so much processor time.
func cores(cpu, elapsed time.Duration) float64 {
	return float64(int(100*cpu.Seconds()/elapsed.Seconds())) / 100
}

// Table is the report for people.
func (r LoadReport) Table() string {
	var b strings.Builder
	for _, p := range r.Parts {
		fmt.Fprintf(&b, "%s, on %d cores\n", p.Part, runtime.GOMAXPROCS(0))
		b.WriteString(p.table())
		for _, f := range p.Facts {
			fmt.Fprintf(&b, "  %s\n", f)
		}
		for _, j := range p.Judged {
			met := map[bool]string{true: "yes", false: "NO "}[j.Met]
			fmt.Fprintf(&b, "  %s  %s: %s\n", met, j.Asked, j.Measured)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (p *LoadPart) table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "load\t/s\tp50 ms\tp90 ms\tp99 ms\tmax ms\tserver cores\t")
	for i := range p.Rows {
		row := &p.Rows[i]
		busy := ""
		if row.ServerCores > 0 {
			busy = fmt.Sprintf("%.2f", row.ServerCores)
		}
		fmt.Fprintf(w, "%s\t%.1f\t%.2f\t%.2f\t%.2f\t%.1f\t%s\t %s\n", row.Load, row.PerSecond, row.P50Ms, row.P90Ms, row.P99Ms, row.MaxMs, busy,
			strings.TrimSpace(codesText(row.Codes)+" "+row.Note))
	}
	_ = w.Flush() // a strings.Builder never fails
	return trimmed(b.String())
}

// codesText is how many ended how; nothing where all is well.
func codesText(codes map[string]int64) string {
	var parts []string
	fine := true
	for _, code := range slices.Sorted(maps.Keys(codes)) {
		fine = fine && strings.HasPrefix(code, "2")
		parts = append(parts, fmt.Sprintf("%d × %s", codes[code], code))
	}
	if fine {
		return ""
	}
	return strings.Join(parts, ", ")
}
