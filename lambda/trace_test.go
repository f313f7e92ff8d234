package lambda

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A receiver takes spans as a collector does, by OTLP over HTTP.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	spans   []*otlp.Span
	service string
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		var given collector.ExportTraceServiceRequest
		if err = errors.Join(err, proto.Unmarshal(body, &given)); err != nil || request.URL.Path != "/v1/traces" {
			t.Errorf("%s got %v", request.URL, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, of := range given.ResourceSpans {
			for _, a := range of.Resource.Attributes {
				if a.Key == "service.name" {
					r.service = a.Value.GetStringValue()
				}
			}
			for _, scope := range of.ScopeSpans {
				r.spans = append(r.spans, scope.Spans...)
			}
		}
		w.WriteHeader(http.StatusOK)
	}))
	t.Cleanup(r.Close)
	return r
}

// take returns the spans since the last call, by name.
func (r *receiver) take() map[string][]*otlp.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string][]*otlp.Span{}
	for _, s := range r.spans {
		all[s.Name] = append(all[s.Name], s)
	}
	r.spans = nil
	return all
}

func attributesOf(s *otlp.Span) map[string]string {
	all := map[string]string{}
	for _, a := range s.Attributes {
		all[a.Key] = a.Value.GetStringValue()
	}
	return all
}

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestSpansOfMessages(t *testing.T) {
	r := newReceiver(t)
	s, f := functionOf(t, func(ctx context.Context, in *invocation) (any, error) {
		in.report.message(ctx, slog.LevelDebug, "stored", "r-1", "stream", "order-1", "id", "m-1", "traceparent", traceparent)
		in.report.message(ctx, slog.LevelWarn, "refused", "r-2", "id", "m-2", "error", errors.New("planted"), "traceparent", "nonsense")
		return nil, nil
	}, "OTEL_EXPORTER_OTLP_ENDPOINT="+r.URL+"/")
	s.mustInvoke(f, `{}`, `null`)
	spans := r.take()
	if r.service != "annals-playback" || len(spans["playback"]) != 1 || len(spans["stored"]) != 1 || len(spans["refused"]) != 1 {
		t.Fatalf("service %q sent %v", r.service, spans)
	}
	invocation, stored, refused := spans["playback"][0], spans["stored"][0], spans["refused"][0]
	if a := attributesOf(invocation); a["faas.invocation_id"] != "request-1" {
		t.Errorf("%v", a)
	}
	if a := attributesOf(stored); a["annals.correlation"] != "r-1" || a["annals.stream"] != "order-1" || a["annals.id"] != "m-1" {
		t.Errorf("%v", a)
	}
	if hex.EncodeToString(stored.TraceId) != "0af7651916cd43dd8448eb211c80319c" || hex.EncodeToString(stored.ParentSpanId) != "b7ad6b7169203331" {
		t.Errorf("%x is below %x", stored.TraceId, stored.ParentSpanId)
	}
	if len(stored.Links) != 1 || string(stored.Links[0].SpanId) != string(invocation.SpanId) {
		t.Errorf("it is linked to %v, not to its invocation", stored.Links)
	}
	if string(refused.TraceId) != string(invocation.TraceId) || string(refused.ParentSpanId) != string(invocation.SpanId) || refused.Status.Message != "planted" {
		t.Errorf("%v is not below %v", refused, invocation)
	}
	if stored.StartTimeUnixNano > stored.EndTimeUnixNano {
		t.Errorf("it ends before it starts: %v", stored)
	}
}

func TestSpansOfRequests(t *testing.T) {
	r := newReceiver(t)
	s := newStage(t)
	f := s.function(Command, nil, "OTEL_EXPORTER_OTLP_ENDPOINT="+r.URL)
	a := s.ask(f, "POST", "/v1/streams/order-1/events", `{"type":"T","correlation":"r-9"}`, "traceparent: "+traceparent)
	if a.StatusCode != 201 {
		t.Fatal(a)
	}
	spans := r.take()
	if len(spans["request"]) != 1 || len(spans["command"]) != 1 {
		t.Fatalf("%v", spans)
	}
	got := spans["request"][0]
	attributes := attributesOf(got)
	if attributes["annals.correlation"] != "r-9" || attributes["annals.stream"] != "order-1" || attributes["http.request.method"] != "POST" || hex.EncodeToString(got.TraceId) != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("%v of trace %x", attributes, got.TraceId)
	}
	if m := s.out.metrics(t); m["correlation"] != "r-9" || m["Stored"] != 1.0 {
		t.Errorf("%v", m)
	}
	s.ask(f, "GET", "/v1/nothing", "", "x-request-id: r-10")
	if a := attributesOf(r.take()["request"][0]); a["annals.correlation"] != "r-10" {
		t.Errorf("%v", a)
	}
}

// A collector that takes nothing costs no invocation.
func TestSpansThatCannotBeSent(t *testing.T) {
	refusing := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(refusing.Close)
	s, f := functionOf(t, func(context.Context, *invocation) (any, error) { return nil, nil }, "OTEL_EXPORTER_OTLP_ENDPOINT="+strings.Replace(refusing.URL, "//", "//me:secret@", 1))
	s.mustInvoke(f, `{}`, `null`)
	if strings.Contains(s.out.text.String(), "secret") {
		t.Error("the log holds a password")
	}
	told := false
	for _, line := range s.out.take(t) {
		text, _ := line["msg"].(string)
		told = told || strings.Contains(text, "spans were not sent") && line["to"] == strings.Replace(refusing.URL, "//", "//me:xxxxx@", 1)
	}
	if !told {
		t.Error("no line tells of it")
	}
}

// A collector that does not answer holds up an invocation once, however many spans
// it has, and the next ones not at all.
func TestACollectorThatDoesNotAnswer(t *testing.T) {
	var asked atomic.Int64
	over := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		<-over
	}))
	t.Cleanup(hanging.Close)
	t.Cleanup(func() { close(over) })
	s, f := functionOf(t, func(ctx context.Context, in *invocation) (any, error) {
		for range 3 * maxSpans {
			in.report.message(ctx, slog.LevelDebug-1, "stored", "", "stream", "order-1")
		}
		return nil, nil
	}, "OTEL_EXPORTER_OTLP_ENDPOINT="+hanging.URL)
	for range 3 {
		s.mustInvoke(f, `{}`, `null`)
	}
	if n := asked.Load(); n == 0 || n > 3 {
		t.Errorf("it was asked %d times", n)
	}
}
