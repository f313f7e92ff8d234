package bench

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/eb901187/annals"
)

func TestLoadReport(t *testing.T) {
	report := LoadReport{Parts: []LoadPart{{
		Part: "rates",
		Rows: []LoadRow{
			{Load: "170/s", PerSecond: 170, Latency: Latency{Requests: 510, P50Ms: 0.5, P90Ms: 1, P99Ms: 2.25, MaxMs: 9}, ServerCores: 0.1, Codes: map[string]int64{"200": 510}},
			{Load: "higher", PerSecond: 1, Codes: map[string]int64{"200": 2, "503": 4}, Note: "a note"},
		},
		Judged: []Judgement{{Asked: "fast", Measured: "2 ms", Met: true}, {Asked: "cheap", Measured: "dear"}},
	}}}
	const want = "" +
		"    load     /s  p50 ms  p90 ms  p99 ms  max ms  server cores\n" +
		"   170/s  170.0    0.50    1.00    2.25     9.0          0.10\n" +
		"  higher    1.0    0.00    0.00    0.00     0.0               2 × 200, 4 × 503 a note\n" +
		"  yes  fast: 2 ms\n" +
		"  NO   cheap: dear\n\n"
	if head, table, _ := strings.Cut(report.Table(), "\n"); !strings.HasPrefix(head, "rates, on ") || table != want {
		t.Errorf("\n%s\nwant\n%s", report.Table(), want)
	}
	if report.Met() {
		t.Error("one is not met")
	}
}

func TestRunLoadKnowsItsParts(t *testing.T) {
	_, err := RunLoad(t.Context(), LoadOptions{Options: Options{Only: []string{"rates", "weights"}}}, nil)
	if annals.CodeOf(err) != annals.CodeUsage || !strings.Contains(err.Error(), `"weights"`) || !strings.Contains(err.Error(), "soak") {
		t.Error(err)
	}
}

// A server that does not start ends the run with its error.
func TestRunLoadWithoutAServer(t *testing.T) {
	gone := errors.New("no server")
	dir := t.TempDir()
	_, err := RunLoad(t.Context(), LoadOptions{Options: Options{Only: []string{"followers"}, Dir: dir}},
		func(context.Context, string, ...string) (*Served, error) { return nil, gone })
	if !errors.Is(err, gone) || !strings.Contains(err.Error(), "followers") {
		t.Error(err)
	}
}
