package effect

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/failsafe-go/failsafe-go"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
)

const keyHeader = "Idempotency-Key"

// A Transport is an http.RoundTripper that journals requests. The zero value is
// ready for use by any client library that takes an http.Client:
//
//	client := &http.Client{Transport: &effect.Transport{}}
//
// The context of each request must be, or come from, the one that Gateway.Handle
// gave to the handler; without it a request fails with ErrNoHandling. Each hop of a
// redirect is a call of its own.
//
// A request's body is read whole, at most 16 MiB, before anything is sent; of an
// answer, as much as the journal keeps is read before the caller gets it. Requests
// that upgrade the connection are refused. An answer from the journal has the status,
// headers and body of the answer then, without secrets; JSON comes without white
// space and with the members of objects in the order of the alphabet, and what came
// in gzip comes decoded; where bytes are others than then, the headers with checksums
// of them are left out.
//
// Answers with the status 408, 425, 429, 500 and 503 say that the call had no effect,
// and so do errors before anything was sent: it is made again, with the same
// Idempotency-Key, when its event is handled again. After 502, 504 and other errors
// that holds for idempotent methods (RFC 9110); for others the outcome is unknown.
// Every other answer is for good. The handler gets the answer or the error whichever
// it is. A request that a handler makes again at once, because the first one failed, is
// a further attempt of the same call.
//
// A Transport must not be copied or changed after its first use. It is safe for
// concurrent use; one for each host, or one for all, is enough for a process.
type Transport struct {
	// Base sends requests; by default an http.Transport of its own without a proxy.
	// Addresses are checked where Base is nil, http.DefaultTransport, or an
	// *http.Transport without functions of its own for dialing: it is cloned at the
	// first use. Any other Base dials as it will.
	Base http.RoundTripper
	// Policies are applied to each attempt, the first one outermost. Nil means: up to 3
	// tries, where another one is safe, with growing pauses or as Retry-After says up
	// to 5 s; a circuit breaker for each host, which opens for 5 s when half of at least
	// 10 tries within 30 s fail; 10 s for each try. Empty means none. All tries of an
	// attempt have the same Idempotency-Key and together Options.Timeout.
	Policies []failsafe.Policy[*http.Response]
	// Same decides whether a request is the one that was made then. By default method,
	// URL and body must be equal, JSON by value, as the journal keeps them.
	Same func(was, now *Request) bool
	// Final decides which answers are for good; after others, the call had no effect.
	// See above for the default. It must not read the body.
	Final func(*http.Response) bool
	// Addresses says where requests may go; nil means DefaultAddresses.
	Addresses *Addresses

	once     sync.Once
	base     http.RoundTripper
	reports  bool // base tells by httptrace when a request gets a connection
	breakers breakers
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.once.Do(t.start)
	s := scopeOf(r.Context())
	if err := t.refuse(r, s); err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	raw, err := readBody(r)
	if err != nil {
		return nil, err
	}
	if s.direct != "" {
		x := &exchange{t: t, request: r, body: raw}
		return x.run(r.Context(), -1)
	}
	return t.call(r, raw, s)
}

func (t *Transport) refuse(r *http.Request, s *scope) error {
	if s == nil {
		return ErrNoHandling
	}
	if s.name != "" {
		if err := checkName(s.name); err != nil {
			return err
		}
	}
	if r.Header.Get("Upgrade") != "" || r.Method == http.MethodConnect {
		return annals.Invalid("request", "must not upgrade its connection: what follows could not be journaled")
	}
	return nil
}

// readBody reads and closes the body of r.
func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if closeErr := r.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("reading the body of a request, of which nothing was sent: %w", err)
	}
	if len(raw) > maxRequest {
		return nil, &annals.InvalidError{Code: annals.CodeTooLarge, Violations: []annals.Violation{{
			Field: "request", Message: fmt.Sprintf("has a body of more than %d bytes; nothing was sent", maxRequest),
		}}}
	}
	return raw, nil
}

// call makes a request through the journal.
func (t *Transport) call(r *http.Request, raw []byte, s *scope) (*http.Response, error) {
	h := s.handling
	sieve := h.g.redact.sieve()
	x := &exchange{t: t, request: r, body: raw}
	var answer *http.Response
	c := &call{own: r.Header.Get(keyHeader), request: sieve.request(r, raw, h.g.opts.MaxBody), same: t.Same}
	if c.same == nil {
		c.same = asksTheSame
	}
	c.send = func(ctx context.Context, key string) outcome {
		x.key = key
		var err error
		answer, err = x.run(ctx, h.g.opts.MaxBody)
		return x.outcome(answer, err, sieve, h.g.opts.MaxBody)
	}
	e, err := h.answer(r.Context(), c, s.name)
	if err != nil {
		if answer != nil {
			answer.Body.Close()
		}
		return nil, err
	}
	if e == nil {
		return answer, nil
	}
	given, err := e.httpResponse(r)
	if err != nil {
		return nil, h.verdict(consumer.Permanent(err))
	}
	return given, nil
}

// request is r as the journal keeps it. What was met in one part of it may repeat in
// another, so that it is gone through again.
func (s *sieve) request(r *http.Request, raw []byte, max int) *Request {
	for {
		known := len(s.secrets)
		u := *r.URL
		u.Fragment, u.RawFragment = "", ""
		text := u.String()
		if u.User != nil {
			// String escapes, and what was written is not at hand.
			password, _ := u.User.Password()
			s.met(password)
		}
		kept := &Request{
			Method: methodOf(r), Headers: s.headers(r.Header), Body: s.body(raw, r.Header, max, true),
			URL: strings.ToValidUTF8(s.scrub(s.url(text)), "\uFFFD"),
		}
		if known == len(s.secrets) {
			return kept
		}
	}
}

func methodOf(r *http.Request) string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}

// String is the request in one line, without its body.
func (r *Request) String() string {
	if r.Method == "" {
		return "a call by Do"
	}
	return r.Method + " " + r.URL
}

// asksTheSame compares all but headers.
func asksTheSame(was, now *Request) bool {
	return was.Method == now.Method && was.URL == now.URL && was.Body.equal(&now.Body)
}

func (b *Body) equal(other *Body) bool {
	return b.Truncated == other.Truncated && b.Sum == other.Sum && b.Text == other.Text &&
		bytes.Equal(b.Bytes, other.Bytes) && sameJSON(b.Data, other.Data)
}

// sameJSON compares what decode has decoded, numbers by value.
func sameJSON(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for name, v := range a {
			if w, ok := b[name]; !ok || !sameJSON(v, w) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !sameJSON(a[i], b[i]) {
				return false
			}
		}
		return true
	case json.Number:
		b, ok := b.(json.Number)
		return ok && (a == b || sameNumber(a, b))
	}
	return a == b
}

func sameNumber(a, b json.Number) bool {
	x, okX := new(big.Rat).SetString(a.String())
	y, okY := new(big.Rat).SetString(b.String())
	return okX && okY && x.Cmp(y) == 0
}

// kept is an answer as the journal keeps it; body is what was read of it, whole or
// not.
func (s *sieve) kept(r *http.Response, body []byte, whole bool, limit int) *Response {
	k := &Response{Status: r.StatusCode, Headers: s.headers(r.Header)}
	if !whole {
		k.Body = Body{Size: max(r.ContentLength, 0), Truncated: true}
		return k
	}
	k.Body = s.body(body, r.Header, limit, false)
	if strings.EqualFold(k.Headers.Get("Content-Encoding"), "gzip") {
		k.Headers.Del("Content-Encoding") // body has decoded it, if it was gzip at all
		if bytes.HasPrefix(k.Bytes, []byte{0x1f, 0x8b}) {
			k.Headers.Set("Content-Encoding", "gzip")
		}
	}
	if !k.Truncated && !bytes.Equal(k.content(), body) {
		maps.DeleteFunc(k.Headers, func(name string, _ []string) bool { return isChecksum(name) })
	}
	return k
}

// isChecksum reports whether a header is about the very bytes of a body, which SDKs
// check.
func isChecksum(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains([]string{"content-md5", "digest", "content-digest", "repr-digest", "x-amz-crc32", "x-goog-hash"}, name) ||
		strings.HasPrefix(name, "x-amz-checksum-")
}

// httpResponse is the answer of e to r.
func (e *Entry) httpResponse(r *http.Request) (*http.Response, error) {
	if e.Response == nil || e.Response.Truncated {
		return nil, e.cannotRepeat()
	}
	content := e.Response.content()
	status := e.Response.Status
	if status == 0 {
		status = http.StatusOK // one that Ask or an operator made up
	}
	headers := e.Response.Headers.Clone()
	if headers == nil {
		headers = http.Header{}
	}
	length := int64(len(content))
	switch said := headers.Get("Content-Length"); {
	case said == "":
	case r.Method != http.MethodHead:
		headers.Set("Content-Length", strconv.FormatInt(length, 10))
	default:
		if n, err := strconv.ParseInt(said, 10, 64); err == nil {
			length = n
		}
	}
	if e.Response.Data != nil && headers.Get("Content-Type") == "" {
		headers.Set("Content-Type", annals.JSONContentType)
	}
	return &http.Response{
		Status: strconv.Itoa(status) + " " + http.StatusText(status), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: headers, ContentLength: length, Request: r,
		Body: io.NopCloser(bytes.NewReader(content)),
	}, nil
}

func (e *Entry) cannotRepeat() error {
	return &annals.Error{
		Code:    annals.CodeTooLarge,
		Message: fmt.Sprintf("the answer to call %s of handler %s for event %s was larger than the journal keeps, so that it can't be given again", e.Call, e.Handler, e.Event),
		Hint:    "effect.Options.MaxBody says how much of an answer is kept of calls from then on",
	}
}
