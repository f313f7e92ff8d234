package bench

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// A Row is what one workload measured.
type Row struct {
	Workload        string  `json:"workload"`
	EventsPerSecond float64 `json:"eventsPerSecond"`
	P50Us           float64 `json:"p50Us"` // of one operation, in microseconds
	P99Us           float64 `json:"p99Us"`
	VsLog           Ratio   `json:"vsLog"`    // to the bare log's rate
	VsSQLite        Ratio   `json:"vsSQLite"` // to SQLite's rate
	Note            string  `json:"note,omitempty"`
}

// A Ratio compares rates; 0 says that there is nothing to compare with.
type Ratio float64

// MarshalJSON writes two decimals, and null for 0.
func (r Ratio) MarshalJSON() ([]byte, error) {
	if r == 0 {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(r), 'f', 2, 64), nil
}

// A Report is the result of a run.
type Report struct {
	Rows []Row `json:"rows"`
}

// Table is the report for people.
func (r Report) Table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "workload\tevents/s\tp50 µs\tp99 µs\t× log\t× SQLite\t")
	cell := func(format string, n float64) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprintf(format, n)
	}
	for _, row := range r.Rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t %s\n", row.Workload, cell("%.0f", row.EventsPerSecond),
			cell("%.1f", row.P50Us), cell("%.1f", row.P99Us), cell("%.2f", float64(row.VsLog)), cell("%.1f", float64(row.VsSQLite)), row.Note)
	}
	_ = w.Flush() // a strings.Builder never fails
	return trimmed(b.String())
}

// trimmed is a table without the blanks that its columns end with.
func trimmed(table string) string {
	lines := strings.Split(table, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func (r *Row) latency(took []time.Duration) {
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	us := func(p float64) float64 { return float64(took[int(p*float64(len(took)-1))]) / 1e3 }
	r.P50Us, r.P99Us = us(0.5), us(0.99)
}

// tenths drops the digits that a clock does not have.
func tenths(n float64) float64 { return math.Round(n*10) / 10 }

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	if n := len(values); n%2 == 0 {
		return (values[n/2-1] + values[n/2]) / 2
	}
	return values[len(values)/2]
}
