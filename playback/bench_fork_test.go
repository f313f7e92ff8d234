package playback

import (
	"flag"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
)

// benchEvents is how many events are copied: enough for a heap that grows with them to
// show.
var benchEvents = flag.Int("bench-events", 1_000_000, "events that the benchmark of forks copies")

// BenchmarkFork copies a log from one directory to another, synced, and compares that
// with no more than reading it. events/s, its ratio to the plain scan, and the time of
// processors that an event takes, which other programs on the machine change less, are
// the figures to look at; heap-MiB is the most that the heap held.
func BenchmarkFork(b *testing.B) {
	from := benchStore(b)
	fillForBench(b, from)
	scan := benchScan(b, from)
	for name, mask := range map[string]string{"plain": "", "masked": `.data.email = "x@example.org"`} {
		b.Run(name, func(b *testing.B) {
			var m *Mask
			if mask != "" {
				var err error
				if m, err = ParseMask("mask.jq", []byte(mask)); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				b.StopTimer()
				to := benchStore(b)
				watch, cpu := watchHeap(), cpuTime(b)
				b.StartTimer()
				manifest, err := Fork(b.Context(), from, to, &ForkOptions{Source: "bench", Mask: m})
				b.StopTimer()
				if err != nil || manifest.Events != int64(*benchEvents) {
					b.Fatal(manifest, err)
				}
				b.ReportMetric(watch(), "heap-MiB")
				b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/1e3/float64(*benchEvents), "cpu-µs/event")
				b.StartTimer()
			}
			rate := float64(*benchEvents*b.N) / b.Elapsed().Seconds()
			b.ReportMetric(rate, "events/s")
			b.ReportMetric(rate/scan, "of-scan")
		})
	}
}

func benchStore(b *testing.B) *annals.Store {
	s, err := embedded.Open(b.TempDir(), &embedded.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// fillForBench appends events of some 300 bytes to streams of ten that take turns.
func fillForBench(b *testing.B, s *annals.Store) {
	var batch []annals.Append
	for i := range *benchEvents {
		stream := i/10_000*1000 + i%1000
		batch = append(batch, annals.Append{Stream: fmt.Sprint("order-", stream), Expected: annals.Any, Events: []annals.Event{{
			ID: fmt.Sprintf("%032d", i), Type: fmt.Sprint("type-", i%20), Source: "shop", Correlation: fmt.Sprint("request-", i/5),
			Data: fmt.Appendf(nil, `{"number":%d,"email":"somebody-%d@example.com","note":"%0100d"}`, i, i, i),
		}}})
		if len(batch) < 8192 && i < *benchEvents-1 {
			continue
		}
		if _, err := s.AppendAll(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		batch = batch[:0]
	}
}

// benchScan returns how many events a second a plain read of the log yields.
func benchScan(b *testing.B, s *annals.Store) float64 {
	n, began := 0, time.Now()
	for _, err := range s.Log(b.Context(), annals.Query{}) {
		if err != nil {
			b.Fatal(err)
		}
		n++
	}
	return float64(n) / time.Since(began).Seconds()
}

// cpuTime is what this process has used of all processors.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// watchHeap samples the heap until the function that it returns is called, which gives
// the most of it in MiB.
func watchHeap() func() float64 {
	runtime.GC()
	var most atomic.Uint64
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), m.HeapAlloc))
			select {
			case <-tick.C:
			case <-end:
				return
			}
		}
	}()
	return func() float64 {
		close(end)
		<-ended
		return float64(most.Load()) / (1 << 20)
	}
}
