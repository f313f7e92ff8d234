package tracking

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/eb901187/annals"
)

const (
	traceA = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanA  = "00f067aa0ba902b7"
	spanB  = "b7ad6b7169203331"
)

// counting is a Rand of 1, 2, 3 …
func counting() func() uint64 {
	n := uint64(0)
	return func() uint64 { n++; return n }
}

func incoming(t *testing.T, header http.Header) SpanContext {
	t.Helper()
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header = header
	r := &Recorder{opts: RecorderOptions{Rand: counting()}}
	s, ok := FromContext(r.Incoming(req))
	if !ok || !validRequestID(s.RequestID) || len(s.TraceID) != 32 || !isID(s.TraceID) || annals.CheckStream(StreamPrefix+s.RequestID) != nil {
		t.Fatalf("%v gave %+v", header, s)
	}
	return s
}

const made = "00000000000000010000000000000002"

func TestWhoseRequestItIs(t *testing.T) {
	valid := "00-" + traceA + "-" + spanA + "-01"
	long := strings.Repeat("x", 201)
	for name, c := range map[string]struct {
		header http.Header
		want   SpanContext
	}{
		"nothing": {http.Header{}, SpanContext{RequestID: made, TraceID: made, Flags: 1}},
		"traceparent": {http.Header{"Traceparent": {valid}},
			SpanContext{RequestID: traceA, TraceID: traceA, SpanID: spanA, CallID: spanA, Flags: 1}},
		"traceparent before X-Request-Id": {http.Header{"Traceparent": {valid}, "X-Request-Id": {"r-1"}},
			SpanContext{RequestID: traceA, TraceID: traceA, SpanID: spanA, CallID: spanA, Flags: 1, GivenID: "r-1"}},
		"X-Request-Id": {http.Header{"X-Request-Id": {"r-1"}},
			SpanContext{RequestID: "r-1", TraceID: traceOf("r-1"), Flags: 1}},
		"X-Request-Id that is a trace id": {http.Header{"X-Request-Id": {traceA}},
			SpanContext{RequestID: traceA, TraceID: traceA, Flags: 1}},
		"both, as we passed them on": {http.Header{"Traceparent": {"00-" + traceOf("r-1") + "-" + spanA + "-00"}, "X-Request-Id": {"r-1"}},
			SpanContext{RequestID: "r-1", TraceID: traceOf("r-1"), SpanID: spanA, CallID: spanA}},
		"our tracestate, past a span of others": {http.Header{"Traceparent": {valid}, "Tracestate": {"x=1", "annals=" + spanB + ":r-1!,y=2"}},
			SpanContext{RequestID: "r-1=", TraceID: traceA, SpanID: spanA, CallID: spanB, Flags: 1, State: "x=1,y=2", marked: true}},
		"our tracestate, wrong": {http.Header{"Traceparent": {valid}, "Tracestate": {"annals=zz:../x"}},
			SpanContext{RequestID: traceA, TraceID: traceA, SpanID: spanA, CallID: spanA, Flags: 1}},
		"our tracestate, our own streams": {http.Header{"Traceparent": {valid}, "Tracestate": {"annals=" + spanB + ":annals.operators"}},
			SpanContext{RequestID: traceA, TraceID: traceA, SpanID: spanA, CallID: spanB, Flags: 1, marked: true}},
		"a malformed tracestate": {http.Header{"Traceparent": {valid}, "Tracestate": {"x=1,,=="}},
			SpanContext{RequestID: traceA, TraceID: traceA, SpanID: spanA, CallID: spanA, Flags: 1}},
		"unknown flags":      {http.Header{"Traceparent": {valid[:53] + "ff"}}, SpanContext{RequestID: traceA, TraceID: traceA, SpanID: spanA, CallID: spanA, Flags: 3}},
		"a later version":    {http.Header{"Traceparent": {"01" + valid[2:] + "-more"}}, SpanContext{RequestID: traceA, TraceID: traceA, SpanID: spanA, CallID: spanA, Flags: 1}},
		"a bad X-Request-Id": {http.Header{"X-Request-Id": {"a b\x00"}}, SpanContext{RequestID: made, TraceID: made, Flags: 1, GivenID: "a b\x00"}},
		"a long one":         {http.Header{"X-Request-Id": {long}}, SpanContext{RequestID: made, TraceID: made, Flags: 1, GivenID: long}},
		"one of our own":     {http.Header{"X-Request-Id": {"annals.operators"}}, SpanContext{RequestID: made, TraceID: made, Flags: 1, GivenID: "annals.operators"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := incoming(t, c.header); got != c.want {
				t.Fatalf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestMalformedTraceparentIsIgnored(t *testing.T) {
	valid := "00-" + traceA + "-" + spanA + "-01"
	for _, bad := range []string{
		"", "00", valid + "-", valid + "-00", valid[:54], strings.ToUpper(valid), "ff" + valid[2:], "0g" + valid[2:], "01" + valid[2:] + "x",
		"00-" + strings.Repeat("0", 32) + "-" + spanA + "-01", "00-" + traceA + "-" + strings.Repeat("0", 16) + "-01",
		strings.Replace(valid, "-", "_", 1), " " + valid, valid[:53] + "0x", "00-" + traceA[:31] + "g-" + spanA + "-01", strings.Repeat("0", 1<<16),
	} {
		if got := incoming(t, http.Header{"Traceparent": {bad}, "Tracestate": {"annals=" + spanB}}); got != (SpanContext{RequestID: made, TraceID: made, Flags: 1}) {
			t.Errorf("%.80q gave %+v", bad, got)
		}
	}
	if got := incoming(t, http.Header{"Traceparent": {valid, valid}}); got.RequestID != made {
		t.Errorf("two traceparents gave %+v", got)
	}
}

func FuzzIncoming(f *testing.F) {
	f.Add("00-"+traceA+"-"+spanA+"-01", "annals="+spanB+":r=1,x=1", "r-1")
	f.Fuzz(func(t *testing.T, parent, state, request string) {
		s := incoming(t, http.Header{"Traceparent": {parent}, "Tracestate": {state}, "X-Request-Id": {request}})
		if s.SpanID == "" {
			s.SpanID = spanA
		}
		out := http.Header{}
		s.write(out, true)
		if again := incoming(t, out); again.RequestID != s.RequestID && len(s.CallID)+1+len(s.RequestID) <= maxState {
			t.Fatalf("%q, %q, %q: %+v came back as %+v", parent, state, request, s, again)
		}
	})
}

func TestOutgoing(t *testing.T) {
	header := http.Header{}
	Outgoing(context.Background(), header)
	if len(header) != 0 {
		t.Fatalf("without a request: %v", header)
	}
	members := strings.Repeat("k=1,", 31) + "last=1"
	here := SpanContext{RequestID: "r=1", CallID: spanB, SpanID: spanA, TraceID: traceA, Flags: 1, State: members}
	span := here.remote() // one of the program's own
	ctx := trace.ContextWithSpanContext(NewContext(context.Background(), here), span)
	header.Set("X-Request-Id", "my own")
	Outgoing(ctx, header)
	if header.Get("traceparent") != "00-"+traceA+"-"+spanA+"-01" || !strings.HasPrefix(header.Get("tracestate"), "annals="+spanB+":r!1,k=1,") ||
		strings.Contains(header.Get("tracestate"), "last") || header.Get("X-Request-Id") != "r=1" {
		t.Fatalf("got %v", header)
	}
	header = http.Header{"X-Request-Id": {"mine"}}
	Outgoing(NewContext(context.Background(), SpanContext{RequestID: traceA, TraceID: traceA}), header)
	if header.Get("X-Request-Id") != "mine" || !strings.HasPrefix(header.Get("traceparent"), "00-"+traceA+"-") || header.Get("tracestate") != "" {
		t.Fatalf("got %v", header)
	}
	header = http.Header{}
	Outgoing(NewContext(context.Background(), here), header) // a Handler is to record this call, within spanB
	if header.Get("traceparent") != "00-"+traceA+"-"+spanB+"-01" || strings.Contains(header.Get("tracestate"), "annals") {
		t.Fatalf("got %v", header)
	}
	if RequestID(ctx) != "r=1" || RequestID(context.Background()) != "" {
		t.Fatal("RequestID")
	}
}
