package console_test

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/httpapi/console"
	"github.com/eb901187/annals/storetest"
)

// A listingDriver may keep no list of its streams.
type listingDriver struct {
	storetest.Counted
	unlisted bool
}

func (w *listingDriver) Streams(ctx context.Context, q annals.StreamsQuery) iter.Seq2[annals.StreamInfo, error] {
	if w.unlisted {
		return func(yield func(annals.StreamInfo, error) bool) { yield(annals.StreamInfo{}, annals.ErrNotFound) }
	}
	return w.Counted.Streams(ctx, q)
}

// A browsed console is what the tests of pages look at.
type browsed struct {
	t       *testing.T
	driver  *listingDriver
	store   *annals.Store
	handler http.Handler
}

func browse(t *testing.T) *browsed {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	d, err := embedded.OpenDriver("store", &embedded.Options{FS: vfs.NewMem(), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	b := &browsed{t: t, driver: &listingDriver{Counted: storetest.Counted{Driver: d}}}
	b.store = annals.New(b.driver, &annals.Options{Clock: func() time.Time { return storetest.Epoch }})
	b.handler = console.New(b.store, &console.Options{Logger: quiet, StoreName: "http://127.0.0.1:4000", APIAddress: "http://127.0.0.1:4000"})
	t.Cleanup(func() {
		if err := b.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *browsed) append(stream string, events ...annals.Event) {
	b.t.Helper()
	if _, err := b.store.Append(b.t.Context(), stream, annals.Any, events...); err != nil {
		b.t.Fatal(err)
	}
}

// many appends n events to a stream.
func (b *browsed) many(stream string, n int) {
	b.t.Helper()
	for from := 0; from < n; from += annals.MaxCommitEvents {
		events := make([]annals.Event, min(annals.MaxCommitEvents, n-from))
		for i := range events {
			events[i] = annals.Event{Type: "counted", Data: fmt.Appendf(nil, `{"n":%d}`, from+i+1), Time: storetest.Epoch.Add(time.Duration(from+i) * time.Second)}
		}
		b.append(stream, events...)
	}
}

// get returns a page and how many events and streams were read for it.
func (b *browsed) get(path string, status int) (text string, read int) {
	b.t.Helper()
	before := b.driver.Read()
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	body, _ := io.ReadAll(w.Body)
	if w.Code != status {
		b.t.Fatalf("%s answered %d, want %d: %s", path, w.Code, status, body)
	}
	return string(body), int(b.driver.Read() - before)
}

// want wants a page to hold texts, as HTML shows them.
func (b *browsed) want(path string, texts ...string) {
	b.t.Helper()
	page, _ := b.get(path, http.StatusOK)
	for _, text := range texts {
		if !strings.Contains(page, html.EscapeString(text)) && !strings.Contains(page, text) {
			b.t.Errorf("%s does not hold %q:\n%s", path, text, page)
		}
	}
}

func (b *browsed) wantNot(path string, texts ...string) {
	b.t.Helper()
	page, _ := b.get(path, http.StatusOK)
	for _, text := range texts {
		if strings.Contains(page, text) {
			b.t.Errorf("%s holds %q:\n%s", path, text, page)
		}
	}
}

func TestStreamsAreListedByPrefixAndInPages(t *testing.T) {
	b := browse(t)
	b.want("/console/streams", "There are no such streams.")
	for i := range 130 {
		b.append(fmt.Sprintf("order-%03d", i), storetest.Event("", "T", `{}`))
	}
	b.append("account/a/1", storetest.Event("", "T", `{}`), storetest.Event("", "T", `{}`))
	b.append("annals.effects/x", storetest.Event("", "T", `{}`))
	page, read := b.get("/console/streams", http.StatusOK)
	if read > 101+2+20 || !strings.Contains(page, "order-098<") || strings.Contains(page, "order-099<") || strings.Contains(page, "annals.effects") {
		t.Fatalf("%d were read for\n%s", read, page)
	}
	b.want("/console/streams", `href="/console/streams?prefix=account%2F"`, `href="/console/streams?prefix=order-"`, `href="/console/streams?after=order-098"`, "annals streams --store http://127.0.0.1:4000")
	b.want("/console/streams?after=order-098", "order-129<", "First page")
	b.want("/console/streams?prefix=account/", "account/a/…", "account/a/1")
	b.want("/console/streams?prefix=annals.", "annals.effects/x")
	b.want("/console/streams?prefix=order-12", `<b>order-12</b>`, "order-129", `href="/console/streams/order-120"`)
	if page, _ := b.get("/console/streams?prefix=a+b", http.StatusBadRequest); !strings.Contains(page, "prefix") {
		t.Fatal(page)
	}
}

// A store without a list shows the streams of its newest events.
func TestStreamsOfAStoreThatKeepsNoList(t *testing.T) {
	b := browse(t)
	b.driver.unlisted = true
	b.append("old", storetest.Event("", "T", `{}`))
	b.many("counter", 1000)
	b.append("annals.effects/x", storetest.Event("", "T", `{}`))
	b.want("/console/streams", "keeps no list", "counter", "1000 newest events")
	b.wantNot("/console/streams", `/streams/old"`, "annals.effects")
	if _, read := b.get("/console/streams?prefix=counter", http.StatusOK); read > 1000 {
		t.Fatalf("%d events were read", read)
	}
}

func TestStreamIsPagedByVersion(t *testing.T) {
	b := browse(t)
	b.many("counter", 120)
	page, read := b.get("/console/streams/counter", http.StatusOK)
	if read > 51 || !strings.Contains(page, `aria-label="Event 120"`) || !strings.Contains(page, `aria-label="Event 71"`) || strings.Contains(page, `aria-label="Event 70"`) {
		t.Fatalf("%d events were read for\n%s", read, page)
	}
	b.want("/console/streams/counter", `href="/console/streams/counter?at=70"`, `href="/console/event/counter?version=71"`, "annals read counter --store")
	b.want("/console/streams/counter?at=70", `href="/console/streams/counter?at=20"`, `href="/console/streams/counter?at=120"`, `"Event 21"`)
	b.wantNot("/console/streams/counter?at=20", ">Older<")
	b.want("/console/streams/counter?order=oldest", `"Event 1"`, `"Event 50"`, `href="/console/streams/counter?at=51&amp;order=oldest"`)
	b.want("/console/streams/counter?order=oldest&at=101", `"Event 120"`, `href="/console/streams/counter?at=51&amp;order=oldest"`)
	for path, status := range map[string]int{
		"streams/none": 404, "streams/counter?at=x": 400, "streams/counter?at=-1": 400, "streams/a%20b": 400, "streams/%3Cscript%3E": 400, "streams/caf%C3%A9": 400, "streams/": 400,
		"event/counter?version=121": 404, "event/none?version=1": 404, "event/counter": 400, "event/counter?version=0": 400, "event/50%25?version=1": 400,
	} {
		b.get("/console/"+path, status)
	}
}

// The live part counts what came since the page, at the cost of one event.
func TestStreamSaysHowManyEventsAreNew(t *testing.T) {
	b := browse(t)
	b.many("a/b:c@1+x=~$", 3)
	page, _ := b.get("/console/streams/a/b:c@1+x=~$", http.StatusOK)
	connect := `sse-connect="/console/streams/a/b:c@1&#43;x=~$?seen=3"`
	if !strings.Contains(page, connect) {
		t.Fatalf("no %s in\n%s", connect, page)
	}
	b.many("a/b:c@1+x=~$", 2)
	server := httptest.NewServer(b.handler)
	defer server.Close()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/console/streams/a/b:c@1+x=~$?seen=3", nil)
	r.Header.Set("Accept", "text/event-stream")
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	first := make([]byte, 4096)
	n, err := answer.Body.Read(first)
	if err != nil && !errors.Is(err, io.EOF) || !strings.Contains(string(first[:n]), "2 new") {
		t.Fatalf("read %q, %v", first[:n], err)
	}
}

func TestEventShowsCausesAndEffects(t *testing.T) {
	b := browse(t)
	event := func(typ, causation, correlation string) annals.Event {
		return annals.Event{Type: typ, Causation: causation, Correlation: correlation, Data: []byte(`{}`)}
	}
	b.append("order-1", event("ordered", "", "r-1"))
	b.append("payment-1", event("paid", "order-1@1", "r-1"))
	b.append("parcel-1", event("packed", "payment-1@1", "r-1"), event("sent", "parcel-1@1", "r-1"))
	b.append("other", event("other", "none-1@7", ""))
	page, read := b.get("/console/event/payment-1?version=1", http.StatusOK)
	for _, text := range []string{"order-1@1", "parcel-1@1", "parcel-1@2", "follow it in the log: 2.", `href="/console/traces/r-1"`, `href="/console/reversal?stream=payment-1&amp;version=1"`, `href="/console/state/payment-1?version=1"`} {
		if !strings.Contains(page, text) {
			t.Errorf("no %q in\n%s", text, page)
		}
	}
	if read > 4 {
		t.Errorf("%d events were read", read)
	}
	b.want("/console/event/parcel-1?version=2", "order-1@1", `<td class="num">3</td>`, "No event of the request names it", `href="/console/event/parcel-1?version=1">Previous event`)
	b.want("/console/event/other?version=1", "none-1@7, which this store does not hold", "belongs to no request")
	b.many("chain", 1)
	for i := range 40 {
		b.append("chain", event("next", fmt.Sprintf("chain@%d", i+1), "r-2"))
	}
	b.want("/console/event/chain?version=41", "further causes above")
	if _, read := b.get("/console/event/chain?version=41", http.StatusOK); read > 40 {
		t.Errorf("%d events were read", read)
	}
}

func TestEventDataIsShownAsWhatItIs(t *testing.T) {
	b := browse(t)
	big := `"` + strings.Repeat("é", 300_000) + `"`
	b.append("data",
		annals.Event{Type: "json", Data: []byte(`{"a":[1,2.50],"b":12345678901234567890}`)},
		annals.Event{Type: "text", ContentType: "text/plain", Data: []byte("two\nlines")},
		annals.Event{Type: "binary", ContentType: "image/png", Data: []byte("\x00\x01\xffPNG")},
		annals.Event{Type: "none"}, annals.Event{Type: "big", Data: []byte(big)},
		annals.Event{Type: "erased", ContentType: annals.ErasedContentType, Attributes: map[string]string{annals.SubjectAttribute: "p-1"}},
	)
	b.want("/console/event/data?version=1", "2.50", "12345678901234567890")
	b.want("/console/event/data?version=2", "two\nlines")
	b.want("/console/event/data?version=3", "00 01 ff 50 4e 47", "6 bytes of binary data")
	b.want("/console/event/data?version=4", "carries no data")
	b.want("/console/event/data?version=6", "The data is erased, of p-1.")
	b.want("/console/streams/data", "erased, of p-1")
	page, _ := b.get("/console/event/data?version=5", http.StatusOK)
	if !strings.Contains(page, "The beginning of 600002 bytes") || len(page) > 300<<10 {
		t.Fatalf("a page of %d bytes", len(page))
	}
	if page, _ = b.get("/console/streams/data", http.StatusOK); len(page) > 64<<10 || !strings.Contains(page, "The whole event") {
		t.Fatalf("a page of %d bytes", len(page))
	}
}

// evil is what every field that may hold it holds.
const evil = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>{{.}}`

func (b *browsed) appendEvil() {
	b.t.Helper()
	data := []byte(strings.NewReplacer(`"`, `\"`).Replace(evil))
	for i := range 2 {
		b.append("evil/1", annals.Event{
			ID: fmt.Sprint(evil, i), Type: "evil", Source: evil, Correlation: evil, Causation: "evil/1@1", Attributes: map[string]string{"subject": evil},
			Data: fmt.Appendf(nil, `{"%s":"%s %d","<b>":{"</pre>":null}}`, data, data, i),
		})
		b.append("evil/2", annals.Event{Type: "evil", Source: evil, Correlation: evil, Causation: "evil/1@1", ContentType: "text/html", Data: []byte(evil)})
	}
}

func TestMarkupInEventsIsShownAsText(t *testing.T) {
	b := browse(t)
	b.appendEvil()
	for _, path := range []string{
		"streams", "streams/evil/1", "streams/evil/2", "event/evil/1?version=2", "event/evil/2?version=1", "search", "search?sources=" + url.QueryEscape(evil),
		"search?correlation=" + url.QueryEscape(evil), "search?at=" + url.QueryEscape(evil), "state/evil/1", "state/evil/1?version=1", "state?stream=evil/1",
	} {
		w := httptest.NewRecorder()
		b.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/console/"+path, nil))
		text := w.Body.String()
		if strings.Contains(text, "<script>alert") || strings.Contains(text, "<img src=x") || strings.Contains(text, "<b>\"") || w.Code >= 500 {
			t.Errorf("%s answered %d:\n%s", path, w.Code, text)
		}
		if strings.Contains(path, "evil") && !strings.Contains(text, "alert(1)") {
			t.Errorf("%s does not show the text", path)
		}
	}
	b.want("/console/event/evil/1?version=1", `href="/console/traces/`+url.PathEscape(evil))
}

func TestPagesOfAStoreThatFails(t *testing.T) {
	b := browse(t)
	b.many("counter", 3)
	b.driver.FailReads(annals.ErrUnavailable)
	for _, path := range []string{"streams", "streams/counter", "event/counter?version=1", "search", "state/counter"} {
		if text, _ := b.get("/console/"+path, http.StatusServiceUnavailable); !strings.Contains(text, "unavailable") {
			t.Errorf("%s says\n%s", path, text)
		}
	}
}
