package bench_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/cmd/annals/bench"
	"github.com/eb901187/annals/dynamo"
)

// newStore is a store that annals init has made, on fresh stand-ins.
func newStore(t *testing.T, bucket string) dynamo.Address {
	t.Helper()
	address := dynamo.Address{Name: "measured", Region: "us-east-1", Endpoint: awstest.DynamoDB(t)}
	if bucket != "" {
		address.Bucket, address.S3Endpoint = bucket, awstest.S3(t, bucket)
	}
	if err := dynamo.Init(t.Context(), address, nil, func(dynamo.Part) {}); err != nil {
		t.Fatal(err)
	}
	return address
}

// used bounds a row of the bill: at least, and at most.
type used struct{ requests, writes, reads, puts, gets [2]float64 }

func exactly(n float64) [2]float64 { return [2]float64{n, n} }

var none = exactly(0)

// wantBill is what operations use at least and at most. Where both are the same,
// the documentation promises it.
var wantBill = map[string]used{
	"cost-append":             {exactly(1), exactly(1), none, none, none},
	"cost-append-cold":        {exactly(2), exactly(1), exactly(1), none, none},
	"cost-append-cold-1000":   {exactly(2), exactly(1), [2]float64{100, 200}, none, none},
	"cost-append-correlation": {exactly(1), exactly(1), none, none, none},
	"cost-append-10":          {exactly(1), [2]float64{2, 3}, none, none, none},
	"cost-append-40k":         {exactly(1), exactly(1), none, exactly(2), none},
	"cost-conflict":           {exactly(2), exactly(1), exactly(1), none, none},
	"cost-repeated":           {exactly(2), none, exactly(2), none, none},
	"cost-load-100":           {exactly(1), none, [2]float64{10, 20}, none, none},
	"cost-load-1000":          {exactly(1), none, [2]float64{100, 200}, none, none},
	"cost-sequence-1000":      {[2]float64{100, 120}, [2]float64{1, 100}, [2]float64{99, 110}, [2]float64{1, 4}, [2]float64{0, 2}},
	"cost-sequence-alone":     {[2]float64{1, 4}, [2]float64{1, 5}, [2]float64{0, 3}, [2]float64{0, 1}, [2]float64{0, 1}},
	"cost-query-correlation":  {[2]float64{1, 4}, none, [2]float64{1, 5}, none, [2]float64{0, 1}},
	"cost-query-type":         {[2]float64{1, 4}, none, [2]float64{1, 5}, none, [2]float64{0, 2}},
	"cost-replay-1000":        {[2]float64{0.1, 2}, none, [2]float64{0.1, 40}, none, [2]float64{0.1, 3}},
	"cost-idle":               {none, none, none, none, none},
}

func TestBillAndSpeed(t *testing.T) {
	t.Parallel()
	address := newStore(t, "bodies")
	report, err := bench.RunTables(t.Context(), address, bench.Options{Quick: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", report.Table())
	if len(report.Bill) != len(wantBill) {
		t.Errorf("%d rows of the bill, want %d", len(report.Bill), len(wantBill))
	}
	for _, row := range report.Bill {
		w, known := wantBill[row.Workload]
		for name, bounds := range map[string][3]float64{
			"requests": {w.requests[0], row.Requests, w.requests[1]}, "write units": {w.writes[0], row.WriteUnits, w.writes[1]},
			"read units": {w.reads[0], row.ReadUnits, w.reads[1]}, "puts": {w.puts[0], row.S3Puts, w.puts[1]}, "gets": {w.gets[0], row.S3Gets, w.gets[1]},
		} {
			if !known || bounds[1] < bounds[0] || bounds[1] > bounds[2] {
				t.Errorf("%s used %g %s, want %g to %g", row.Workload, bounds[1], name, bounds[0], bounds[2])
			}
		}
	}
	wantPacking(t, report.Bill)
	var order []string
	for _, row := range report.Speed {
		order = append(order, row.Workload+" "+row.Store)
		if row.EventsPerSecond <= 0 || row.P50Us <= 0 || row.P99Us < row.P50Us || (row.Annals > 0) != (row.Store != "annals") ||
			(row.WriteUnits > 0) != strings.HasPrefix(row.Workload, "append") || (row.ReadUnits > 0) != strings.HasPrefix(row.Workload, "load") {
			t.Errorf("implausible: %+v", row)
		}
		if row.Store == "annals" && row.WriteUnits > 1 || row.Store != "annals" && row.WriteUnits != 0 && row.WriteUnits < 4 {
			t.Errorf("appends of %s used %g write units", row.Store, row.WriteUnits)
		}
	}
	const want = "load-100 annals, load-100 reference, load-100 reference with a stream, append-1 annals, append-1 reference, " +
		"append-1 reference with a stream, append-16 annals, append-16 reference, append-16 reference with a stream"
	if got := strings.Join(order, ", "); got != want {
		t.Errorf("got %s", got)
	}
	wantNoReference(t, address)
	v, err := dynamo.OpenDriver(t.Context(), address, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if end, err := v.End(t.Context(), -1); err != nil || end < 8000 {
		t.Errorf("the log ends at %d, %v", end, err)
	}
}

func wantNoReference(t *testing.T, address dynamo.Address) {
	t.Helper()
	db := dynamodb.New(dynamodb.Options{Region: address.Region, Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""), BaseEndpoint: &address.Endpoint})
	for _, name := range []string{"measured-bench-reference", "measured-bench-reference-stream"} {
		_, err := db.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String(name)})
		var gone *types.ResourceNotFoundException
		if !errors.As(err, &gone) {
			t.Errorf("the table %s: %v", name, err)
		}
	}
}

// A store without a bucket has no row for what it refuses, and a second run
// measures the same: what the first one left is nothing to it.
func TestBillWithoutBucket(t *testing.T) {
	t.Parallel()
	address := newStore(t, "")
	for range 2 {
		report, err := bench.RunTables(t.Context(), address, bench.Options{Quick: true, Only: []string{"cost-append", "cost-idle"}})
		if err != nil || len(report.Bill) != 2 || len(report.Speed) != 0 || report.Bill[0].WriteUnits != 1 || report.Bill[1].Requests != 0 {
			t.Fatalf("%+v, %v", report, err)
		}
	}
	if _, err := bench.RunTables(t.Context(), address, bench.Options{Only: []string{"cost-append-40k"}}); err == nil || !strings.Contains(err.Error(), "cost-append-40k") {
		t.Error(err)
	}
}
