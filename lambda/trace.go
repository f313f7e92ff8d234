package lambda

import (
	"context"
	"strings"

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
}

// startTracing makes the tracing of a function. Nothing is sent yet.
func startTracing(ctx context.Context, c *Config) (*tracing, error) {
	if c.Traces == "" {
		return &tracing{tracer: noop.NewTracerProvider().Tracer(instrumentation)}, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(strings.TrimSuffix(c.Traces, "/")+"/v1/traces"))
	if err != nil {
		return nil, &annals.Error{Code: annals.CodeInvalid, Message: "spans can't be sent to " + c.Traces, Err: err, Hint: "see the variables OTEL_EXPORTER_OTLP_…"}
	}
	is := resource.NewSchemaless(
		attribute.String("service.name", "annals-"+string(c.Role)),
		attribute.String("cloud.provider", "aws"), attribute.String("cloud.platform", "aws_lambda"),
		attribute.String("annals.role", string(c.Role)), attribute.String("annals.store", c.Store.Name),
	)
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(is), sdktrace.WithBatcher(exporter, sdktrace.WithMaxQueueSize(maxSpans), sdktrace.WithBlocking()))
	return &tracing{provider.Tracer(instrumentation), provider}, nil
}

// maxSpans is how many wait to be sent; more are sent while messages are worked on.
const maxSpans = 4096

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
