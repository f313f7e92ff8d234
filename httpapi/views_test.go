package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/storetest"
	"github.com/eb901187/annals/view/pebbleview"
)

// ordersFile keeps a document for each order.
const ordersFile = `name: orders
query: {types: [placed, paid, removed], prefix: order}
fold:
  placed: '{total: ($event.data.total + 0), status: "placed"}'
  paid: '.status = "paid"'
delete: [removed]
`

// A kept server keeps views.
type kept struct {
	live
	set     *projection.Set
	holding atomic.Pointer[chan struct{}] // at which runners wait, if there is one
	file    atomic.Pointer[string]        // the definition that a rebuild reads
}

// hold makes runners wait at their next step, until it is released.
func (k *kept) hold() (release func()) {
	gate := make(chan struct{})
	k.holding.Store(&gate)
	return func() {
		k.holding.Store(nil)
		close(gate)
	}
}

// keep starts a server that keeps the views of orders and of state.
func keep(t *testing.T) *kept { return keepWith(t, Options{}) }

// keepWith serves projections with what else opts says.
func keepWith(t *testing.T, opts Options) *kept {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	epoch := func() time.Time { return storetest.Epoch }
	store, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem(), Logger: quiet, Store: &annals.Options{Clock: epoch}})
	if err != nil {
		t.Fatal(err)
	}
	k := &kept{}
	definition := ordersFile
	k.file.Store(&definition)
	orders, err := projection.Parse("orders.yaml", []byte(ordersFile))
	if err != nil {
		t.Fatal(err)
	}
	views := pebbleview.Memory()
	k.set, err = projection.Open(t.Context(), store, views, []*projection.Projection{orders, projection.State()}, &projection.Options{
		Poll: time.Millisecond, Part: playback.ParsePart,
		Consumer: consumer.Options{
			ID: "runner", Clock: epoch, Poll: time.Millisecond, Logger: quiet, Backoff: func(int) time.Duration { return time.Microsecond },
			At: func(consumer.Step) error {
				if gate := k.holding.Load(); gate != nil {
					<-*gate
				}
				return nil
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- k.set.Run(ctx) }()
	runner := playback.NewRunner(store, &playback.Options{Runner: "server", Clock: epoch}, quiet)
	opts.Logger, opts.Clock, opts.Projections, opts.Playbacks = quiet, epoch, k.set, runner
	opts.Reload = func(name string) (*projection.Projection, error) {
		if name != "orders" {
			return nil, nil
		}
		return projection.Parse("orders.yaml", []byte(*k.file.Load()))
	}
	handler := New(store, &opts)
	k.live = live{httptest.NewServer(handler), store}
	t.Cleanup(func() {
		k.Server.Close()
		runner.Close()
		if gate := k.holding.Load(); gate != nil {
			close(*gate)
		}
		stop()
		<-ended
		for _, c := range []io.Closer{views, store} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return k
}

// append appends an event and returns its position.
func (k *kept) append(t *testing.T, stream, typ, data string) string {
	t.Helper()
	c, err := k.store.Append(t.Context(), stream, annals.Any, annals.Event{Type: typ, Data: []byte(data)})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(c.Position)
}

// want sends a request and checks status and answer, of which %s are left out.
func (k *kept) want(t *testing.T, request string, status int, parts ...string) string {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	path, body, _ := strings.Cut(path, " ")
	got, _, text := k.do(t, method, path, body)
	if got != status {
		t.Fatalf("%s: %d %s, want %d", request, got, text, status)
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Fatalf("%s: %s, want %s", request, text, part)
		}
	}
	return text
}

func TestReadYourOwnWrites(t *testing.T) {
	k := keep(t)
	for n := range 50 {
		position := k.append(t, "order-7", "placed", fmt.Sprintf(`{"total":%d}`, n))
		status, h, text := k.do(t, "GET", "/v1/views/orders/order-7?wait="+position, "")
		if want := fmt.Sprintf(`{"status":"placed","total":%d}`, n); status != 200 || text != want {
			t.Fatalf("%d %s, want %s", status, text, want)
		}
		tag := h.Get("ETag")
		if of, err := DocumentPosition(tag); err != nil || fmt.Sprint(of) != position {
			t.Fatalf("ETag %s of position %s, %v", tag, position, err)
		}
		if h.Get(PositionHeader) != position || h.Get(GenerationHeader) != "1" || h.Get("Content-Type") != mediaJSON {
			t.Fatalf("headers %v", h)
		}
		if status, _, text := k.do(t, "GET", "/v1/views/orders/order-7", "", "If-None-Match: "+tag); status != 304 || text != "" {
			t.Fatalf("%d %s", status, text)
		}
	}
}

func TestWaitingForAPositionEnds(t *testing.T) {
	k := keep(t)
	k.append(t, "order-7", "placed", `{"total":1}`)
	k.want(t, "GET /v1/views/orders/order-7?wait=9&waitSeconds=1", 408, `"code":"timeout"`, `"retryable":true`, "position 1 and did not reach 9")
	k.want(t, "GET /v1/views/orders?wait=9&waitSeconds=1", 408, `"code":"timeout"`)
}

func TestDocumentsInPages(t *testing.T) {
	k := keep(t)
	// Any text may be a key: here those of a projection by a field of the data.
	const named = `name: named
key: .data.name
fold: {T: '{n: $event.data.n}'}
`
	p, err := projection.Parse("named.yaml", []byte(named))
	if err != nil {
		t.Fatal(err)
	}
	if err := k.set.Define(p); err != nil {
		t.Fatal(err)
	}
	k.want(t, "POST /v1/projections/named/rebuild", 200)
	names := []string{" space", "%2F", "a", "a&b=c", "a/b", "a/b/../c", "a?b#c", "ä", "日本語", "😀"}
	position := ""
	for n, name := range names {
		data, err := json.Marshal(map[string]any{"name": name, "n": n})
		if err != nil {
			t.Fatal(err)
		}
		position = k.append(t, "s", "T", string(data))
	}
	got, next, pages := []string{}, "", 0
	for pages == 0 || next != "" {
		text := k.want(t, "GET /v1/views/named?limit=3&wait="+position+"&after="+escaped(next), 200)
		var page Documents
		if err := json.Unmarshal([]byte(text), &page); err != nil || page.Generation != 1 || fmt.Sprint(page.Position) != position || len(page.Documents) > 3 {
			t.Fatalf("%s, %v", text, err)
		}
		for _, doc := range page.Documents {
			got = append(got, doc.Key)
			one := k.want(t, "GET /v1/views/named/"+escaped(doc.Key), 200)
			if one != string(doc.Document) {
				t.Errorf("%q is %s, and %s in the page", doc.Key, one, doc.Document)
			}
		}
		next = page.Next
		pages++
	}
	if strings.Join(got, "\n") != strings.Join(names, "\n") || pages != 4 {
		t.Fatalf("%d pages of %q", pages, got)
	}
	k.want(t, "GET /v1/views/named?prefix=a/", 200, `"key":"a/b",`, `"key":"a/b/../c"`)
	if text := k.want(t, "GET /v1/views/named?prefix=a/&after=a/b", 200); strings.Contains(text, `"key":"a/b",`) || strings.Contains(text, "next") {
		t.Fatal(text)
	}
	k.want(t, "GET /v1/views/named/a/b", 200, `{"n":4}`) // slashes as they are
	k.want(t, "GET /v1/views/named/none", 404, `no document \"none\"`)
}

// escaped is s as a part of a path or a parameter, every byte of it.
func escaped(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// A page ends where it would grow large, and goes on there.
func TestLargeDocumentsMakeSmallPages(t *testing.T) {
	k := keep(t)
	position := ""
	for n := range 40 {
		position = k.append(t, fmt.Sprintf("order-%02d", n), "x", `{"text":"`+strings.Repeat("x", 200<<10)+`"}`)
	}
	n, after, pages := 0, "", 0
	for pages == 0 || after != "" {
		var page Documents
		text := k.want(t, "GET /v1/views/state?limit=1000&wait="+position+"&after="+after, 200)
		if err := json.Unmarshal([]byte(text), &page); err != nil || len(text) > pageBytes+1<<20 {
			t.Fatalf("%d bytes, %v", len(text), err)
		}
		n, after = n+len(page.Documents), page.Next
		pages++
	}
	if n != 40 || pages != 2 {
		t.Fatalf("%d documents in %d pages", n, pages)
	}
}

func TestState(t *testing.T) {
	k := keep(t)
	at := func(minute int) string {
		return storetest.Epoch.Add(time.Duration(minute) * time.Minute).Format(time.RFC3339)
	}
	for n, data := range []string{`{"a":1,"b":{"c":1}}`, `{"a":null,"b":{"d":2}}`, `{"a":3}`} {
		_, err := k.store.Append(t.Context(), "order/7", annals.Any, annals.Event{
			Type: "placed", Data: []byte(data), Time: storetest.Epoch.Add(time.Duration(n) * time.Minute),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	k.append(t, "order/8", "removed", `{}`)
	k.append(t, "texts", "T", `"x"`)
	for query, want := range map[string]string{
		"":                              `{"stream":"order/7","version":"3","time":"` + at(2) + `","position":"3","state":{"a":3,"b":{"c":1,"d":2}}}`,
		"?atVersion=1":                  `"version":"1","time":"` + at(0) + `","position":"1","state":{"a":1,"b":{"c":1}}}`,
		"?atVersion=2":                  `"state":{"b":{"c":1,"d":2}}}`,
		"?atTime=" + at(1):              `"version":"2",`,
		"?atTime=" + at(100):            `"version":"3",`,
		"?projection=orders":            `"state":{"status":"placed","total":0}}`,
		"?projection=state&atVersion=1": `"state":{"a":1,"b":{"c":1}}}`,
		"?atTime=2020-05-01T22%3A00%3A30%2B02:00": `"version":"1",`,
	} {
		k.want(t, "GET /v1/streams/order/7/state"+query, 200, want)
	}
	for request, want := range map[string]string{
		"order/7/state?atVersion=9":                 "at version 3 and has no version 9",
		"order/7/state?atTime=2000-01-01T00:00:00Z": "no event by then: its first one is of 2020-05-01T20:00:00Z",
		"order/9/state":                             "there is no stream order/9",
		"order/8/state?projection=orders":           "has no state at version 1",
		"texts/state":                               "has no state at version 1",
		"order/7/state?projection=none":             "no definition of a projection none",
		"order/9/state?atTime=2000-01-01T00:00:00Z": "there is no stream order/9",
		"order/9/state?atVersion=1":                 "there is no stream order/9",
	} {
		k.want(t, "GET /v1/streams/"+request, 404, want, `"hint":`)
	}
	k.want(t, "GET /v1/streams/order/7/state?atVersion=1&atTime="+at(0), 400, "atTime")
	status, h, text := k.do(t, "GET", "/v1/streams/order%2F7/state", "")
	if status != 200 || h.Get("ETag") != `"3"` {
		t.Fatalf("%d %s, ETag %s", status, text, h.Get("ETag"))
	}
	if status, _, text := k.do(t, "GET", "/v1/streams/order%2F7/state", "", `If-None-Match: "3"`); status != 304 || text != "" {
		t.Fatalf("%d %s", status, text)
	}
}
