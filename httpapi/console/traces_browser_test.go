package console_test

import (
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi/console/consoletest"
	"github.com/eb901187/annals/tracking"
)

func TestBrowserTraces(t *testing.T) {
	f := consoletest.Big(t)
	b := consoletest.Open(t, f.Handler)
	b.Go("traces")
	b.WaitFor(".live-part tbody tr")
	b.Set("form.filter input[name=failing]", "true")
	b.Type("form.filter input[name=service]", "payments")
	b.Press("Enter")
	b.WaitText("caption", "Failing requests that called payments")
	if at := b.Path(); !strings.Contains(at, "service=payments") || !strings.Contains(at, "failing=1") {
		t.Errorf("the address %s can't be shared", at)
	}
	b.WaitFor("tbody tr.bad")
	if rows, bad := b.Count("tbody tr"), b.Count("tbody tr.bad"); rows != bad || rows == 0 {
		t.Errorf("%d of %d requests failed", bad, rows)
	}
	b.Follow(".pages a[rel=next]")
	b.WaitFor(".pages a[href*='failing=1']")
	looked(t, b, "traces")

	const own = "browser-traces-1"
	b.Go("traces?id=" + own)
	b.WaitText(".none", "There are no such requests.")
	event := annals.Event{Type: tracking.RequestType, Source: "Gateway", Correlation: own, Time: time.Now(), Data: []byte(`{"Name":"shop","callId":"1"}`)}
	if _, err := f.Store.Append(t.Context(), "request/"+own, annals.Any, event); err != nil {
		t.Fatal(err)
	}
	b.WaitText(".live-part tbody .pill", "open")
	b.Follow(".live-part tbody th a")
	b.WaitText("h1", "Request "+own)
	b.NoErrors(t)
}

func TestBrowserTrace(t *testing.T) {
	b := consoletest.Open(t, consoletest.Big(t).Handler)
	b.Go("traces/" + consoletest.FailingRequest)
	b.WaitText("main p", "At fault: payments")
	b.WaitText("tbody tr.bad", "failed first")
	if n := b.Count("tbody tr.bad"); n != 1 {
		t.Errorf("%d calls are marked", n)
	}
	if bars := b.Count("svg rect.bar"); bars < 3 || bars != b.Count("tbody tr") {
		t.Errorf("%d bars", bars)
	}
	b.Click("tbody tr.bad summary")
	b.WaitText("tbody tr.bad details[open]", tracking.ResponseType)
	looked(t, b, "trace")
	b.Follow("tbody tr.bad details[open] section a")
	b.WaitText("main", consoletest.FailingRequest)
	b.Go("traces/" + consoletest.FailingRequest)
	b.Follow(".toolbar a.button")
	b.WaitText("h1", "Search")
	b.NoErrors(t)
}

func TestBrowserServiceMap(t *testing.T) {
	b := consoletest.Open(t, consoletest.Big(t).Handler)
	b.Go("services")
	b.WaitFor("svg .edge")
	b.WaitText("table", "payments")
	looked(t, b, "services")
	b.Follow(`td a[href*="service=payments"]`)
	b.WaitText("caption", "Failing requests that called payments")
	b.WaitFor("tbody tr.bad")
	b.NoErrors(t)
}

func TestBrowserOverview(t *testing.T) {
	f := consoletest.Big(t)
	b := consoletest.Open(t, f.Handler)
	b.Go("")
	b.WaitText(".grid", "Head of the log")
	for _, text := range []string{"events/s", "MiB", "behind", "Look at them"} {
		b.WaitText(".grid", text)
	}
	b.WaitText("main", "payments")
	b.WaitFor(".chart canvas")
	head := b.Text(".card .big")
	if _, err := f.Store.Append(t.Context(), "browser-overview-1", annals.Any, annals.Event{Type: "added"}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); b.Text(".card .big") == head; {
		if time.Now().After(deadline) {
			t.Fatal("the head does not move")
		}
	}
	looked(t, b, "overview")
	b.Follow(`.card a[href$="parked"]`)
	b.WaitText("h1", "Parked events")
	b.NoErrors(t)
}
