package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
)

// tables measures a store in DynamoDB.
type tables struct {
	Options
	config aws.Config
	driver *dynamo.Driver
	store  *annals.Store
	worker *dynamo.Worker
	prefix string // of the streams of this run

	streams atomic.Int64 // made so far
	orders  atomic.Int64 // taken so far
	begin   int64        // where the log ended before this run
	stored  atomic.Int64 // events of this run
}

// RunTables measures the store at address, which annals init has made: what its
// operations cost, and how fast they are beside a table of one item an event in
// the same DynamoDB. It numbers the store's log meanwhile. Its events stay in the
// store, in the streams that the report names; the other table is removed. A
// store that others write to meanwhile is measured wrongly. A name in opts.Only
// that is no workload gives an *annals.Error of CodeUsage.
func RunTables(ctx context.Context, address dynamo.Address, opts Options) (report TablesReport, err error) {
	b := &tables{Options: opts}
	if b.Say == nil {
		b.Say = func(string) {}
	}
	b.prefix = fmt.Sprintf("bench/%s-%04x/", time.Now().UTC().Format("20060102T150405"), rand.Uint32N(1<<16))
	bill := b.bill()
	if address.Bucket == "" {
		bill = withoutBucket(bill)
	}
	var all []string
	for _, o := range bill {
		all = append(all, o.workload)
	}
	for _, t := range b.timings() {
		all = append(all, t.workload)
	}
	if err := b.known(all); err != nil {
		return report, err
	}
	if b.config, err = dynamo.Configuration(ctx, address); err != nil {
		return report, err
	}
	if b.driver, err = dynamo.OpenDriver(ctx, address, &dynamo.Options{Config: &b.config}); err != nil {
		return report, err
	}
	b.config.Region = b.driver.Address().Region
	b.store = annals.New(b.driver, nil)
	defer func() { err = errors.Join(err, b.store.Close()) }()
	b.worker = dynamo.NewWorker(b.driver)
	if err := b.catchUp(ctx); err != nil {
		return report, err
	}
	report = TablesReport{Streams: b.prefix, Prices: prices}
	// A stand-in may write the slower the more its tables' streams hold.
	if report.Speed, err = b.measureSpeed(ctx); err != nil {
		return report, err
	}
	if report.Bill, err = b.measureBill(ctx, bill); err != nil {
		return report, err
	}
	if _, err := b.settle(ctx); err != nil {
		return report, err
	}
	return report, b.savePlace(ctx)
}

// catchUp numbers what was there before, so that no workload pays for it.
func (b *tables) catchUp(ctx context.Context) (err error) {
	b.Say("numbering what the log lacks")
	const quiet = 12 // a read of a stream may bring nothing although more is to come
	for empty := 0; empty < quiet; {
		n, err := b.step(ctx)
		if err != nil {
			return err
		}
		if empty++; n > 0 {
			empty = 0
		}
	}
	b.begin, err = b.driver.End(ctx, -1)
	return err
}

// stepPause is how long to wait after a step that brought nothing.
const stepPause = 50 * time.Millisecond

func (b *tables) step(ctx context.Context) (int, error) {
	n, err := b.worker.Step(ctx)
	if err != nil && !annals.CodeOf(err).Info().Retryable {
		return n, err
	}
	if n == 0 || err != nil {
		select {
		case <-time.After(stepPause):
		case <-ctx.Done():
			return n, ctx.Err()
		}
	}
	return n, nil
}

// settle numbers all events of this run, and returns what that cost.
func (b *tables) settle(ctx context.Context) (dynamo.Cost, error) {
	metered, meter := dynamo.Metered(ctx)
	for {
		end, err := b.driver.End(ctx, -1)
		if err != nil || end >= b.begin+b.stored.Load() {
			return meter.Cost(), err
		}
		if _, err := b.step(metered); err != nil {
			return meter.Cost(), err
		}
	}
}

// sequencing runs f beside a worker. Where the worker fails, the context of f
// ends.
func (b *tables) sequencing(ctx context.Context, f func(context.Context) error) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- b.worker.Run(working)
		cancel()
	}()
	err := f(ctx)
	stop()
	if failed := <-ended; failed != nil {
		return failed // an error of f came of it
	}
	return err
}

// savePlace makes the worker note how far it has read, as one does that ends.
func (b *tables) savePlace(ctx context.Context) error {
	return b.sequencing(ctx, func(context.Context) error { return nil })
}

// stream is the name of a new stream.
func (b *tables) stream() string {
	return fmt.Sprintf("%s%d", b.prefix, b.streams.Add(1))
}

// some are events of 1 KB that no one has appended yet.
func (b *tables) some(n int) []annals.Event {
	return placed(int(b.orders.Add(int64(n)))-n, n)
}

// append stores events by a driver's store, and counts them.
func (b *tables) append(ctx context.Context, to *annals.Store, stream string, expected int64, events ...annals.Event) error {
	commit, err := to.Append(ctx, stream, expected, events...)
	if err == nil && !commit.Replayed {
		b.stored.Add(int64(commit.Count))
	}
	return err
}

// other is the store in another process, which knows nothing of it yet.
func (b *tables) other(ctx context.Context) (*annals.Store, error) {
	return dynamo.Open(ctx, b.driver.Address(), &dynamo.Options{Config: &b.config})
}
