package dynamoview

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"

	smithy "github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// tries follows one change through every try that is made of it, as an error says
// nothing of the tries before the last.
type tries struct{ lost atomic.Bool }

type triesKey struct{}

func (t *tries) watch(ctx context.Context) context.Context {
	return context.WithValue(ctx, triesKey{}, t)
}

// unclear reports whether some try may have taken effect although it failed.
func (t *tries) unclear() bool { return t.lost.Load() }

// watchTries is a middleware behind the SDK's own retries.
func watchTries(stack *middleware.Stack) error {
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("AnnalsViewTries", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleFinalize(ctx, in)
		if t, ok := ctx.Value(triesKey{}).(*tries); ok && unclear(err) {
			t.lost.Store(true)
		}
		return out, metadata, err
	}), "Retry", middleware.After)
}

// unclear reports whether a request that failed so may have taken effect: all but
// those that were never sent or that got a definite refusal.
func unclear(err error) bool {
	var dial *net.OpError
	var certificate *tls.CertificateVerificationError
	var reply *smithyhttp.ResponseError
	var api smithy.APIError
	switch {
	case err == nil:
		return false
	case errors.As(err, &dial) && dial.Op == "dial", errors.As(err, &certificate):
		return false
	case errors.As(err, &reply):
		return reply.HTTPStatusCode() >= 500 || reply.HTTPStatusCode() < 400
	case errors.As(err, &api):
		return api.ErrorFault() != smithy.FaultClient
	}
	return true
}
