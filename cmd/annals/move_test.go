package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/storetest"
)

// mixedEvents is how many events move.
const mixedEvents = 300

// mixedCause is the stream whose first event others name as their cause.
const mixedCause = "shop/a-1"

// mixedStart is the time of the first of them.
var mixedStart = time.Date(2020, 5, 1, 20, 0, 0, 123456789, time.UTC)

// fillMixed makes a store of events of every kind in dir.
func fillMixed(t *testing.T, dir string) {
	t.Helper()
	store, err := embedded.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	for n := 0; n < mixedEvents; {
		events := make([]annals.Event, min(1+random.IntN(4), mixedEvents-n))
		for i := range events {
			events[i] = mixedEvent(n+i, random)
		}
		stream := mixedCause // the first, as causes come before their effects
		if n > 0 {
			stream = fmt.Sprintf("shop/%c-%d", 'a'+rune(random.IntN(3)), random.IntN(7))
		}
		n += len(events)
		if _, err := store.Append(t.Context(), stream, annals.Any, events...); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

func mixedEvent(n int, random *rand.Rand) annals.Event {
	e := annals.Event{
		ID: fmt.Sprintf("id %d ü", n), Type: fmt.Sprintf("type-%d", random.IntN(5)), Source: fmt.Sprintf("/source/%d", random.IntN(3)),
		Time: mixedStart.Add(time.Duration(n-random.IntN(40)) * time.Second).In(time.FixedZone("", 2*3600)),
	}
	switch random.IntN(4) {
	case 0:
		e.Correlation = fmt.Sprintf("r-%d", random.IntN(9))
	case 1:
		e.Causation = mixedCause + "@1"
	case 2:
		e.Attributes = map[string]string{"subject": "a \"b\" ü", "traceparent": fmt.Sprint(n)}
	}
	binary := make([]byte, random.IntN(2000))
	for i := range binary {
		binary[i] = byte(random.Uint32())
	}
	switch random.IntN(6) {
	case 0: // no data
	case 1:
		e.Data = []byte(" {\r\n\t\"a\" : [1e2 , 1.0] }\n")
	case 2:
		e.ContentType, e.Data = "application/octet-stream", binary
	case 3:
		e.ContentType, e.Data = "text/plain; charset=utf-8", []byte("\"line\r\nline \u2028 \x00")
	case 4:
		e.ContentType, e.Data = "application/vnd.shop+json", []byte(`"\u00fc\/ü <>&"`)
	default:
		e.Data = fmt.Appendf(nil, `{"n":%d,"text":%q}`, n, fmt.Sprint(binary))
	}
	return e
}

// move exports one store and imports it into another.
func move(t *testing.T, from, to string) {
	t.Helper()
	export := typed(t.Context(), "", "log", "--json", "--exact", "--store", from)
	if export.exit != 0 {
		t.Fatalf("%+v", export)
	}
	got := typed(t.Context(), export.out, "ingest", "--ordered", "-", "--store", to)
	if want := fmt.Sprintf("%d stored, 0 stored before, 0 refused", mixedEvents); got.exit != 0 || got.out[:min(len(want), len(got.out))] != want {
		t.Fatalf("%+v", got)
	}
}

// opened opens a store for a test.
func opened(t *testing.T, open func() (*annals.Store, error)) *annals.Store {
	t.Helper()
	store, err := open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

func TestMoveBetweenStores(t *testing.T) {
	first, tables, second := filepath.Join(t.TempDir(), "first"), initialized(t), filepath.Join(t.TempDir(), "second")
	fillMixed(t, first)
	begin(t, "sequencing", "sequence", "--poll", "2ms", "--store", tables)
	move(t, first, tables)
	address, err := dynamo.ParseAddress(tables)
	if err != nil {
		t.Fatal(err)
	}
	there := opened(t, func() (*annals.Store, error) { return dynamo.Open(t.Context(), address, nil) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if end, err := there.WaitPast(ctx, mixedEvents-1); err != nil || end != mixedEvents {
		t.Fatalf("position %d, %v", end, err)
	}
	move(t, tables, second)
	here := opened(t, func() (*annals.Store, error) { return embedded.Open(first, nil) })
	back := opened(t, func() (*annals.Store, error) { return embedded.Open(second, nil) })
	for name, store := range map[string]*annals.Store{"in DynamoDB": there, "back again": back} {
		t.Run(name, func(t *testing.T) {
			wantSameStreams(t, here, store)
			for q, query := range mixedQueries() {
				want, got := storetest.Collect(t, here.Log(t.Context(), query)), storetest.Collect(t, store.Log(t.Context(), query))
				if len(want) == 0 || !reflect.DeepEqual(got, want) {
					t.Errorf("%s: %d events, want these %d: %+v", q, len(got), len(want), want)
				}
			}
		})
	}
}

// wantSameStreams compares every stream, but for the positions that DynamoDB
// does not tell with streams.
func wantSameStreams(t *testing.T, a, b *annals.Store) {
	t.Helper()
	streams := map[string]bool{}
	for _, e := range storetest.Collect(t, a.Log(t.Context(), annals.Query{})) {
		streams[e.Stream] = true
	}
	if len(streams) < 15 {
		t.Fatalf("only %d streams", len(streams))
	}
	for name := range streams {
		want, got := storetest.Collect(t, a.Stream(t.Context(), name, nil)), storetest.Collect(t, b.Stream(t.Context(), name, nil))
		for i := range want {
			want[i].Position = 0
		}
		for i := range got {
			got[i].Position = 0
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("stream %s: %+v, want %+v", name, got, want)
		}
	}
}

// mixedQueries are queries that each find some of the mixed events.
func mixedQueries() map[string]annals.Query {
	since, before := mixedStart.Add(50*time.Second), mixedStart.Add(time.Minute+100*time.Second)
	return map[string]annals.Query{
		"all":              {},
		"backward":         {Backward: true},
		"a type":           {Types: []string{"type-1"}},
		"types":            {Types: []string{"type-1", "type-4"}, Backward: true},
		"a source":         {Sources: []string{"/source/2"}},
		"a correlation":    {Correlation: "r-3"},
		"a prefix":         {Prefix: "shop/b"},
		"a time":           {Since: since, Before: before},
		"since":            {Since: since, Backward: true, Limit: 9},
		"positions":        {After: 20, Until: 31},
		"a limit":          {Limit: 10},
		"the last":         {Backward: true, Limit: 7},
		"all at once":      {Types: []string{"type-0", "type-2"}, Sources: []string{"/source/0", "/source/1"}, Prefix: "shop/", Since: since, Before: before, After: 10, Limit: 5},
		"a type, backward": {Types: []string{"type-3"}, Until: 200, Backward: true, Limit: 3},
	}
}
