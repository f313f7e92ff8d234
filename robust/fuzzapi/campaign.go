package fuzzapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A Campaign sends requests to one server, one after the other.
type Campaign struct {
	Document *Document
	URL      string // of the server, as http://127.0.0.1:8080
	Client   *http.Client
	Seed     uint64
	// Requests is how many each operation gets.
	Requests int
	// Tokens and Values are those of NewGenerator.
	Tokens map[string]string
	Values map[string][]string
	// Expected says which operations may answer with which status of 500 and above;
	// nil for none.
	Expected func(operation string, status int) bool
	// Patience is how long an answer is read that has no end of its own. An answer to any
	// other request must come within Limit.
	Patience, Limit time.Duration
}

// A Finding is an answer that is wrong.
type Finding struct {
	Operation string
	Request   *Request
	Err       error
}

// String tells the finding to people.
func (f *Finding) String() string { return fmt.Sprintf("%s: %v\n  %v", f.Operation, f.Err, f.Request) }

// A Report is what came of a Campaign.
type Report struct {
	Requests int                    // that were answered
	Left     int                    // that asked to wait or to follow, and were left before they were answered
	Statuses map[string]map[int]int // of answers, by operation
	Findings []Finding
}

// Succeeded is how many requests of an operation were answered with what they ask for.
func (r *Report) Succeeded(operation string) (n int) {
	for status, count := range r.Statuses[operation] {
		if status < 300 || status == http.StatusNotModified {
			n += count
		}
	}
	return n
}

// Add puts the counts and findings of another report to those of r.
func (r *Report) Add(other *Report) {
	r.Requests += other.Requests
	r.Left += other.Left
	r.Findings = append(r.Findings, other.Findings...)
	if r.Statuses == nil {
		r.Statuses = map[string]map[int]int{}
	}
	for operation, counts := range other.Statuses {
		for status, n := range counts {
			r.count(operation, status, n)
		}
	}
}

func (r *Report) count(operation string, status, n int) {
	if r.Statuses[operation] == nil {
		r.Statuses[operation] = map[int]int{}
	}
	r.Statuses[operation][status] += n
}

// Run sends all requests, operations mixed. Its error says why it could not go on; what
// the server does wrong is in the report. The same seed makes the same requests as long as
// the answers are the same.
func (c *Campaign) Run(ctx context.Context) (*Report, error) {
	g := NewGenerator(c.Seed, c.Tokens, c.Values)
	report := &Report{Statuses: map[string]map[int]int{}}
	left := slices.Repeat([]int{c.Requests}, len(c.Document.Operations))
	for total := c.Requests * len(left); total > 0; total-- {
		i := g.random.IntN(len(left))
		for left[i] == 0 {
			i = (i + 1) % len(left)
		}
		left[i]--
		op := &c.Document.Operations[i]
		r := g.Next(op)
		a, err := c.send(ctx, r)
		switch {
		case ctx.Err() != nil:
			return report, context.Cause(ctx)
		case errors.Is(err, context.DeadlineExceeded) && r.Patient:
			report.Left++
			continue
		case err == nil:
			report.Requests++
			report.count(op.ID, a.Status, 1)
			g.Learn(a)
			err = c.Document.Check(op, r.Method, a, func(status int) bool { return c.Expected != nil && c.Expected(op.ID, status) })
		}
		if err != nil {
			report.Findings = append(report.Findings, Finding{op.ID, r, err})
		}
	}
	return report, nil
}

// send returns the answer to r, as far as it came within its time.
func (c *Campaign) send(ctx context.Context, r *Request) (*Answer, error) {
	limit := c.Limit
	if r.Patient {
		limit = c.Patience
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, c.URL, body)
	if err != nil {
		return nil, err
	}
	// As it is, whatever net/url makes of it.
	path, query, _ := strings.Cut(r.Target, "?")
	request.URL = &url.URL{Scheme: request.URL.Scheme, Host: request.URL.Host, Opaque: "//" + request.URL.Host + path, RawQuery: query}
	request.Header = r.Header
	answer, err := c.Client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	a := &Answer{Status: answer.StatusCode, Header: answer.Header}
	a.Body, err = io.ReadAll(answer.Body)
	if errors.Is(err, context.DeadlineExceeded) && r.Patient {
		a.Cut, err = true, nil
	}
	return a, err
}
