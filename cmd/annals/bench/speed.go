package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
)

// contender is one of the event stores that are timed.
type contender struct {
	name   string
	append func(ctx context.Context, stream string, expected int64, e annals.Event) error
	load   func(ctx context.Context, stream string) (int, error)
	spent  func() dynamo.Cost // on what append and load do
	settle func(context.Context) error
}

const (
	oursName      = "annals"
	referenceName = "reference"
	streamedName  = "reference with a stream"
)

func (b *tables) ours() contender {
	return contender{
		name: oursName,
		append: func(ctx context.Context, stream string, expected int64, e annals.Event) error {
			return b.append(ctx, b.store, stream, expected, e)
		},
		load: func(ctx context.Context, stream string) (int, error) { return count(b.store.Stream(ctx, stream, nil)) },
		spent: func() dynamo.Cost {
			costs := b.driver.Costs()
			return costs["append"].Plus(costs["stream"])
		},
		settle: func(ctx context.Context) error { _, err := b.settle(ctx); return err },
	}
}

func (r *referenceTable) contender(name string) contender {
	return contender{name, r.append, r.load, r.spent, func(context.Context) error { return nil }}
}

// timing is a workload that is timed beside the references.
type timing struct {
	workload string
	round    func(ctx context.Context, c contender, prefix string) (timed, error)
}

func (b *tables) timings() []timing {
	return []timing{{"load-100", b.loading}, {"append-1", b.appending(1, b.size(200, 50))}, {"append-16", b.appending(16, b.size(25, 10))}}
}

// timed is one round of one contender.
type timed struct {
	rate float64 // of events
	took []time.Duration
	cost dynamo.Cost
}

// measureSpeed times the workloads. The log is numbered between the rounds, as it
// is by another process in production. One reference has what most libraries
// have, and one has a stream too, as the store has: on AWS a stream takes no time
// from writes, in stand-ins it may.
func (b *tables) measureSpeed(ctx context.Context) (rows []SpeedRow, err error) {
	rows = []SpeedRow{}
	var wanted []timing
	for _, t := range b.timings() {
		if b.wants(t.workload) {
			wanted = append(wanted, t)
		}
	}
	if len(wanted) == 0 {
		return rows, nil
	}
	b.Say("making the references' tables")
	address := b.driver.Address()
	db := dynamodb.NewFromConfig(b.config, func(o *dynamodb.Options) {
		if address.Endpoint != "" {
			o.BaseEndpoint = &address.Endpoint
		}
	})
	contenders := []contender{b.ours()}
	for _, name := range []string{referenceName, streamedName} {
		table := address.Name + "-bench-reference"
		if name == streamedName {
			table += "-stream"
		}
		r, failed := makeReference(ctx, db, table, name == streamedName)
		if r != nil {
			defer func() { err = errors.Join(err, r.drop(ctx)) }()
		}
		if failed != nil {
			return nil, fmt.Errorf("making the table %s: %w", table, failed)
		}
		contenders = append(contenders, r.contender(name))
	}
	for _, t := range wanted {
		all, err := b.interleaved(ctx, t, contenders)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.workload, err)
		}
		rows = append(rows, all...)
	}
	return rows, nil
}

// interleaved runs the contenders in turn and reports a row for each.
func (b *tables) interleaved(ctx context.Context, t timing, contenders []contender) ([]SpeedRow, error) {
	measured := make([][]timed, len(contenders))
	for n := range rounds {
		for i := range contenders {
			at := (i + n) % len(contenders)
			c := contenders[at]
			b.Say(fmt.Sprintf("%s: round %d of %d, %s", t.workload, n+1, rounds, c.name))
			one, err := t.round(ctx, c, fmt.Sprintf("%s%s/%d/", b.prefix, t.workload, n))
			if err == nil {
				err = c.settle(ctx)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
			measured[at] = append(measured[at], one)
		}
	}
	rows := make([]SpeedRow, len(contenders))
	for i, c := range contenders {
		rows[i] = newSpeedRow(t.workload, c.name, measured[i])
		if i > 0 {
			rows[i].Annals = Ratio(rows[0].EventsPerSecond / rows[i].EventsPerSecond)
		}
	}
	return rows, nil
}

// appending is a round of writers that each append events to a stream of their
// own, whose end they know. All contenders append as many, as a stand-in's speed
// may depend on what it holds.
func (b *tables) appending(writers, events int) func(context.Context, contender, string) (timed, error) {
	return func(ctx context.Context, c contender, prefix string) (timed, error) {
		stream := func(w int) string { return fmt.Sprintf("%s%d", prefix, w) }
		made := placed(0, events+1) // ahead, as making one takes its time
		if _, err := each(writers, func(w int) ([]time.Duration, error) {
			return nil, c.append(ctx, stream(w), 0, made[0])
		}); err != nil {
			return timed{}, err
		}
		before, began := c.spent(), time.Now()
		took, err := each(writers, func(w int) (took []time.Duration, err error) {
			for version := 1; version <= events && err == nil; version++ {
				from := time.Now()
				err = c.append(ctx, stream(w), int64(version), made[version])
				took = append(took, time.Since(from))
			}
			return took, err
		})
		return timed{float64(len(took)) / time.Since(began).Seconds(), took, c.spent().Minus(before)}, err
	}
}

// each runs f for every writer at once.
func each(writers int, f func(w int) ([]time.Duration, error)) (all []time.Duration, err error) {
	took, errs := make([][]time.Duration, writers), make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() { took[w], errs[w] = f(w) })
	}
	wg.Wait()
	for _, t := range took {
		all = append(all, t...)
	}
	return all, errors.Join(errs...)
}

const loadLength = 100

// loading is a round of one reader of a stream of 100 events.
func (b *tables) loading(ctx context.Context, c contender, prefix string) (timed, error) {
	stream := prefix + "stream"
	for i, e := range placed(0, loadLength) {
		if err := c.append(ctx, stream, int64(i), e); err != nil {
			return timed{}, err
		}
	}
	if err := c.settle(ctx); err != nil {
		return timed{}, err
	}
	var t timed
	before, began := c.spent(), time.Now()
	for range b.size(300, 20) {
		from := time.Now()
		n, err := c.load(ctx, stream)
		if err == nil && n != loadLength {
			err = fmt.Errorf("loaded %d events where %d are", n, loadLength)
		}
		if err != nil {
			return t, err
		}
		t.took = append(t.took, time.Since(from))
	}
	t.rate = float64(len(t.took)*loadLength) / time.Since(began).Seconds()
	t.cost = c.spent().Minus(before)
	return t, nil
}
