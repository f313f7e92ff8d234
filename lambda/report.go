package lambda

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// A report gathers what one invocation did. Its counts become metrics when the
// invocation ends, and what is logged through it names the invocation. It is safe
// for concurrent use.
type report struct {
	log    *slog.Logger
	tracer trace.Tracer
	clock  func() time.Time
	began  time.Time

	mu           sync.Mutex
	counts       map[string]int64
	correlations []string
}

// maxCorrelations bounds how many are named beside the metrics of one invocation;
// each message's is in its own line of the log.
const maxCorrelations = 20

// CloudWatch takes lines of 256 KB, and what a refused message says of itself has
// any length.
const (
	maxValue       = 16 << 10
	maxCorrelation = 1 << 10
)

// clipped is the beginning of a text that is too long.
func clipped(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

func newReport(log *slog.Logger, tracer trace.Tracer, clock func() time.Time) *report {
	return &report{log: log, tracer: tracer, clock: clock, began: clock(), counts: map[string]int64{}}
}

// count adds n to the metric called name, such as "Stored". A name that ends in
// Milliseconds or Bytes has that unit.
func (r *report) count(name string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[name] += int64(n)
}

// most raises the metric called name, such as "LagMilliseconds", to n.
func (r *report) most(name string, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[name] = max(r.counts[name], n)
}

// belongs notes a request that the invocation worked on.
func (r *report) belongs(correlation string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	correlation = clipped(correlation, maxCorrelation)
	if correlation != "" && len(r.correlations) < maxCorrelations && !slices.Contains(r.correlations, correlation) {
		r.correlations = append(r.correlations, correlation)
	}
}

// message logs what became of one message, under the request that it belongs to,
// and makes a span of it, from the start of the invocation to here. Of args, which
// are as those of slog, "stream", "id", "method" and "path" are said of the span too;
// "traceparent" makes it part of the trace that the message came with, and "error"
// its status.
func (r *report) message(ctx context.Context, level slog.Level, text, correlation string, args ...any) {
	r.belongs(correlation)
	if correlation != "" {
		args = append([]any{"correlation", correlation}, args...)
	}
	r.log.Log(ctx, level, text, args...)
	attributes, parent, failure := spanOf(args)
	start := []trace.SpanStartOption{trace.WithTimestamp(r.began), trace.WithAttributes(attributes...), trace.WithSpanKind(trace.SpanKindConsumer)}
	if up := parentOf(parent); up.IsValid() {
		start = append(start, trace.WithLinks(trace.LinkFromContext(ctx)))
		ctx = trace.ContextWithRemoteSpanContext(ctx, up)
	}
	_, span := r.tracer.Start(ctx, text, start...)
	if failure != "" {
		span.SetStatus(codes.Error, failure)
	}
	span.End(trace.WithTimestamp(r.clock()))
}

// spanOf finds in the arguments of a log what a span says.
func spanOf(args []any) (attributes []attribute.KeyValue, parent, failure string) {
	for i := 0; i+1 < len(args); i += 2 {
		name, _ := args[i].(string)
		value, isText := args[i+1].(string)
		if err, is := args[i+1].(error); is && err != nil {
			value, isText = err.Error(), true
		}
		if !isText || value == "" {
			continue
		}
		value = clipped(value, maxValue)
		switch name {
		case "traceparent":
			parent = value
		case "error":
			failure = value
		case "correlation", "stream", "id":
			attributes = append(attributes, attribute.String("annals."+name, value))
		case "method":
			attributes = append(attributes, attribute.String("http.request.method", value))
		case "path":
			attributes = append(attributes, attribute.String("url.path", value))
		}
	}
	return attributes, parent, failure
}
