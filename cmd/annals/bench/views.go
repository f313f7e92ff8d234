package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/view/pebbleview"
)

// account is the document of the projections that are measured.
type account struct {
	Balance int    `json:"balance"`
	Moves   int    `json:"moves"`
	Last    string `json:"last"`
}

func (a *account) fold(e *annals.Event) error {
	var moved struct {
		Amount int    `json:"amount"`
		By     string `json:"by"`
	}
	if err := json.Unmarshal(e.Data, &moved); err != nil {
		return err
	}
	a.Balance, a.Moves, a.Last = a.Balance+moved.Amount, a.Moves+1, moved.By
	return nil
}

func inGo() *projection.Projection {
	return projection.Documents("go", "1", annals.Query{}, projection.ByStream, func(a *account, m *consumer.Message) error { return a.fold(&m.Event) })
}

func inJQ() (*projection.Projection, error) {
	return projection.Parse("jq.yaml", []byte(`
fold:
  moved: '{balance: (.balance + $event.data.amount), moves: (.moves + 1), last: $event.data.by}'
`))
}

const (
	viewStreams = 20_000
	viewCommit  = 10 // events of a stream in a row
)

// rebuilds builds a document for each stream of a large log, with a fold in Go and
// one in jq, beside the same fold into a map.
func (b *bencher) rebuilds(ctx context.Context) ([]Row, error) {
	events := b.size(1_000_000, 100_000)
	store, err := b.moves(ctx, events)
	if err != nil {
		return nil, err
	}
	rows, err := b.rebuildRounds(ctx, store, events)
	return rows, errors.Join(err, store.Close())
}

func (b *bencher) rebuildRounds(ctx context.Context, store *annals.Store, events int) ([]Row, error) {
	jq, err := inJQ()
	if err != nil {
		return nil, err
	}
	var plain, inGoRates, inJQRates []float64
	var heap uint64
	rounds := b.size(3, 1)
	for round := range rounds {
		b.Say(fmt.Sprintf("rebuild: round %d of %d", round+1, rounds))
		took, err := foldPlainly(ctx, store, events)
		if err != nil {
			return nil, err
		}
		plain = append(plain, float64(events)/took.Seconds())
		for _, engine := range []struct {
			p     *projection.Projection
			rates *[]float64
		}{{inGo(), &inGoRates}, {jq, &inJQRates}} {
			took, most, err := rebuild(ctx, store, engine.p, filepath.Join(b.dir, "rebuilt"), events)
			if err != nil {
				return nil, err
			}
			*engine.rates, heap = append(*engine.rates, float64(events)/took.Seconds()), max(heap, most)
		}
	}
	note := func(rates []float64) string {
		return fmt.Sprintf("%d events into %d documents; %.2f × the fold in Go into a map; heap at most %d MiB", events, viewStreams, median(rates)/median(plain), heap>>20)
	}
	return []Row{
		{Workload: "rebuild-go", EventsPerSecond: median(inGoRates), Note: note(inGoRates)},
		{Workload: "rebuild-jq", EventsPerSecond: median(inJQRates), Note: note(inJQRates)},
	}, nil
}

// moves is a store of n events in streams that take turns.
func (b *bencher) moves(ctx context.Context, n int) (*annals.Store, error) {
	b.Say(fmt.Sprintf("appending %d events", n))
	store, err := embedded.Open(filepath.Join(b.dir, "moves"), nil)
	if err != nil {
		return nil, err
	}
	const writers = 16
	var all sync.WaitGroup
	failed := make([]error, writers)
	for w := range writers {
		all.Go(func() {
			for i := w; i < n/viewCommit && failed[w] == nil; i += writers {
				events := make([]annals.Event, viewCommit)
				for j := range events {
					events[j] = move(i*viewCommit + j)
				}
				_, failed[w] = store.Append(ctx, fmt.Sprintf("account-%d", i*7919%viewStreams), annals.Any, events...)
			}
		})
	}
	all.Wait()
	if err := errors.Join(failed...); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

func move(i int) annals.Event {
	return annals.Event{Type: "moved", Data: fmt.Appendf(nil, `{"amount":%d,"by":"user-%d","note":"for the %d. time, as agreed"}`, i%100+1, i%1000, i)}
}

// foldPlainly is what any rebuild does at least: read the log, decode, fold.
func foldPlainly(ctx context.Context, store *annals.Store, want int) (time.Duration, error) {
	began := time.Now()
	accounts := map[string]*account{}
	n := 0
	for e, err := range store.Log(ctx, annals.Query{}) {
		if err != nil {
			return 0, err
		}
		a := accounts[e.Stream]
		if a == nil {
			a = new(account)
			accounts[e.Stream] = a
		}
		if err := a.fold(&e); err != nil {
			return 0, err
		}
		n++
	}
	if n != want || len(accounts) != min(viewStreams, want/viewCommit) {
		return 0, fmt.Errorf("folded %d events into %d accounts", n, len(accounts))
	}
	return time.Since(began), nil
}

// rebuild builds p's view in an empty directory.
func rebuild(ctx context.Context, store *annals.Store, p *projection.Projection, dir string, events int) (took time.Duration, heap uint64, err error) {
	views, err := pebbleview.Open(dir, nil)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, views.Close(), os.RemoveAll(dir)) }()
	set, err := projection.Open(ctx, store, views, []*projection.Projection{p}, nil)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	err = running(ctx, set, func(ctx context.Context) error {
		const parts = 20
		for part := 1; part <= parts; part++ {
			if err := set.WaitFor(ctx, p.Name(), int64(events)*int64(part)/parts); err != nil {
				return err
			}
			heap = max(heap, liveHeap())
		}
		return nil
	})
	took = time.Since(began)
	if info, err := set.Show(ctx, p.Name()); err != nil || info.Generations[0].Status.Parked > 0 {
		return 0, 0, errors.Join(err, fmt.Errorf("events were parked: %+v", info))
	}
	return took, heap, err
}

// running runs set while f does.
func running(ctx context.Context, set *projection.Set, f func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = set.Run(ctx) // it ends with ctx, and what fails shows in what f waits for
	}()
	err := f(ctx)
	stop()
	<-ended
	return err
}

const (
	visibleRate    = 1000 // appends a second
	visibleReaders = 64
)

// visible measures how long it takes from the start of an append until a read of a
// view shows it, at a steady rate of appends.
func (b *bencher) visible(ctx context.Context) ([]Row, error) {
	n := int(b.duration(10*time.Second, time.Second).Seconds() * visibleRate)
	b.Say("append to visible")
	store, err := embedded.Open(filepath.Join(b.dir, "visible"), nil)
	if err != nil {
		return nil, err
	}
	views, err := pebbleview.Open(filepath.Join(b.dir, "visible-views"), nil)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	row := Row{Workload: fmt.Sprintf("visible-%d", visibleRate), Note: "from an append to a read of the view that shows it; open loop"}
	set, err := projection.Open(ctx, store, views, []*projection.Projection{inGo()}, nil)
	if err == nil {
		err = running(ctx, set, func(ctx context.Context) error {
			rate, took, err := openLoop(ctx, n, visibleRate, visibleReaders, func(_, i int) error {
				stream := fmt.Sprintf("account-%d", i*7919%viewStreams)
				commit, err := store.Append(ctx, stream, annals.Any, move(i))
				if err != nil {
					return err
				}
				_, _, err = set.Get(ctx, "go", stream, &projection.ReadOptions{Wait: commit.Position})
				return err
			})
			row.EventsPerSecond = rate
			row.latency(took)
			return err
		})
	}
	return []Row{row}, errors.Join(err, views.Close(), store.Close())
}
