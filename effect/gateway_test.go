package effect_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
)

const asThen, otherwise, anew = `{"amount":12}`, `{"amount":13}`, "new"

// The table of package effect: what each mode makes of a call that is in the
// journal as it was, otherwise, and not at all.
var modes = []struct {
	mode       effect.Mode
	call       string
	body       string // of the answer
	suppressed bool
	parked     bool
	sent       int
	differs    int
}{
	{mode: effect.Live, call: asThen, body: `{"n":1}`},
	{mode: effect.Live, call: otherwise, parked: true},
	{mode: effect.Live, call: anew, body: `{"n": 2}`, sent: 1},
	{mode: effect.Replay, call: asThen, body: `{"n":1}`},
	{mode: effect.Replay, call: otherwise, suppressed: true},
	{mode: effect.Replay, call: anew, suppressed: true},
	{mode: effect.Repair, call: asThen, body: `{"n":1}`},
	{mode: effect.Repair, call: otherwise, body: `{"n":1}`, differs: 1},
	{mode: effect.Repair, call: anew, suppressed: true, differs: 1},
}

func TestModes(t *testing.T) {
	for _, test := range modes {
		t.Run(fmt.Sprint(test.mode, test.call), func(t *testing.T) {
			store, o := openStore(t), newOutside(t, nil)
			g, e, differences := newGateway(t, store, nil), place(t, store, "order-7"), 0
			run := func(mode effect.Mode, requests ...string) (body string, inside, err error) {
				h := effect.Handling{Handler: "billing", Event: e, Mode: mode, Differs: func(context.Context, effect.Difference) error {
					differences++
					return nil
				}}
				err = g.Handle(t.Context(), h, func(ctx context.Context) error {
					for _, request := range requests {
						if _, body, inside = ask(ctx, once(), http.MethodPost, o.URL+"/charge", request); inside != nil {
							return inside
						}
					}
					return nil
				})
				return body, inside, err
			}
			if _, _, err := run(effect.Live, asThen); err != nil {
				t.Fatal(err)
			}
			requests := []string{test.call}
			if test.call == anew {
				requests = []string{asThen, anew}
			}
			body, inside, err := run(test.mode, requests...)
			if got := errors.Is(inside, effect.ErrSuppressed); got != test.suppressed {
				t.Errorf("suppressed: %v (%v)", got, inside)
			}
			if (err != nil) != test.parked || err != nil && (!strings.Contains(err.Error(), "asks otherwise") || !errors.Is(err, annals.ErrInvalid)) {
				t.Errorf("error: %v", err)
			}
			if inside == nil && body != test.body {
				t.Errorf("answer %s, want %s", body, test.body)
			}
			if n := len(o.sent()) - 1; n != test.sent || differences != test.differs {
				t.Errorf("%d calls were sent, want %d; %d differences, want %d", n, test.sent, differences, test.differs)
			}
		})
	}
}

// told is a difference in one line.
func told(d *effect.Difference) string {
	was, now := "nothing", "nothing"
	if d.Was != nil {
		was = d.Was.Request.String()
	}
	if d.Now != nil {
		now = d.Now.String()
	}
	return d.Call + ": " + was + " → " + now
}

func TestRepairTellsWhatDiffers(t *testing.T) {
	store, o := openStore(t), newOutside(t, nil)
	g, rt := newGateway(t, store, nil), once()
	e := place(t, store, "order-7")
	run := func(mode effect.Mode, f func(ctx context.Context) error) (found []string) {
		t.Helper()
		h := effect.Handling{Handler: "billing", Event: e, Mode: mode, Differs: func(_ context.Context, d effect.Difference) error {
			if d.Event != "order-7@1" || d.Position != e.Position || d.Handler != "billing" {
				t.Errorf("difference %+v", d)
			}
			found = append(found, strings.ReplaceAll(told(&d), o.URL, ""))
			return nil
		}}
		if err := g.Handle(t.Context(), h, f); err != nil {
			t.Fatal(err)
		}
		return found
	}
	call := func(ctx context.Context, method, path string) error {
		_, _, err := ask(ctx, rt, method, o.URL+path, "")
		return err
	}
	run(effect.Live, func(ctx context.Context) error {
		return errors.Join(call(ctx, "GET", "/price"), call(ctx, "POST", "/a"), call(effect.Named(ctx, "ship"), "POST", "/ship"), call(ctx, "POST", "/c"))
	})
	if n := len(o.sent()); n != 4 {
		t.Fatalf("%d sent", n)
	}
	tests := []struct {
		name string
		code func(ctx context.Context) error
		want string
	}{
		{"the same", func(ctx context.Context) error {
			return errors.Join(call(effect.Named(ctx, "ship"), "POST", "/ship"), call(ctx, "GET", "/price"), call(ctx, "POST", "/a"), call(ctx, "POST", "/c"))
		}, ""},
		{"other and no longer made", func(ctx context.Context) error {
			return errors.Join(call(ctx, "GET", "/price"), call(ctx, "POST", "/b"), call(ctx, "POST", "/c"))
		}, "1: POST /a → POST /b, ship: POST /ship → nothing"},
		{"a query that is no longer made", func(ctx context.Context) error { return nil },
			"1: POST /a → nothing, ship: POST /ship → nothing, 2: POST /c → nothing"},
		{"a new call ends the handling", func(ctx context.Context) error {
			return call(effect.Named(ctx, "new"), "POST", "/new")
		}, "new: nothing → POST /new"},
		{"a new call by a client that tries again", func(ctx context.Context) error {
			return errors.Join(call(effect.Named(ctx, "new"), "POST", "/new"), call(effect.Named(ctx, "new"), "POST", "/new"))
		}, "new: nothing → POST /new"},
		{"a new query", func(ctx context.Context) error {
			return call(effect.Named(ctx, "stock"), "GET", "/stock")
		}, "stock: nothing → GET /stock"},
	}
	for _, test := range tests {
		if got := strings.Join(run(effect.Repair, test.code), ", "); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	if n := len(o.sent()); n != 4 {
		t.Errorf("%d sent after repairs", n)
	}
}

func TestNewFeaturesMakeNoCallForOldEvents(t *testing.T) {
	store, o := openStore(t), newOutside(t, nil)
	old := place(t, store, "order-1")
	g, rt := newGateway(t, store, nil), once()
	began, err := g.Began(t.Context(), "billing", -1)
	if err != nil || began != old.Position {
		t.Fatalf("began %d: %v", began, err)
	}
	if again, err := newGateway(t, store, nil).Began(t.Context(), "billing", 0); err != nil || again != began {
		t.Fatalf("began %d: %v", again, err)
	}
	young := place(t, store, "order-2")
	for _, e := range []*annals.Event{old, young, old} {
		err := g.Handle(t.Context(), effect.Handling{Handler: "billing", Event: e}, func(ctx context.Context) error {
			_, _, err := ask(ctx, rt, http.MethodPost, o.URL+"/"+e.Stream, "")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := o.sent(); len(got) != 1 || got[0].path != "/order-2" {
		t.Fatalf("sent %v", got)
	}
}

// Without Began, a handler is live from the first event that the process gave it on.
func TestFirstCallBegins(t *testing.T) {
	store, o := openStore(t), newOutside(t, nil)
	first, second, third := place(t, store, "a"), place(t, store, "b"), place(t, store, "c")
	g, rt := newGateway(t, store, nil), once()
	handle := func(e *annals.Event, calls bool) {
		t.Helper()
		err := g.Handle(t.Context(), effect.Handling{Handler: "billing", Event: e}, func(ctx context.Context) error {
			if !calls {
				return nil
			}
			_, _, err := ask(ctx, rt, http.MethodPost, o.URL+"/"+e.Stream, "")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	handle(second, false) // it failed before its call, say
	handle(third, true)
	handle(second, true)
	handle(first, true) // from before
	if got := o.sent(); len(got) != 2 || got[0].path != "/c" || got[1].path != "/b" {
		t.Fatalf("sent %v", got)
	}
}

func TestReplayWaitsForTheLiveHandler(t *testing.T) {
	store, o := openStore(t), newOutside(t, nil)
	g, rt := newGateway(t, store, nil), once()
	e := place(t, store, "order-7")
	reached := e.Position - 1
	h := effect.Handling{Handler: "billing", Event: e, Mode: effect.Replay, Reached: func(context.Context) (int64, error) { return reached, nil }}
	call := func(ctx context.Context) error {
		_, _, err := ask(ctx, rt, http.MethodPost, o.URL, "")
		return err
	}
	swallow := func(ctx context.Context) error { _ = call(ctx); return nil }
	for _, f := range []func(context.Context) error{call, swallow} {
		if err := g.Handle(t.Context(), h, f); err == nil || !strings.Contains(err.Error(), "has not yet made its outside calls") {
			t.Fatalf("ahead of the live handler: %v", err)
		}
	}
	if err := g.Handle(t.Context(), effect.Handling{Handler: "billing", Event: e}, call); err != nil {
		t.Fatal(err)
	}
	if err := g.Handle(t.Context(), h, call); err != nil {
		t.Fatalf("the call is in the journal: %v", err)
	}
	reached++
	if err := g.Handle(t.Context(), h, call); err != nil {
		t.Fatal(err)
	}
	if n := len(o.sent()); n != 1 {
		t.Fatalf("%d sent", n)
	}
}

// Other code than then runs in a fork for debugging: what it asks otherwise is
// suppressed too.
func TestForkIsAReplay(t *testing.T) {
	store, o := openStore(t), newOutside(t, nil)
	e, other := place(t, store, "order-7"), false
	handle := func() (err, inside error) {
		err = newGateway(t, store, nil).Handle(t.Context(), effect.Handling{Handler: "billing", Event: e}, func(ctx context.Context) error {
			body := asThen
			if other {
				body = otherwise
			}
			_, _, inside = ask(ctx, once(), http.MethodPost, o.URL, body)
			return inside
		})
		return err, inside
	}
	if err, _ := handle(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Append(t.Context(), effect.ForkStream, annals.NoStream, annals.Event{Type: "forked"}); err != nil {
		t.Fatal(err)
	}
	if err, inside := handle(); err != nil || inside != nil {
		t.Errorf("as then: %v, %v", err, inside)
	}
	other = true
	if err, inside := handle(); err != nil || !errors.Is(inside, effect.ErrSuppressed) {
		t.Errorf("otherwise: %v, %v", err, inside)
	}
	if n := len(o.sent()); n != 1 {
		t.Errorf("%d sent", n)
	}
}

func TestForkSendsNothing(t *testing.T) {
	store, o := openStore(t), newOutside(t, nil)
	if _, err := store.Append(t.Context(), effect.ForkStream, annals.NoStream, annals.Event{Type: "forked"}); err != nil {
		t.Fatal(err)
	}
	e := place(t, store, "order-7")
	for _, send := range []bool{false, true} {
		g := newGateway(t, store, &effect.Options{SendFromFork: send})
		err := g.Handle(t.Context(), effect.Handling{Handler: "billing", Event: e}, func(ctx context.Context) error {
			_, _, err := ask(ctx, once(), http.MethodPost, o.URL, "")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(o.sent()) == 1; got != send {
			t.Errorf("SendFromFork %v: sent %v", send, got)
		}
	}
}

// A handler that makes no calls costs no access to the store, which is not there.
func TestHandlerWithoutCallsCostsNothing(t *testing.T) {
	g := newGateway(t, nil, nil)
	for _, mode := range []effect.Mode{effect.Live, effect.Replay} {
		h := effect.Handling{Handler: "h", Event: &annals.Event{Stream: "s", Version: 1, Time: time.Unix(7, 0)}, Mode: mode}
		err := g.Handle(t.Context(), h, func(ctx context.Context) error {
			if !effect.Now(ctx).Equal(time.Unix(7, 0)) {
				t.Errorf("now %v", effect.Now(ctx))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestBadInput(t *testing.T) {
	store, o := openStore(t), newOutside(t, nil)
	for _, opts := range []effect.Options{
		{MaxBody: -1}, {MaxBody: 1 << 20}, {Timeout: -1},
		{Redact: effect.Redaction{Paths: []string{"$["}}}, {Redact: effect.Redaction{Paths: []string{""}}},
	} {
		if _, err := effect.New(store, &opts); !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("%+v: %v", opts, err)
		}
	}
	g, e := newGateway(t, store, nil), place(t, store, "order-7")
	for _, h := range []effect.Handling{
		{Handler: "", Event: e}, {Handler: "a/b", Event: e}, {Handler: "..", Event: e}, {Handler: "h"},
		{Handler: "h", Event: &annals.Event{}}, {Handler: "h", Event: e, Mode: 7}, {Handler: "h", Event: e, Mode: effect.Repair},
	} {
		if err := g.Handle(t.Context(), h, nil); !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("%+v: %v", h, err)
		}
	}
	var after context.Context
	err := g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
		after = ctx
		for _, name := range []string{"", "7", "A", "a/b", "ä", strings.Repeat("a", 101)} {
			if _, _, err := ask(effect.Named(ctx, name), once(), http.MethodGet, o.URL, ""); !errors.Is(err, annals.ErrInvalid) {
				t.Errorf("name %q: %v", name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, ctx := range []context.Context{after, t.Context()} {
		if _, _, err := ask(ctx, once(), http.MethodGet, o.URL, ""); !errors.Is(err, effect.ErrNoHandling) {
			t.Errorf("without a handling: %v", err)
		}
		if _, err := effect.Do(ctx, "x", 1, func(context.Context, string) (int, error) { t.Error("called"); return 0, nil }); !errors.Is(err, effect.ErrNoHandling) {
			t.Errorf("without a handling: %v", err)
		}
	}
	if len(o.sent()) != 0 {
		t.Errorf("sent %v", o.sent())
	}
}

func TestStatsAndLog(t *testing.T) {
	store, o := openStore(t), newOutside(t, nil)
	var log strings.Builder
	c := newClock()
	g := newGateway(t, store, &effect.Options{Clock: c.Now, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	e := place(t, store, "order-7")
	call := func(ctx context.Context) error {
		_, _, err := ask(ctx, once(), http.MethodPost, o.URL, "")
		return err
	}
	h := effect.Handling{Handler: "billing", Event: e}
	late := effect.Handling{Handler: "late", Event: e, Mode: effect.Replay}
	for _, h := range []effect.Handling{h, h, late, late, late} {
		if err := g.Handle(t.Context(), h, call); err != nil {
			t.Fatal(err)
		}
	}
	want := []effect.Stats{{Handler: "billing", Sent: 1, Answered: 1}, {Handler: "late", Suppressed: 3}}
	if got := g.Stats(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	c.advance(time.Minute)
	if err := g.Handle(t.Context(), late, call); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(log.String(), "suppressed"); got != 2 || !strings.Contains(log.String(), "calls=3") {
		t.Errorf("log:\n%s", log.String())
	}
}
