package consoletest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/eb901187/annals/httpapi/console"
)

// patience is how long a page may take to show what a test waits for.
const patience = 10 * time.Second

// A Browser is a tab, with cookies of its own. What fails, fails its test at once.
// It is for one goroutine.
type Browser struct {
	// Address is where the server is, such as http://127.0.0.1:1234.
	Address string

	t      testing.TB
	ctx    context.Context
	faults faults
}

// Open serves handler and opens a tab of 1280 × 800 for it; both end with the test.
func Open(t testing.TB, handler http.Handler) *Browser {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return OpenAt(t, server.URL)
}

// OpenAt opens a tab for a server that runs already.
func OpenAt(t testing.TB, address string) *Browser {
	t.Helper()
	shared, err := browser()
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := chromedp.NewContext(shared, chromedp.WithNewBrowserContext())
	t.Cleanup(leave)
	b := &Browser{Address: address, t: t, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("a tab can't be opened: %v", err)
	}
	if err := chromedp.Listen(ctx, b.faults.see); err != nil {
		t.Fatal(err)
	}
	b.faults.dismiss = func() {
		go func() { // not within Listen, which no command may follow
			_, _ = chromedp.Call(ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{})
		}()
	}
	b.Size(1280, 800)
	b.Dark(false)
	return b
}

// do runs a step, with patience.
func (b *Browser) do(what string, step chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, step); err != nil {
		b.t.Fatalf("%s: %v%s", what, err, b.faults.String())
	}
}

func call[P, R any](b *Browser, what string, cmd cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, cmd, params)
	if err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
	return result
}

// Go opens a page and waits until it is loaded: a path of the server, or one behind
// console.Path, such as "streams?prefix=a".
func (b *Browser) Go(path string) {
	b.t.Helper()
	if !strings.HasPrefix(path, "/") {
		path = console.Path + path
	}
	b.do("go to "+path, chromedp.Navigate(b.Address+path))
}

// Path is the page's address without the server's.
func (b *Browser) Path() string {
	b.t.Helper()
	return Eval[string](b, "location.pathname + location.search + location.hash")
}

// Size sets the window's size in CSS pixels.
func (b *Browser) Size(width, height int64) {
	b.t.Helper()
	call(b, "size", emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1})
}

// Dark says which colors are preferred. Animations are off, so that what is seen
// does not depend on when.
func (b *Browser) Dark(dark bool) {
	b.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	call(b, "color scheme", emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// Click clicks the middle of the first element that selector, in CSS, selects and
// that is shown. It fails if something else lies over it.
func (b *Browser) Click(selector string) {
	b.t.Helper()
	b.WaitFor(selector)
	type place struct {
		X, Y  float64
		Under string
	}
	at := Eval[place](b, fmt.Sprintf(`(() => {
		const e = %s;
		e.scrollIntoView({block: "center", inline: "center", behavior: "instant"});
		const r = e.getClientRects()[0], x = r.x + r.width / 2, y = r.y + r.height / 2;
		const top = document.elementFromPoint(x, y);
		return {X: x, Y: y, Under: top && (e.contains(top) || top.contains(e) || top.control === e) ? "" : (top ? top.outerHTML.slice(0, 200) : "nothing")};
	})()`, shown(selector)))
	if at.Under != "" {
		b.t.Fatalf("click %s: there lies over it: %s", selector, at.Under)
	}
	b.do("click "+selector, chromedp.MouseClickXY(at.X, at.Y))
}

// Follow clicks, and waits until another page is loaded.
func (b *Browser) Follow(selector string) {
	b.t.Helper()
	b.WaitFor(selector)
	Eval[any](b, `window.annalsLeft = true`)
	b.Click(selector)
	b.until("follow "+selector, `!window.annalsLeft && document.readyState === "complete"`)
}

// Type replaces what an input or textarea holds by typing text.
func (b *Browser) Type(selector, text string) {
	b.t.Helper()
	b.WaitFor(selector)
	Eval[any](b, fmt.Sprintf(`(() => { const e = %s; e.focus(); e.select && e.select() })()`, shown(selector)))
	if text == "" {
		b.Press("Backspace")
		return
	}
	call(b, "type into "+selector, input.InsertText, input.InsertTextParams{Text: text})
}

// Set gives an input or select a value as if it was chosen: of a list, a slider, a
// date, or a checkbox ("true" and "false").
func (b *Browser) Set(selector, value string) {
	b.t.Helper()
	b.WaitFor(selector)
	text, _ := json.Marshal(value) // a string always can be
	Eval[any](b, fmt.Sprintf(`(() => {
		const e = %s, v = %s;
		if (e.type === "checkbox" || e.type === "radio") e.checked = v === "true"; else e.value = v;
		e.dispatchEvent(new Event("input", {bubbles: true}));
		e.dispatchEvent(new Event("change", {bubbles: true}));
	})()`, shown(selector), text))
}

// keys are those with names; any other key is its character.
var keys = map[string]string{
	"Enter": kb.Enter, "Escape": kb.Escape, "Tab": kb.Tab, "Backspace": kb.Backspace, "Space": " ",
	"ArrowUp": kb.ArrowUp, "ArrowDown": kb.ArrowDown, "ArrowLeft": kb.ArrowLeft, "ArrowRight": kb.ArrowRight, "Home": kb.Home, "End": kb.End,
}

// Press presses keys one after another, each a character or a name such as Enter,
// Escape, Tab, ArrowDown.
func (b *Browser) Press(names ...string) {
	b.t.Helper()
	for _, name := range names {
		key, named := keys[name]
		if !named {
			key = name
		}
		b.do("press "+name, chromedp.KeyEvent(key))
	}
}

// Screenshot keeps what the whole page looks like, down to 3,000 pixels, as
// testdata/screenshots/NAME.png beside the test; Git ignores it.
func (b *Browser) Screenshot(name string) {
	b.t.Helper()
	b.ScreenshotTo(filepath.Join("testdata", "screenshots", name+".png"), 3000)
}

// ScreenshotTo keeps what the page looks like, down to so many pixels, in a file.
func (b *Browser) ScreenshotTo(path string, height float64) {
	b.t.Helper()
	type size struct{ Width, Height float64 }
	whole := Eval[size](b, `({Width: innerWidth, Height: Math.max(document.documentElement.scrollHeight, innerHeight)})`)
	shot := call(b, "screenshot", page.CaptureScreenshot, page.CaptureScreenshotParams{
		CaptureBeyondViewport: new(true), Clip: &page.Viewport{Width: whole.Width, Height: min(whole.Height, height), Scale: 1},
	})
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, shot.Data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
