package playback_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/playback"
)

// benchEvents of 300 bytes are played back, of 10,000 streams.
const benchEvents = 1_000_000

// filled is a store on disk with n events.
func filled(b *testing.B, n int) *annals.Store {
	b.Helper()
	store := onDisk(b)
	data := fmt.Appendf(nil, `{"text":"%0200d"}`, 1)
	appends, next := make([]annals.Append, 0, 1000), 0
	for next < n {
		appends = appends[:0]
		for len(appends) < 1000 && next < n {
			e := annals.Event{ID: fmt.Sprint("event-", next), Type: fmt.Sprint("type-", next%8), Source: "/bench", Data: data}
			appends = append(appends, annals.Append{Stream: fmt.Sprint("order-", next%10_000), Expected: annals.Any, Events: []annals.Event{e}})
			next++
		}
		if _, err := store.AppendAll(b.Context(), appends); err != nil {
			b.Fatal(err)
		}
	}
	return store
}

func onDisk(b *testing.B) *annals.Store {
	b.Helper()
	store, err := embedded.Open(filepath.Join(b.TempDir(), "store"), &embedded.Options{Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	return store
}

func BenchmarkPlayback(b *testing.B) {
	store := filled(b, benchEvents)
	for kind, make := range map[string]func(*testing.B) playback.Target{
		"file": func(b *testing.B) playback.Target {
			return playback.ToFile(filepath.Join(b.TempDir(), "events.ndjson"))
		},
		"store":       func(b *testing.B) playback.Target { return playback.ToStore(onDisk(b), "there") },
		"subscribers": func(*testing.B) playback.Target { return nil },
	} {
		b.Run(kind, func(b *testing.B) {
			for range b.N {
				measure(b, store, make(b))
			}
		})
	}
}

// measure plays the store back, against a plain scan of the same events.
func measure(b *testing.B, store *annals.Store, target playback.Target) {
	b.Helper()
	began, n := time.Now(), 0
	for _, err := range store.Log(b.Context(), annals.Query{Until: benchEvents}) {
		if err != nil {
			b.Fatal(err)
		}
		n++
	}
	scan := time.Since(began)
	most, parts := uint64(0), 0
	var before, memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	opts := &playback.Options{Progress: func(*playback.Playback) {
		if parts++; parts%10 == 0 {
			runtime.ReadMemStats(&memory)
			most = max(most, memory.HeapAlloc)
		}
	}}
	began = time.Now()
	run, err := playback.Start(b.Context(), store, playback.Selection{To: benchEvents}, target, opts)
	if err != nil {
		b.Fatal(err)
	}
	p, err := run.Run(b.Context())
	took := time.Since(began)
	if err != nil || p.Count != int64(n) {
		b.Fatalf("%+v, %v", p, err)
	}
	b.ReportMetric(float64(p.Count)/took.Seconds(), "events/s")
	b.ReportMetric(float64(took)/float64(scan), "scans")
	b.ReportMetric(float64(int64(most)-int64(before.HeapAlloc))/(1<<20), "MiB-heap")
}
