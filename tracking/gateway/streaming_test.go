package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Each event of a stream comes through before the next one is sent.
func TestServerSentEventsComeAtOnce(t *testing.T) {
	next := make(chan struct{})
	w := begin(t, one(serviceAt(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			_, _ = fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})))
	answer, err := transport(t).RoundTrip(httptest.NewRequest(http.MethodGet, w.url, nil).WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(answer.Body)
	for i := range 3 {
		line, err := in.ReadString('\n')
		if _, blank := in.ReadString('\n'); err != nil || blank != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("%q, %v", line, err)
		}
		next <- struct{}{}
	}
	if rest, err := io.ReadAll(in); err != nil || len(rest) != 0 {
		t.Fatalf("%q, %v", rest, err)
	}
}

func TestTrailersAndInformationalAnswers(t *testing.T) {
	w := begin(t, one(serviceAt(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Trailer", "X-Sum")
		_, _ = io.WriteString(w, "text")
		w.Header().Set("X-Sum", "4 "+r.Trailer.Get("X-Sent"))
	})))
	hints := ""
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		hints = fmt.Sprint(code, h.Get("Link"))
		return nil
	}})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, io.MultiReader(strings.NewReader("x")))
	if err != nil {
		t.Fatal(err)
	}
	request.Trailer = http.Header{"X-Sent": {"yes"}}
	answer, err := transport(t).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil || string(text) != "text" || answer.Trailer.Get("X-Sum") != "4 yes" || hints != "103</style.css>" {
		t.Fatalf("%q, trailer %v, hints %q, %v", text, answer.Trailer, hints, err)
	}
}

func TestUpgrade(t *testing.T) {
	w := begin(t, one(raw(t, func(conn net.Conn, in *bufio.Reader) {
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(conn, in)
	}))+"timeouts: {idle: 30ms, shutdown: 50ms}\n")
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	answer, err := http.ReadResponse(in, nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%+v, %v", answer, err)
	}
	for _, line := range []string{"one\n", "two\n"} {
		_, err := io.WriteString(conn, line)
		if got, failed := in.ReadString('\n'); err != nil || failed != nil || got != line {
			t.Fatalf("%q, %v, %v", got, err, failed)
		}
	}
	if m := responses(w.recorded(t, 2))[0]; m.Status != 101 || m.Error != "" {
		t.Errorf("%+v", m)
	}
	w.stop() // upgraded connections have no end of their own
	if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("%q, %v", rest, err)
	}
}

// HTTP/2 without and with encryption, on both sides.
func TestHTTP2(t *testing.T) {
	h2 := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s", r.Proto, text)
	}))
	h2.EnableHTTP2 = true
	h2.StartTLS()
	defer h2.Close()
	w := begin(t, one(h2.URL))
	pool := h2.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	w.bases["a"].TLSClientConfig = &tls.Config{RootCAs: pool}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Transport{Protocols: protocols}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url, strings.NewReader("text"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.ProtoMajor != 2 || string(text) != "HTTP/2.0 text" {
		t.Fatalf("%s %q, %v", answer.Proto, text, err)
	}
	_ = answer.Body.Close()
	w.recorded(t, 2)
}

// An end in order: a call under way is answered, a new one is not taken, and
// what was recorded is delivered.
func TestShutdown(t *testing.T) {
	reached, answer := make(chan struct{}), make(chan struct{})
	w := begin(t, one(serviceAt(t, func(w http.ResponseWriter, _ *http.Request) {
		close(reached)
		<-answer
		_, _ = io.WriteString(w, "text")
	})))
	got := make(chan exchange, 1)
	go func() { got <- get(t, w.url) }()
	<-reached
	ended := make(chan struct{})
	go func() { w.stop(); close(ended) }()
	for !w.ending.Load() {
		runtime.Gosched()
	}
	admin := httptest.NewServer(w.Admin())
	defer admin.Close()
	if x := get(t, admin.URL+"/readyz"); x.status != http.StatusServiceUnavailable {
		t.Errorf("readyz: %+v", x)
	}
	for {
		if x := get(t, w.url); x.err != nil {
			break
		}
	}
	close(answer)
	if x := <-got; x.body != "text" || x.err != nil {
		t.Errorf("the call under way: %+v", x)
	}
	<-ended
	w.recorded(t, 2)
}

// What takes longer than the shutdown may is cut off, and said.
func TestShutdownCutsOff(t *testing.T) {
	reached := make(chan struct{})
	c, err := Parse("g", []byte("record: {to: none}\n"+one(raw(t, func(conn net.Conn, in *bufio.Reader) {
		close(reached)
		hanging("")(conn, in)
	}))+"timeouts: {shutdown: 30ms}\n"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(c, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- g.Serve(ctx, listener) }()
	got := make(chan exchange, 1)
	go func() { got <- get(t, "http://"+listener.Addr().String()) }()
	<-reached
	cancel()
	if err := <-served; !errors.Is(err, errCut) {
		t.Error(err)
	}
	if x := <-got; x.err == nil && x.status < 500 {
		t.Errorf("%+v", x)
	}
}

// 100 MB pass both ways, and memory stays far below that.
func TestLargeBodies(t *testing.T) {
	const size = 100 << 20
	w := begin(t, one(serviceAt(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(size))
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		if n, err := io.Copy(w, r.Body); n != size || err != nil {
			t.Errorf("%d bytes came, %v", n, err)
		}
	})))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url, io.LimitReader(zeros{}, size))
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = size
	answer, err := transport(t).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var highest uint64
	n := int64(0)
	for err == nil {
		var some int64
		some, err = io.CopyN(io.Discard, answer.Body, 4<<20)
		n += some
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		highest = max(highest, now.HeapInuse-min(now.HeapInuse, before.HeapInuse))
	}
	t.Logf("%d KB more heap in use at most", highest>>10)
	if n != size || highest > 16<<20 {
		t.Fatalf("%d bytes came back, %d of heap, %v", n, highest, err)
	}
	if m := responses(w.recorded(t, 2))[0]; m.RequestBytes != size || m.ResponseBytes != size || m.Error != "" {
		t.Fatalf("%+v", m)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestMetrics(t *testing.T) {
	w := begin(t, one(named(t, "a")))
	get(t, w.url)
	w.recorded(t, 2)
	admin := httptest.NewServer(w.Admin())
	defer admin.Close()
	for deadline := time.Now().Add(10 * time.Second); w.recorder.Stats().Delivered < 2 && time.Now().Before(deadline); runtime.Gosched() {
	}
	text := get(t, admin.URL+"/metrics").body
	for _, want := range []string{
		`annals_gateway_calls_total{outcome="2xx",service="a"} 1`, `annals_gateway_answer_seconds_count{service="a"} 1`, `annals_gateway_calls_in_flight{service="a"} 0`,
		"annals_gateway_recorder_taken_total 2", "annals_gateway_recorder_delivered_total 2", "annals_gateway_recorder_shed_total 0",
		`annals_gateway_target_up{service="a",target="http://127`, `annals_gateway_recorder_waiting_events{in="spill"} 0`, "annals_gateway_connections ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if x := get(t, admin.URL+"/healthz"); x.status != 200 {
		t.Errorf("%+v", x)
	}
	if x := get(t, admin.URL+"/readyz"); x.status != 200 {
		t.Errorf("%+v", x)
	}
}
