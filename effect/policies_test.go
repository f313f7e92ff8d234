package effect_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/hedgepolicy"
	"github.com/failsafe-go/failsafe-go/retrypolicy"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
)

func TestDefaultPolicies(t *testing.T) {
	tests := []struct {
		name, method string
		answer       func(w http.ResponseWriter, n int)
		tries        int
		status       effect.Status
	}{
		{"idempotent", "PUT", func(w http.ResponseWriter, n int) { code(w, n < 3, 503) }, 3, effect.Answered},
		{"not idempotent", "POST", func(w http.ResponseWriter, n int) { code(w, n < 3, 503) }, 1, effect.Failed},
		{"asked to come again", "POST", func(w http.ResponseWriter, n int) { w.Header().Set("Retry-After", "0"); code(w, n < 2, 429) }, 2, effect.Answered},
		{"much later", "GET", func(w http.ResponseWriter, n int) { w.Header().Set("Retry-After", "60"); code(w, true, 429) }, 1, effect.Failed},
		{"for good", "GET", func(w http.ResponseWriter, n int) { code(w, true, 404) }, 1, effect.Answered},
		{"lost on the way", "POST", func(w http.ResponseWriter, n int) { code(w, true, 504) }, 1, effect.Unknown},
		{"lost on the way of a query", "GET", func(w http.ResponseWriter, n int) { code(w, true, 504) }, 3, effect.Failed},
		{"the connection breaks", "POST", func(http.ResponseWriter, int) { panic(http.ErrAbortHandler) }, 0, effect.Unknown},
		{"the connection of a query breaks", "GET", func(http.ResponseWriter, int) { panic(http.ErrAbortHandler) }, 0, effect.Failed},
		{"the body breaks", "POST", func(w http.ResponseWriter, _ int) { w.Header().Set("Content-Length", "9"); io.WriteString(w, "x") }, 0, effect.Unknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			store := openStore(t)
			o := newOutside(t, func(w http.ResponseWriter, _ *http.Request, _ string, n int) { test.answer(w, n) })
			g, e := newGateway(t, store, nil), place(t, store, "order-7")
			_ = g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
				_, _, err := ask(ctx, &effect.Transport{}, test.method, o.URL, "")
				return err
			})
			keys := map[string]bool{}
			for _, s := range o.sent() {
				keys[s.key] = true
			}
			if n := len(o.sent()); test.tries > 0 && n != test.tries || len(keys) != 1 {
				t.Errorf("%d tries, want %d; with %d keys", n, test.tries, len(keys))
			}
			if entry := journal(t, store, "h", e)[0]; entry.Status != test.status {
				t.Errorf("%+v, want %s", entry, test.status)
			}
		})
	}
}

func code(w http.ResponseWriter, bad bool, status int) {
	if bad {
		w.WriteHeader(status)
	}
}

func TestNothingSentIsFailed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	o := newOutside(t, nil)
	open := circuitbreaker.NewBuilder[*http.Response]().Build()
	open.Open()
	tests := map[string]struct {
		url string
		rt  *effect.Transport
		is  error
	}{
		"nobody listens":  {gone, once(), nil},
		"open breaker":    {o.URL, &effect.Transport{Policies: []failsafe.Policy[*http.Response]{open}}, circuitbreaker.ErrOpen},
		"forbidden":       {"http://169.254.169.254/latest/meta-data", once(), effect.ErrForbidden},
		"forbidden range": {o.URL, &effect.Transport{Policies: once().Policies, Addresses: &effect.Addresses{Deny: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}}, effect.ErrForbidden},
		"no TLS":          {strings.Replace(o.URL, "http:", "https:", 1), once(), nil},
	}
	for name, test := range tests {
		store := openStore(t)
		g, e := newGateway(t, store, nil), place(t, store, "order-7")
		err := g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
			_, _, err := ask(ctx, test.rt, http.MethodPost, test.url, "{}")
			return err
		})
		if err == nil || test.is != nil && !errors.Is(err, test.is) || errors.Is(err, annals.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if entries := journal(t, store, "h", e); len(entries) != 1 || entries[0].Status != effect.Failed || entries[0].Error == "" {
			t.Errorf("%s: %+v", name, entries)
		}
	}
	if len(o.sent()) != 0 {
		t.Errorf("sent %v", o.sent())
	}
}

// After its context has ended in the midst of a call, the journal says so.
func TestCanceledCallIsUnknown(t *testing.T) {
	store := openStore(t)
	cancel := func() {}
	o := newOutside(t, func(_ http.ResponseWriter, r *http.Request, _ string, _ int) {
		cancel()
		<-r.Context().Done()
	})
	g, e := newGateway(t, store, nil), place(t, store, "order-7")
	err := g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
		ctx, cancel = context.WithCancel(ctx)
		_, _, err := ask(ctx, once(), http.MethodPost, o.URL, "{}")
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if entry := journal(t, store, "h", e)[0]; entry.Status != effect.Unknown {
		t.Errorf("%+v", entry)
	}
}

// A process that is asked to end hears what became of the call that it has sent, and
// makes no further one.
func TestCallUnderWayOutlastsItsProcess(t *testing.T) {
	store := openStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	o := newOutside(t, func(http.ResponseWriter, *http.Request, string, int) { cancel() })
	g, e := newGateway(t, store, nil), place(t, store, "order-7")
	var first, later error
	_ = g.Handle(ctx, effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
		_, _, first = ask(ctx, once(), http.MethodPost, o.URL, "{}")
		<-ctx.Done()
		_, _, later = ask(ctx, once(), http.MethodPost, o.URL, "{}")
		return later
	})
	if list := journal(t, store, "h", e); first != nil || len(list) != 1 || list[0].Status != effect.Answered {
		t.Errorf("%v, %+v", first, list)
	}
	if later == nil || len(o.sent()) != 1 {
		t.Errorf("a further call: %v; sent %v", later, o.sent())
	}
}

// Policies of the user's own may try again what is not safe, and turn answers into
// errors: the journal goes by all tries.
func TestOwnPolicies(t *testing.T) {
	always := retrypolicy.NewBuilder[*http.Response]().WithMaxAttempts(2).
		HandleIf(func(r *http.Response, err error) bool { return err != nil || r.StatusCode >= 400 }).Build()
	for _, test := range []struct {
		name   string
		codes  []int
		status effect.Status
		fails  bool
	}{
		{"an answer at last", []int{504, 200}, effect.Answered, false},
		{"the first one may have had its effect", []int{504, 503}, effect.Unknown, true},
		{"no effect", []int{503, 503}, effect.Failed, true},
		{"an answer that is made an error", []int{503, 404}, effect.Unknown, true},
	} {
		store := openStore(t)
		o := newOutside(t, func(w http.ResponseWriter, _ *http.Request, _ string, n int) { w.WriteHeader(test.codes[n-1]) })
		g, e := newGateway(t, store, nil), place(t, store, "order-7")
		err := g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
			_, _, err := ask(ctx, &effect.Transport{Policies: []failsafe.Policy[*http.Response]{always}}, http.MethodPost, o.URL, "")
			return err
		})
		if (err != nil) != test.fails {
			t.Errorf("%s: %v", test.name, err)
		}
		if entry := journal(t, store, "h", e)[0]; entry.Status != test.status {
			t.Errorf("%s: %+v", test.name, entry)
		}
		if s := o.sent(); len(s) != 2 || s[0].key != s[1].key {
			t.Errorf("%s: sent %v", test.name, s)
		}
	}
}

// By an Idempotency-Key net/http takes a POST for one that it may send again by itself,
// although the other side may know of no such keys.
func TestNothingIsSentAgainBehindTheGateway(t *testing.T) {
	for _, body := range []string{"", "{}"} {
		store := openStore(t)
		o := newOutside(t, func(_ http.ResponseWriter, r *http.Request, _ string, _ int) {
			if r.Method == http.MethodPost {
				panic(http.ErrAbortHandler)
			}
		})
		g, e, rt := newGateway(t, store, nil), place(t, store, "order-7"), once()
		err := g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
			if _, _, err := ask(ctx, rt, http.MethodGet, o.URL, ""); err != nil {
				return err
			}
			_, _, err := ask(ctx, rt, http.MethodPost, o.URL, body) // on the connection that is open
			return err
		})
		if s := o.sent(); err == nil || len(s) != 2 || s[1].key == "" {
			t.Errorf("%q: %v; sent %v", body, err, s)
		}
		if entry := journal(t, store, "h", e)[1]; entry.Status != effect.Unknown {
			t.Errorf("%+v", entry)
		}
	}
}

// A policy may make two tries at a time, of which one is given up.
func TestHedge(t *testing.T) {
	o := newOutside(t, func(_ http.ResponseWriter, r *http.Request, _ string, n int) {
		if n%2 == 1 {
			<-r.Context().Done()
		}
	})
	store := openStore(t)
	rt := &effect.Transport{Policies: []failsafe.Policy[*http.Response]{hedgepolicy.NewBuilderWithDelay[*http.Response](time.Millisecond).Build()}}
	g := newGateway(t, store, nil)
	for range 20 {
		e := place(t, store, "order-7")
		err := g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
			_, _, err := ask(ctx, rt, http.MethodGet, o.URL, "")
			return err
		})
		if entry := journal(t, store, "h", e)[0]; err != nil || entry.Status != effect.Answered {
			t.Fatalf("%v: %+v", err, entry)
		}
	}
}

// Final and Same are the user's to decide.
func TestOwnJudgement(t *testing.T) {
	store := openStore(t)
	o := newOutside(t, func(w http.ResponseWriter, _ *http.Request, _ string, n int) { code(w, n == 1, http.StatusConflict) })
	g, e := newGateway(t, store, nil), place(t, store, "order-7")
	rt := once()
	rt.Final = func(r *http.Response) bool { return r.StatusCode != http.StatusConflict }
	rt.Same = func(was, now *effect.Request) bool { return was.Method == now.Method }
	for _, body := range []string{"{}", `{"a":1}`, `{"a":2}`} {
		err := g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
			_, _, err := ask(ctx, rt, http.MethodPost, o.URL, body)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if entry := journal(t, store, "h", e)[0]; len(o.sent()) != 2 || entry.Status != effect.Answered || entry.Attempts != 2 {
		t.Errorf("%+v; sent %v", entry, o.sent())
	}
}
