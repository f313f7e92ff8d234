package gateway

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/tracking"
)

// A memory is a sink that keeps what it is given, or fails while it is told to.
type memory struct {
	mu     sync.Mutex
	events []annals.Event
	err    error
}

func (m *memory) Deliver(_ context.Context, events []annals.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	for _, e := range events {
		e.Data = append([]byte(nil), e.Data...)
		m.events = append(m.events, e)
	}
	return nil
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

// A message is the data of a recorded event.
type message struct {
	Type, RequestID                                   string
	Name, CallID, ParentID, Method, Path, Error, Kind string
	Status                                            int
	ResponseBytes, RequestBytes                       int64
	DurationMs                                        *float64
	Source                                            string
}

// A world is a gateway between clients and services, and what it recorded.
type world struct {
	*Gateway
	url      string
	sink     *memory
	recorder *tracking.Recorder
	stop     func() // ends the gateway in order, once
}

// begin starts a gateway from a configuration without its record part.
func begin(t *testing.T, config string) *world {
	t.Helper()
	return beginWith(t, config, nil, nil)
}

func beginWith(t *testing.T, config string, recording *tracking.RecorderOptions, opts *Options) *world {
	t.Helper()
	c, err := Parse("g.yaml", []byte("record: {to: none}\n"+config))
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	if recording == nil {
		recording = &tracking.RecorderOptions{}
	}
	recording.Logger = quiet
	if opts == nil {
		opts = &Options{}
	}
	if opts.Logger == nil {
		opts.Logger = quiet
	}
	w := &world{sink: &memory{}}
	if w.recorder, err = tracking.NewRecorder(w.sink, recording); err != nil {
		t.Fatal(err)
	}
	if w.Gateway, err = New(c, w.recorder, opts); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- w.Serve(ctx, listener) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	t.Cleanup(func() {
		w.stop()
		w.Gateway.Close()
		w.sink.fail(nil)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.recorder.Close(ctx); err != nil {
			t.Errorf("closing the recorder: %v", err)
		}
	})
	return w
}

// recorded waits until n events are delivered, and returns them all.
func (w *world) recorded(t *testing.T, n int) []message {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		w.sink.mu.Lock()
		events := append([]annals.Event(nil), w.sink.events...)
		w.sink.mu.Unlock()
		if len(events) < n && time.Now().Before(deadline) {
			continue
		}
		var all []message
		for _, e := range events {
			m := message{Type: e.Type, RequestID: e.Correlation, Source: e.Source}
			var data struct {
				message
				ErrorKind string
			}
			if err := json.Unmarshal(e.Data, &data); err != nil {
				t.Fatal(err)
			}
			data.Type, data.RequestID, data.Source, data.Kind = m.Type, m.RequestID, m.Source, data.ErrorKind
			all = append(all, data.message)
		}
		if len(all) != n {
			t.Fatalf("%d events are recorded, not %d: %+v", len(all), n, all)
		}
		return all
	}
}

func responses(all []message) (some []message) {
	for _, m := range all {
		if m.Type == tracking.ResponseType {
			some = append(some, m)
		}
	}
	return some
}

// service starts one, and returns its URL.
func serviceAt(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// one is the configuration of a gateway with the service a alone.
func one(url string) string {
	return "services: {a: {to: " + url + "}}\nroutes: [{service: a}]\n"
}

// freePort is an address at which nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return "http://" + listener.Addr().String()
}

// An exchange is an answer that was read.
type exchange struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
	err     error // of the answer, or of its body
}

// transport keeps connections for this test only.
func transport(t *testing.T) *http.Transport {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func send(t *testing.T, method, url, body string, header ...string) exchange {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			request.Host = header[i+1]
		} else {
			request.Header.Add(header[i], header[i+1])
		}
	}
	answer, err := transport(t).RoundTrip(request)
	if err != nil {
		return exchange{err: err}
	}
	text, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	return exchange{answer.StatusCode, answer.Header, answer.Trailer, string(text), err}
}

func get(t *testing.T, url string, header ...string) exchange {
	t.Helper()
	return send(t, http.MethodGet, url, "", header...)
}

// problemOf is the problem of an answer with this status.
func problemOf(t *testing.T, x exchange, status int) Problem {
	t.Helper()
	var p Problem
	if err := json.Unmarshal([]byte(x.body), &p); err != nil || x.status != status || p.Status != status ||
		x.header.Get("Content-Type") != "application/problem+json" || p.RequestID == "" || x.header.Get("X-Request-Id") != p.RequestID {
		t.Fatalf("%+v, %v; want a problem with %d", x, err, status)
	}
	return p
}
