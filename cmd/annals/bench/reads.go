package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
)

// The store of the read workloads: streams of 10 events, and a few of 1,000,
// written by many writers at once, so that a stream's events lie apart.
const (
	shortStream = 10
	longStream  = 1000
	longStreams = 100
	eventTypes  = 100
	fillers     = 64
)

func (b *bencher) reads(ctx context.Context) ([]Row, error) {
	events := b.size(2_000_000, 300_000)
	shorts := (events - longStreams*longStream) / shortStream
	store, err := embedded.Open(filepath.Join(b.dir, "reads"), nil)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	b.Say(fmt.Sprintf("filling a store with %d events", events))
	if err := fill(ctx, store, shorts); err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(1, 1))
	loads := b.size(20_000, 5_000)
	short := func() (int, error) {
		return count(store.Stream(ctx, shortName(random.IntN(shorts)), nil))
	}
	long := func() (int, error) { return count(store.Stream(ctx, longName(random.IntN(longStreams)), nil)) }
	byType := func() (int, error) {
		after := random.Int64N(int64(events / 2))
		return count(store.Log(ctx, annals.Query{Types: []string{typeName(random.IntN(eventTypes))}, After: after, Limit: 100}))
	}
	scan := func() (int, error) { return count(store.Log(ctx, annals.Query{})) }
	var rows []Row
	for _, w := range []struct {
		name  string
		times int
		want  int // events of one operation
		read  func() (int, error)
	}{
		{"load-10", loads, shortStream, short}, {"load-1000", loads / 20, longStream, long},
		{"by-type-100", loads / 4, 100, byType}, {"scan", 1, events, scan},
	} {
		b.Say(w.name)
		row, err := repeat(w.name, w.times, w.want, w.read)
		if err != nil {
			return nil, err
		}
		row.Note = fmt.Sprintf("in a store of %d events", events)
		rows = append(rows, row)
	}
	return rows, nil
}

func shortName(i int) string { return fmt.Sprintf("order-%d", i) }
func longName(i int) string  { return fmt.Sprintf("account-%d", i) }
func typeName(i int) string  { return fmt.Sprintf("type-%d", i) }

func count(seq func(func(annals.Event, error) bool)) (n int, err error) {
	for _, err := range seq {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// repeat measures an operation that reads, after one round to warm up. Latencies
// are medians over the rounds.
func repeat(name string, times, want int, read func() (int, error)) (Row, error) {
	var rates, p50, p99 []float64
	for round := range rounds + 1 {
		var took []time.Duration
		began := time.Now()
		for range times {
			from := time.Now()
			n, err := read()
			if err != nil {
				return Row{}, err
			}
			if n != want {
				return Row{}, fmt.Errorf("%s read %d events where %d are", name, n, want)
			}
			took = append(took, time.Since(from))
		}
		if round == 0 {
			continue
		}
		var r Row
		r.latency(took)
		rates = append(rates, float64(times*want)/time.Since(began).Seconds())
		p50, p99 = append(p50, r.P50Us), append(p99, r.P99Us)
	}
	return Row{Workload: name, EventsPerSecond: median(rates), P50Us: median(p50), P99Us: median(p99)}, nil
}

func fill(ctx context.Context, store *annals.Store, shorts int) error {
	errs := make([]error, fillers)
	var wg sync.WaitGroup
	for w := range fillers {
		wg.Go(func() { errs[w] = fillPart(ctx, store, w, shorts) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// fillPart writes the streams of one writer, a hundred at a time in turn.
func fillPart(ctx context.Context, store *annals.Store, w, shorts int) error {
	random := rand.New(rand.NewPCG(2, uint64(w)))
	event := func() annals.Event {
		return annals.Event{Type: typeName(random.IntN(eventTypes)), Source: eventSource, Data: payload}
	}
	const together = 100
	for first := w * together; first < shorts; first += fillers * together {
		for version := range shortStream {
			for i := first; i < min(first+together, shorts); i++ {
				if _, err := store.Append(ctx, shortName(i), int64(version), event()); err != nil {
					return err
				}
			}
		}
	}
	for i := w; i < longStreams; i += fillers {
		for version := 0; version < longStream; version += shortStream {
			var events []annals.Event
			for range shortStream {
				events = append(events, event())
			}
			if _, err := store.Append(ctx, longName(i), int64(version), events...); err != nil {
				return err
			}
		}
	}
	return nil
}
