package effect_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/storetest/stores"
)

// An outside is a real HTTP server that remembers what it was sent.
type outside struct {
	*httptest.Server
	mu       sync.Mutex
	requests []sent
	answer   func(w http.ResponseWriter, r *http.Request, body string, n int) // of the n-th request, from 1
}

type sent struct{ method, path, key, body string }

func newOutside(t testing.TB, answer func(w http.ResponseWriter, r *http.Request, body string, n int)) *outside {
	o := &outside{answer: answer}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the caller has gone
		}
		o.mu.Lock()
		o.requests = append(o.requests, sent{r.Method, r.URL.Path, r.Header.Get("Idempotency-Key"), string(body)})
		n := len(o.requests)
		o.mu.Unlock()
		if o.answer == nil {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"n": %d}`, n)
			return
		}
		o.answer(w, r, string(body), n)
	}))
	t.Cleanup(o.Close)
	return o
}

func (o *outside) sent() []sent {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]sent(nil), o.requests...)
}

// A clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func openStore(t testing.TB) *annals.Store { return stores.Memory(t, nil) }

// place appends an event and returns it as a consumer would get it.
func place(t testing.TB, store *annals.Store, stream string) *annals.Event {
	t.Helper()
	e := annals.Event{Type: "order-placed", Correlation: "c-1", Data: []byte(`{"amount":12}`), Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	commit, err := store.Append(t.Context(), stream, annals.Any, e)
	if err != nil {
		t.Fatal(err)
	}
	if commit, err = store.Wait(t.Context(), commit); err != nil {
		t.Fatal(err)
	}
	e.Stream, e.Version, e.Position = commit.Stream, commit.Version, commit.Position
	return &e
}

func newGateway(t testing.TB, store *annals.Store, opts *effect.Options) *effect.Gateway {
	t.Helper()
	o := effect.Options{}
	if opts != nil {
		o = *opts
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	g, err := effect.New(store, &o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// once is a Transport without retries.
func once() *effect.Transport {
	return &effect.Transport{Policies: []failsafe.Policy[*http.Response]{}}
}

// ask makes a request and returns the answer's status and body.
func ask(ctx context.Context, rt http.RoundTripper, method, url, body string) (int, string, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	client := &http.Client{Transport: rt}
	answer, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

func journal(t testing.TB, store *annals.Store, handler string, e *annals.Event) []effect.Entry {
	t.Helper()
	entries, err := effect.Journal(t.Context(), store, handler, fmt.Sprintf("%s@%d", e.Stream, e.Version))
	if err != nil {
		t.Fatal(err)
	}
	return entries
}
