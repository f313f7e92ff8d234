package main

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/eb901187/annals/dynamo"
)

// tables is the store for commands that work on DynamoDB only; others are told
// what else does it there.
func (a *app) tables(command, elsewhere string) (dynamo.Address, error) {
	if err := a.known(); err != nil {
		return dynamo.Address{}, err
	}
	if !a.isDynamo() {
		return dynamo.Address{}, usage(command+" works on a dynamodb:// store, not on "+a.store, elsewhere)
	}
	return dynamo.ParseAddress(a.store)
}

// openTables opens a dynamodb:// store; poll 0 is the driver's own default.
func (a *app) openTables(ctx context.Context, poll time.Duration) (*dynamo.Driver, error) {
	address, err := dynamo.ParseAddress(a.store)
	if err != nil {
		return nil, err
	}
	return dynamo.OpenDriver(ctx, address, &dynamo.Options{Poll: poll, Clock: a.clock, Logger: a.logger})
}

// withTables runs f on a dynamodb:// store and closes it.
func (a *app) withTables(ctx context.Context, poll time.Duration, f func(*dynamo.Driver) error) error {
	driver, err := a.openTables(ctx, poll)
	if err != nil {
		return err
	}
	return errors.Join(f(driver), driver.Close())
}

// charges shows what a driver's requests used as metrics.
type charges struct{ driver *dynamo.Driver }

func charge(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(name, help+", by operation.", []string{"operation"}, nil)
}

var (
	dynamoRequests = charge("annals_dynamodb_requests_total", "Requests to DynamoDB, each try counted")
	writeUnits     = charge("annals_dynamodb_write_units_total", "Write request units that DynamoDB reported")
	readUnits      = charge("annals_dynamodb_read_units_total", "Read request units that DynamoDB reported")
	s3Puts         = charge("annals_s3_puts_total", "S3 requests at the price of PUT")
	s3Gets         = charge("annals_s3_gets_total", "S3 requests at the price of GET")
)

// Describe implements prometheus.Collector.
func (charges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{dynamoRequests, writeUnits, readUnits, s3Puts, s3Gets} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c charges) Collect(to chan<- prometheus.Metric) {
	for operation, cost := range c.driver.Costs() {
		counter := func(d *prometheus.Desc, n float64) {
			to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, n, operation)
		}
		counter(dynamoRequests, float64(cost.Requests))
		counter(writeUnits, cost.Writes)
		counter(readUnits, cost.Reads)
		counter(s3Puts, float64(cost.Puts))
		counter(s3Gets, float64(cost.Gets))
	}
}
