package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/embedded"
)

const (
	callRate    = 500 // a second
	callWorkers = 64
)

// calls makes outside calls at a fixed rate, with and without the gateway between
// them and a server on this machine, in turns with what the gateway can't do without:
// two synced appends, one after the other. The row is about the calls through the
// gateway; its note says what that adds.
func (b *bencher) calls(ctx context.Context) (rows []Row, err error) {
	store, err := embedded.Open(filepath.Join(b.dir, "calls"), nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"charge":"c-4711"}`) // the client sees a cut-off answer
	}))
	defer server.Close()
	gateway, err := effect.New(store, nil)
	if err != nil {
		return nil, err
	}
	bare := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callWorkers}}
	through := &http.Client{Transport: &effect.Transport{Base: &http.Transport{MaxIdleConnsPerHost: callWorkers}}}
	n := int(b.duration(6*time.Second, time.Second).Seconds() * callRate)
	var rates []float64
	var plain, twice, with [2][]float64
	for round := range rounds {
		b.Say(fmt.Sprintf("calls-%d: round %d of %d", callRate, round+1, rounds))
		events, err := callEvents(ctx, store, round, n)
		if err != nil {
			return nil, err
		}
		for _, turn := range []struct {
			into *[2][]float64
			do   func(i int) error
		}{
			{&plain, func(int) error { return charge(ctx, bare, server.URL) }},
			{&twice, func(i int) error { return appendTwice(ctx, store, fmt.Sprintf("twice-%d-%d", round, i)) }},
			{&with, func(i int) error {
				h := effect.Handling{Handler: "billing", Event: &events[i]}
				return gateway.Handle(ctx, h, func(ctx context.Context) error { return charge(ctx, through, server.URL) })
			}},
		} {
			rate, took, err := openLoop(ctx, n, callRate, callWorkers, func(_, i int) error { return turn.do(i) })
			if err != nil {
				return nil, err
			}
			var r Row
			r.latency(took)
			turn.into[0], turn.into[1] = append(turn.into[0], r.P50Us), append(turn.into[1], r.P99Us)
			rates = append(rates, rate)
		}
	}
	added := func(p int) float64 { return (median(with[p]) - median(plain[p])) / 1e3 }
	return []Row{{
		Workload: fmt.Sprintf("calls-%d", callRate), EventsPerSecond: median(rates), P50Us: median(with[0]), P99Us: median(with[1]),
		Note: fmt.Sprintf("outside calls through the gateway, which adds %.2f ms (p50) and %.2f ms (p99); two appends take %.2f and %.2f ms; open loop, fsync on",
			added(0), added(1), median(twice[0])/1e3, median(twice[1])/1e3),
	}}, nil
}

func appendTwice(ctx context.Context, store *annals.Store, stream string) error {
	for version := range int64(2) {
		e := annals.Event{Type: eventType, Source: eventSource, Data: payload}
		if _, err := store.Append(ctx, stream, version, e); err != nil {
			return err
		}
	}
	return nil
}

// callEvents are n events whose handling makes a call each.
func callEvents(ctx context.Context, store *annals.Store, round, n int) ([]annals.Event, error) {
	appends := make([]annals.Append, n)
	for i := range appends {
		e := annals.Event{Type: eventType, Source: eventSource, Data: payload}
		appends[i] = annals.Append{Stream: fmt.Sprintf("order-%d-%d", round, i), Expected: annals.NoStream, Events: []annals.Event{e}}
	}
	commits, err := store.AppendAll(ctx, appends)
	if err != nil {
		return nil, err
	}
	events := make([]annals.Event, 0, n)
	for e, err := range store.Log(ctx, annals.Query{After: commits[0].Position - 1}) {
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

func charge(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/charges", strings.NewReader(`{"amount":12,"currency":"EUR","customer":"c-7"}`))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return errors.Join(err, response.Body.Close())
}
