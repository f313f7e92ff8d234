package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/eb901187/annals/tracking"
)

const (
	serviceA = "Microservice A"
	serviceB = "Microservice B"
	serviceC = "Microservice C"
)

// A faultPlan says what becomes of each order: the same for the same seed.
type faultPlan struct{ seed uint64 }

// A fate is what becomes of one order.
type fate struct {
	fails   bool // at Microservice C
	a, b, c time.Duration
}

// of draws the fate of an order: C fails one in fifteen, and is slow with one in
// twenty.
func (p faultPlan) of(order uint64) fate {
	r := rand.New(rand.NewPCG(p.seed, order))
	upTo := func(n int) time.Duration { return time.Duration(1000+r.IntN(1000*n)) * time.Microsecond }
	f := fate{fails: r.IntN(15) == 0, a: upTo(4), b: upTo(8), c: upTo(16)}
	if r.IntN(20) == 0 {
		f.c = time.Duration(150+r.IntN(300)) * time.Millisecond
	}
	return f
}

// demoServices are three services over HTTP. A order needs B's stock, and that needs
// C's supplies; they call each other through the gateway.
type demoServices struct {
	plan    faultPlan
	pause   func(ctx context.Context, d time.Duration) error
	gateway string            // its address
	calls   http.RoundTripper // to the gateway

	mu     sync.Mutex
	failed map[string]bool // the requests that C failed, the first mostNoted of them
}

// mostNoted is more than the demo looks at.
const mostNoted = 10_000

// didFail reports whether C has failed the request.
func (s *demoServices) didFail(request string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed[request]
}

// a is a Go service that leaves it to tracking to pass on in which request it is.
func (s *demoServices) a() http.Handler {
	client := &http.Client{Transport: &tracking.Transport{Base: s.calls, Source: serviceA}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{order}", s.answers(func(w http.ResponseWriter, r *http.Request, order uint64, f fate) {
		if s.pause(r.Context(), f.a) == nil { // else nobody waits for the answer
			s.ask(w, r, client, fmt.Sprintf("/stock/%d", order), nil)
		}
	}))
	return tracking.Handler(mux, serviceA, nil, nil)
}

// b passes it on as a service in any language can: by sending along the headers that
// it got.
func (s *demoServices) b() http.Handler {
	client := &http.Client{Transport: s.calls}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stock/{order}", s.answers(func(w http.ResponseWriter, r *http.Request, order uint64, f fate) {
		passed := http.Header{}
		for _, name := range []string{"Traceparent", "Tracestate", "X-Request-Id"} {
			if value := r.Header.Get(name); value != "" {
				passed.Set(name, value)
			}
		}
		if s.pause(r.Context(), f.b) == nil {
			s.ask(w, r, client, fmt.Sprintf("/supplies/%d", order), passed)
		}
	}))
	return mux
}

// c calls nobody, and fails and is slow as planned.
func (s *demoServices) c() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /supplies/{order}", s.answers(func(w http.ResponseWriter, r *http.Request, order uint64, f fate) {
		switch {
		case s.pause(r.Context(), f.c) != nil:
			return
		case !f.fails:
			fmt.Fprintf(w, "supplies for order %d are there\n", order)
			return
		}
		s.mu.Lock()
		if len(s.failed) < mostNoted {
			s.failed[r.Header.Get("X-Request-Id")] = true
		}
		s.mu.Unlock()
		http.Error(w, "the connection pool is exhausted", http.StatusServiceUnavailable)
	}))
	return mux
}

// answers gives f the order that the path names, and its fate.
func (s *demoServices) answers(f func(w http.ResponseWriter, r *http.Request, order uint64, f fate)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		order, err := strconv.ParseUint(r.PathValue("order"), 10, 64)
		if err != nil {
			http.Error(w, "an order is a number, such as 7", http.StatusBadRequest)
			return
		}
		f(w, r, order, s.plan.of(order))
	}
}

// ask answers with what the gateway answers for path, and fails if that does.
func (s *demoServices) ask(w http.ResponseWriter, r *http.Request, client *http.Client, path string, header http.Header) {
	out, err := http.NewRequestWithContext(r.Context(), http.MethodGet, s.gateway+path, nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if header != nil {
		out.Header = header
	}
	status, text, _, err := fetch(client, out)
	switch {
	case err != nil:
		http.Error(w, "no answer for "+path+": "+err.Error(), http.StatusBadGateway)
	case status != http.StatusOK:
		http.Error(w, fmt.Sprintf("%s answered %d: %s", path, status, text), http.StatusBadGateway)
	default:
		_, _ = w.Write(text) // the caller went away, and the gateway records that
	}
}

// mostAnswer bounds an answer, in bytes.
const mostAnswer = 64 << 10

// fetch sends a request and reads the answer to its end.
func fetch(client *http.Client, r *http.Request) (status int, text []byte, header http.Header, err error) {
	answer, err := client.Do(r)
	if err != nil {
		return 0, nil, nil, err
	}
	text, err = io.ReadAll(io.LimitReader(answer.Body, mostAnswer))
	return answer.StatusCode, text, answer.Header, errors.Join(err, answer.Body.Close())
}
