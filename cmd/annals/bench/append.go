package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
)

// engine is one store under the append workload. writer returns a function that
// appends one event, for one goroutine.
type engine struct {
	name   string
	writer func(id string) func(context.Context) error
	close  func() error
}

const (
	eventType   = "order-placed"
	eventSource = "bench"
)

// newID makes ids for the references; Annals makes its own.
func newID() string {
	return fmt.Sprintf("%016x-%016x", rand.Uint64(), rand.Uint64())
}

// payload is 300 bytes of JSON.
var payload = func() []byte {
	data := []byte(`{"order":"4711","customer":"c-1001","total":129.95,"currency":"EUR","items":[{"sku":"A-1","n":2,"price":39.95},{"sku":"B-7","n":1,"price":50.05}],"note":"`)
	for len(data) < 298 {
		data = append(data, 'x')
	}
	return append(data, `"}`...)
}()

func openEngines(dir string) ([]engine, error) {
	store, err := embedded.Open(filepath.Join(dir, "annals"), nil)
	if err != nil {
		return nil, err
	}
	bare, err := openBareLog(filepath.Join(dir, "bare.log"))
	if err != nil {
		return nil, err
	}
	db, err := openSQLite(filepath.Join(dir, "sqlite.db"))
	if err != nil {
		return nil, err
	}
	return []engine{
		{"annals", annalsWriter(store), store.Close},
		{"log", func(stream string) func(context.Context) error {
			w := &bareWrite{turn: make(chan bool, 1)}
			version := int64(0)
			return func(context.Context) error {
				version++
				return bare.append(w, stream, version, newID(), payload)
			}
		}, bare.close},
		{"sqlite", func(stream string) func(context.Context) error {
			version := int64(0)
			return func(ctx context.Context) error {
				err := db.append(ctx, stream, version, newID(), payload)
				version++
				return err
			}
		}, db.db.Close},
	}, nil
}

func annalsWriter(store *annals.Store) func(string) func(context.Context) error {
	return func(stream string) func(context.Context) error {
		version := int64(0)
		return func(ctx context.Context) error {
			c, err := store.Append(ctx, stream, version, annals.Event{Type: eventType, Source: eventSource, Data: payload})
			version = c.Version
			return err
		}
	}
}

// measureAppends runs writers on every engine in turn, rounds times.
func measureAppends(ctx context.Context, dir string, writers, rounds int, each time.Duration, say func(string)) (Row, error) {
	dir, err := os.MkdirTemp(dir, "append")
	if err != nil {
		return Row{}, err
	}
	defer os.RemoveAll(dir)
	engines, err := openEngines(dir)
	if err != nil {
		return Row{}, err
	}
	rates := map[string][]float64{}
	var latencies []time.Duration
	for round := range rounds {
		for i := range engines {
			// Each engine follows each other one: what one leaves to the disk slows the next.
			e := engines[(i+round)%len(engines)]
			say(fmt.Sprintf("append-%d: round %d of %d, %s", writers, round+1, rounds, e.name))
			rate, took, err := appendFor(ctx, e, writers, round, each)
			if err != nil {
				return Row{}, fmt.Errorf("appending to %s: %w", e.name, err)
			}
			rates[e.name] = append(rates[e.name], rate)
			if e.name == "annals" {
				latencies = append(latencies, took...)
			}
		}
	}
	for _, e := range engines {
		if err := e.close(); err != nil {
			return Row{}, err
		}
	}
	ours := median(rates["annals"])
	row := Row{Workload: fmt.Sprintf("append-%d", writers), EventsPerSecond: ours}
	row.latency(latencies)
	row.VsLog, row.VsSQLite = Ratio(ours/median(rates["log"])), Ratio(ours/median(rates["sqlite"]))
	return row, nil
}

func appendFor(ctx context.Context, e engine, writers, round int, each time.Duration) (float64, []time.Duration, error) {
	var wg sync.WaitGroup
	took := make([][]time.Duration, writers)
	errs := make([]error, writers)
	start := time.Now()
	for w := range writers {
		wg.Go(func() {
			write := e.writer(fmt.Sprintf("stream-%d-%d", round, w))
			for time.Since(start) < each && errs[w] == nil {
				from := time.Now()
				errs[w] = write(ctx)
				took[w] = append(took[w], time.Since(from))
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	var all []time.Duration
	for w := range writers {
		if errs[w] != nil {
			return 0, nil, errs[w]
		}
		all = append(all, took[w]...)
	}
	return float64(len(all)) / elapsed.Seconds(), all, nil
}
