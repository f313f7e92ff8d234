package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/metrics"
	"time"

	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/ingest"
)

// ingest stores a file of tracking messages in a new store, and opens that store
// again.
func (b *bencher) ingest(ctx context.Context) ([]Row, error) {
	messages := b.size(1_000_000, 100_000)
	b.Say(fmt.Sprintf("writing %d messages", messages))
	file := filepath.Join(b.dir, "messages.ndjson")
	if err := writeMessages(file, messages); err != nil {
		return nil, err
	}
	var rates, opened []float64
	least, most := uint64(0), uint64(0)
	for round := range rounds {
		b.Say(fmt.Sprintf("ingest: round %d of %d", round+1, rounds))
		dir := filepath.Join(b.dir, fmt.Sprintf("ingest-%d", round))
		took, heap, err := ingestFile(ctx, dir, file, messages)
		if err != nil {
			return nil, err
		}
		rates = append(rates, float64(messages)/took.Seconds())
		if least == 0 || heap < least {
			least = heap
		}
		most = max(most, heap)
		began := time.Now()
		store, err := embedded.Open(dir, nil)
		if err != nil {
			return nil, err
		}
		opened = append(opened, float64(time.Since(began))/1e3)
		if err := errors.Join(store.Close(), os.RemoveAll(dir)); err != nil {
			return nil, err
		}
	}
	return []Row{
		{Workload: "ingest", EventsPerSecond: median(rates), Note: fmt.Sprintf("%d messages from a file; heap at most %d to %d MiB", messages, least>>20, most>>20)},
		{Workload: "reopen", P50Us: median(opened), Note: fmt.Sprintf("a store of %d events", messages)},
	}, nil
}

func writeMessages(name string, n int) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(file, 1<<20)
	at := time.Date(2020, 5, 1, 20, 0, 0, 0, time.UTC)
	for i := range n {
		kind, status := "REQUEST", ""
		if i%2 == 1 {
			kind, status = "RESPONSE", `,"status":200,"durationMs":12.5`
		}
		// Ten events a request, of a hundred requests at a time.
		request := i/1000*100 + i%100
		fmt.Fprintf(w, `{"id":"%d","requestId":"request-%d","timestamp":"%s","type":"MICROSERVICE_%s","source":"Gateway","data":{"Name":"Microservice %d"%s}}`+"\n",
			i, request, at.Add(time.Duration(i)*time.Millisecond).Format(time.RFC3339Nano), kind, i%7, status)
	}
	return errors.Join(w.Flush(), file.Close())
}

func ingestFile(ctx context.Context, dir, name string, want int) (took time.Duration, heap uint64, err error) {
	file, err := os.Open(name)
	if err != nil {
		return 0, 0, err
	}
	defer file.Close()
	store, err := embedded.Open(dir, nil)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	seen := 0
	runner := ingest.Runner{Store: store, Each: func(ingest.Result) {
		const every = 1 << 14
		if seen++; seen%every == 0 {
			heap = max(heap, liveHeap())
		}
	}}
	summary, err := runner.Run(ctx, ingest.Items(file))
	took = time.Since(began)
	if err == nil && summary.Stored != int64(want) {
		err = fmt.Errorf("stored %+v of %d messages", summary, want)
	}
	return took, heap, errors.Join(err, store.Close())
}

// liveHeap is the memory of live objects and of those not yet collected.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
