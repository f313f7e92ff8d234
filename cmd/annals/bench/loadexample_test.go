package bench_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/cmd/annals/bench"
)

// What was asked of a load stands below what it came to.
func ExampleLoadReport_Table() {
	report := bench.LoadReport{Parts: []bench.LoadPart{{
		Part:   "rates",
		Rows:   []bench.LoadRow{{Load: "170/s", PerSecond: 170, Latency: bench.Latency{P50Ms: 0.5, P90Ms: 0.8, P99Ms: 1.5, MaxMs: 4}, ServerCores: 0.05}},
		Judged: []bench.Judgement{{Asked: "p99 under 10ms", Measured: "1.5 ms", Met: true}},
	}}}
	_, table, _ := strings.Cut(report.Table(), "\n") // behind the number of cores
	fmt.Print("measured:\n", table)
	// Output:
	// measured:
	//    load     /s  p50 ms  p90 ms  p99 ms  max ms  server cores
	//   170/s  170.0    0.50    0.80    1.50     4.0          0.05
	//   yes  p99 under 10ms: 1.5 ms
}

// A part that does not exist is refused before anything is served.
func ExampleRunLoad() {
	_, err := bench.RunLoad(context.Background(), bench.LoadOptions{Options: bench.Options{Only: []string{"weights"}}}, nil)
	fmt.Println(annals.CodeOf(err))
	// Output: usage
}
