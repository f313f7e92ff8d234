package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/playback"
)

// copyStreams take turns, so that no two events that follow each other can be
// appended together.
const copyStreams = 10_000

// A copying is one way to copy a store; it returns how many events it copied, and
// calls during now and then.
type copying struct {
	workload string
	copy     func(ctx context.Context, from *annals.Store, dir string, during func()) (int64, error)
}

// copies forks a store and plays it back to a file and into another store, beside a
// scan that does nothing with what it reads.
func (b *bencher) copies(ctx context.Context) (rows []Row, err error) {
	events := b.size(1_000_000, 100_000)
	from, err := b.turns(ctx, events)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	all := []copying{{"fork", fork}, {"playback-file", playToFile}, {"playback-store", playToStore}}
	var scans []float64
	rates, heaps := make([][]float64, len(all)), make([]uint64, len(all))
	for round := range b.size(3, 1) {
		b.Say(fmt.Sprintf("copies: round %d", round+1))
		began := time.Now()
		// Beside its events the log holds what playbacks have noted.
		if n, err := count(from.Log(ctx, annals.Query{})); err != nil || n < events {
			return nil, errors.Join(err, fmt.Errorf("a scan read %d of %d events", n, events))
		}
		scans = append(scans, float64(events)/time.Since(began).Seconds())
		for i, c := range all {
			dir := filepath.Join(b.dir, "copy")
			began := time.Now()
			n, err := c.copy(ctx, from, dir, func() { heaps[i] = max(heaps[i], liveHeap()) })
			if err != nil || n < int64(events) {
				return nil, errors.Join(err, fmt.Errorf("%s copied %d of %d events", c.workload, n, events))
			}
			rates[i] = append(rates[i], float64(events)/time.Since(began).Seconds())
			if err := os.RemoveAll(dir); err != nil {
				return nil, err
			}
		}
	}
	for i, c := range all {
		rate := median(rates[i])
		rows = append(rows, Row{Workload: c.workload, EventsPerSecond: rate, Note: fmt.Sprintf(
			"%d events of %d streams that take turns; %.2f × a scan; heap at most %d MiB", events, copyStreams, rate/median(scans), heaps[i]>>20)})
	}
	return rows, nil
}

// turns is a store of n events, each of another stream than the one before.
func (b *bencher) turns(ctx context.Context, n int) (*annals.Store, error) {
	b.Say(fmt.Sprintf("appending %d events", n))
	store, err := embedded.Open(filepath.Join(b.dir, "turns"), nil)
	if err != nil {
		return nil, err
	}
	const part = 10_000
	for first := 0; first < n && err == nil; first += part {
		appends := make([]annals.Append, min(part, n-first))
		for i := range appends {
			e := annals.Event{Type: eventType, Source: eventSource, Data: payload}
			appends[i] = annals.Append{Stream: shortName((first + i) % copyStreams), Expected: annals.Any, Events: []annals.Event{e}}
		}
		_, err = store.AppendAll(ctx, appends)
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

func fork(ctx context.Context, from *annals.Store, dir string, during func()) (int64, error) {
	to, err := embedded.Open(dir, nil)
	if err != nil {
		return 0, err
	}
	manifest, err := playback.Fork(ctx, from, to, &playback.ForkOptions{Progress: func(*playback.Manifest) { during() }})
	return manifest.Events, errors.Join(err, to.Close())
}

func playToFile(ctx context.Context, from *annals.Store, dir string, during func()) (int64, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return 0, err
	}
	return play(ctx, from, playback.ToFile(filepath.Join(dir, "events.ndjson")), during)
}

func playToStore(ctx context.Context, from *annals.Store, dir string, during func()) (int64, error) {
	to, err := embedded.Open(dir, nil)
	if err != nil {
		return 0, err
	}
	n, err := play(ctx, from, playback.ToStore(to, dir), during)
	return n, errors.Join(err, to.Close())
}

func play(ctx context.Context, from *annals.Store, to playback.Target, during func()) (int64, error) {
	run, err := playback.Start(ctx, from, playback.Selection{}, to, &playback.Options{Progress: func(*playback.Playback) { during() }})
	if err != nil {
		return 0, err
	}
	p, err := run.Run(ctx)
	return p.Count, err
}
