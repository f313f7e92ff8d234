package bench

import (
	"fmt"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/eb901187/annals/tracking"
)

// A GatewayRow is what one way to a service measured; each figure is the median
// of the rounds.
type GatewayRow struct {
	Proxy        string  `json:"proxy"`
	P50Us        float64 `json:"p50Us"` // at the fixed rate, in microseconds
	P99Us        float64 `json:"p99Us"`
	MaxPerSecond float64 `json:"maxPerSecond"` // requests, as fast as 64 clients get answers
	AddedP99Ms   float64 `json:"addedP99Ms"`   // to the bare proxy's
	VsBare       Ratio   `json:"vsBare"`       // of MaxPerSecond
}

// A GatewayReport compares the gateway with a bare reverse proxy.
type GatewayReport struct {
	Rate int          `json:"rate"` // requests a second, of the latencies
	Rows []GatewayRow `json:"rows"`
	// Recorded and Shed are events of the whole run.
	Recorded int64 `json:"recorded"`
	Shed     int64 `json:"shed"`
}

func newGatewayReport(proxies []*proxied, stats tracking.Stats) GatewayReport {
	report := GatewayReport{Rate: gatewayRate, Recorded: stats.Taken, Shed: stats.Shed}
	for _, p := range proxies {
		row := GatewayRow{Proxy: p.name, P50Us: tenths(median(p.p50)), P99Us: tenths(median(p.p99)), MaxPerSecond: math.Round(median(p.max))}
		bare := row
		if len(report.Rows) > 0 {
			bare = report.Rows[0]
		}
		row.AddedP99Ms = math.Round((row.P99Us-bare.P99Us)/10) / 100
		row.VsBare = Ratio(row.MaxPerSecond / bare.MaxPerSecond)
		report.Rows = append(report.Rows, row)
	}
	return report
}

// Table is the report for people.
func (r GatewayReport) Table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "proxy\tp50 µs\tp99 µs\t+ p99 ms\tmax/s\t× bare\t\n")
	for _, row := range r.Rows {
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.2f\t%.0f\t%.2f\t\n", row.Proxy, row.P50Us, row.P99Us, row.AddedP99Ms, row.MaxPerSecond, float64(row.VsBare))
	}
	_ = w.Flush() // a strings.Builder never fails
	return trimmed(b.String()) + fmt.Sprintf("latencies at %d requests a second; %d events recorded, %d not\n", r.Rate, r.Recorded, r.Shed)
}
