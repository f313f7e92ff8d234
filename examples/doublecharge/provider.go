package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
)

// A provider takes payments over HTTP, as one somewhere on the internet would:
// POST /charges and POST /refunds. A request with an Idempotency-Key that it has
// seen is answered as before and moves no money.
type provider struct {
	server *http.Server
	url    string

	mu       sync.Mutex
	requests int
	seen     map[string]answer // by Idempotency-Key
	balances map[string]int    // what each order has paid
	charges  int
}

type payment struct {
	Order  string `json:"order"`
	Amount int    `json:"amount"`
}

type answer struct {
	ID string `json:"id"`
}

func startProvider() (*provider, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &provider{seen: map[string]answer{}, balances: map[string]int{}, url: "http://" + listener.Addr().String()}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /charges", func(w http.ResponseWriter, r *http.Request) { p.take(w, r, 1) })
	mux.HandleFunc("POST /refunds", func(w http.ResponseWriter, r *http.Request) { p.take(w, r, -1) })
	p.server = &http.Server{Handler: mux}
	go func() { _ = p.server.Serve(listener) }() // until close
	return p, nil
}

func (p *provider) close() error { return p.server.Close() }

// take moves the amount of a request in the direction of sign.
func (p *provider) take(w http.ResponseWriter, r *http.Request, sign int) {
	var asked payment
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests++
	key := r.Header.Get("Idempotency-Key")
	given, again := p.seen[key]
	if !again {
		p.charges++
		given = answer{ID: fmt.Sprint("pay-", p.charges)}
		p.seen[key] = given
		p.balances[asked.Order] += sign * asked.Amount
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(given) // the client sees a cut-off answer
}

// show prints what the provider has done so far.
func (p *provider) show(out io.Writer, orders []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(out, "  the provider has had %d requests;", p.requests)
	for _, order := range orders {
		fmt.Fprintf(out, " %s paid %d", order, p.balances[order])
	}
	fmt.Fprintln(out)
}
