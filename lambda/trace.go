package lambda

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/eb901187/annals"
)

const instrumentation = "github.com/eb901187/annals/lambda"

// A tracing makes spans and sends them, if it is told where to.
type tracing struct {
	tracer   trace.Tracer
	provider *sdktrace.TracerProvider // nil if spans go nowhere
	to       string                   // where they go, for messages
}

// startTracing makes the tracing of a function. Nothing is sent yet.
func startTracing(ctx context.Context, c *Config, clock func() time.Time) (*tracing, error) {
	if c.Traces == "" {
		return &tracing{tracer: noop.NewTracerProvider().Tracer(instrumentation)}, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimSuffix(c.Traces, "/")+"/v1/traces"),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{})) // nothing may go on behind an answer
	if err != nil {
		return nil, &annals.Error{Code: annals.CodeInvalid, Message: "spans can't be sent to " + withoutPassword(c.Traces), Err: err, Hint: "see the variables OTEL_EXPORTER_OTLP_…"}
	}
	is := resource.NewSchemaless(
		attribute.String("service.name", "annals-"+string(c.Role)),
		attribute.String("cloud.provider", "aws"), attribute.String("cloud.platform", "aws_lambda"),
		attribute.String("annals.role", string(c.Role)), attribute.String("annals.store", c.Store.Name),
	)
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(is), sdktrace.WithBatcher(&sender{SpanExporter: exporter, clock: clock}, sdktrace.WithMaxQueueSize(maxSpans), sdktrace.WithBlocking()))
	return &tracing{provider.Tracer(instrumentation), provider, withoutPassword(c.Traces)}, nil
}

func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the collector"
	}
	return u.Redacted()
}

// maxSpans is how many wait to be sent; more are sent while messages are worked on.
const maxSpans = 4096

// A sender drops spans for a while once a collector has failed: whoever records
// spans waits for those before them, and messages matter more.
type sender struct {
	sdktrace.SpanExporter
	clock  func() time.Time
	failed atomic.Pointer[time.Time]
}

const (
	sendTime = time.Second // that a batch of spans may take
	restTime = 10 * time.Second
)

// ExportSpans implements sdktrace.SpanExporter.
func (s *sender) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if at := s.failed.Load(); at != nil {
		if age := s.clock().Sub(*at); age >= 0 && age < restTime {
			return nil
		}
		s.failed.Store(nil)
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	err := s.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		return nil
	}
	now := s.clock()
	s.failed.Store(&now)
	return fmt.Errorf("%d spans are lost, and so are those of the next %v: %w", len(spans), restTime, err)
}

// flush sends the spans that have ended, as Lambda freezes the process between
// invocations.
func (t *tracing) flush(ctx context.Context) error {
	if t.provider == nil {
		return nil
	}
	return t.provider.ForceFlush(ctx)
}

func (t *tracing) close(ctx context.Context) error {
	if t.provider == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// parentOf reads a traceparent of W3C; an invalid one is none.
func parentOf(traceparent string) trace.SpanContext {
	carrier := propagation.MapCarrier{"traceparent": traceparent}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
}
