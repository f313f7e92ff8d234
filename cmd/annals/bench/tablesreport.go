package bench

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/eb901187/annals/dynamo"
)

// A TablesReport is what RunTables measured.
type TablesReport struct {
	Streams string     `json:"streams"` // what the names of the run's streams start with
	Prices  Prices     `json:"prices"`
	Bill    []BillRow  `json:"bill"`
	Speed   []SpeedRow `json:"speed"`
}

// Prices are list prices in dollars per million.
type Prices struct {
	Of         string  `json:"of"` // date and region
	WriteUnits float64 `json:"writeUnits"`
	ReadUnits  float64 `json:"readUnits"`
	S3Puts     float64 `json:"s3Puts"`
	S3Gets     float64 `json:"s3Gets"`
}

var prices = Prices{dynamo.PricesOf, dynamo.DollarsPerMWrites, dynamo.DollarsPerMReads, dynamo.DollarsPerMPuts, dynamo.DollarsPerMGets}

// A BillRow is what one operation uses, averaged over some.
type BillRow struct {
	Workload          string  `json:"workload"`
	Operation         string  `json:"operation"`
	Requests          float64 `json:"requests"` // to DynamoDB
	WriteUnits        float64 `json:"writeUnits"`
	ReadUnits         float64 `json:"readUnits"`
	S3Puts            float64 `json:"s3Puts"`
	S3Gets            float64 `json:"s3Gets"`
	DollarsPerMillion float64 `json:"dollarsPerMillion"` // operations
}

func newBillRow(o billed, c dynamo.Cost, times float64) BillRow {
	return BillRow{
		Workload: o.workload, Operation: o.operation,
		Requests: thousandths(float64(c.Requests) / times), WriteUnits: thousandths(c.Writes / times), ReadUnits: thousandths(c.Reads / times),
		S3Puts: thousandths(float64(c.Puts) / times), S3Gets: thousandths(float64(c.Gets) / times),
		DollarsPerMillion: thousandths(c.DollarsPerMillion() / times),
	}
}

// A SpeedRow is how fast one store, Annals or the reference, did a workload, and
// what each append or load used. Figures are medians of the rounds.
type SpeedRow struct {
	Workload        string  `json:"workload"`
	Store           string  `json:"store"`
	EventsPerSecond float64 `json:"eventsPerSecond"`
	P50Us           float64 `json:"p50Us"` // of one append or load, in microseconds
	P99Us           float64 `json:"p99Us"`
	WriteUnits      float64 `json:"writeUnits"`
	ReadUnits       float64 `json:"readUnits"`
	Annals          Ratio   `json:"annals"` // its rate to this one; null in its own row
}

func newSpeedRow(workload, store string, all []timed) SpeedRow {
	var rates, p50, p99 []float64
	var cost dynamo.Cost
	times := 0
	for _, t := range all {
		var r Row
		r.latency(t.took)
		rates, p50, p99 = append(rates, t.rate), append(p50, r.P50Us), append(p99, r.P99Us)
		cost = cost.Plus(t.cost)
		times += len(t.took)
	}
	return SpeedRow{
		Workload: workload, Store: store, EventsPerSecond: tenths(median(rates)), P50Us: tenths(median(p50)), P99Us: tenths(median(p99)),
		WriteUnits: thousandths(cost.Writes / float64(times)), ReadUnits: thousandths(cost.Reads / float64(times)),
	}
}

// thousandths is what averages of counts are told to.
func thousandths(n float64) float64 { return math.Round(n*1000) / 1000 }

// Table is the report for people: two tables, with what their figures mean.
func (r TablesReport) Table() string {
	var b strings.Builder
	if len(r.Bill) > 0 {
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(w, "workload\trequests\tWRU\tRRU\tS3 PUT\tS3 GET\t$ a million\t")
		for _, row := range r.Bill {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t %s\n", row.Workload, amount(row.Requests), amount(row.WriteUnits), amount(row.ReadUnits),
				amount(row.S3Puts), amount(row.S3Gets), amount(row.DollarsPerMillion), row.Operation)
		}
		_ = w.Flush() // a strings.Builder never fails
		fmt.Fprintf(&b, "\nlist prices of %s, a million of each: WRU $%s, RRU $%s, S3 PUT $%s, S3 GET $%s\n\n",
			r.Prices.Of, amount(r.Prices.WriteUnits), amount(r.Prices.ReadUnits), amount(r.Prices.S3Puts), amount(r.Prices.S3Gets))
	}
	if len(r.Speed) > 0 {
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(w, "workload\tstore\tevents/s\tp50 µs\tp99 µs\tWRU\tRRU\tannals ×\t")
		for _, row := range r.Speed {
			ratio := ""
			if row.Annals > 0 {
				ratio = fmt.Sprintf("%.2f", float64(row.Annals))
			}
			fmt.Fprintf(w, "%s\t%s\t%.0f\t%.1f\t%.1f\t%s\t%s\t%s\t\n", row.Workload, row.Store, row.EventsPerSecond, row.P50Us, row.P99Us,
				amount(row.WriteUnits), amount(row.ReadUnits), ratio)
		}
		_ = w.Flush() // a strings.Builder never fails
		fmt.Fprint(&b, "\nreference: one item an event and one a stream, written by a transaction; annals ×: its rate to this one\n\n")
	}
	fmt.Fprintf(&b, "the events of this run stay in the store, in streams %s…\n", r.Streams)
	return trimmed(b.String())
}

// amount prints at most three decimals.
func amount(n float64) string {
	return strconv.FormatFloat(thousandths(n), 'f', -1, 64)
}
