package console_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"context"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi/console"
	"github.com/eb901187/annals/tracking"
)

var traced = time.Date(2026, 5, 1, 20, 0, 0, 0, time.UTC)

// visitTraced visits a console whose clock shows a minute past traced, and more as it
// is told.
func visitTraced(t *testing.T, change func(*console.Options)) (*visited, *atomic.Int64) {
	later := &atomic.Int64{}
	return visit(t, func(o *console.Options) {
		o.Clock = func() time.Time { return traced.Add(time.Minute + time.Duration(later.Load())) }
		if change != nil {
			change(o)
		}
	}), later
}

// calls appends the two events of a call, from and to in ms past traced.
func (v *visited) calls(id string, from, to int, data string) {
	v.t.Helper()
	event := func(typ string, ms int) annals.Event {
		return annals.Event{Type: typ, Source: "Gateway", Correlation: id, Time: traced.Add(time.Duration(ms) * time.Millisecond), Data: []byte(data)}
	}
	v.append("request/"+id, event(tracking.RequestType, from))
	if to >= 0 {
		v.append("request/"+id, event(tracking.ResponseType, to))
	}
}

// settled waits until the recent requests are read.
func (v *visited) settled() {
	v.t.Helper()
	waitFor(v.t, "the recent requests are read", func() bool {
		_, page := v.open("traces")
		return !strings.Contains(page, "being read") && !strings.Contains(page, "Reading the log")
	})
}

func (v *visited) nested() {
	v.calls("r-1", 0, 90, `{"Name":"shop","callId":"a","method":"POST","path":"/orders","status":502}`)
	v.calls("r-1", 10, 80, `{"Name":"orders","callId":"b","parentId":"a","status":502}`)
	v.calls("r-1", 20, 70, `{"Name":"payments","callId":"c","parentId":"b","status":503,"error":"pool exhausted","errorKind":"other","requestBytes":12,"responseBytes":34}`)
	v.append("order-7", annals.Event{Type: "order-placed", Correlation: "r-1", Time: traced, Data: []byte(`{"total":12}`)})
	v.calls("r-2", 1000, 1005, `{"Name":"shop","callId":"d","method":"GET","path":"/","status":200}`)
	v.calls("r-3", 59_000, -1, `{"Name":"search","callId":"e"}`)
}

func TestTracesAreListed(t *testing.T) {
	v, later := visitTraced(t, nil)
	v.nested()
	v.settled()
	page := v.sees("traces", http.StatusOK, "r-1", "POST /orders", ">502<", "90ms", "shop, orders, payments", `class="pill bad">payments<`, "r-2", "GET /", "r-3", ">open<", "Known since")
	if strings.Index(page, "r-3") > strings.Index(page, "r-1") {
		t.Error("the latest is not the first")
	}
	v.lacks(v.sees("traces?failing=1", http.StatusOK, "r-1", " checked"), "traces/r-2")
	v.lacks(v.sees("traces?service=search", http.StatusOK, "r-3"), "traces/r-1", "traces/r-2")
	v.lacks(v.sees("traces?id=r-2", http.StatusOK, "Open the trace of request r-2"), "traces/r-1", "traces/r-3")
	v.sees("traces?service=search&failing=1", http.StatusOK, "There are no such requests.")
	v.sees("traces?before=x", http.StatusBadRequest, "must be a time")
	later.Store(int64(time.Minute))
	v.sees("traces?service=search&failing=1", http.StatusOK, "r-3", "failed")

	for i := range 70 {
		v.calls(fmt.Sprintf("many-%03d", i), 2000+i, 2001+i, `{"Name":"x"}`)
	}
	waitFor(t, "all are listed", func() bool { _, page := v.open("traces?id=many-"); return strings.Contains(page, "many-069") })
	page = v.sees("traces?id=many-", http.StatusOK, "many-020")
	v.lacks(page, "many-019")
	next := regexp1(t, `href="([^"]*)" rel="next"`, page)
	page = v.sees(next, http.StatusOK, "many-019", "many-000", "Newest")
	v.lacks(page, "traces/many-020", `rel="next"`)
}

func TestOneTraceIsShown(t *testing.T) {
	v, _ := visitTraced(t, nil)
	v.nested()
	page := v.sees("traces/r-1", http.StatusOK, "Request r-1", "At fault:", "payments", "failed first", "pool exhausted", "12 sent, 34 received",
		"order-placed", "annals trace r-1 --store 'my store'", "curl http://127.0.0.1:4000/v1/traces/r-1", "search?correlation=r-1",
		`aria-label="payments: from 20ms to 70ms of 90ms"`, `<rect class="bar bad" x="222" y="1" width="555" height="12"/>`, `<svg width="32" height="1"`)
	if n := strings.Count(page, `bad">failed first`); n != 1 {
		t.Errorf("%d calls failed first", n)
	}
	if bad, after := strings.Count(page, `class="bar bad"`), strings.Count(page, `class="bar consequence"`); bad != 1 || after != 2 {
		t.Errorf("%d bars of causes, %d of consequences", bad, after)
	}
	v.sees("traces/r-3", http.StatusOK, "still open", "No call has failed so far.")
	v.sees("traces/r-2", http.StatusOK, "no service at fault")
	v.sees("traces/none", http.StatusNotFound, "there are no events of request")
	v.sees("traces/", http.StatusNotFound, "there are no events of request")
	v.append("x", annals.Event{Type: "x", Correlation: "a/b//c ?%&\"'"})
	v.sees("traces/a%2Fb%2F%2Fc%20%3F%25&%22%27", http.StatusOK, "No call of this request is recorded.", `annals trace 'a/b//c ?%&"'\'''`)
}

func TestServicesAreMapped(t *testing.T) {
	v, _ := visitTraced(t, nil)
	v.nested()
	v.settled()
	waitFor(t, "all calls count", func() bool { _, page := v.open("services"); return strings.Count(page, "<path ") == 3 })
	page := v.sees("services", http.StatusOK, "payments", "100.00 %", "50.00 %", "Gateway", "traces?failing=1&service=payments", "orders calls payments")
	for _, row := range []string{"<th scope=\"row\">orders</th><td>payments</td>", "<th scope=\"row\">shop</th><td>orders</td>", "<th scope=\"row\">Gateway</th><td>shop</td>"} {
		v.holds(page, row)
	}
}

func TestOverview(t *testing.T) {
	v, later := visitTraced(t, func(o *console.Options) {
		o.Storage = func(context.Context) (int64, error) { return 5 << 20, nil }
	})
	v.nested()
	v.settled()
	v.sees("", http.StatusOK, `<p class="big">10</p>`, "5.0 MiB", "0.17 <small>events/s</small>", "over the last 1m0s", "This server keeps no projections.", "traces?failing=1&service=payments")
	for range 10 {
		v.append("more", annals.Event{Type: "x"})
	}
	later.Store(int64(5 * time.Second))
	v.lacks(v.sees("", http.StatusOK, "2.00 <small>events/s</small>"), "data-series") // one figure is no line
	later.Store(int64(10 * time.Second))
	v.sees("", http.StatusOK, `<p class="big">20</p>`, "1.00 <small>events/s</small>", "over the last 10s", "data-series", "Events appended a second")
}

func TestTracesOfAnEmptyStoreAndOfOneThatFails(t *testing.T) {
	v, _ := visitTraced(t, func(o *console.Options) {
		o.Storage = func(context.Context) (int64, error) { return 0, errors.New("the disk says no") }
	})
	v.settled()
	v.sees("traces", http.StatusOK, "There are no such requests.", "No call is recorded yet.")
	v.sees("services", http.StatusOK, "No service was called within the last hour.")
	v.sees("", http.StatusOK, "The store is empty.", "not known yet", "the disk says no", "No call failed.")
	v.append("x", annals.Event{Type: "x"})
	v.driver.FailReads(away)
	v.sees("traces/x", http.StatusServiceUnavailable, "the disk is away")
	waitFor(t, "the list says so", func() bool {
		_, page := v.open("traces")
		return strings.Contains(page, "the disk is away")
	})
}

func TestTracesShowTextOnly(t *testing.T) {
	v, _ := visitTraced(t, nil)
	const script, image = `<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`
	id := script + image
	texts := func(format string) string {
		return strings.ReplaceAll(format, "X", `<script>alert(1)</script>\"><img src=x onerror=alert(1)>`)
	}
	data := texts(`{"Name":"X","callId":"X1","parentId":"X","method":"X","path":"X","status":500,"error":"X","errorKind":"X"}`)
	for _, typ := range []string{tracking.RequestType, tracking.ResponseType, "other"} {
		v.append("odd", annals.Event{ID: typ, Type: typ, Source: id, Correlation: id, Time: traced, Attributes: map[string]string{"subject": id}, Data: []byte(data)})
	}
	v.settled()
	for _, path := range []string{"", "traces", "traces?id=%3Cscript%3E&service=%22%3E%3Cimg", "services", "traces/" + strings.NewReplacer("<", "%3C", ">", "%3E", `"`, "%22", " ", "%20", "/", "%2F").Replace(id)} {
		_, page := v.open(path)
		if strings.Contains(page, "<script>alert") || strings.Contains(page, "<img") {
			t.Errorf("%s holds markup of events:\n%s", path, page)
		}
	}
	v.holds(v.sees("traces", http.StatusOK), id)
}

// Lists and figures come from memory; one trace reads its own events.
func TestTracesReadWhatTheyShow(t *testing.T) {
	v, _ := visitTraced(t, nil)
	v.nested()
	for n := range 3 {
		events := make([]annals.Event, 900)
		for i := range events {
			events[i] = annals.Event{Type: tracking.RequestType, Correlation: "big", Time: traced, Data: fmt.Appendf(nil, `{"Name":"x","callId":"%d-%d"}`, n, i)}
		}
		v.append("big", events...)
	}
	v.settled()
	for path, most := range map[string]int64{"traces": 0, "traces?failing=1": 0, "services": 0, "": 1, "traces/r-1": 7, "traces/big": 1001} {
		if n := v.reads(path); n > most {
			t.Errorf("%q reads %d events, want %d", path, n, most)
		}
	}
	v.sees("traces/big", http.StatusOK, "more than 1000 events")
}
