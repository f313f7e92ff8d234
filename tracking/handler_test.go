package tracking

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// A chain is a caller, services A and B, and A's call of B.
type chain struct {
	recorder *Recorder
	sink     *plainSink
	a        *httptest.Server
	outer    *Transport
}

// newChain makes one in which A passes on what aHeader copies, if that is set, as
// a service without our packages does; else A uses Handler and Transport.
func newChain(t *testing.T, passOn ...string) *chain {
	t.Helper()
	c := &chain{}
	c.recorder, c.sink = testRecorder(t)
	toB := &Transport{Recorder: c.recorder, Service: func(*http.Request) string { return "B" }, Source: "A"}
	b := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	call := func(w http.ResponseWriter, req *http.Request) {
		out := newRequest(t, req.Context(), http.MethodGet, b.URL, nil)
		for _, name := range passOn {
			out.Header[name] = req.Header[name]
		}
		mustGet(t, toB, out)
		w.WriteHeader(http.StatusBadGateway)
	}
	next := Handler(http.HandlerFunc(call), "A", c.recorder, nil)
	if len(passOn) > 0 {
		next = http.HandlerFunc(call)
	}
	c.a = serve(t, next.ServeHTTP)
	c.outer = &Transport{Recorder: c.recorder, Service: func(*http.Request) string { return "A" }, Source: "Gateway"}
	t.Cleanup(func() { c.outer.CloseIdleConnections(); toB.CloseIdleConnections() })
	return c
}

// run sends a request with header through the chain and returns the two
// responses that are recorded: B's and A's.
func (c *chain) run(t *testing.T, header http.Header) (b, a told) {
	t.Helper()
	req := newRequest(t, t.Context(), http.MethodGet, c.a.URL, nil)
	req = req.WithContext(c.recorder.Incoming(&http.Request{Header: header}))
	mustGet(t, c.outer, req)
	var all []told
	for _, m := range recorded(t, c.recorder, c.sink) {
		if m.Type == ResponseType {
			all = append(all, m)
		}
	}
	if len(all) != 2 || all[0].Name != "B" || all[1].Name != "A" {
		t.Fatalf("got %+v", all)
	}
	return all[0], all[1]
}

func TestNestedCallsMakeATree(t *testing.T) {
	for name, c := range map[string]struct {
		passOn []string
		header http.Header
		id     string
	}{
		"with our packages":                    {nil, http.Header{"X-Request-Id": {"req-1"}}, "req-1"},
		"a service that passes on traceparent": {[]string{"Traceparent"}, http.Header{"Traceparent": {"00-" + traceA + "-" + spanA + "-01"}}, traceA},
		"traceparent and tracestate":           {[]string{"Traceparent", "Tracestate"}, http.Header{"X-Request-Id": {"req-1"}}, "req-1"},
		"traceparent and X-Request-Id":         {[]string{"Traceparent", "X-Request-Id"}, http.Header{"X-Request-Id": {"req-1"}}, "req-1"},
	} {
		t.Run(name, func(t *testing.T) {
			b, a := newChain(t, c.passOn...).run(t, c.header)
			if b.ParentID != a.CallID || a.RequestID != c.id || b.RequestID != c.id || b.Status != 503 || a.Status != 502 || a.Source != "Gateway" || b.Source != "A" {
				t.Fatalf("A %+v\nB %+v", a, b)
			}
		})
	}
}

// A service that makes spans of its own between our calls breaks no tree.
func TestTreeHoldsAcrossSpansOfOthers(t *testing.T) {
	c := newChain(t, "Traceparent", "Tracestate")
	inner := c.a.Config.Handler
	c.a.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		p := req.Header.Get("Traceparent")
		req.Header.Set("Traceparent", p[:36]+spanB+p[52:])
		req.Header.Set("Tracestate", "other=1,"+req.Header.Get("Tracestate"))
		inner.ServeHTTP(w, req)
	})
	b, a := c.run(t, http.Header{})
	if b.ParentID != a.CallID || b.RequestID != a.RequestID {
		t.Fatalf("A %+v\nB %+v", a, b)
	}
}

func TestHandlerRecordsWhoCallsUnrecorded(t *testing.T) {
	marked := http.Header{"Traceparent": {"00-" + traceA + "-" + spanA + "-01"}, "Tracestate": {"annals=" + spanA}}
	for name, c := range map[string]struct {
		header http.Header
		opts   *HandlerOptions
		want   int
		source string
	}{
		"nobody has":         {http.Header{}, nil, 2, "client"},
		"the caller has":     {marked, nil, 0, ""},
		"a stranger says so": {marked, &HandlerOptions{Public: true, Source: "internet"}, 2, "internet"},
		"a caller without a recorder passed it on": {http.Header{"Traceparent": marked["Traceparent"], "Tracestate": {"annals=" + spanB}}, nil, 2, "client"},
		"others trace, not ours":                   {http.Header{"Traceparent": marked["Traceparent"]}, nil, 2, "client"},
	} {
		t.Run(name, func(t *testing.T) {
			r, sink := testRecorder(t)
			var within SpanContext
			h := Handler(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				within, _ = FromContext(req.Context())
				_, _ = io.Copy(w, req.Body)
			}), "S", r, c.opts)
			req := httptest.NewRequest(http.MethodPost, "/p?q=1", strings.NewReader("abc"))
			req.Header = c.header
			h.ServeHTTP(httptest.NewRecorder(), req)
			all := recorded(t, r, sink)
			if len(all) != c.want || !isID(within.CallID) || c.want == 0 && within.CallID != spanA {
				t.Fatalf("%+v within %+v", all, within)
			}
			if c.want == 0 {
				return
			}
			m := all[1]
			if m.CallID != within.CallID || m.RequestID != within.RequestID || m.Status != 200 || m.RequestBytes != 3 || m.ResponseBytes != 3 || m.Path != "/p" || m.Source != c.source || m.Name != "S" || m.Error != "" {
				t.Fatalf("got %+v", m)
			}
		})
	}
}

func TestHowHandlersEnd(t *testing.T) {
	for name, c := range map[string]struct {
		h      http.HandlerFunc
		status int
		kind   ErrorKind
	}{
		"nothing written": {func(http.ResponseWriter, *http.Request) {}, 200, ""},
		"a status":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(404) }, 404, ""},
		"a panic":         {func(http.ResponseWriter, *http.Request) { panic("secret of the handler") }, 500, KindOther},
		"aborted":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); panic(http.ErrAbortHandler) }, 201, KindReset},
		"less than announced": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			_, _ = w.Write([]byte("abc"))
		}, 200, KindShortBody},
		"a body where none may be": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
			_, _ = io.WriteString(w, "{}")
		}, 204, ""},
		"another protocol": {func(w http.ResponseWriter, _ *http.Request) { echo(t, w) }, 101, ""},
		"the client goes": {func(w http.ResponseWriter, req *http.Request) {
			conn := req.Context().Value(connection{}).(net.Conn)
			_ = conn.Close()
			<-req.Context().Done()
		}, 200, KindCanceled},
	} {
		t.Run(name, func(t *testing.T) {
			r, sink := testRecorder(t)
			server := httptest.NewUnstartedServer(Handler(c.h, "S", r, nil))
			server.Config.ErrorLog = quietStdLog
			server.Config.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
				return context.WithValue(ctx, connection{}, conn)
			}
			server.Start()
			defer server.Close()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if c.status == 101 || c.kind != KindCanceled && name != "a panic" {
				if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
					_ = resp.Body.Close()
				}
			}
			m := theResponse(t, r, sink)
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			if m.Status != c.status || ErrorKind(m.ErrorKind) != c.kind || (m.Error == "") != (c.kind == "") {
				t.Fatalf("got %+v", m)
			}
		})
	}
}

// The body of an answer to HEAD goes nowhere.
func TestHandlerCountsNoBodyOfHead(t *testing.T) {
	r, sink := testRecorder(t)
	h := Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "text") }), "S", r, nil)
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodHead, "/", nil))
	if m := theResponse(t, r, sink); m.ResponseBytes != 0 || m.Status != 200 || m.Error != "" {
		t.Errorf("%+v", m)
	}
}

type connection struct{}

// The writer can do what the server's can.
func TestHandlerKeepsTheAbilitiesOfTheWriter(t *testing.T) {
	r, sink := testRecorder(t)
	server := serve(t, Handler(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, flushes := w.(http.Flusher)
		_, hijacks := w.(http.Hijacker)
		_, reads := w.(io.ReaderFrom)
		if !flushes || !hijacks || !reads {
			t.Errorf("flushes %v, hijacks %v, reads from %v", flushes, hijacks, reads)
		}
		c := http.NewResponseController(w)
		if err := errors.Join(c.SetWriteDeadline(start.AddDate(100, 0, 0)), c.EnableFullDuplex(), c.Flush()); err != nil {
			t.Error(err)
		}
		if n, err := io.Copy(w, strings.NewReader("12345")); n != 5 || err != nil {
			t.Error(n, err)
		}
		if n, err := io.WriteString(w, "67"); n != 2 || err != nil {
			t.Error(n, err)
		}
	}), "S", r, nil).ServeHTTP)
	if _, body := mustGet(t, &Transport{}, newRequest(t, t.Context(), http.MethodGet, server.URL, nil)); string(body) != "1234567" {
		t.Fatalf("%q", body)
	}
	if m := theResponse(t, r, sink); m.ResponseBytes != 7 || m.Status != 200 {
		t.Fatalf("got %+v", m)
	}
}

// A Transport that records nothing leaves no call out of the tree: what is
// recorded next is within the call around it.
func TestUnrecordedTransportTellsOfTheCallAround(t *testing.T) {
	r, sink := testRecorder(t)
	server := serve(t, Handler(http.NotFoundHandler(), "S", r, nil).ServeHTTP)
	ctx := NewContext(t.Context(), SpanContext{RequestID: "req-1", CallID: spanA, SpanID: spanA, TraceID: traceA})
	mustGet(t, &Transport{}, newRequest(t, ctx, http.MethodGet, server.URL, nil))
	if m := theResponse(t, r, sink); m.ParentID != spanA || m.RequestID != "req-1" {
		t.Fatalf("got %+v", m)
	}
}

// With a TracerProvider, the calls recorded are the spans made.
func TestSpansAreTheCalls(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	otel.SetTracerProvider(provider)
	defer otel.SetTracerProvider(noop.NewTracerProvider())
	c := newChain(t)
	b, a := c.run(t, http.Header{"X-Request-Id": {"req-1"}})
	if b.ParentID != a.CallID || a.RequestID != "req-1" || b.RequestID != "req-1" {
		t.Fatalf("A %+v\nB %+v", a, b)
	}
	byID := map[string]sdktrace.ReadOnlySpan{}
	for _, s := range spans.Ended() {
		byID[s.SpanContext().SpanID().String()] = s
		if s.SpanContext().TraceID().String() != traceOf("req-1") {
			t.Fatalf("a span of trace %s, want %s", s.SpanContext().TraceID(), traceOf("req-1"))
		}
	}
	outer, inner := byID[a.CallID], byID[b.CallID]
	if len(byID) != 3 || outer == nil || inner == nil || outer.Parent().IsValid() || outer.SpanKind() != trace.SpanKindClient {
		t.Fatalf("%d spans: %v", len(byID), byID)
	}
	server := byID[inner.Parent().SpanID().String()]
	if server == nil || server.SpanKind() != trace.SpanKindServer || server.Parent().SpanID() != outer.SpanContext().SpanID() {
		t.Fatalf("the span of A is %v", server)
	}
	if set := attribute.NewSet(inner.Attributes()...); inner.Status().Code.String() != "Error" || value(set, "http.response.status_code") != "503" || value(set, "error.type") != "503" || value(set, "peer.service") != "B" || value(set, "http.request.method") != "GET" {
		t.Fatalf("%v %v", inner.Status(), inner.Attributes())
	}
}

func value(set attribute.Set, key attribute.Key) string {
	v, _ := set.Value(key)
	return v.String()
}

// A service that makes spans with other packages and calls by a Transport.
func TestTransportWithinASpanOfOthers(t *testing.T) {
	r, sink := testRecorder(t)
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	tr := &Transport{Recorder: r}
	defer tr.CloseIdleConnections()
	state, err := trace.ParseTraceState("annals=" + spanB + ":req-9")
	if err != nil {
		t.Fatal(err)
	}
	traceID, _ := trace.TraceIDFromHex(traceA)
	spanID, _ := trace.SpanIDFromHex(spanA)
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceState: state}))
	mustGet(t, tr, newRequest(t, ctx, http.MethodGet, server.URL, nil))
	if m := theResponse(t, r, sink); m.ParentID != spanB || m.RequestID != "req-9" {
		t.Fatalf("got %+v", m)
	}
}
