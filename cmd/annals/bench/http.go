package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/httpapi"
)

const (
	httpRate        = 2000 // requests a second
	httpConnections = 64
)

// http sends appends at a fixed rate, whether or not the server keeps up, and
// takes each latency from the time when the request was due: a server that
// stalls is charged for every request that waits meanwhile.
func (b *bencher) http(ctx context.Context) (rows []Row, err error) {
	served, err := embedded.Open(filepath.Join(b.dir, "http"), nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, served.Close()) }()
	server := httptest.NewServer(httpapi.New(served, nil))
	defer server.Close()
	store, err := client.Open(server.URL, nil)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	n := int(b.duration(5*time.Second, time.Second).Seconds() * httpRate)
	var rates, p50, p99 []float64
	for round := range rounds {
		b.Say(fmt.Sprintf("http-%d: round %d of %d", httpRate, round+1, rounds))
		rate, took, err := openLoop(ctx, n, httpRate, httpConnections, func(worker, _ int) error {
			stream := fmt.Sprintf("order-%d-%d", round, worker)
			_, err := store.Append(ctx, stream, annals.Any, annals.Event{Type: eventType, Source: eventSource, Data: payload})
			return err
		})
		if err != nil {
			return nil, err
		}
		var r Row
		r.latency(took)
		rates, p50, p99 = append(rates, rate), append(p50, r.P50Us), append(p99, r.P99Us)
	}
	return []Row{{
		Workload: fmt.Sprintf("http-%d", httpRate), EventsPerSecond: median(rates), P50Us: median(p50), P99Us: median(p99),
		Note: fmt.Sprintf("open loop, %d connections, fsync on", httpConnections),
	}}, nil
}

// openLoop calls do n times at a steady rate, each time from one of so many
// workers, and returns the rate that came of it and how long each call took from
// when it was due.
func openLoop(ctx context.Context, n, perSecond, workers int, do func(worker, i int) error) (float64, []time.Duration, error) {
	took, errs := make([][]time.Duration, workers), make([]error, workers)
	began := time.Now()
	arrivals(ctx, began, n, float64(perSecond), workers, func(w int, a arrival) {
		err := do(w, a.i)
		took[w] = append(took[w], time.Since(a.due))
		errs[w] = errors.Join(errs[w], err)
	})
	elapsed := time.Since(began)
	return float64(n) / elapsed.Seconds(), slices.Concat(took...), errors.Join(append(errs, ctx.Err())...)
}
