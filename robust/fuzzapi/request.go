package fuzzapi

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// A Request is one to send.
type Request struct {
	Method  string
	Target  string // path and query, escaped
	Header  http.Header
	Body    []byte
	Patient bool // it asks to wait or to follow, so that its answer may never end
}

// String is the request as a command of a shell.
func (r *Request) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "curl -X %s", r.Method)
	for name, values := range r.Header {
		for _, value := range values {
			if name == "Authorization" {
				value = "Bearer …"
			}
			fmt.Fprintf(&b, " -H %q", name+": "+value)
		}
	}
	if r.Body != nil {
		const shown = 2000
		fmt.Fprintf(&b, " -d %q", r.Body[:min(len(r.Body), shown)])
	}
	fmt.Fprintf(&b, " %q", r.Target)
	return b.String()
}

// A mood is how much of a request is meant well.
type mood int

const (
	valid   mood = iota
	mistake      // one thing is wrong
	attack       // anything may be
)

// A Generator makes requests by a seed. It is for one client.
type Generator struct {
	random *rand.Rand
	known  known
	tokens map[string]string
	wrong  int // how many values of the request at hand may yet be wrong
}

// NewGenerator makes one. tokens are those of the roles that operations name, and empty
// where the server takes none; values are what is known before the first answer, by the
// names of parameters, or of lists in answers and their members, as consumers.name.
func NewGenerator(seed uint64, tokens map[string]string, values map[string][]string) *Generator {
	g := &Generator{random: rand.New(rand.NewPCG(seed, 0xf022)), known: known{}, tokens: tokens}
	for name, list := range values {
		for _, value := range list {
			g.known.see(g.random, called(name), value)
		}
	}
	return g
}

// Learn takes from an answer what requests to come may name.
func (g *Generator) Learn(a *Answer) {
	if a.Status >= 300 {
		return
	}
	if tag := a.Header.Get("ETag"); tag != "" {
		g.known.see(g.random, "etag", tag)
	}
	if strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") {
		g.known.learn(g.random, a.Body)
	}
}

// Next makes a request for op.
func (g *Generator) Next(op *Operation) *Request {
	m := pick(g.random, []mood{valid, valid, mistake, attack})
	g.wrong = map[mood]int{valid: 0, mistake: 1, attack: 8}[m]
	r := &Request{Method: op.Method, Header: http.Header{}}
	query := url.Values{}
	path := op.Path
	for i := range op.Parameters {
		p := &op.Parameters[i]
		if p.In != "path" && p.Name != "reason" && !chance(g.random, 3) {
			continue
		}
		switch value := g.value(op, p); p.In {
		case "path":
			path = strings.Replace(path, "{"+p.Name+"}", escaped(value), 1)
		case "query":
			query.Add(p.Name, value)
			r.Patient = r.Patient || p.Name == "follow" || p.Name == "wait"
		case "header":
			g.header(r, p.Name, value)
		}
	}
	r.Patient = r.Patient || slices.Contains([]string{"playbackEvents", "eraseSubject", "switchProjection", "rebuildProjection"}, op.ID)
	if r.Target = path; len(query) > 0 || g.mistaken(20) {
		r.Target += "?" + g.spoiledQuery(query)
	}
	if op.Accepts != nil {
		g.body(r, op)
	}
	g.surroundings(r, op)
	return r
}

// mistaken tells whether to do a thing wrong that is one of n.
func (g *Generator) mistaken(n int) bool {
	if g.wrong == 0 || !chance(g.random, n) {
		return false
	}
	g.wrong--
	return true
}

// value is one for a parameter.
func (g *Generator) value(op *Operation, p *Parameter) string {
	of := meant(op, p.Name)
	if g.mistaken(2) {
		if chance(g.random, 3) && len(g.known[of]) > 0 {
			return pick(g.random, g.known[of]) + pick(g.random, hostile)
		}
		return pick(g.random, hostile)
	}
	switch p.Name {
	case "since", "before", "atTime":
		return pick(g.random, times)
	case "limit":
		return strconv.Itoa(g.random.IntN(50))
	case "waitSeconds":
		return strconv.Itoa(g.random.IntN(3))
	case "reason":
		return "because"
	case "If-Match":
		return strconv.Quote(strconv.Itoa(1 + g.random.IntN(9)))
	case "If-None-Match":
		if len(g.known["etag"]) == 0 || chance(g.random, 2) {
			return "*"
		}
	}
	if p.Schema.Type == "boolean" {
		return pick(g.random, []string{"true", "false", "1", "0"})
	}
	values := g.known[of]
	switch {
	case len(values) > 0 && !chance(g.random, 8):
		return pick(g.random, values)
	case p.Schema.Type == "integer" || strings.HasSuffix(of, "position") || of == "version":
		return strconv.Itoa(g.random.IntN(12))
	}
	return pick(g.random, []string{"a", "order-1", "order-2", "x/y", "T1", "é"})
}

// escaped is a value as a segment of a path. A segment of dots alone is sent escaped, as
// clients would take it for a step up.
func escaped(value string) string {
	if strings.Trim(value, ".") == "" {
		return strings.ReplaceAll(value, ".", "%2E") + strings.Repeat("%20", 1-min(1, len(value)))
	}
	return url.PathEscape(value)
}

// spoiledQuery is a query, of which something may be wrong as a whole.
func (g *Generator) spoiledQuery(query url.Values) string {
	text := query.Encode()
	if !g.mistaken(6) {
		return text
	}
	return pick(g.random, []string{text + "&" + text, text + "&unknown=1", text + "&%zz=1", text + ";a=b", "=&" + text, text + "&limit", text + "&a[]=1", "%00=" + text})
}

func (g *Generator) header(r *Request, name, value string) {
	if httpguts.ValidHeaderFieldValue(value) {
		r.Header.Add(name, value)
	}
}

// surroundings are what is beside parameters and body: who asks, what is accepted, and
// by which method.
func (g *Generator) surroundings(r *Request, op *Operation) {
	if chance(g.random, 3) {
		r.Header.Set("Accept", pick(g.random, []string{
			"*/*", "application/json", mediaNDJSON, mediaSSE, "application/cloudevents-batch+json", "application/json;q=0.1, application/x-ndjson;q=0.9", "text/html", "application/*",
		}))
	}
	if g.mistaken(10) {
		r.Header.Set("Accept", pick(g.random, []string{"", ",", "*", "a/b;q=x", "application/json;q=2", "application/json;q=-1", ";;;", "text/event-stream;q=0"}))
	}
	if op.Method == http.MethodGet && chance(g.random, 20) {
		r.Method = http.MethodHead
	}
	if g.mistaken(12) {
		r.Method = pick(g.random, []string{"PATCH", "OPTIONS", "TRACE", "PROPFIND", "QUERY"})
	}
	if g.mistaken(12) {
		g.header(r, pick(g.random, []string{"Origin", "Sec-Fetch-Site", "Traceparent", "X-Forwarded-For", "Content-Encoding", "Range", "If-Modified-Since"}), pick(g.random, append(hostile, "cross-site", "gzip")))
	}
	token := g.tokens[op.Role]
	if g.mistaken(8) && len(g.tokens) > 0 {
		token = pick(g.random, []string{"", "annals_nobody", g.tokens["read"], g.tokens["append"], "a b"})
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
}
