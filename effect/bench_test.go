package effect_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/embedded"
)

// BenchmarkGateway makes 500 calls a second to a local server, at their times
// whatever the ones before take: by a plain Transport, and through the gateway over a
// store that syncs every append. The two take turns of a second, and with them what
// the gateway can't do without: two appends. It reports milliseconds, and what the
// gateway adds to a call.
//
//	go test -run '^$' -bench Gateway -benchtime 5000x ./effect
func BenchmarkGateway(b *testing.B) {
	store, err := embedded.Open(b.TempDir(), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	o := newOutside(b, func(w http.ResponseWriter, _ *http.Request, _ string, n int) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"charge":%d}`, n)
	})
	g := newGateway(b, store, nil)
	plain, through := &http.Transport{MaxIdleConnsPerHost: 64}, &effect.Transport{}
	body := `{"amount":12,"currency":"EUR","customer":"c-7"}`
	call := func(ctx context.Context, rt http.RoundTripper) error {
		_, _, err := ask(ctx, rt, http.MethodPost, o.URL, body)
		return err
	}
	events := make([]*annals.Event, b.N)
	for i := range events {
		events[i] = place(b, store, fmt.Sprintf("order-%d", i))
	}
	var without, appends, with []time.Duration
	b.ResetTimer()
	for first := 0; first < b.N; first += 500 {
		n := min(500, b.N-first)
		without = append(without, openLoop(b, n, func(int) error { return call(b.Context(), plain) })...)
		appends = append(appends, openLoop(b, n, func(i int) error { return appendTwice(b, store, first+i, body) })...)
		with = append(with, openLoop(b, n, func(i int) error {
			return g.Handle(b.Context(), effect.Handling{Handler: "billing", Event: events[first+i]}, func(ctx context.Context) error { return call(ctx, through) })
		})...)
	}
	slices.Sort(without)
	slices.Sort(appends)
	slices.Sort(with)
	for _, p := range []struct {
		name  string
		share float64
	}{{"p50", .5}, {"p99", .99}} {
		at := int(p.share * float64(b.N-1))
		b.ReportMetric(float64(without[at])/1e6, "ms-plain-"+p.name)
		b.ReportMetric(float64(appends[at])/1e6, "ms-appends-"+p.name)
		b.ReportMetric(float64(with[at]-without[at])/1e6, "ms-added-"+p.name)
	}
	b.ReportMetric(0, "ns/op")
}

func appendTwice(b *testing.B, store *annals.Store, i int, data string) error {
	for v := range int64(2) {
		if _, err := store.Append(b.Context(), fmt.Sprintf("bare-%d", i), v, annals.Event{Type: "x", Data: []byte(data)}); err != nil {
			return err
		}
	}
	return nil
}

// openLoop starts a call every 2 ms and returns how long they took from the time at
// which each was due.
func openLoop(b *testing.B, n int, call func(i int) error) []time.Duration {
	const every = time.Second / 500
	took := make([]time.Duration, n)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var wg sync.WaitGroup
	start := time.Now()
	for i := range n {
		due := start.Add(time.Duration(i) * every)
		for time.Now().Before(due) {
			<-ticker.C
		}
		wg.Go(func() {
			if err := call(i); err != nil {
				b.Error(err)
			}
			took[i] = time.Since(due)
		})
	}
	wg.Wait()
	return took
}
