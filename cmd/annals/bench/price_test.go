package bench_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/cmd/annals/bench"
)

func priced(t *testing.T, opts bench.PriceOptions) map[string]bench.PricePart {
	t.Helper()
	report, err := bench.Price(opts)
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]bench.PricePart{}
	for _, p := range report.Parts {
		parts[p.Part] = p
	}
	return parts
}

// at is what a part costs at a rate.
func at(t *testing.T, p bench.PricePart, rate float64) bench.PartCosts {
	t.Helper()
	for _, c := range p.Costs {
		if c.EventsPerSecond == rate {
			return c
		}
	}
	t.Fatalf("%s has no rate %g", p.Part, rate)
	return bench.PartCosts{}
}

func units(c bench.PartCosts, price string) (sum float64) {
	for _, i := range c.Items {
		if i.Price == price {
			sum += i.Units
		}
	}
	return sum
}

// Figures that can be worked out on paper; a month has 2,628,000 seconds.
func TestPriceByHand(t *testing.T) {
	const month = 730 * 3600.0
	parts := priced(t, bench.PriceOptions{})
	for _, c := range []struct {
		part  string
		rate  float64
		price string
		units float64
	}{
		{"annals-table", 1, "DynamoDB write unit", month},
		{"seed-table", 1, "DynamoDB write unit", 6 * month},            // 2 for 1.3 KB, and 2 for each index
		{"seed-table-versioned", 1, "DynamoDB write unit", 10 * month}, // 2 × 2, 2 × 1, 2 × 2
		{"sqs", 1, "SQS request", 3 * month},                           // sent, received, deleted
		{"sqs", 0, "SQS request", month / 4},                           // 5 pollers, 20 seconds each
		{"sqs", 10_000, "SQS request", 12_000 * month},
		{"sqs", 1, "Lambda request", month},
		{"sqs", 100, "Lambda request", month},
		{"sqs", 10_000, "Lambda request", 10 * month},
		{"sqs", 1, "Lambda on arm64", month * 0.5 * (0.010 + 0.012)},
		{"sqs", 10_000, "Lambda on arm64", 10 * month * 0.5 * (0.010 + 1000*0.00175)},
		{"kinesis", 0, "Kinesis on demand", 730},
		{"kinesis", 1, "Kinesis on demand, in", month * 2048 / (1 << 30)},
		{"kinesis", 10_000, "HTTP API request", 300e6},
		{"kinesis", 10_000, "HTTP API request above 300 million", 10_000*month - 300e6},
		{"kinesis-provisioned", 0, "Kinesis provisioned", 730},
		{"kinesis-provisioned", 10_000, "Kinesis provisioned", 13 * 730}, // 12.6 MiB a second
		{"command", 100, "Lambda request", 100 * month},
		{"command", 100, "Lambda on arm64", 100 * month * 0.5 * 0.015},
		{"write", 1, "DynamoDB write unit", 4 * month},
		{"write", 1, "DynamoDB read unit", 8 * month},
		{"write", 1, "Lambda on arm64", month * 0.5 * (0.010 + 9*0.006 + 0.0003)},
		{"watch", 1, "DynamoDB read unit", month / 6}, // two functions, each minute
		{"watch", 0, "Lambda request", month / 30},
		{"write", 0, "DynamoDB write unit", 0},
		{"sequence", 1, "DynamoDB write unit", month * (1 + 1 + 0.2 + 5.0/128)}, // page, marker, index, run
		{"kinesis", 100, "Lambda request", (100 + 4) * month},                   // 4 shards
		{"sequence", 100, "Lambda request", 4 * month},
		{"sequence", 10_000, "Lambda request", 40 * month}, // 10 shards
		{"sequence", 100, "DynamoDB read unit", (4 + 10) * month},
		{"write", 10_000, "Lambda request", 4 * month},
		{"write", 10_000, "DynamoDB write unit", 2 * (10_000 + 4*26) * month}, // 2,500 documents, 99 a transaction
		{"query", 1, "DynamoDB read unit", month * 2},
		{"storage", 1, "DynamoDB storage", month * (1024*0.58 + 36 + 132) / (1 << 30)},
		{"watch", 0, "CloudWatch metric", 4},
	} {
		if got := units(at(t, parts[c.part], c.rate), c.price); math.Abs(got-c.units) > 1e-6*c.units {
			t.Errorf("%s at %g/s uses %g of %s, want %g", c.part, c.rate, got, c.price, c.units)
		}
	}
	if got := at(t, parts["annals-table"], 100).Dollars; math.Abs(got-100*month*0.75/1e6) > 1e-6 {
		t.Errorf("100 appends a second cost %g dollars", got)
	}
}

// Each part costs what its items cost, at the list price; sums are those of their parts.
func TestPricesAddUp(t *testing.T) {
	report, err := bench.Price(bench.PriceOptions{EventBytes: 3000, Batch: 10})
	if err != nil {
		t.Fatal(err)
	}
	prices := map[string]bench.ListPrice{}
	for _, p := range report.Prices {
		prices[p.Name] = p
	}
	parts := priced(t, bench.PriceOptions{EventBytes: 3000, Batch: 10})
	for name, p := range parts {
		before := 0.0
		for i, c := range p.Costs {
			sum := 0.0
			for _, item := range c.Items {
				sum += item.Units / prices[item.Price].Units * prices[item.Price].Dollars
			}
			if strings.HasPrefix(name, "all-") {
				for _, of := range []string{strings.TrimPrefix(name, "all-"), "sequence", "write", "storage", "watch"} {
					sum += parts[of].Costs[i].Dollars
				}
			}
			if math.Abs(c.Dollars-sum) > 1e-9*sum || math.IsNaN(c.Dollars) || c.Dollars < before {
				t.Errorf("%s at %g/s costs %g, want %g, at least %g", name, c.EventsPerSecond, c.Dollars, sum, before)
			}
			before = c.Dollars
		}
	}
}

func TestPriceOfOptions(t *testing.T) {
	usual, small, large := priced(t, bench.PriceOptions{}), priced(t, bench.PriceOptions{Batch: 10}), priced(t, bench.PriceOptions{EventBytes: 100 << 10})
	if units(at(t, small["sqs"], 10_000), "Lambda request") != 100*units(at(t, usual["sqs"], 10_000), "Lambda request") {
		t.Error("batches of 10 do not take 100 times the invocations of those of 1,000")
	}
	c := at(t, large["annals-table"], 1)
	if units(c, "DynamoDB write unit") != units(at(t, usual["annals-table"], 1), "DynamoDB write unit") || units(c, "S3 PUT") != 2*730*3600 {
		t.Errorf("an event of 100 KB is not one unit and two objects: %+v", c)
	}
	for _, opts := range []bench.PriceOptions{{EventBytes: -1}, {EventBytes: bench.MaxPricedBytes + 1}, {Batch: -1}, {Batch: 10_001}} {
		if _, err := bench.Price(opts); annals.CodeOf(err) != annals.CodeUsage {
			t.Errorf("%+v: %v", opts, err)
		}
	}
}

// The tests and workloads that the assumptions name exist.
func TestAssumptionsNameWhatHoldsThem(t *testing.T) {
	report, err := bench.Price(bench.PriceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, dir := range []string{"../../../dynamo", "../../../view/dynamoview", "../../../lambda", "."} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") {
				return err
			}
			text, err := os.ReadFile(path)
			tests.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	named := 0
	for _, a := range report.Assumptions {
		for _, name := range regexp.MustCompile(`\bTest\w+`).FindAllString(a, -1) {
			if named++; !strings.Contains(tests.String(), "func "+name+"(") {
				t.Errorf("no test %s", name)
			}
		}
		for _, name := range regexp.MustCompile(`\bcost-[\w-]+`).FindAllString(a, -1) {
			if named++; !strings.Contains(tests.String(), `{"`+name+`", "`) {
				t.Errorf("no workload %s", name)
			}
		}
	}
	if named < 6 {
		t.Errorf("only %d names", named)
	}
}

// What is paid for by the month is what the deployment makes, and its functions
// are as large as billed.
func TestPricesAreOfTheDeployment(t *testing.T) {
	text, err := os.ReadFile("../../../deploy/cdk/testdata/annals.template.json")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]struct {
			Type       string
			Properties struct {
				FunctionName      any
				MemorySize        float64
				MetricName        string
				Metrics           []struct{ MetricStat any }
				StreamModeDetails struct{ StreamMode string }
			}
		}
	}
	if err := json.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	alarms, dashboards, streams := 0.0, 0.0, 0.0
	for id, r := range template.Resources {
		switch p := r.Properties; r.Type {
		case "AWS::CloudWatch::Alarm":
			if p.MetricName != "" {
				alarms++
			}
			for _, m := range p.Metrics {
				if m.MetricStat != nil {
					alarms++
				}
			}
		case "AWS::CloudWatch::Dashboard":
			dashboards++
		case "AWS::Kinesis::Stream":
			if streams++; p.StreamModeDetails.StreamMode != "ON_DEMAND" {
				t.Errorf("%s is not on demand", id)
			}
		case "AWS::Lambda::Function":
			if want := map[bool]float64{true: 256, false: 512}[p.FunctionName == "annals-load"]; p.MemorySize != want {
				t.Errorf("%v has %g MB, and is billed for %g", p.FunctionName, p.MemorySize, want)
			}
		}
	}
	parts := priced(t, bench.PriceOptions{})
	watch := at(t, parts["watch"], 0)
	hours := units(watch, "Kinesis on demand") + units(at(t, parts["kinesis"], 0), "Kinesis on demand")
	if units(watch, "CloudWatch alarm") != alarms || units(watch, "CloudWatch dashboard") != dashboards || hours != 730*streams {
		t.Errorf("the template has %g metrics with alarms, %g dashboards and %g streams; billed are %+v and %g stream-hours", alarms, dashboards, streams, watch.Items, hours)
	}
}

// wantPacking compares what prices take an event to be in its table with what a
// load of a stream has read.
func wantPacking(t *testing.T, bill []bench.BillRow) {
	t.Helper()
	stored := units(at(t, priced(t, bench.PriceOptions{})["storage"], 1), "DynamoDB storage")
	alone := stored*(1<<30)/(730*3600) - 132
	for _, row := range bill {
		if row.Workload == "cost-load-1000" && math.Abs(row.ReadUnits*4096/1000-alone) > 0.03*alone {
			t.Errorf("1,000 events took %g read units, %.0f bytes each; prices say %.0f", row.ReadUnits, row.ReadUnits*4096/1000, alone)
		}
	}
}

// Prices are computed, not measured.
func ExamplePrice() {
	report, err := bench.Price(bench.PriceOptions{EventBytes: 500})
	if err != nil {
		panic(err)
	}
	for _, p := range report.Parts {
		if strings.HasSuffix(p.Part, "-table") {
			fmt.Printf("%s: %.0f dollars a month at %.0f events a second\n", p.Part, p.Costs[2].Dollars, p.Costs[2].EventsPerSecond)
		}
	}
	// Output:
	// annals-table: 197 dollars a month at 100 events a second
	// seed-table: 493 dollars a month at 100 events a second
}
