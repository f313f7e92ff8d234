package effect_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/view/pebbleview"
)

// A shop charges and mails for each order, with a provider that knows
// idempotency keys. Its processes crash.
type shop struct {
	store    *annals.Store
	provider *outside
	views    *pebbleview.Store
	clock    *clock
	asks     bool // the policy: Ask and Park, else Resend
	last     int64

	mu    sync.Mutex
	byKey map[string]string   // answers
	keys  map[string][]string // what was asked with which keys, in the order of their coming
}

func newShop(t *testing.T, store *annals.Store, orders int, asks bool) *shop {
	s := &shop{store: store, views: pebbleview.Memory(), clock: newClock(), asks: asks, byKey: map[string]string{}, keys: map[string][]string{}}
	t.Cleanup(func() {
		if err := s.views.Close(); err != nil {
			t.Error(err)
		}
	})
	s.provider = newOutside(t, func(w http.ResponseWriter, r *http.Request, body string, _ int) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/known" {
			s.mu.Lock()
			defer s.mu.Unlock()
			fmt.Fprint(w, s.byKey[r.URL.Query().Get("by")])
			return
		}
		fmt.Fprint(w, s.make(r.Header.Get("Idempotency-Key"), r.Method+" "+r.URL.Path+" "+body))
	})
	for i := range orders {
		s.last = place(t, s.store, fmt.Sprintf("order-%d", i)).Position
	}
	return s
}

// make is what the provider does: once for each key.
func (s *shop) make(key, what string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey[key] == "" {
		s.byKey[key] = fmt.Sprintf(`{"made":%d}`, len(s.byKey)+1)
		s.keys[what] = append(s.keys[what], key)
	}
	return s.byKey[key]
}

func (s *shop) handle(ctx context.Context, order string) error {
	rt := once()
	body := fmt.Sprintf(`{"order":%q}`, order)
	if _, _, err := ask(ctx, rt, http.MethodGet, s.provider.URL+"/price/"+order, ""); err != nil {
		return err
	}
	if status, _, err := ask(ctx, rt, http.MethodPost, s.provider.URL+"/charge", body); err != nil || status != http.StatusOK {
		return fmt.Errorf("status %d: %w", status, err)
	}
	_, err := effect.Do(ctx, "mail", order, func(_ context.Context, key string) (json.RawMessage, error) {
		return json.RawMessage(s.make(key, "mail "+order)), nil
	})
	return err
}

// run is one process, which ends when crash says so or all is done.
func (s *shop) run(t *testing.T, crash func(effect.Step) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opts := &effect.Options{Clock: s.clock.Now, Unknown: func(*effect.Entry) effect.Policy { return effect.Resend }}
	if s.asks {
		opts.Unknown = func(*effect.Entry) effect.Policy { return effect.Park }
		opts.Ask = map[string]effect.Ask{"shop": s.ask}
	}
	opts.At = func(step effect.Step) error {
		if ctx.Err() != nil {
			return ctx.Err() // a dead process does nothing more
		}
		err := crash(step)
		if err != nil {
			cancel()
		}
		return err
	}
	g := newGateway(t, s.store, opts)
	each := consumer.Each(func(ctx context.Context, m *consumer.Message) error {
		return g.Handle(ctx, effect.Handling{Handler: "shop", Event: &m.Event}, func(ctx context.Context) error { return s.handle(ctx, m.Stream) })
	})
	runner, err := consumer.New(s.store, s.views, "shop", annals.Query{Types: []string{"order-placed"}}, each, &consumer.Options{
		Logger: slog.New(slog.DiscardHandler),
		Sleep:  func(context.Context, time.Duration) { s.clock.advance(10 * time.Second); runtime.Gosched() },
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(ctx) }()
	_ = runner.WaitFor(ctx, s.last) // ends with ctx too
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// ask looks for what a key has made, and answers as the call itself would have.
func (s *shop) ask(ctx context.Context, e *effect.Entry) (*effect.Response, error) {
	_, text, err := ask(ctx, once(), http.MethodGet, s.provider.URL+"/known?by="+e.Key, "")
	if err != nil || text == "" {
		return nil, err
	}
	var data any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	err = d.Decode(&data)
	return &effect.Response{Status: http.StatusOK, Body: effect.Body{Data: data}}, err
}

// check: everything was made once, with one key, and the journal says what the
// provider says.
func (s *shop) check(orders int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.keys) != 3*orders {
		return fmt.Errorf("%d things were made, want %d", len(s.keys), 3*orders)
	}
	for what, keys := range s.keys {
		if len(keys) != 1 {
			return fmt.Errorf("%s was sent with the keys %v", what, keys)
		}
	}
	seen := 0
	for e, err := range effect.Entries(context.Background(), s.store, effect.Filter{Handler: "shop"}) {
		if err != nil {
			return err
		}
		seen++
		text, err := json.Marshal(e.Response.Data)
		if err != nil {
			return err
		}
		if e.Status != effect.Answered || string(text) != s.byKey[e.Key] {
			return fmt.Errorf("the journal says %s %s of call %s for %s, the provider %s", e.Status, text, e.Call, e.Event, s.byKey[e.Key])
		}
	}
	if seen != 3*orders {
		return fmt.Errorf("%d calls in the journal", seen)
	}
	return nil
}

// crashAfter crashes at the n-th step, from 1.
func crashAfter(n int) (func(effect.Step) error, *[]effect.Step) {
	var steps []effect.Step
	return func(s effect.Step) error {
		if steps = append(steps, s); len(steps) == n {
			return errCrash
		}
		return nil
	}, &steps
}

// Processes crash at every step, and those that follow them at every step of
// theirs: no call is sent with two keys, none is lost, and the journal and the
// outside agree.
func TestCrashes(t *testing.T) {
	for _, asks := range []bool{false, true} {
		met, runs := map[effect.Step]bool{}, 0
		run := func(orders int, crashes ...int) (whole bool) {
			s := newShop(t, openStore(t), orders, asks)
			for _, n := range crashes {
				crash, steps := crashAfter(n)
				s.run(t, crash)
				if len(*steps) < n {
					whole = true // it was done before
				} else {
					met[(*steps)[n-1]] = true
				}
			}
			s.run(t, func(effect.Step) error { return nil })
			runs++
			if err := s.check(orders); err != nil {
				t.Errorf("ask %v, %d orders, crashes %v: %v", asks, orders, crashes, err)
			}
			return whole
		}
		for n := 1; !run(2, n); n++ {
		}
		for n := 1; !run(1, n, 1); n++ {
			for m := 2; !run(1, n, m); m++ {
			}
		}
		for _, step := range effect.Steps() {
			if !met[step] {
				t.Errorf("no crash at %s", step)
			}
		}
		t.Logf("ask %v: %d histories", asks, runs)
	}
}
