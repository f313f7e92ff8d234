package console_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/httpapi/console"
	"github.com/eb901187/annals/httpapi/console/consoletest"
	"github.com/eb901187/annals/playback"
)

// looks checks what is seen of a page that acting leads to, wide and dark, and narrow
// and light. TestBrowserEveryScreen does so for the others.
func looks(t *testing.T, b *consoletest.Browser, name string) {
	t.Helper()
	b.Screenshot(name)
	b.Dark(true)
	b.Axe(t)
	b.Dark(false)
	b.Size(360, 740)
	if wide := consoletest.Eval[int](b, `document.documentElement.scrollWidth`); wide > 360 {
		t.Errorf("%s scrolls sideways: it is %d px wide at 360", name, wide)
	}
	b.Axe(t)
	b.Size(1280, 800)
}

func TestBrowserEffects(t *testing.T) {
	f := consoletest.Big(t)
	b := consoletest.Open(t, f.Handler)
	b.Go("effects")
	b.WaitText("table", "billing-0@1")
	b.Screenshot("effects")
	b.Set("select[name=status]", "unknown")
	b.Follow("form.filter button")
	b.WaitPath("/console/effects?handler=&status=unknown")
	b.Follow(`tbody a[href*="effects/calls"]`)
	b.WaitText("main", "Say what became of call")
	looks(t, b, "effect_calls")
	b.Click("input[value=no-effect]")
	b.Type("input[name=reason]", "asked the bank "+consoletest.Script)
	b.Follow(`form[action$="effects/resolve"] button`)
	b.WaitText(".done", "asked the bank "+consoletest.Script)
	b.WaitText("main", "effect-resolved")
	if n := b.Count(`form[action$="effects/resolve"]`); n != 0 {
		t.Errorf("%d forms to resolve it again", n)
	}
	b.NoErrors(t)
}

func TestBrowserRepairs(t *testing.T) {
	f := consoletest.Big(t)
	b := consoletest.Open(t, f.Handler)
	b.Go("repairs")
	b.Screenshot("repairs")
	b.Follow("tbody a")
	b.WaitText("h1", "Repairs of "+consoletest.Billing)
	b.Screenshot("repair")
	before := b.Count(".finding")
	b.Click(".finding input[type=checkbox]")
	b.Type("input[name=reason]", "it is late")
	b.Type("input[name=confirm]", consoletest.Billing)
	consoletest.Eval[any](b, `document.addEventListener("submit", () => { window.sent = true })`)
	b.Press("Enter") // two buttons decide, neither of them by default
	if consoletest.Eval[bool](b, `!!window.sent`) {
		t.Error("Enter decides")
	}
	b.Follow(`button[formaction$="approve"]`)
	b.WaitText(".done", "is approved")
	b.Go("repairs/" + consoletest.Billing)
	if after := b.Count(".finding"); after != before-1 {
		t.Errorf("%d findings, and then %d", before, after)
	}
	b.Click(".finding input[type=checkbox]")
	b.Type("input[name=reason]", "they agreed")
	b.Follow(`button[formaction$="reject"]`)
	b.WaitText(".done", "is rejected: they agreed")
	b.NoErrors(t)
	found, err := effect.Differences(t.Context(), f.Store, consoletest.Billing)
	if err != nil || found[0].State != effect.Approved || found[1].State != effect.Rejected {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestBrowserPlaybacks(t *testing.T) {
	f := consoletest.Big(t)
	b := consoletest.Open(t, f.Handler)
	b.Go("playbacks")
	b.WaitText("table", consoletest.StoppedPlayback)
	b.Screenshot("playbacks")
	b.Follow(`a[href$="playbacks/new/selection"]`)
	b.Type("input[name=streams]", "order-00*")
	b.Set("select[name=kind]", "stream")
	b.Type("input[name=name]", "browsed")
	b.Type("input[name=rate]", "2")
	b.Follow("button[name=count]")
	b.WaitText("main", "Nothing was sent so far")
	looks(t, b, "playback_counted")
	b.Follow(`form[method=post][action$="new/selection"] button`)
	b.WaitText(".done", "is started")
	b.WaitText("dl", "running")
	looks(t, b, "playback")
	before := b.Text(".live-part")
	b.Go(b.Path())
	b.Type("input[name=reason]", "enough")
	b.Follow(`form[action$="/stop"] button`)
	b.WaitText(".done", "is stopped")
	b.WaitText(".live-part", "enough")
	b.Follow(`form[action$="/resume"] button`)
	b.WaitText(".live-part", "running")
	b.Follow(`form[action$="/stop"] button`)
	b.WaitText(".live-part", "stopped")
	if b.Text(".live-part") == before {
		t.Error("the live part stays as it was")
	}
	b.Go("forks")
	b.WaitText("main", "It is no fork of another one.")
	b.Screenshot("forks")
	b.NoErrors(t)
}

// What the server records shows without loading the page again.
func TestBrowserPlaybackLive(t *testing.T) {
	f := consoletest.Big(t)
	b := consoletest.Open(t, f.Handler)
	if _, err := playback.Start(t.Context(), f.Store, playback.Selection{To: 100}, playback.ToStream("live"), &playback.Options{ID: "watched"}); err != nil {
		t.Fatal(err)
	}
	b.Go("playbacks/watched")
	b.WaitText(".live-part", "running")
	if _, err := playback.Stop(t.Context(), f.Store, "watched", "stopped elsewhere", nil); err != nil {
		t.Fatal(err)
	}
	b.WaitText(".live-part", "stopped elsewhere")
	b.NoErrors(t)
}

func TestBrowserReversal(t *testing.T) {
	f := consoletest.Big(t)
	const stream = "browsed-reversal" // of its own, as others look at those of the fixture
	for _, patch := range []string{`{"total":1}`, `{"total":2,"note":"x"}`} {
		if _, err := f.Store.Append(t.Context(), stream, annals.Any, annals.Event{Type: "thing-changed", Data: []byte(patch)}); err != nil {
			t.Fatal(err)
		}
	}
	b := consoletest.Open(t, f.Handler)
	b.Go("reversal")
	b.Screenshot("reversal")
	b.Type("input[name=stream]", stream)
	b.Type("input[name=version]", "2")
	b.Follow("form.fields button")
	b.WaitText("main", "annals.event-reversed")
	b.Screenshot("reversal_planned")
	b.Type("form[method=post][action$=reversal] input[name=reason]", "entered twice")
	b.Type("input[name=confirm]", "browsed")
	b.Follow("button.danger")
	b.WaitText(".problem", "typed as it is shown")
	b.Forget() // of the refused form
	b.Go("reversal?stream=" + stream + "&version=2")
	b.Type("form[method=post][action$=reversal] input[name=reason]", "entered twice")
	b.Type("input[name=confirm]", stream)
	b.Follow("button.danger")
	b.WaitText(".done", "version 3 is new")
	b.WaitText("main", "annals.event-reversed")
	b.NoErrors(t)
	for e, err := range f.Store.Stream(t.Context(), stream, &annals.StreamOptions{Backward: true, Limit: 1}) {
		if err != nil || e.Version != 3 || e.Attributes["reason"] != "entered twice" {
			t.Errorf("%+v, %v", e, err)
		}
	}
}

// How long these pages take in the server; printed, and not judged, as other tests run.
func TestBrowserServerTimeOfEffectsPlaybacksAndReversal(t *testing.T) {
	f := consoletest.Big(t)
	for _, path := range []string{
		"effects", "effects?status=unknown", "effects/calls?handler=billing&event=billing-0@1", "repairs", "repairs/billing", "playbacks", "playbacks/done", "forks",
		"playbacks/new/selection", "playbacks/new/selection?count=1&streams=order-*", "reversal?stream=reversible-1&version=1", "reversal?stream=order-00042&version=2",
		"reversal?event=unknown-id",
	} {
		var took []time.Duration
		for range 5 {
			w := httptest.NewRecorder()
			began := time.Now()
			f.Handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, console.Path+path, nil))
			took = append(took, time.Since(began))
			if w.Code >= http.StatusInternalServerError {
				t.Errorf("%s: %d", path, w.Code)
			}
		}
		slices.Sort(took)
		t.Logf("%-60s %v", path, took[len(took)/2].Round(10*time.Microsecond))
	}
}
