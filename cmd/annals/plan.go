package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
)

// explained is what --json prints of how a query was answered.
type explained struct {
	Plan    explainedPlan `json:"plan"`
	Cost    explainedCost `json:"cost"`
	Dollars float64       `json:"dollarsPerMillion"`
	Prices  string        `json:"pricesOf"`
}

type explainedPlan struct {
	Index     string `json:"index,omitempty"` // none for a scan
	Runs      int    `json:"runs"`
	RunsRead  int    `json:"runsRead"`
	TailPages int    `json:"tailPages"`
	Events    int    `json:"events"`
	Found     int    `json:"found"`
}

type explainedCost struct {
	Requests   int64   `json:"requests"`
	ReadUnits  float64 `json:"readUnits"`
	WriteUnits float64 `json:"writeUnits"`
	S3Gets     int64   `json:"s3Gets"`
	S3Puts     int64   `json:"s3Puts"`
}

// explainLog prints the events of a query, and then on stderr how it was
// answered, so that the events stay as they are.
func (a *app) explainLog(ctx context.Context, q annals.Query, exact bool) error {
	return a.withTables(ctx, 0, func(driver *dynamo.Driver) error {
		ctx, meter := dynamo.Metered(ctx)
		_, err := a.printEvents(annals.New(driver, nil).Log(ctx, q), exact, a.logLine)
		if err = errors.Join(err, a.out.Flush()); err != nil {
			return err
		}
		return a.printExplained(meter.Plan(), meter.Cost())
	})
}

func (a *app) printExplained(p dynamo.Plan, c dynamo.Cost) error {
	if a.asJSON {
		return json.NewEncoder(a.errs).Encode(explained{
			explainedPlan{p.Index, p.Runs, p.Read, p.Tail, p.Events, p.Found},
			explainedCost{c.Requests, c.Reads, c.Writes, c.Gets, c.Puts},
			c.DollarsPerMillion(), dynamo.PricesOf,
		})
	}
	how := "scan"
	if p.Index != "" {
		how = "index by " + p.Index
	}
	var b strings.Builder
	fmt.Fprintf(&b, "plan: %s; %d of %s read, %s of the tail; %s decoded, %d found\n",
		how, p.Read, plural(p.Runs, "run"), plural(p.Tail, "page"), plural(p.Events, "event"), p.Found)
	fmt.Fprintf(&b, "cost: %s, %.4g RRU, %.4g WRU, %s, %s; $%.3f for a million of it (prices of %s)\n",
		plural(int(c.Requests), "request"), c.Reads, c.Writes, plural(int(c.Gets), "S3 get"), plural(int(c.Puts), "S3 put"), c.DollarsPerMillion(), dynamo.PricesOf)
	_, err := a.errs.Write([]byte(b.String()))
	return err
}

// explainable refuses what has no plan.
func (a *app) explainable(follow bool) error {
	if _, err := a.tables("log --explain", "other stores are not paid by the request"); err != nil {
		return err
	}
	if follow {
		return usage("--explain tells of a query that ends, and --follow has no end", "leave one of them out")
	}
	return nil
}
