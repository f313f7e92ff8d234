package tracking

import (
	"context"
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

const instrumentation = "github.com/eb901187/annals/tracking"

// startSpan begins a span below s, if OpenTelemetry has a provider, and takes
// the ids of the call from it; else it makes an id. What it returns for s is
// the call's own.
func (r *Recorder) startSpan(ctx context.Context, s SpanContext, kind trace.SpanKind, req *http.Request, service string) (context.Context, trace.Span, SpanContext) {
	parent := trace.SpanContextFromContext(ctx)
	if !parent.IsValid() {
		parent = s.remote()
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	}
	ctx, span := otel.GetTracerProvider().Tracer(instrumentation).Start(ctx, req.Method, trace.WithSpanKind(kind))
	if span.IsRecording() {
		span.SetAttributes(
			attribute.String("http.request.method", req.Method),
			attribute.String("server.address", hostOf(req)),
			attribute.String("url.path", cut(req.URL.Path, maxPath)),
			attribute.String("peer.service", service),
		)
	}
	if made := span.SpanContext(); made.IsValid() && made.SpanID() != parent.SpanID() {
		s.SpanID, s.TraceID, s.Flags = made.SpanID().String(), made.TraceID().String(), byte(made.TraceFlags())
		s.State = withoutOurs(made.TraceState())
	} else {
		s.SpanID = r.spanID()
	}
	return ctx, span, s
}

func withoutOurs(state trace.TraceState) string {
	if state.Len() == 0 {
		return ""
	}
	return state.Delete(stateKey).String()
}

// remote is s for OpenTelemetry. Without a span id it stands for no span, but
// names the trace that a new root belongs to.
func (s *SpanContext) remote() trace.SpanContext {
	c := trace.SpanContextConfig{TraceFlags: trace.TraceFlags(s.Flags), Remote: true}
	c.TraceID, _ = trace.TraceIDFromHex(s.TraceID) // a wrong id is none
	c.SpanID, _ = trace.SpanIDFromHex(s.SpanID)
	c.TraceState, _ = trace.ParseTraceState(s.State)
	return trace.NewSpanContext(c)
}

// endSpan tells span how x ended. failed is the first status that counts as
// a failure on this side.
func endSpan(span trace.Span, x *Exchange, failed int) {
	if span.IsRecording() {
		if x.Status != 0 {
			span.SetAttributes(attribute.Int("http.response.status_code", x.Status))
		}
		switch {
		case x.ErrorKind != "":
			span.SetAttributes(attribute.String("error.type", string(x.ErrorKind)))
			span.SetStatus(codes.Error, cut(x.Error, maxError))
		case x.Status >= failed:
			span.SetAttributes(attribute.String("error.type", strconv.Itoa(x.Status)))
			span.SetStatus(codes.Error, "")
		}
	}
	span.End()
}

func hostOf(req *http.Request) string {
	if req.Host != "" || req.URL == nil {
		return req.Host
	}
	return req.URL.Host
}
