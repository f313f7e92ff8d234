package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
)

// The seed's article keeps aggregates, and for each command appends a change set of
// one or more events to one. Its service loads the aggregate first.
const (
	aggregates    = 10_000
	aggregateSize = 10 // events at the start
	changeSet     = 3  // events at most; one, two and three in turn
)

func aggregateName(i int) string { return "aggregate-" + strconv.Itoa(i) }

// prepare makes a store of aggregates with aggregateSize events each.
func prepare(ctx context.Context, dir string, n int) (err error) {
	store, err := embedded.Open(dir, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	const together = 100
	for first := 0; first < n; first += together {
		var appends []annals.Append
		for i := first; i < min(first+together, n); i++ {
			a := annals.Append{Stream: aggregateName(i)}
			for range aggregateSize {
				a.Events = append(a.Events, annals.Event{Type: eventType, Source: eventSource, Data: payload})
			}
			appends = append(appends, a)
		}
		if _, err := store.AppendAll(ctx, appends); err != nil {
			return err
		}
	}
	return nil
}

// A seedMix is the requests of the article: one loads an aggregate, the next appends
// a change set to one, at the exact version. No aggregate has two appends under way,
// so that a conflict is the server's fault.
type seedMix struct {
	versions []atomic.Int64
	free     chan int // aggregates without an append
	run      string   // marks the ids of this run
}

func newSeedMix(run string, n int) *seedMix {
	m := &seedMix{versions: make([]atomic.Int64, n), free: make(chan int, n), run: run}
	for i := range n {
		m.versions[i].Store(aggregateSize)
		m.free <- i
	}
	return m
}

func (m *seedMix) do(ctx context.Context, w *wire, a arrival) outcome {
	if a.i%2 == 0 {
		return m.load(ctx, w)
	}
	return m.append(ctx, w, a.i)
}

// load reads an aggregate whole. An answer that is older than what was acknowledged
// before it was asked for is none.
func (m *seedMix) load(ctx context.Context, w *wire) outcome {
	i := rand.IntN(len(m.versions))
	least := m.versions[i].Load()
	o, answer := w.ask(ctx, "load", w.request("GET", "/v1/streams/"+aggregateName(i)+"/events", "", nil))
	if o.ok() {
		if version, err := strconv.ParseInt(strings.Trim(answer.Header.Get("ETag"), `"`), 10, 64); err != nil || version < least {
			o.code = "stale"
		}
	}
	return o
}

// append adds a change set. After an unknown outcome the aggregate is left alone,
// since its version is unknown too.
func (m *seedMix) append(ctx context.Context, w *wire, n int) outcome {
	i := <-m.free
	version := m.versions[i].Load()
	events := 1 + n%changeSet
	body := []byte{'['}
	for e := range events {
		if e > 0 {
			body = append(body, ',')
		}
		body = appendEvent(body, fmt.Sprintf("%s-%d-%d", m.run, n, e))
	}
	o, _ := w.ask(ctx, "append", w.request("POST", "/v1/streams/"+aggregateName(i)+"/events", fmt.Sprintf("If-Match: \"%d\"\r\n", version), append(body, ']')))
	switch o.told() {
	case acknowledged:
		m.versions[i].Store(version + int64(events))
		m.free <- i
	case refused:
		m.free <- i
	}
	return o
}

// appendEvent adds one event of 300 bytes of data to b, as JSON.
func appendEvent(b []byte, id string) []byte {
	b = fmt.Appendf(b, `{"id":"%s","type":"%s","source":"%s","data":`, id, eventType, eventSource)
	return append(append(b, payload...), '}')
}
