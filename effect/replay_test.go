package effect_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
)

// randomCode is a handler that makes calls by chance, the same for the same seed.
func randomCode(seed uint64, url string, rt http.RoundTripper, did func()) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		random := rand.New(rand.NewPCG(seed, 2))
		for range random.IntN(4) {
			called := ctx
			if random.IntN(3) == 0 {
				called = effect.Named(ctx, string(rune('a'+random.IntN(3))))
			}
			var err error
			switch path := fmt.Sprintf("%s/%d", url, random.IntN(4)); random.IntN(4) {
			case 0:
				_, _, err = ask(called, rt, http.MethodGet, path, "")
			case 1:
				_, _, err = ask(called, rt, http.MethodPost, path, `{"a":1}`)
			case 2:
				_, _, err = ask(called, rt, http.MethodDelete, path, "")
			case 3:
				_, err = effect.Do(called, "do", path, func(context.Context, string) (string, error) { did(); return path, nil })
			}
			if err != nil && random.IntN(2) == 0 {
				return err
			}
		}
		return nil
	}
}

// 10,000 random handlers are replayed over the journals of 300 others: nothing
// leaves, whatever their code does.
func TestReplaySendsNothing(t *testing.T) {
	const live, replays = 300, 10_000
	store := openStore(t)
	o := newOutside(t, func(w http.ResponseWriter, _ *http.Request, _ string, n int) {
		if n%7 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	g, rt, did := newGateway(t, store, nil), once(), 0
	events := make([]*annals.Event, live)
	for i := range events {
		events[i] = place(t, store, fmt.Sprintf("order-%d", i))
		_ = g.Handle(t.Context(), effect.Handling{Handler: "h", Event: events[i]}, randomCode(uint64(i), o.URL, rt, func() { did++ }))
	}
	sent, done, end := len(o.sent()), did, endOf(t, store)
	if sent < live/2 || done == 0 {
		t.Fatalf("only %d calls", sent)
	}
	differences, answered := 0, 0
	for i := range replays {
		h := effect.Handling{Handler: "h", Event: events[i%live], Mode: []effect.Mode{effect.Replay, effect.Repair}[i%2]}
		h.Differs = func(context.Context, effect.Difference) error { differences++; return nil }
		seed := uint64(i % live) // the code of then, and of today
		if i%4 > 1 {
			seed = uint64(i)
		}
		if err := g.Handle(t.Context(), h, randomCode(seed, o.URL, rt, func() { did++ })); err == nil {
			answered++
		} else if !errors.Is(err, annals.ErrConflict) {
			t.Fatal(err)
		}
	}
	if n := len(o.sent()) - sent; n != 0 || did != done {
		t.Errorf("replays sent %d requests and made %d other calls", n, did-done)
	}
	if now := endOf(t, store); now != end {
		t.Errorf("replays appended %d events", now-end)
	}
	if differences == 0 || answered == 0 {
		t.Errorf("%d differences, %d answered", differences, answered)
	}
}

func endOf(t *testing.T, store *annals.Store) int64 {
	t.Helper()
	end, err := store.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return end
}

// A query answers as it did then, though the outside is gone.
func TestRecordedQuery(t *testing.T) {
	store := openStore(t)
	o := newOutside(t, nil)
	g, e := newGateway(t, store, nil), place(t, store, "order-7")
	for _, mode := range []effect.Mode{effect.Live, effect.Replay} {
		err := g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e, Mode: mode}, func(ctx context.Context) error {
			_, _, err := ask(ctx, once(), http.MethodGet, o.URL+"/price", "")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		o.Close()
	}
}

func TestEntries(t *testing.T) {
	store, o := openStore(t), newOutside(t, func(w http.ResponseWriter, r *http.Request, _ string, _ int) {
		code(w, r.URL.Path == "/busy", http.StatusServiceUnavailable)
		code(w, r.URL.Path == "/lost", http.StatusGatewayTimeout)
	})
	g := newGateway(t, store, nil)
	// A name so long that its journal's is a hash.
	long := "order-" + fmt.Sprintf("%0230d", 1)
	for i, stream := range []string{"order-1", long, "order-2"} {
		e := place(t, store, stream)
		for _, handler := range []string{"a", "ab"} {
			err := g.Handle(t.Context(), effect.Handling{Handler: handler, Event: e}, func(ctx context.Context) error {
				_, _, err := ask(ctx, once(), http.MethodPost, o.URL+[]string{"/fine", "/busy", "/lost"}[i], "")
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, test := range []struct {
		filter effect.Filter
		want   []string
	}{
		{effect.Filter{}, []string{"a order-1@1 answered", "ab order-1@1 answered", "a " + long + "@1 failed", "ab " + long + "@1 failed", "a order-2@1 unknown", "ab order-2@1 unknown"}},
		{effect.Filter{Handler: "a"}, []string{"a order-1@1 answered", "a " + long + "@1 failed", "a order-2@1 unknown"}},
		{effect.Filter{Handler: "ab", Status: []effect.Status{effect.Unknown, effect.Failed}}, []string{"ab " + long + "@1 failed", "ab order-2@1 unknown"}},
		{effect.Filter{Handler: "b"}, nil},
	} {
		var got []string
		for e, err := range effect.Entries(t.Context(), store, test.filter) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(e.Handler, " ", e.Event, " ", e.Status))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%+v: %q, want %q", test.filter, got, test.want)
		}
	}
}
