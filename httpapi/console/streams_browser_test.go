package console_test

import (
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi/console"
	"github.com/eb901187/annals/httpapi/console/consoletest"
)

// looked checks what every screen must pass, and keeps a screenshot.
func looked(t *testing.T, b *consoletest.Browser, name string) {
	t.Helper()
	b.Screenshot(name)
	b.Axe(t)
	b.NoErrors(t)
}

func TestBrowserStreamsScreen(t *testing.T) {
	b := consoletest.Open(t, consoletest.Big(t).Handler)
	b.Go("streams")
	b.WaitText("nav.groups", "order-…")
	b.Follow(`nav.groups a[href$="prefix=order-"]`)
	b.WaitText("caption", "Streams that start with order-")
	b.Follow(`nav.pager a[rel=next]`)
	b.WaitText("caption", "behind order-00099")
	b.Type("form.filter input[name=prefix]", "order-0004")
	b.Press("Enter")
	b.WaitText("caption", "Streams that start with order-0004")
	looked(t, b, "streams")
	b.Follow(`a[href="/console/streams/` + consoletest.OrderStream + `"]`)
	b.WaitText("h1", consoletest.OrderStream)
	b.NoErrors(t)
}

func TestBrowserStreamScreen(t *testing.T) {
	f := consoletest.Big(t)
	b := consoletest.Open(t, f.Handler)
	b.Go("streams/" + consoletest.LongStream)
	b.WaitText("caption", "newest first")
	b.Follow(`a[rel=next]`)
	b.Follow(`a[rel=prev]`)
	b.WaitFor(`a[aria-label="Event 2000"]`)
	b.Click("tbody tr:first-child summary")
	b.WaitFor("tbody tr:first-child details[open] pre")
	looked(t, b, "stream")

	const own = "stream-screen-1"
	add := func() {
		t.Helper()
		if _, err := f.Store.Append(t.Context(), own, annals.Any, annals.Event{Type: "added", Data: []byte(`{}`)}); err != nil {
			t.Fatal(err)
		}
	}
	add()
	b.Go("streams/" + own)
	b.WaitText("p", "Version 1.")
	add()
	b.WaitText(".live-part a.pill", "1 new")
	add()
	b.WaitText(".live-part a.pill", "2 new")
	b.Follow(".live-part a.pill")
	b.WaitFor(`a[aria-label="Event 3"]`)
	b.NoErrors(t)
}

func TestBrowserEventScreen(t *testing.T) {
	b := consoletest.Open(t, consoletest.Big(t).Handler)
	b.Go("event/" + consoletest.OrderStream + "?version=3")
	b.WaitText("section[aria-labelledby=causes]", consoletest.OrderStream+"@1")
	b.WaitText("section[aria-labelledby=effects]", consoletest.OrderStream+"@5")
	looked(t, b, "event")
	b.Follow("a[rel=next]")
	b.WaitText("h1", consoletest.OrderStream+"@4")
	b.Follow(`section[aria-labelledby=causes] tbody tr:last-child a`)
	b.WaitText("h1", consoletest.OrderStream+"@3")
	b.Go(strings.TrimPrefix(hostilePath, console.Path))
	b.WaitText("section[aria-labelledby=data]", consoletest.Script)
	b.NoErrors(t)
	b.Go("streams/" + consoletest.BinaryStream)
	b.NoErrors(t)
}

const hostilePath = console.Path + "event/" + consoletest.HostileStream + "?version=2"

func TestBrowserSearchScreen(t *testing.T) {
	b := consoletest.Open(t, consoletest.Big(t).Handler)
	b.Go("search")
	b.Type("input[name=types]", "order-paid")
	b.Type("main input[name=prefix]", "order-0004")
	b.Type("input[name=limit]", "5")
	b.Follow("form.filter button")
	b.WaitText("tbody", "order-0004")
	if n := b.Count("tbody tr"); n != 5 {
		t.Fatalf("%d rows are shown", n)
	}
	address := b.Path()
	b.Follow("a[rel=next]")
	b.WaitText(".pager", "were looked at")
	looked(t, b, "search")
	b.Go(strings.Replace(address, "since=", "since=yesterday", 1))
	b.WaitText("#error-since", "RFC 3339")
	b.Axe(t)
	b.Forget() // of the answer 400
}

func TestBrowserStateScreen(t *testing.T) {
	b := consoletest.Open(t, consoletest.Big(t).Handler)
	b.Go("state")
	b.Type("main input[name=stream]", consoletest.OrderStream)
	b.Follow("main form button")
	b.WaitText("#state", "Version 5 of 5")
	b.Set("input[type=range]", "2")
	b.WaitText("#state", "Version 2 of 5")
	b.WaitText("#changes + .scroll", "/note")
	looked(t, b, "state")
	if !strings.HasSuffix(b.Path(), "/"+consoletest.OrderStream+"?version=2") {
		t.Fatalf("the address is %s", b.Path())
	}
	b.Follow(`#state a[rel=next]`)
	b.WaitText("#state", "Version 3 of 5")
	b.NoErrors(t)
}
