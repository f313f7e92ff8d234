package console_test

import (
	"flag"
	"fmt"
	"html"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/httpapi/console"
	"github.com/eb901187/annals/httpapi/console/consoletest"
)

var narrow = flag.Bool("narrow", false, "keep screenshots of narrow dark pages too")

func TestMain(m *testing.M) { os.Exit(consoletest.Main(m)) }

// known are addresses of pages about one thing; the crawl finds the others.
func known() []string {
	stream := console.Path + "streams/" + consoletest.HostileStream
	event := console.Path + "event/" + consoletest.HostileStream
	return []string{
		stream, event + "?version=2", event + "?version=3",
		console.Path + "state/" + consoletest.HostileStream + "?version=2",
		console.Path + "state/" + consoletest.LongStream + "?version=1500",
		console.Path + "event/" + consoletest.BinaryStream + "?version=1",
		console.Path + "traces/" + consoletest.FailingRequest,
		console.Path + "traces/" + url.PathEscape(consoletest.HostileRequest),
		console.Path + "search?correlation=" + url.QueryEscape(consoletest.HostileRequest),
		console.Path + "projections/" + consoletest.Orders,
		console.Path + "projections/" + consoletest.Orders + "/diff?a=1&b=2",
		console.Path + "projections/" + consoletest.Orders + "/document?key=" + consoletest.OrderStream,
		console.Path + "playbacks/new/selection",
		console.Path + "playbacks/" + consoletest.StoppedPlayback,
		console.Path + "repairs/" + consoletest.Billing,
		console.Path + "reversal?stream=" + consoletest.ReversibleStream + "&version=2",
		console.Path + "forks",
	}
}

var href = regexp.MustCompile(`href="(/console/[^"]*)"`)

// get reads a page without a browser.
func get(handler http.Handler, address string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, address, nil))
	return w
}

// matches reports whether an address is of a screen's pattern.
func matches(pattern, address string) bool {
	path, _, _ := strings.Cut(strings.TrimPrefix(address, console.Path), "?")
	text := regexp.MustCompile(`\{[a-z]+\.\.\.\}`).ReplaceAllString(pattern, ".+")
	text = regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(text, "[^/]+")
	is, err := regexp.MatchString("^"+text+"$", path)
	return is && err == nil
}

// crawl follows the links of pages, some of each, and fails on those that lead
// nowhere. It returns an address for every screen there is.
func crawl(t *testing.T, handler http.Handler) []string {
	t.Helper()
	var queue []string
	for _, address := range console.Addresses() {
		queue = append(queue, console.Path+address)
	}
	queue = append(queue, known()...)
	all := slices.Clone(queue)
	seen := map[string]bool{}
	perPage := 12
	for len(queue) > 0 && len(seen) < 250 {
		address := queue[0]
		queue = queue[1:]
		if seen[address] || strings.Contains(address, "/static/") {
			continue
		}
		seen[address] = true
		w := get(handler, address)
		if w.Code != http.StatusOK {
			// Not every event can be reversed; the page says why.
			if w.Code != http.StatusBadRequest || !matches("reversal", address) {
				t.Errorf("%s: %d", address, w.Code)
			}
			continue
		}
		_, main, _ := strings.Cut(w.Body.String(), "<main")
		found := href.FindAllStringSubmatch(main, -1)
		for i, link := range found {
			if i < perPage || i >= len(found)-2 {
				page, _, _ := strings.Cut(html.UnescapeString(link[1]), "#")
				queue = append(queue, page)
			}
		}
	}
	for _, pattern := range console.Patterns() {
		if slices.ContainsFunc(all, func(address string) bool { return matches(pattern, address) }) {
			continue
		}
		for address := range seen {
			if matches(pattern, address) {
				all = append(all, address)
				break
			}
		}
		if !matches(pattern, all[len(all)-1]) {
			t.Errorf("no page leads to the screen %s: name an address in known", pattern)
		}
	}
	t.Logf("%d pages were followed", len(seen))
	return all
}

// Every screen, on the large store: nothing wrong in the browser's console, nothing
// that axe-core calls serious, in light and wide as well as in dark and narrow; no
// script of the data is run.
func TestBrowserEveryScreen(t *testing.T) {
	f := consoletest.Big(t)
	all := crawl(t, f.Handler)
	const tabs = 2
	for tab := range tabs {
		t.Run(fmt.Sprintf("tab %d", tab+1), func(t *testing.T) {
			t.Parallel()
			b := consoletest.Open(t, f.Handler)
			for i := tab; i < len(all); i += tabs {
				look(t, b, all[i])
				t.Logf("%6.1f ms  %s", serverTime(f.Handler, all[i]), all[i])
			}
		})
	}
}

// look opens a page wide and light, then narrow and dark.
func look(t *testing.T, b *consoletest.Browser, address string) {
	t.Helper()
	name := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.TrimPrefix(address, console.Path), "-"), "-")
	name = "screen-" + name[:min(len(name), 40)]
	b.Size(1280, 800)
	b.Dark(false)
	b.Go(address)
	if consoletest.Eval[bool](b, `document.querySelector(".live-part") !== null`) {
		b.WaitText("[data-live-state]", "live")
	}
	check(t, b, address)
	b.Axe(t)
	b.Screenshot(name)
	b.Size(360, 740)
	b.Dark(true)
	if wide := consoletest.Eval[int](b, `document.documentElement.scrollWidth`); wide > 360 {
		t.Errorf("%s: scrolls sideways at 360 px: it is %d wide because of %v", address, wide, consoletest.Eval[[]string](b, tooWide))
	}
	consoletest.Eval[any](b, `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))`) // the page has noticed its size
	b.Axe(t, "color-contrast", "link-in-text-block", "scrollable-region-focusable")
	if *narrow {
		b.Screenshot(name + "-narrow-dark")
	}
	b.NoErrors(t)
}

// tooWide are the elements that reach over the window's edge.
const tooWide = `[...document.querySelectorAll("main *, header *")].filter(e => e.getBoundingClientRect().right > 361 && !e.closest(".scroll, pre")).slice(0, 5).map(e => e.outerHTML.slice(0, 120))`

// check looks at what every page has.
func check(t *testing.T, b *consoletest.Browser, address string) {
	t.Helper()
	if n := b.Count("h1"); n != 1 {
		t.Errorf("%s: %d h1", address, n)
	}
	title := consoletest.Eval[string](b, "document.title")
	if heading := b.Text("h1"); !strings.HasPrefix(title, heading) || !strings.HasSuffix(title, " · Annals") {
		t.Errorf("%s: is titled %q over %q", address, title, heading)
	}
	bad := consoletest.Eval[[]string](b, `[...document.querySelectorAll("main script, main img, main svg[onload], [onerror], [onload], [onclick], [style]:not(.uplot *, .chart *), a[href^='javascript:']")].map(e => e.outerHTML.slice(0, 200))`)
	for _, element := range bad {
		t.Errorf("%s: has %s", address, element)
	}
}

// serverTime is how long the server takes for a page, in milliseconds: the median of
// five.
func serverTime(handler http.Handler, address string) float64 {
	var took []time.Duration
	for range 5 {
		began := time.Now()
		get(handler, address)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return float64(took[2].Microseconds()) / 1000
}

// Script in data is text, wherever it is shown.
func TestBrowserScriptIsText(t *testing.T) {
	f := consoletest.Big(t)
	b := consoletest.Open(t, f.Handler)
	for _, address := range []string{
		console.Path + "event/" + consoletest.HostileStream + "?version=2",
		console.Path + "search?correlation=" + url.QueryEscape(consoletest.HostileRequest),
		console.Path + "parked", console.Path + "operators", console.Path + "repairs/" + consoletest.Billing, console.Path + "playbacks/" + consoletest.StoppedPlayback,
	} {
		b.Go(address)
		consoletest.Eval[any](b, `document.querySelectorAll("details").forEach(d => { d.open = true })`)
		if text := consoletest.Eval[string](b, `document.querySelector("main").innerText`); !strings.Contains(text, consoletest.Script) {
			t.Errorf("%s: does not show %s", address, consoletest.Script)
		}
		b.NoErrors(t)
	}
	b.Go("streams?prefix=" + url.QueryEscape(`"><script>alert(1)</script>`))
	b.Go("search?type=" + url.QueryEscape(`"><img src=x onerror=alert(1)>`))
	for _, fault := range b.Faults() {
		if !strings.Contains(fault, "status of 400") {
			t.Error(fault)
		}
	}
}

// A server of its own for the console; annals serve has it beside the HTTP API.
func ExampleNew() {
	store, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem()})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	server := httptest.NewServer(console.New(store, nil))
	defer server.Close()
	response, err := http.Get(server.URL + console.Path + "streams")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	fmt.Println(response.Status, response.Header.Get("Content-Type"))
	// Output: 200 OK text/html; charset=utf-8
}
