package tracking

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

// A told is the data of an event.
type told struct {
	Type                                                                         string `json:"-"`
	Name, CallID, ParentID, GivenRequestID, Method, Host, Path, Error, ErrorKind string
	Status                                                                       int
	DurationMs                                                                   float64
	RequestBytes, ResponseBytes                                                  int64
	Source, RequestID                                                            string `json:"-"`
}

// recorded flushes r and returns what came to the sink.
func recorded(t *testing.T, r *Recorder, sink *plainSink) (all []told) {
	t.Helper()
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	sink.mu.Lock()
	defer sink.mu.Unlock()
	for _, e := range sink.events {
		if err := annals.CheckAppend(e.Stream, e); err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		m := told{}
		if err := json.Unmarshal(e.Data, &m); err != nil {
			t.Fatal(err)
		}
		m.Type, m.Source, m.RequestID = e.Type, e.Source, e.Correlation
		all = append(all, m)
	}
	return all
}

// theResponse waits for the one response that is recorded.
func theResponse(t *testing.T, r *Recorder, sink *plainSink) told {
	t.Helper()
	var found []told
	wait(t, func() bool {
		found = found[:0]
		for _, m := range recorded(t, r, sink) {
			if m.Type == ResponseType {
				found = append(found, m)
			}
		}
		return len(found) > 0
	})
	if len(found) != 1 {
		t.Fatalf("%d responses: %+v", len(found), found)
	}
	return found[0]
}

func testRecorder(t *testing.T) (*Recorder, *plainSink) {
	t.Helper()
	sink := &plainSink{}
	r := newRecorder(t, sink, RecorderOptions{Linger: -1})
	t.Cleanup(func() { mustClose(t, r) })
	return r, sink
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = quietStdLog
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func mustGet(t *testing.T, tr *Transport, req *http.Request) (*http.Response, []byte) {
	t.Helper()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func newRequest(t *testing.T, ctx context.Context, method, address string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestTransportRecordsACall(t *testing.T) {
	r, sink := testRecorder(t)
	var got http.Header
	server := serve(t, func(w http.ResponseWriter, req *http.Request) {
		got = req.Header.Clone()
		body, _ := io.ReadAll(req.Body)
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(append(body, '!'))
	})
	tr := &Transport{Recorder: r, Service: func(*http.Request) string { return "Orders" }, Source: "Gateway"}
	defer tr.CloseIdleConnections()
	ctx := NewContext(t.Context(), SpanContext{RequestID: "req-1", CallID: spanA, TraceID: traceA, Flags: 1, State: "x=1"})
	req := newRequest(t, ctx, http.MethodPost, server.URL+"/orders/7?secret=1", strings.NewReader("hello"))
	resp, body := mustGet(t, tr, req)
	if resp.StatusCode != http.StatusTeapot || string(body) != "hello!" || len(req.Header) != 0 {
		t.Fatalf("%v %q, the request's header %v", resp.Status, body, req.Header)
	}
	all := recorded(t, r, sink)
	if len(all) != 2 || all[0].Type != RequestType || all[0].ErrorKind != "" || all[0].CallID != all[1].CallID {
		t.Fatalf("got %+v", all)
	}
	m := all[1]
	if m.DurationMs <= 0 || m.DurationMs > 60_000 || !isID(m.CallID) || len(m.CallID) != 16 {
		t.Fatalf("got %+v", m)
	}
	call := m.CallID
	m.DurationMs, m.CallID = 0, ""
	if want := (told{Type: ResponseType, Name: "Orders", ParentID: spanA, Method: "POST", Host: strings.TrimPrefix(server.URL, "http://"), Path: "/orders/7", Status: 418,
		RequestBytes: 5, ResponseBytes: 6, Source: "Gateway", RequestID: "req-1"}); m != want {
		t.Fatalf("got %+v\nwant %+v", m, want)
	}
	if got.Get("Traceparent") != "00-"+traceA+"-"+call+"-01" || got.Get("Tracestate") != "annals="+call+":req-1,x=1" || got.Get("X-Request-Id") != "req-1" {
		t.Fatalf("the service got %v", got)
	}
}

// Without a context, the headers of the request say where it stands.
func TestTransportTakesHeaders(t *testing.T) {
	r, sink := testRecorder(t)
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	tr := &Transport{Recorder: r}
	defer tr.CloseIdleConnections()
	req := newRequest(t, t.Context(), http.MethodGet, server.URL, nil)
	req.Header.Set("traceparent", "00-"+traceA+"-"+spanA+"-01")
	req.Header.Set("X-Request-Id", "order-7")
	mustGet(t, tr, req)
	if m := theResponse(t, r, sink); m.ParentID != spanA || m.RequestID != traceA || m.GivenRequestID != "order-7" || m.Status != 200 || m.Name != req.URL.Host || m.Source != "unknown" {
		t.Fatalf("got %+v", m)
	}
}

func TestLargeBodiesAreCountedAndNotKept(t *testing.T) {
	r, sink := testRecorder(t)
	const size = 10 << 20
	server := serve(t, func(w http.ResponseWriter, req *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		n, err := io.Copy(w, req.Body)
		if n != size || err != nil {
			t.Errorf("the service got %d bytes, %v", n, err)
		}
	})
	tr := &Transport{Recorder: r}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(newRequest(t, t.Context(), http.MethodPut, server.URL, io.LimitReader(endless{}, size)))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil || resp.Body.Close() != nil {
		t.Fatalf("%d bytes came, %v", n, err)
	}
	if m := theResponse(t, r, sink); m.RequestBytes != size || m.ResponseBytes != size || m.Error != "" {
		t.Fatalf("got %+v", m)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// raw answers each connection with text and closes it.
func raw(t *testing.T, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(bufio.NewReader(c))
			_, _ = c.Write([]byte(text))
			_ = c.Close()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestKindsOfErrors(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = quietStdLog
	secure.StartTLS()
	defer secure.Close()
	wantErrorKinds(t, context.WithCancel, map[string]kindOfError{
		"nothing listens":          {"http://" + closed.Addr().String(), KindRefused, 0},
		"no such name":             {"http://nothing.invalid", KindDNS, 0},
		"an unknown authority":     {secure.URL, KindTLS, 0},
		"no TLS":                   {strings.Replace(serve(t, hang).URL, "http:", "https:", 1), KindTLS, 0},
		"closed without an answer": {raw(t, ""), KindReset, 0},
		"closed within the head":   {raw(t, "HTTP/1.1 200 OK\r\nA:"), KindReset, 0},
		"a body that is too short": {raw(t, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), KindShortBody, 200},
		"a body that is cut off":   {raw(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), KindShortBody, 200},
		"no HTTP":                  {raw(t, "SSH-2.0 hello\r\n\r\n"), KindOther, 0},
		"a bad length":             {raw(t, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), KindOther, 0},
	})
}

// Whoever ends a call decides what kind of error that is, before the answer and within.
func TestKindsOfErrorsOfCallsThatAreEnded(t *testing.T) {
	hangs, half := serve(t, hang), serve(t, func(w http.ResponseWriter, req *http.Request) {
		_, _ = w.Write([]byte("half"))
		_ = http.NewResponseController(w).Flush()
		<-req.Context().Done()
	})
	expired := func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, 50*time.Millisecond)
	}
	wantErrorKinds(t, expired, map[string]kindOfError{
		"a deadline":                 {hangs.URL, KindTimeout, 0},
		"a deadline within the body": {half.URL, KindTimeout, 200},
	})
	given := func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(50*time.Millisecond, cancel)
		return ctx, cancel
	}
	wantErrorKinds(t, given, map[string]kindOfError{
		"canceled":                 {hangs.URL, KindCanceled, 0},
		"canceled within the body": {half.URL, KindCanceled, 200},
	})
}

func hang(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }

// A kindOfError is what a call of an address is recorded as.
type kindOfError struct {
	address string
	kind    ErrorKind
	status  int
}

// wantErrorKinds makes calls whose contexts end as begin says.
func wantErrorKinds(t *testing.T, begin func(context.Context) (context.Context, context.CancelFunc), calls map[string]kindOfError) {
	t.Helper()
	for name, want := range calls {
		t.Run(name, func(t *testing.T) {
			r, sink := testRecorder(t)
			tr := &Transport{Recorder: r, Base: &http.Transport{}}
			defer tr.CloseIdleConnections()
			ctx, cancel := begin(t.Context())
			defer cancel()
			resp, err := tr.RoundTrip(newRequest(t, ctx, http.MethodGet, want.address, nil))
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
			}
			m := theResponse(t, r, sink)
			if ErrorKind(m.ErrorKind) != want.kind || m.Status != want.status || err == nil || m.Error == "" {
				t.Fatalf("%v was recorded as %+v", err, m)
			}
		})
	}
}

// How a reader leaves a body decides whether something went wrong.
func TestBodiesThatAreNotReadToTheirEnd(t *testing.T) {
	for name, c := range map[string]struct {
		announced bool
		read      int
		method    string
		want      ErrorKind
	}{
		"all that was announced": {true, 8, http.MethodGet, ""},
		"a part of it":           {true, 3, http.MethodGet, KindCanceled},
		"as much as was needed":  {false, 3, http.MethodGet, ""},
		"the answer to HEAD":     {true, 0, http.MethodHead, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, sink := testRecorder(t)
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if c.announced {
					w.Header().Set("Content-Length", "8")
				}
				_, _ = w.Write([]byte("12345678"))
				_ = http.NewResponseController(w).Flush()
			})
			tr := &Transport{Recorder: r}
			defer tr.CloseIdleConnections()
			resp, err := tr.RoundTrip(newRequest(t, t.Context(), c.method, server.URL, nil))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(resp.Body, make([]byte, c.read)); err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Fatal(err)
			}
			if m := theResponse(t, r, sink); ErrorKind(m.ErrorKind) != c.want || m.ResponseBytes != int64(c.read) {
				t.Fatalf("got %+v", m)
			}
		})
	}
}

// A body that the caller breaks off is the caller's fault.
func TestBrokenRequestBody(t *testing.T) {
	r, sink := testRecorder(t)
	server := serve(t, func(_ http.ResponseWriter, req *http.Request) { _, _ = io.Copy(io.Discard, req.Body) })
	tr := &Transport{Recorder: r}
	defer tr.CloseIdleConnections()
	body := io.MultiReader(strings.NewReader("abc"), broken{})
	if _, err := tr.RoundTrip(newRequest(t, t.Context(), http.MethodPost, server.URL, body)); err == nil {
		t.Fatal("no error")
	}
	if m := theResponse(t, r, sink); m.ErrorKind != string(KindCanceled) || m.RequestBytes != 3 {
		t.Fatalf("got %+v", m)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestRefusedCallsAreNotSent(t *testing.T) {
	down := sinkFunc(func(context.Context, []annals.Event) error { return errors.New("down") })
	for _, full := range []Full{Shed, Refuse} {
		r := newRecorder(t, down, RecorderOptions{Memory: 1 << 20, Full: full})
		big := plainEvent(0)
		big.Data = fmt.Appendf(nil, `"%0*d"`, 900_000, 0)
		if err := r.Record(big); err != nil {
			t.Fatal(err)
		}
		for i := 1; ; i++ {
			if err := r.Record(plainEvent(i)); err != nil {
				break
			}
		}
		asked := 0
		server := serve(t, func(http.ResponseWriter, *http.Request) { asked++ })
		tr := &Transport{Recorder: r}
		resp, err := tr.RoundTrip(newRequest(t, t.Context(), http.MethodPost, server.URL, strings.NewReader("x")))
		if full == Refuse && (!errors.Is(err, ErrFull) || asked != 0) || full == Shed && (err != nil || asked != 1) {
			t.Fatalf("policy %v: %v, asked %d times", full, err, asked)
		}
		if err == nil {
			_ = resp.Body.Close()
		}
		answer := httptest.NewRecorder()
		Handler(http.NotFoundHandler(), "S", r, nil).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
		if want := map[Full]int{Shed: 404, Refuse: 503}[full]; answer.Code != want {
			t.Fatalf("policy %v: the handler answered %d", full, answer.Code)
		}
		tr.CloseIdleConnections()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Close(ctx); err == nil {
			t.Fatal("closing lost events and did not say so")
		}
	}
}

// A reverse proxy over a Transport still switches protocols, sends trailers and
// speaks HTTP/2.
func TestProxyOverTransport(t *testing.T) {
	r, sink := testRecorder(t)
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Upgrade") != "" {
			echo(t, w)
			return
		}
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, req.Proto)
		_ = http.NewResponseController(w).Flush() // or its length is announced, which leaves no room for trailers
		w.Header().Set("X-Sum", "42")
	}))
	backend.EnableHTTP2 = true
	backend.StartTLS()
	defer backend.Close()
	to, err := url.Parse(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	h1 := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: backend.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"}}
	proxy := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(to) }, Transport: &Transport{Recorder: r, Base: backend.Client().Transport}}
	front := serve(t, func(w http.ResponseWriter, req *http.Request) { proxy.ServeHTTP(w, req.WithContext(r.Incoming(req))) })
	resp, body := mustGet(t, &Transport{}, newRequest(t, t.Context(), http.MethodGet, front.URL, nil))
	if string(body) != "HTTP/2.0" || resp.Trailer.Get("X-Sum") != "42" {
		t.Fatalf("%q, trailer %v", body, resp.Trailer)
	}
	if m := theResponse(t, r, sink); m.Status != 200 || m.ResponseBytes != 8 || m.Error != "" {
		t.Fatalf("got %+v", m)
	}
	sink.mu.Lock()
	sink.events = nil
	sink.mu.Unlock()

	proxy.Transport = &Transport{Recorder: r, Base: h1}
	c, err := net.Dial("tcp", strings.TrimPrefix(front.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	in := bufio.NewReader(c)
	up, err := http.ReadResponse(in, nil)
	if err != nil || up.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", up, err)
	}
	_, _ = io.WriteString(c, "ping\n")
	if line, err := in.ReadString('\n'); line != "ping\n" || err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	if m := theResponse(t, r, sink); m.Status != http.StatusSwitchingProtocols || m.Error != "" {
		t.Fatalf("got %+v", m)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	h1.CloseIdleConnections()
}

// echo switches to a protocol that returns what it gets.
func echo(t *testing.T, w http.ResponseWriter) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	_ = rw.Flush()
	_, _ = io.Copy(conn, rw)
	_ = conn.Close()
}

func BenchmarkTransport(b *testing.B) {
	for _, with := range []bool{false, true} {
		b.Run(fmt.Sprint("recording ", with), func(b *testing.B) {
			tr := &Transport{Base: roundTrip(func(req *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Body: io.NopCloser(bytes.NewReader(nil)), Request: req}, nil
			})}
			if with {
				tr.Recorder = newRecorder(b, sinkFunc(func(context.Context, []annals.Event) error { return nil }), RecorderOptions{Memory: 1 << 30})
				defer mustClose(b, tr.Recorder)
			}
			req, err := http.NewRequest(http.MethodGet, "http://orders/7", nil)
			if err != nil {
				b.Fatal(err)
			}
			req.Header.Set("traceparent", "00-"+traceA+"-"+spanA+"-01")
			b.ReportAllocs()
			for b.Loop() {
				resp, err := tr.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
