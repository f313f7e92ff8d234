package linear

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
)

// proxy is between clients and a server, and breaks their connections: before a
// request is passed on, behind it, or within the answer.
type proxy struct {
	*dice
	address string
	shared  *http.Transport
	forward func(*http.Request) (*answer, error)
	calls   counter
	leaving counter // clients that went away before their answer came
	late    sync.WaitGroup
	steady  *annals.Store

	mu     sync.RWMutex
	up     chan struct{} // closed while the server is there
	epoch  int           // counts the servers that were there
	silent map[string]bool
	all    []*annals.Store // by client
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

var ofRequests = []chance{{"cut before the request", 50}, {"cut before the answer", 70}, {"cut within the answer", 10}}

// ofPosts are of requests that append.
var ofPosts = append([]chance{{"request late", 2}}, ofRequests...)

// stored is for appends that were no conflict: most are, and their answers say less.
var stored = []chance{{"cut before the answer", 120}}

const nameHeader = "X-Client"

func newProxy(t *testing.T, seed uint64, forward func(*http.Request) (*answer, error), faults ...string) *proxy {
	t.Helper()
	p := &proxy{dice: newDice(seed, faults...), forward: forward, shared: &http.Transport{MaxIdleConnsPerHost: 256}, up: make(chan struct{}), silent: map[string]bool{}}
	for _, c := range ofPosts {
		p.count[c.name] = 0
	}
	server := httptest.NewServer(p)
	t.Cleanup(func() {
		p.shared.CloseIdleConnections()
		server.Close()
	})
	p.address = server.URL
	return p
}

// stores makes the stores of so many clients, and one whose requests no fault meets.
func (p *proxy) stores(t *testing.T, n int) {
	t.Helper()
	for i := range n + 1 {
		opts, name := p.options(), strconv.Itoa(i)
		if i == n {
			opts, name = nil, ""
		}
		s, err := client.Open(p.address, &client.Options{HTTP: &http.Client{Transport: named{p.shared, name}}, Store: opts})
		if err != nil {
			t.Fatal(err)
		}
		p.all = append(p.all, s)
	}
	p.steady = p.all[n]
}

func (p *proxy) store(client int) *annals.Store { return p.all[client] }

// named tells the proxy which client a request is of.
type named struct {
	http.RoundTripper
	name string
}

func (n named) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(nameHeader, n.name)
	return n.RoundTripper.RoundTrip(r)
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer p.calls.add()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	in := r.Clone(r.Context())
	in.Body = io.NopCloser(bytes.NewReader(body))
	fault := p.fate(r)
	switch fault {
	case "cut before the request":
		panic(http.ErrAbortHandler)
	case "request late":
		<-r.Context().Done()
		p.late.Go(func() { _, _ = p.through(in.WithContext(context.WithoutCancel(r.Context()))) }) // nobody asks any more
		panic(http.ErrAbortHandler)
	}
	out, err := p.through(in)
	if r.Context().Err() != nil {
		p.leaving.add()
	}
	if err == nil && fault == "" && r.Header.Get(nameHeader) != "" && out.status == http.StatusCreated && p.fall(stored) != "" {
		fault = p.silence(r, "cut before the answer")
	}
	if err != nil || fault == "cut before the answer" {
		panic(http.ErrAbortHandler)
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	if out.epoch != p.epoch {
		panic(http.ErrAbortHandler) // the server that has said this is gone
	}
	for name, values := range out.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(out.body)))
	w.WriteHeader(out.status)
	if fault == "cut within the answer" {
		_, _ = w.Write(out.body[:len(out.body)/2])
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(out.body)
}

// fate is what becomes of a request. A client whose append was cut off does not get
// through with its next read either, most of the time: else it would see what has
// become of the append.
func (p *proxy) fate(r *http.Request) string {
	name := r.Header.Get(nameHeader)
	if name == "" {
		return ""
	}
	p.mu.Lock()
	silent := p.silent[name]
	delete(p.silent, name)
	p.mu.Unlock()
	if silent && r.Method == http.MethodGet && p.below(4) > 0 {
		return "cut before the request"
	}
	if r.Method != http.MethodPost {
		return p.fall(ofRequests)
	}
	return p.silence(r, p.fall(ofPosts))
}

// silence notes that a client's append got a fault, if it did.
func (p *proxy) silence(r *http.Request, fault string) string {
	if name := r.Header.Get(nameHeader); fault != "" && name != "" {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.silent[name] = true
	}
	return fault
}

type dated struct {
	*answer
	epoch int
}

var errAway = errors.New("the client went away")

// through passes a request on once the server is there.
func (p *proxy) through(r *http.Request) (dated, error) {
	p.mu.RLock()
	up, epoch := p.up, p.epoch
	p.mu.RUnlock()
	select {
	case <-up:
	case <-r.Context().Done():
		return dated{}, errAway
	}
	out, err := p.forward(r)
	return dated{out, epoch}, err
}

// down keeps requests waiting from now on, and drops the answers that are on their
// way. what happens when no answer can pass.
func (p *proxy) down(what func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up = make(chan struct{})
	p.epoch++
	what()
}

// start lets requests through to a server that is there again.
func (p *proxy) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch++
	close(p.up)
}
