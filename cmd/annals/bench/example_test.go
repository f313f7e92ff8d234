package bench_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/cmd/annals/bench"
	"github.com/eb901187/annals/dynamo"
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

// The same holds for a store in DynamoDB: nothing is asked of it.
func ExampleRunTables() {
	_, err := bench.RunTables(context.Background(), dynamo.Address{Name: "orders"}, bench.Options{Only: []string{"ingest"}})
	fmt.Println(annals.CodeOf(err))
	// Output: usage
}

// What an operation costs and how fast it is are two tables.
func ExampleTablesReport_Table() {
	report := bench.TablesReport{
		Streams: "bench/1/", Prices: bench.Prices{Of: "a day", WriteUnits: 0.625, ReadUnits: 0.125, S3Puts: 5, S3Gets: 0.4},
		Bill: []bench.BillRow{{Workload: "cost-append", Operation: "append 1 event", Requests: 1, WriteUnits: 1, DollarsPerMillion: 0.625}},
		Speed: []bench.SpeedRow{
			{Workload: "append-1", Store: "annals", EventsPerSecond: 1500, P50Us: 600, P99Us: 900.5, WriteUnits: 1},
			{Workload: "append-1", Store: "reference", EventsPerSecond: 1000, P50Us: 900, P99Us: 1200, WriteUnits: 6, Annals: 1.5},
		},
	}
	fmt.Print("measured:\n", report.Table())
	// Output:
	// measured:
	//      workload  requests  WRU  RRU  S3 PUT  S3 GET  $ a million
	//   cost-append         1    1    0       0       0        0.625 append 1 event
	//
	// list prices of a day, a million of each: WRU $0.625, RRU $0.125, S3 PUT $5, S3 GET $0.4
	//
	//   workload      store  events/s  p50 µs  p99 µs  WRU  RRU  annals ×
	//   append-1     annals      1500   600.0   900.5    1    0
	//   append-1  reference      1000   900.0  1200.0    6    0      1.50
	//
	// reference: one item an event and one a stream, written by a transaction; annals ×: its rate to this one
	//
	// the events of this run stay in the store, in streams bench/1/…
}

func ExampleRatio() {
	text, err := json.Marshal([]bench.Ratio{0.8, 18.94, 0})
	fmt.Println(string(text), err)
	// Output: [0.80,18.94,null] <nil>
}
