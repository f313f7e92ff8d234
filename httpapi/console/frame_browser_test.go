package console_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/httpapi/console"
	"github.com/eb901187/annals/httpapi/console/consoletest"
)

func TestBrowserKeyboard(t *testing.T) {
	b := consoletest.Open(t, consoletest.Big(t).Handler)
	b.Go("streams?prefix=order-")
	b.Press("j", "j", "k", "j")
	if at := consoletest.Eval[int](b, `[...document.querySelectorAll("tbody tr")].findIndex(r => r.contains(document.activeElement))`); at != 1 {
		t.Errorf("j j k j leads to row %d", at)
	}
	b.Press("Enter")
	b.WaitPath("/console/streams/order-00001")
	b.Press("/")
	b.WaitFor("[data-search]:focus")
	b.Press("g", "p") // is typed
	b.Press("Escape", "g", "p")
	b.WaitPath("/console/projections")
	b.Press("?")
	b.WaitText("dialog", "Keyboard")
	b.Axe(t)
	b.Press("g", "s") // a dialog keeps the keys
	b.Press("Escape")
	b.WaitGone("dialog")
	b.Press("Tab")
	if b.Path() != "/console/projections" {
		t.Errorf("a key behind a dialog led to %s", b.Path())
	}
	b.Go("")
	b.Press("Tab", "Enter")
	if !strings.HasSuffix(b.Path(), "#main") {
		t.Errorf("the first stop is not the link to the content: %s", b.Path())
	}
	b.NoErrors(t)
}

func TestBrowserSorting(t *testing.T) {
	b := consoletest.Open(t, consoletest.Big(t).Handler)
	b.Go("streams?prefix=o")
	first := b.Texts("tbody td")[0]
	b.Click("th[data-sort=text] button")
	b.Click("th[data-sort=text] button")
	if last := b.Texts("tbody td")[0]; last <= first {
		t.Errorf("sorted downwards, %s stands first; %s did", last, first)
	}
	if order := consoletest.Eval[string](b, `document.querySelector("th[data-sort=text]").getAttribute("aria-sort")`); order != "descending" {
		t.Errorf("aria-sort is %q", order)
	}
	b.Axe(t)
	b.NoErrors(t)
}

func TestBrowserCopies(t *testing.T) {
	b := consoletest.Open(t, consoletest.Big(t).Handler)
	b.Go("streams")
	consoletest.Eval[any](b, `document.addEventListener("copy", () => { window.copied = document.activeElement.value }), navigator.clipboard.writeText = async (text) => { window.copied = text }`)
	b.Click(".copy")
	b.WaitText(".copy", "Copied")
	if copied := consoletest.Eval[string](b, "window.copied"); !strings.HasPrefix(copied, "annals streams") {
		t.Errorf("copied %q", copied)
	}
	b.WaitText("#said", "Copied")
	b.NoErrors(t)
}

// Live parts come by themselves, stop while they are paused, say when the server is
// gone, and come back with it.
func TestBrowserLiveParts(t *testing.T) {
	f := consoletest.Big(t)
	var gone atomic.Bool
	var lives atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") == "text/event-stream" {
			lives.Add(1)
			if gone.Load() {
				http.Error(w, "gone", http.StatusBadGateway)
				return
			}
		}
		f.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	b := consoletest.OpenAt(t, server.URL)
	b.Go("")
	b.WaitText("[data-live-state]", "live")
	head := func() string { return b.Text(".grid .card .big") }
	append1 := func() {
		if _, err := f.Store.Append(t.Context(), "browser-live", annals.Any, annals.Event{Type: "looked-at"}); err != nil {
			t.Fatal(err)
		}
	}
	before := head()
	append1()
	consoletest.Eval[any](b, `new Promise(done => { const before = "`+before+`", look = () => document.querySelector(".grid .card .big").innerText !== before ? done() : requestAnimationFrame(look); look() })`)

	b.Click("[data-live-pause]")
	b.WaitText("[data-live-state]", "paused")
	b.Go("streams") // the pause lasts as long as the tab
	b.Go("")
	b.WaitText("[data-live-state]", "paused")
	asked := lives.Load()
	append1()
	b.Press("p")
	b.WaitText("[data-live-state]", "live")
	if lives.Load() != asked+1 {
		t.Errorf("%d live parts were asked for while paused", lives.Load()-asked-1)
	}
	b.NoErrors(t)

	gone.Store(true)
	server.CloseClientConnections()
	b.WaitText("[data-live-state]", "connection lost")
	gone.Store(false)
	b.WaitText("[data-live-state]", "live")
}

// The focus stays where it is when a live part changes under it, and what is open
// stays open.
func TestBrowserLivePartsKeepTheFocus(t *testing.T) {
	b := consoletest.Open(t, consoletest.Big(t).Handler)
	b.Go("projections")
	b.WaitText("[data-live-state]", "live")
	consoletest.Eval[any](b, `document.querySelector(".live-part a").focus()`)
	b.Click("th[data-sort=text] button")
	b.Click("th[data-sort=text] button")
	consoletest.Eval[any](b, `document.querySelector(".live-part tbody a").focus()`)
	kept := consoletest.Eval[string](b, `new Promise(done => {
		const part = document.querySelector(".live-part"), old = part.firstElementChild, link = document.activeElement.textContent;
		htmx.trigger(part, "htmx:sseBeforeMessage", {data: part.innerHTML});
		const look = () => part.firstElementChild !== old ? done(link + "/" + document.activeElement.textContent) : requestAnimationFrame(look);
		look();
	})`)
	if was, is, _ := strings.Cut(kept, "/"); was != is || was == "" {
		t.Errorf("the focus was on %q and is on %q", was, is)
	}
	if order := consoletest.Eval[string](b, `document.querySelector("th[data-sort=text]").getAttribute("aria-sort")`); order != "descending" {
		t.Errorf("the order was lost: %q", order)
	}
	b.NoErrors(t)
}

// Without JavaScript a narrow page has its menu, and forms and links work.
func TestBrowserWithoutScript(t *testing.T) {
	f := consoletest.Big(t)
	b := consoletest.Open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".js") {
			w.Header().Set("Content-Type", "text/javascript")
			return
		}
		f.Handler.ServeHTTP(w, r)
	}))
	b.Size(360, 740)
	b.Go("streams")
	b.WaitGone("nav[aria-label=Screens] a")
	b.Click("summary")
	b.Follow("nav[aria-label=Screens] a[href='/console/search']")
	b.WaitText("h1", "Search")
	b.Go(console.Path + "streams?prefix=order-")
	if wide := consoletest.Eval[int](b, `document.documentElement.scrollWidth`); wide > 360 {
		t.Errorf("scrolls sideways without JavaScript: %d", wide)
	}
	b.WaitGone(".copy")
	b.NoErrors(t)
}
