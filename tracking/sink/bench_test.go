package sink

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/tracking"
)

// Events a second, delivered 500 at once as a recorder does.
func BenchmarkDeliver(b *testing.B) {
	store := open(b)
	direct := ToStore(store)
	served := serving(b, httpapi.New(store, &httpapi.Options{Logger: slog.New(slog.DiscardHandler)}), nil)
	round := 0
	for _, bench := range []struct {
		name string
		to   tracking.Sink
	}{{"store", direct}, {"server", served}} {
		b.Run(bench.name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				round++
				events := exchanges(250)
				for i := range events {
					events[i].Stream += fmt.Sprint("-", round)
				}
				if err := bench.to.Deliver(b.Context(), events); err != nil {
					b.Fatal(err)
				}
				n += len(events)
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
