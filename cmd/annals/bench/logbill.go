package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
)

// logBill is the operations on a log of orders: batches of 1,000 events in
// streams of ten, each stream a commit, of one request.
type logBill struct {
	*tables
	filled bool
	from   int64 // where the log ended before the first batch
	to     int64 // and behind the last one
	cost   dynamo.Cost
	events int // that this numbered
}

const (
	batchStreams = 100
	batchLength  = 10
	batchEvents  = batchStreams * batchLength
	rareEvents   = 2
)

func (l *logBill) request(batch, stream int) string {
	return fmt.Sprintf("%srequest-%d-%d", l.prefix, batch, stream)
}

// rareType is that of one event in each of the first batches.
func (l *logBill) rareType() string { return "order-lost-" + l.prefix[len("bench/"):len(l.prefix)-1] }

// fill appends and numbers the batches. A run of the log is sealed once in a
// while; the cost is that of whole runs, from one sealing to another.
func (l *logBill) fill(ctx context.Context) error {
	if l.filled {
		return nil
	}
	l.filled = true
	if _, err := l.settle(ctx); err != nil {
		return err
	}
	l.from = l.begin + l.stored.Load()
	tally, err := l.newTally(ctx)
	if err != nil {
		return err
	}
	for batch := range l.size(20, 8) {
		l.Say(fmt.Sprintf("cost-sequence-1000: batch %d", batch+1))
		if err := l.appendBatch(ctx, batch); err != nil {
			return err
		}
		cost, err := l.settle(ctx)
		if err != nil {
			return err
		}
		if _, err := tally.add(ctx, cost, batchEvents); err != nil {
			return err
		}
	}
	l.to = l.begin + l.stored.Load()
	l.cost, l.events = tally.cost()
	return nil
}

func (l *logBill) appendBatch(ctx context.Context, batch int) error {
	const writers = 16
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for s := w; s < batchStreams && errs[w] == nil; s += writers {
				errs[w] = l.appendRequest(ctx, batch, s)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (l *logBill) appendRequest(ctx context.Context, batch, s int) error {
	events := l.some(batchLength)
	for i := range events {
		events[i].Correlation = l.request(batch, s)
		if batch < rareEvents && s == 0 && i == 0 {
			events[i].Type = l.rareType()
		}
	}
	return l.append(ctx, l.store, l.stream(), annals.NoStream, events...)
}

// tally adds up costs from one sealing to the last one; without two of them,
// all costs.
type tally struct {
	b            *tables
	runs         int // sealed until now
	sealings     int
	all, between dynamo.Cost // between counts from the first sealing on
	whole        dynamo.Cost // between, at the last sealing
	events       [3]int      // of all, between and whole
}

func (b *tables) newTally(ctx context.Context) (*tally, error) {
	runs, err := b.sealedRuns(ctx)
	return &tally{b: b, runs: runs}, err
}

func (b *tables) sealedRuns(ctx context.Context) (int, error) {
	metered, meter := dynamo.Metered(ctx)
	_, err := count(b.store.Log(metered, annals.Query{Backward: true, Limit: 1}))
	return meter.Plan().Runs, err
}

// add reports whether a run was sealed.
func (t *tally) add(ctx context.Context, cost dynamo.Cost, events int) (bool, error) {
	t.all, t.between = t.all.Plus(cost), t.between.Plus(cost)
	t.events[0], t.events[1] = t.events[0]+events, t.events[1]+events
	runs, err := t.b.sealedRuns(ctx)
	if err != nil || runs == t.runs {
		return false, err
	}
	t.runs = runs
	if t.sealings++; t.sealings == 1 {
		t.between, t.events[1] = dynamo.Cost{}, 0
	} else {
		t.whole, t.events[2] = t.between, t.events[1]
	}
	return true, nil
}

func (t *tally) cost() (dynamo.Cost, int) {
	if t.sealings < 2 {
		return t.all, t.events[0]
	}
	return t.whole, t.events[2]
}

func (l *logBill) together(ctx context.Context) (dynamo.Cost, float64, error) {
	err := l.fill(ctx)
	return l.cost, float64(l.events) / 1000, err
}

// alone numbers events each of which is a page of its own, with a stream and a
// correlation of its own: what costs most.
func (b *tables) alone(ctx context.Context) (dynamo.Cost, float64, error) {
	if _, err := b.settle(ctx); err != nil {
		return dynamo.Cost{}, 0, err
	}
	t, err := b.newTally(ctx)
	for n := 1; err == nil && t.sealings < 2; n++ {
		if n%10 == 0 {
			b.Say(fmt.Sprintf("cost-sequence-alone: event %d", n))
		}
		if err = b.append(ctx, b.store, b.stream(), annals.NoStream, b.correlated()...); err != nil {
			break
		}
		var cost dynamo.Cost
		if cost, err = b.settle(ctx); err == nil {
			_, err = t.add(ctx, cost, 1)
		}
	}
	if err != nil {
		return dynamo.Cost{}, 0, err
	}
	cost, events := t.cost()
	return cost, float64(events), nil
}

// finds measures a query by a process that follows the log, but has read none of
// its sealed runs.
func (l *logBill) finds(ctx context.Context, q annals.Query, events int) (dynamo.Cost, float64, error) {
	if err := l.fill(ctx); err != nil {
		return dynamo.Cost{}, 0, err
	}
	var opened []*annals.Store
	defer func() {
		for _, s := range opened {
			_ = s.Close() // holds nothing
		}
	}()
	return l.repeat(ctx, func(ctx context.Context) (func(context.Context) error, error) {
		other, err := l.other(ctx)
		if err != nil {
			return nil, err
		}
		opened = append(opened, other)
		_, err = count(other.Log(ctx, annals.Query{Backward: true, Limit: 1}))
		return func(ctx context.Context) error {
			n, err := count(other.Log(ctx, q))
			if err == nil && n != events {
				err = fmt.Errorf("found %d events where %d are", n, events)
			}
			return err
		}, err
	})
}

func (l *logBill) byCorrelation(ctx context.Context) (dynamo.Cost, float64, error) {
	return l.finds(ctx, annals.Query{Correlation: l.request(0, 7)}, batchLength)
}

func (l *logBill) byType(ctx context.Context) (dynamo.Cost, float64, error) {
	return l.finds(ctx, annals.Query{Types: []string{l.rareType()}}, rareEvents)
}

// replay reads all batches at once, by a process that has seen nothing yet.
func (l *logBill) replay(ctx context.Context) (cost dynamo.Cost, times float64, err error) {
	if err := l.fill(ctx); err != nil {
		return cost, 0, err
	}
	other, err := l.other(ctx)
	if err != nil {
		return cost, 0, err
	}
	defer other.Close()
	metered, meter := dynamo.Metered(ctx)
	n, err := count(other.Log(metered, annals.Query{After: l.from, Until: l.to}))
	if want := int(l.to - l.from); err == nil && n != want {
		err = fmt.Errorf("read %d events where %d are", n, want)
	}
	return meter.Cost(), float64(n) / 1000, err
}
