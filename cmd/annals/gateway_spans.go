package main

import (
	"context"
	"errors"
	"os"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/eb901187/annals"
)

// spanVariables switch the export of spans on.
var spanVariables = []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}

// startSpans has spans made and sent if the environment says where to. Sending
// goes on beside everything else: spans that a collector does not take in time are
// dropped. The function that it returns sends the last ones, and ends this.
func (a *app) startSpans(ctx context.Context, name string) (func(context.Context) error, error) {
	to := ""
	for _, v := range spanVariables {
		if to == "" {
			to = os.Getenv(v)
		}
	}
	if to == "" {
		return func(context.Context) error { return nil }, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, spansErr(err)
	}
	is, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", name)), resource.WithFromEnv())
	if err != nil {
		return nil, spansErr(err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { a.logger.Warn("spans are lost", "error", err) }))
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(is))
	otel.SetTracerProvider(provider)
	return func(ctx context.Context) error {
		otel.SetTracerProvider(noop.NewTracerProvider())
		if err := provider.Shutdown(ctx); err != nil && !errors.Is(err, context.Canceled) {
			a.logger.Warn("the last spans are lost", "error", err)
		}
		return nil
	}, nil
}

func spansErr(err error) error {
	return &annals.Error{Code: annals.CodeInvalid, Message: "spans can't be sent", Err: err, Hint: "see the variables OTEL_EXPORTER_OTLP_… and OTEL_RESOURCE_ATTRIBUTES"}
}
