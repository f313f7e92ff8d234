package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"sync"
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
		rate, took, err := openLoop(ctx, store, round, n)
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

func openLoop(ctx context.Context, store *annals.Store, round, n int) (float64, []time.Duration, error) {
	due := make(chan time.Time, n) // never blocks: the loop is open
	took := make([][]time.Duration, httpConnections)
	errs := make([]error, httpConnections)
	var wg sync.WaitGroup
	began := time.Now()
	for c := range httpConnections {
		wg.Go(func() {
			stream := fmt.Sprintf("order-%d-%d", round, c)
			for at := range due {
				_, err := store.Append(ctx, stream, annals.Any, annals.Event{Type: eventType, Source: eventSource, Data: payload})
				took[c] = append(took[c], time.Since(at))
				errs[c] = errors.Join(errs[c], err)
			}
		})
	}
	for i := range n {
		at := began.Add(time.Duration(i) * time.Second / httpRate)
		if wait := time.Until(at); wait > 0 {
			time.Sleep(wait)
		}
		due <- at
	}
	close(due)
	wg.Wait()
	elapsed := time.Since(began)
	var all []time.Duration
	for _, t := range took {
		all = append(all, t...)
	}
	return float64(n) / elapsed.Seconds(), all, errors.Join(errs...)
}
