package gateway

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
)

// A call is a client's request on its way.
type call struct {
	way    *way
	client *http.ResponseController
	cancel context.CancelCauseFunc
	body   *requestBody // nil for none
	// broken is why the client's body can't be read, once that is so.
	broken atomic.Pointer[clientError]
	// began is when the client's headers were there.
	began time.Time
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// A bound of time is what ends a call early, as the cause of its context.
type bound string

const (
	errIdle  bound = "the service took or sent nothing for too long"
	errTotal bound = "the call took longer than it may"
)

func (b bound) Error() string        { return string(b) }
func (b bound) Timeout() bool        { return true }
func (b bound) Is(target error) bool { return target == context.DeadlineExceeded }

// ServeHTTP sends a call to its service and the answer back.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := g.recorder.Incoming(r)
	if r.Method == http.MethodConnect || !routable(r.URL) {
		g.answer(ctx, w, badRequest(r))
		return
	}
	way := g.table.find(r.Host, canonical(r.URL))
	if way == nil {
		g.answer(ctx, w, noRoute(r))
		return
	}
	most := g.config.Limits.Body
	if most > 0 && r.ContentLength > most {
		g.answer(ctx, w, bodyTooLarge(most))
		return
	}
	s := way.service
	c := &call{way: way, client: http.NewResponseController(w), began: g.clock()}
	ctx, c.cancel = context.WithCancelCause(context.WithValue(ctx, callKey{}, c))
	defer c.cancel(nil)
	if s.Request > 0 {
		var done context.CancelFunc
		ctx, done = context.WithTimeoutCause(ctx, s.Request, errTotal)
		defer done()
	}
	if r.ContentLength != 0 { // HTTP/2 has a Body even where there is none
		if most > 0 {
			r.Body = http.MaxBytesReader(w, r.Body, most)
		}
		c.body = newRequestBody(r.Body, c)
		r.Body = c.body
		// A service may answer while it still reads; HTTP/2 always lets it.
		_ = c.client.EnableFullDuplex()
	}
	s.calls.flying.Inc()
	defer s.calls.flying.Dec()
	g.proxy.ServeHTTP(w, r.WithContext(ctx))
}

// rewrite makes the request that goes to the service, but for its target.
func (g *Gateway) rewrite(p *httputil.ProxyRequest) {
	// A gateway decides nothing by the query, so that it need not agree with the
	// service on what a malformed one means.
	p.Out.URL.RawQuery = p.In.URL.RawQuery
	p.Out.Host = ""
	if strings.Contains(strings.ToLower(p.Out.Header.Get("Upgrade")), "h2c") {
		// It would be a tunnel for calls that no route leads; a service answers without.
		p.Out.Header.Del("Connection")
		p.Out.Header.Del("Upgrade")
	}
	p.Out.Trailer = p.In.Trailer // filled in at the end of the body, which is read later
	trusted := g.trusts(p.In.RemoteAddr)
	if trusted {
		p.Out.Header["X-Forwarded-For"] = p.In.Header["X-Forwarded-For"]
	}
	p.SetXForwarded()
	if !trusted {
		return
	}
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto"} {
		if value := p.In.Header[name]; len(value) > 0 {
			p.Out.Header[name] = value
		}
	}
}

// trusts reports whether a client is a proxy whose word on its own clients counts.
func (g *Gateway) trusts(remote string) bool {
	if len(g.config.Trust) == 0 {
		return false
	}
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	address := from.Addr().Unmap()
	for _, prefix := range g.config.Trust {
		if prefix.Contains(address) {
			return true
		}
	}
	return false
}
