package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
)

// billed is an operation of the bill.
type billed struct {
	workload, operation string
	// measure returns what some repetitions cost, and how many they were.
	measure func(context.Context) (cost dynamo.Cost, times float64, err error)
}

const largeWorkload = "cost-append-40k"

// bill lists the operations in the order in which they are measured: those that
// read the log come behind those that write it.
func (b *tables) bill() []billed {
	one := func(events func() []annals.Event) func(context.Context) (dynamo.Cost, float64, error) {
		return func(ctx context.Context) (dynamo.Cost, float64, error) { return b.appendsCost(ctx, events) }
	}
	log := &logBill{tables: b}
	return []billed{
		{"cost-append", "append 1 event of 1 KB", one(func() []annals.Event { return b.some(1) })},
		{"cost-append-cold", "… the stream's end not known, 1 event there", b.cold(1)},
		{"cost-append-cold-1000", "… the stream's end not known, 1,000 events there", b.cold(1000)},
		{"cost-append-correlation", "append 1 event with a correlation", one(b.correlated)},
		{"cost-append-10", "append 10 events of 1 KB", one(func() []annals.Event { return b.some(10) })},
		{largeWorkload, "append 40 KB that can't be packed", one(noise)},
		{"cost-conflict", "conflict: another process was first", b.conflict},
		{"cost-repeated", "an event that is stored already", b.repeated},
		{"cost-load-100", "load 100 events of 1 KB, appended singly", b.loads(100)},
		{"cost-load-1000", "load 1,000 events of 1 KB, appended singly", b.loads(1000)},
		{"cost-sequence-1000", "number 1,000 events of 100 streams that come together", log.together},
		{"cost-sequence-alone", "number 1 event that comes alone", b.alone},
		{"cost-query-correlation", "query by correlation, one request of 10 events", log.byCorrelation},
		{"cost-query-type", "query by a type of 2 events", log.byType},
		{"cost-replay-1000", "replay 1,000 events of the log", log.replay},
		{"cost-idle", "idle, sequencer and all", b.idle},
	}
}

func withoutBucket(bill []billed) []billed {
	return slices.DeleteFunc(bill, func(o billed) bool { return o.workload == largeWorkload })
}

func (b *tables) measureBill(ctx context.Context, bill []billed) ([]BillRow, error) {
	rows := []BillRow{}
	for _, o := range bill {
		if !b.wants(o.workload) {
			continue
		}
		b.Say(o.workload)
		cost, times, err := o.measure(ctx)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", o.workload, err)
		}
		rows = append(rows, newBillRow(o, cost, times))
	}
	return rows, nil
}

// repeat sums what the last step of a number of operations costs; prepare takes
// the steps before it and returns it.
func (b *tables) repeat(ctx context.Context, prepare func(context.Context) (func(context.Context) error, error)) (dynamo.Cost, float64, error) {
	n := b.size(20, 3)
	var sum dynamo.Cost
	for range n {
		last, err := prepare(ctx)
		if err != nil {
			return sum, 0, err
		}
		metered, meter := dynamo.Metered(ctx)
		if err := last(metered); err != nil {
			return sum, 0, err
		}
		sum = sum.Plus(meter.Cost())
	}
	return sum, float64(n), nil
}

// appendsCost appends to a stream whose end this process knows.
func (b *tables) appendsCost(ctx context.Context, events func() []annals.Event) (dynamo.Cost, float64, error) {
	stream, version := b.stream(), int64(1)
	if err := b.append(ctx, b.store, stream, annals.NoStream, b.some(1)...); err != nil {
		return dynamo.Cost{}, 0, err
	}
	return b.repeat(ctx, func(context.Context) (func(context.Context) error, error) {
		next, expected := events(), version
		version += int64(len(next))
		return func(ctx context.Context) error { return b.append(ctx, b.store, stream, expected, next...) }, nil
	})
}

func (b *tables) correlated() []annals.Event {
	events := b.some(1)
	events[0].Correlation = fmt.Sprintf("%srequest-%d", b.prefix, b.orders.Load())
	return events
}

// noise is an event that compression gains nothing on.
func noise() []annals.Event {
	data := make([]byte, 40<<10)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	return []annals.Event{{Type: eventType, Source: eventSource, ContentType: "application/octet-stream", Data: data}}
}

// cold appends behind events by a process that has not seen their stream.
func (b *tables) cold(events int) func(context.Context) (dynamo.Cost, float64, error) {
	return func(ctx context.Context) (dynamo.Cost, float64, error) {
		stream, err := b.filled(ctx, events)
		if err != nil {
			return dynamo.Cost{}, 0, err
		}
		var opened []*annals.Store
		defer func() {
			for _, s := range opened {
				_ = s.Close() // holds nothing
			}
		}()
		return b.repeat(ctx, func(ctx context.Context) (func(context.Context) error, error) {
			if events == 1 {
				if stream, err = b.filled(ctx, events); err != nil {
					return nil, err
				}
			}
			other, err := b.other(ctx)
			if err != nil {
				return nil, err
			}
			opened = append(opened, other)
			return func(ctx context.Context) error { return b.append(ctx, other, stream, annals.Any, b.some(1)...) }, nil
		})
	}
}

// filled is a new stream of events that were appended one by one.
func (b *tables) filled(ctx context.Context, events int) (string, error) {
	stream := b.stream()
	for i := range events {
		if err := b.append(ctx, b.store, stream, int64(i), b.some(1)...); err != nil {
			return "", err
		}
	}
	return stream, nil
}

// conflict appends behind a version that another process has just passed.
func (b *tables) conflict(ctx context.Context) (dynamo.Cost, float64, error) {
	other, err := b.other(ctx)
	if err != nil {
		return dynamo.Cost{}, 0, err
	}
	defer other.Close()
	return b.repeat(ctx, func(ctx context.Context) (func(context.Context) error, error) {
		stream, err := b.filled(ctx, 1)
		if err == nil {
			err = b.append(ctx, other, stream, 1, b.some(1)...)
		}
		return func(ctx context.Context) error {
			if err := b.append(ctx, b.store, stream, 1, b.some(1)...); !errors.Is(err, annals.ErrConflict) {
				return fmt.Errorf("an append that must conflict ended with %w", err)
			}
			return nil
		}, err
	})
}

// repeated appends an event that is stored, as who got no answer does.
func (b *tables) repeated(ctx context.Context) (dynamo.Cost, float64, error) {
	return b.repeat(ctx, func(ctx context.Context) (func(context.Context) error, error) {
		stream, again := b.stream(), b.some(1)
		again[0].ID = newID()
		err := b.append(ctx, b.store, stream, annals.NoStream, again...)
		return func(ctx context.Context) error { return b.append(ctx, b.store, stream, annals.NoStream, again...) }, err
	})
}

func (b *tables) loads(events int) func(context.Context) (dynamo.Cost, float64, error) {
	return func(ctx context.Context) (dynamo.Cost, float64, error) {
		stream, err := b.filled(ctx, events)
		if err != nil {
			return dynamo.Cost{}, 0, err
		}
		return b.repeat(ctx, func(context.Context) (func(context.Context) error, error) {
			return func(ctx context.Context) error {
				n, err := count(b.store.Stream(ctx, stream, nil))
				if err == nil && n != events {
					err = fmt.Errorf("%d of %d events were there", n, events)
				}
				return err
			}, nil
		})
	}
}

// idle is what everything together costs while nobody does anything.
func (b *tables) idle(ctx context.Context) (cost dynamo.Cost, times float64, err error) {
	if _, err := b.settle(ctx); err != nil {
		return cost, 0, err
	}
	if err := b.savePlace(ctx); err != nil {
		return cost, 0, err
	}
	before := b.spent()
	err = b.sequencing(ctx, func(ctx context.Context) error {
		select {
		case <-time.After(b.duration(5*time.Second, 500*time.Millisecond)):
		case <-ctx.Done():
		}
		cost = b.spent().Minus(before)
		return ctx.Err()
	})
	return cost, 1, err
}

// spent is what this process's driver has cost.
func (b *tables) spent() (sum dynamo.Cost) {
	for _, c := range b.driver.Costs() {
		sum = sum.Plus(c)
	}
	return sum
}
