package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/eb901187/annals/cmd/annals/bench"
)

// Without --store, bench makes stores of its own, whatever the default one is.
func TestBenchOfItsOwnStores(t *testing.T) {
	t.Chdir(t.TempDir())
	got := typed(t.Context(), "", "bench", "--quick", "--only", "append-1", "--json", "--dir", ".")
	var report bench.Report
	if err := json.Unmarshal([]byte(strings.ReplaceAll(got.out, "null", "0")), &report); err != nil || got.exit != 0 || len(report.Rows) != 1 || report.Rows[0].VsSQLite == 0 {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestBenchOfTables(t *testing.T) {
	store := initialized(t)
	got := typed(t.Context(), "", "bench", "--quick", "--only", "cost-append", "--json", "--store", store)
	var report bench.TablesReport
	if err := json.Unmarshal([]byte(got.out), &report); err != nil || got.exit != 0 || len(report.Bill) != 1 || report.Bill[0].DollarsPerMillion != 0.625 ||
		!strings.Contains(got.out, `"speed":[]`) {
		t.Fatalf("%+v, %v", got, err)
	}
	for line, c := range map[string]misuse{
		"bench --store some-directory":             {2, "works on a dynamodb:// store"},
		"bench --store http://127.0.0.1:1":         {2, "makes stores of its own"},
		"bench --store dynamo://orders":            {2, "no kind of store"},
		"bench --dir . --store " + store:           {2, "--dir"},
		"bench --only append-64 --store " + store:  {2, "cost-append, "},
		"bench --quick --store dynamodb://ab?x=y ": {5, "3 to 200"},
	} {
		if got := typed(t.Context(), "", strings.Fields(line)...); got.exit != c.exit || !strings.Contains(got.errs, c.want) {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func TestBenchPrice(t *testing.T) {
	got := typed(t.Context(), "", "bench", "--price", "--event-bytes", "300", "--batch", "10", "--json")
	var report bench.PriceReport
	if err := json.Unmarshal([]byte(got.out), &report); err != nil || got.exit != 0 || report.EventBytes != 300 || report.Batch != 10 || len(report.Parts) < 10 {
		t.Fatalf("%+v, %v", got, err)
	}
	for line, c := range map[string]misuse{
		"bench --price --quick":               {2, "--quick is about measuring"},
		"bench --price --store dynamodb://ab": {2, "leave --store out"},
		"bench --batch 10":                    {2, "annals bench --price --batch"},
		"bench --price --batch 0":             {2, "at least 1"},
		"bench --price --batch 10001":         {2, "1 to 10000"},
		"bench --price --event-bytes -1":      {2, "1 to 204800"},
		"bench --price --event-bytes 204801":  {2, "1 to 204800"},
	} {
		if got := typed(t.Context(), "", strings.Fields(line)...); got.exit != c.exit || !strings.Contains(got.errs, c.want) {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

func TestBenchLoadIsNamedRightly(t *testing.T) {
	for line, c := range map[string]misuse{
		"bench --load weights":                 {2, `no part "weights"`},
		"bench --load rates --only append-1":   {2, "leave --only out"},
		"bench --load rates --gateway":         {2, "leave --gateway out"},
		"bench --load rates --batch 10":        {2, "annals bench --price --batch"},
		"bench --for 1m":                       {2, "annals bench --load … --for"},
		"bench --gateway --followers 7":        {2, "annals bench --load … --followers"},
		"bench --price --load rates":           {2, "leave --load out"},
		"bench --load soak --for -1s":          {2, "--for 1m"},
		"bench --load followers --followers 0": {2, "at least 1"},
	} {
		if got := typed(t.Context(), "", strings.Fields(line)...); got.exit != c.exit || !strings.Contains(got.errs, c.want) {
			t.Errorf("%s: %+v", line, got)
		}
	}
}
