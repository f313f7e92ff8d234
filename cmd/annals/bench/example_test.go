package bench_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/cmd/annals/bench"
)

// A report prints as a table; rates are relative to the references of its run.
func ExampleReport_Table() {
	report := bench.Report{Rows: []bench.Row{
		{Workload: "append-16", EventsPerSecond: 64336, P50Us: 215.9, P99Us: 981.3, VsLog: 0.8, VsSQLite: 18.9},
		{Workload: "reopen", P50Us: 50695, Note: "a store of 1000000 events"},
	}}
	fmt.Print("measured:\n", report.Table())
	// Output:
	// measured:
	//    workload  events/s   p50 µs  p99 µs  × log  × SQLite
	//   append-16     64336    215.9   981.3   0.80      18.9
	//      reopen            50695.0                          a store of 1000000 events
}

// A workload that does not exist is refused before anything is measured.
func ExampleRun() {
	_, err := bench.Run(context.Background(), bench.Options{Only: []string{"append-17"}})
	fmt.Println(annals.CodeOf(err))
	// Output: usage
}

func ExampleRatio() {
	text, err := json.Marshal([]bench.Ratio{0.8, 18.94, 0})
	fmt.Println(string(text), err)
	// Output: [0.80,18.94,null] <nil>
}
