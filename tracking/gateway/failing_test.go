package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eb901187/annals/tracking"
)

// raw is a service that speaks for itself: talk gets each connection, whose
// request's headers were read.
func raw(t *testing.T, talk func(conn net.Conn, in *bufio.Reader)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				in := bufio.NewReader(conn)
				for {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					if line == "\r\n" {
						break
					}
				}
				talk(conn, in)
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

// answering is a talk that writes text and hangs up.
func answering(text string) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, _ *bufio.Reader) { _, _ = io.WriteString(conn, text) }
}

// hanging is a talk that goes on until the gateway hangs up.
func hanging(begin string) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, in *bufio.Reader) {
		_, _ = io.WriteString(conn, begin)
		_, _ = io.Copy(io.Discard, in)
	}
}

// Services that fail in their several ways, beside one that works: each gets the
// answer and the record that says so, and the one that works is served meanwhile.
func TestFailingServices(t *testing.T) {
	const start = "HTTP/1.1 200 OK\r\n"
	for name, c := range map[string]struct {
		url      string
		timeouts string
		status   int // 0: an answer that is cut off
		kind     tracking.ErrorKind
	}{
		"nobody listens":                  {freePort(t), "", 502, tracking.KindRefused},
		"hangs up at once":                {raw(t, answering("")), "", 502, tracking.KindReset},
		"hangs up in its headers":         {raw(t, answering(start+"Content-Le")), "", 502, ""},
		"speaks no HTTP":                  {raw(t, answering("SSH-2.0\r\n\r\n")), "", 502, ""},
		"hangs":                           {raw(t, hanging("")), "response: 50ms", 504, tracking.KindTimeout},
		"hangs in its headers":            {raw(t, hanging(start)), "response: 50ms", 504, tracking.KindTimeout},
		"hangs within the total":          {raw(t, hanging("")), "request: 50ms", 504, tracking.KindTimeout},
		"hangs in its body":               {raw(t, hanging(start+"Content-Length: 9\r\n\r\nab")), "idle: 50ms", 0, ""},
		"is too slow in all":              {raw(t, hanging(start+"Content-Length: 9\r\n\r\nab")), "request: 50ms", 0, ""},
		"hangs up in its body":            {raw(t, answering(start+"Content-Length: 9\r\n\r\nab")), "", 0, tracking.KindShortBody},
		"hangs up in a chunk":             {raw(t, answering(start+"Transfer-Encoding: chunked\r\n\r\n9\r\nab")), "", 0, tracking.KindShortBody},
		"hangs up between chunks":         {raw(t, answering(start+"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")), "", 0, tracking.KindShortBody},
		"sends two lengths":               {raw(t, answering(start+"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab")), "", 502, ""},
		"sends headers without an end":    {raw(t, func(conn net.Conn, _ *bufio.Reader) { endless(conn, start) }), "", 502, ""},
		"has a name that is no address":   {"http://nothing.invalid", "", 502, tracking.KindDNS},
		"speaks no TLS":                   {"https://" + strings.TrimPrefix(named(t, "plain"), "http://"), "", 502, tracking.KindTLS},
		"sends an informational and ends": {raw(t, answering("HTTP/1.1 103 Early Hints\r\n\r\n")), "", 502, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := begin(t, fmt.Sprintf("services: {bad: {to: %q, retries: 0, timeouts: {%s}}, good: {to: %s}}\nroutes: [{path: /bad, service: bad}, {path: /good, service: good}]\n",
				c.url, c.timeouts, named(t, "good")))
			bad := make(chan exchange, 1)
			go func() { bad <- get(t, w.url+"/bad", "X-Request-Id", "r-1") }()
			if x := get(t, w.url+"/good"); x.status != 200 {
				t.Errorf("the other service: %+v", x)
			}
			x := <-bad
			if c.status == 0 {
				if x.err == nil || x.status != 0 && x.status != 200 || x.body != "ab" && x.body != "" {
					t.Errorf("%+v, want an answer that is cut off", x)
				}
			} else if p := problemOf(t, x, c.status); p.Service != "bad" || p.RequestID != "r-1" || strings.Contains(p.Detail, "127.0.0.1") {
				t.Errorf("%+v", p)
			}
			for _, m := range responses(w.recorded(t, 4)) {
				if m.Name == "bad" && (m.Error == "" || c.kind != "" && m.Kind != string(c.kind) || m.RequestID != "r-1" || m.DurationMs == nil) {
					t.Errorf("recorded %+v, want %s", m, c.kind)
				}
			}
		})
	}
}

func endless(conn net.Conn, start string) {
	_, err := io.WriteString(conn, start)
	line := "X-Long: " + strings.Repeat("x", 60<<10) + "\r\n"
	for err == nil {
		_, err = io.WriteString(conn, line)
	}
}

func TestRetries(t *testing.T) {
	var served atomic.Int32
	var body atomic.Value
	good := serviceAt(t, func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		text, _ := io.ReadAll(r.Body) // one that breaks off is not the one that is wanted
		body.Store(string(text))
	})
	for name, c := range map[string]struct {
		method, body string
		chunked      bool
		tries        int
	}{
		"GET":             {method: "GET", tries: 2},
		"HEAD":            {method: "HEAD", tries: 2},
		"OPTIONS":         {method: "OPTIONS", tries: 2},
		"DELETE":          {method: "DELETE", tries: 2},
		"PUT":             {method: "PUT", body: "text", tries: 2},
		"a long PUT":      {method: "PUT", body: strings.Repeat("x", longestReplay+1), tries: 1},
		"a chunked PUT":   {method: "PUT", body: "text", chunked: true, tries: 1},
		"POST":            {method: "POST", body: "text", tries: 1},
		"an empty POST":   {method: "POST", tries: 1},
		"PATCH":           {method: "PATCH", body: "text", tries: 1},
		"an unknown verb": {method: "BREW", tries: 1},
	} {
		t.Run(name, func(t *testing.T) {
			// The first turn falls on the second target.
			w := begin(t, fmt.Sprintf("services: {a: {to: [%s, %s]}}\nroutes: [{service: a}]\n", good, raw(t, answering(""))))
			before := served.Load()
			var from io.Reader = strings.NewReader(c.body)
			if c.chunked {
				from = io.MultiReader(from)
			}
			request, err := http.NewRequestWithContext(t.Context(), c.method, w.url, from)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
			answer, err := transport(t).RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			all := responses(w.recorded(t, 2*c.tries))
			if c.tries == 1 {
				if answer.StatusCode != 502 || served.Load() != before {
					t.Fatalf("%s, served %d", answer.Status, served.Load()-before)
				}
				return
			}
			if answer.StatusCode != 200 || served.Load() != before+1 || body.Load() != c.body {
				t.Fatalf("%s, served %d, body %q", answer.Status, served.Load()-before, body.Load())
			}
			if all[0].CallID == all[1].CallID || all[0].ParentID != all[1].ParentID || all[0].Error == "" || all[1].Status != 200 {
				t.Fatalf("%+v", all)
			}
		})
	}
}

// A try that took too long is not made again: the service may still be at it.
func TestNoRetryAfterATimeout(t *testing.T) {
	var tries atomic.Int32
	url := raw(t, func(conn net.Conn, in *bufio.Reader) {
		tries.Add(1)
		hanging("")(conn, in)
	})
	w := begin(t, "services: {a: {to: "+url+", retries: 3, timeouts: {response: 30ms}}}\nroutes: [{service: a}]\n")
	if x := get(t, w.url); x.status != 504 || tries.Load() != 1 {
		t.Fatalf("%d tries, %+v", tries.Load(), x)
	}
}

// A client that does not send what it announced, or only slowly, is told so.
func TestFailingClients(t *testing.T) {
	w := begin(t, one(serviceAt(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))+"timeouts: {idle: 100ms, header: 1s}\n")
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	read := func(conn net.Conn) string {
		text, err := io.ReadAll(conn)
		if err != nil && !errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, method := range []string{"POST", "PUT"} {
		conn := dial()
		_, _ = fmt.Fprintf(conn, "%s / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab", method)
		if text := read(conn); !strings.HasPrefix(text, "HTTP/1.1 408") || !strings.Contains(text, "did not come in time") {
			t.Errorf("%s: %s", method, text)
		}
	}
	conn := dial()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost")
	if text := read(conn); strings.HasPrefix(text, "HTTP/1.1 200") {
		t.Error(text)
	}
	conn = dial()
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
	if text := read(conn); !strings.HasPrefix(text, "HTTP/1.1 400") {
		t.Error(text)
	}
	conn = dial()
	_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if text := read(conn); strings.HasPrefix(text, "HTTP/1.1 200") {
		t.Error(text)
	}
	if x := get(t, w.url); x.status != 200 {
		t.Errorf("%+v", x)
	}
}

// A service that takes nothing of a body holds its client no longer than idle.
func TestServiceThatTakesNoBody(t *testing.T) {
	w := begin(t, one(raw(t, func(net.Conn, *bufio.Reader) { select {} }))+"timeouts: {idle: 50ms}\n")
	// The client, which is still sending, need not see the answer.
	if x := send(t, http.MethodPost, w.url, strings.Repeat("x", 16<<20)); x.status != 504 && x.err == nil {
		t.Fatalf("%+v", x)
	}
	if m := responses(w.recorded(t, 2))[0]; m.Kind != string(tracking.KindTimeout) || m.Error != errIdle.Error() {
		t.Fatalf("%+v", m)
	}
}

// A client that takes nothing of an answer is let go.
func TestClientThatTakesNoAnswer(t *testing.T) {
	gone := make(chan struct{})
	w := begin(t, one(serviceAt(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		text := make([]byte, 1<<20)
		for r.Context().Err() == nil {
			if _, err := w.Write(text); err != nil {
				return
			}
		}
	}))+"timeouts: {idle: 50ms}\n")
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-gone:
	case <-time.After(20 * time.Second):
		t.Fatal("the call goes on")
	}
}

// A client that goes away ends the call, which is recorded as canceled, and the
// service is not blamed for it.
func TestClientThatGoesAway(t *testing.T) {
	reached := make(chan struct{}, 9)
	w := begin(t, one(raw(t, func(conn net.Conn, in *bufio.Reader) {
		reached <- struct{}{}
		hanging("")(conn, in)
	})))
	for range failuresToRest {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-reached
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range responses(w.recorded(t, 2*failuresToRest)) {
		if m.Kind != string(tracking.KindCanceled) {
			t.Errorf("%+v", m)
		}
	}
	if n := w.services[0].targets[0].failures.Load(); n != 0 {
		t.Errorf("the target is blamed %d times", n)
	}
}
