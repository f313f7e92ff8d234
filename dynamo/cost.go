package dynamo

import (
	"context"
	"crypto/tls"
	"errors"
	"maps"
	"net"
	"sync"

	smithy "github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// A Cost is what requests used. Units are those that DynamoDB reported; a
// request whose reply was lost is counted without them.
type Cost struct {
	Requests int64   // to DynamoDB, each try counted
	Writes   float64 // write request units: 1 KB each
	Reads    float64 // read request units: 4 KB each, 8 KB where eventually consistent
	Puts     int64   // S3 requests at the price of PUT: PUT, COPY
	Gets     int64   // S3 requests at the price of GET
}

// Plus is the sum of two costs.
func (c Cost) Plus(o Cost) Cost {
	return Cost{c.Requests + o.Requests, c.Writes + o.Writes, c.Reads + o.Reads, c.Puts + o.Puts, c.Gets + o.Gets}
}

// Minus is what c has more than o.
func (c Cost) Minus(o Cost) Cost {
	return Cost{c.Requests - o.Requests, c.Writes - o.Writes, c.Reads - o.Reads, c.Puts - o.Puts, c.Gets - o.Gets}
}

// List prices of us-east-1, on demand, in dollars per million, as of 2026-11-21:
// aws.amazon.com/dynamodb/pricing/on-demand and aws.amazon.com/s3/pricing (S3
// Standard). Storage and streams come on top; DynamoDB charges nothing for the
// stream reads of Lambda, and 0.2 dollars for a million of a worker's.
const (
	PricesOf          = "2026-11-21, us-east-1"
	DollarsPerMWrites = 0.625
	DollarsPerMReads  = 0.125
	DollarsPerMPuts   = 5.0
	DollarsPerMGets   = 0.4
)

// DollarsPerMillion is the price of a million times this cost.
func (c Cost) DollarsPerMillion() float64 {
	return c.Writes*DollarsPerMWrites + c.Reads*DollarsPerMReads + float64(c.Puts)*DollarsPerMPuts + float64(c.Gets)*DollarsPerMGets
}

// A Meter adds up what the calls under one context used. It is safe for
// concurrent use.
type Meter struct {
	mu   sync.Mutex
	cost Cost
	plan Plan
}

type meterKey struct{}

// Metered returns a context whose calls on a store of this package are counted
// by the Meter.
func Metered(ctx context.Context) (context.Context, *Meter) {
	m := &Meter{}
	return context.WithValue(ctx, meterKey{}, m), m
}

// Cost is what was used until now.
func (m *Meter) Cost() Cost {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cost
}

func (m *Meter) add(c Cost) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cost = m.cost.Plus(c)
}

func meterOf(ctx context.Context) *Meter {
	m, _ := ctx.Value(meterKey{}).(*Meter)
	return m
}

// ledger adds up costs by the operation that caused them.
type ledger struct {
	mu    sync.Mutex
	costs map[string]Cost
}

func (l *ledger) add(operation string, c Cost) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.costs[operation] = l.costs[operation].Plus(c)
}

func (l *ledger) copy() map[string]Cost {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.costs)
}

type operationKey struct{}

// operation names what the requests under the context are made for. The
// outermost name counts.
func operation(ctx context.Context, name string) context.Context {
	if ctx.Value(operationKey{}) != nil {
		return ctx
	}
	return context.WithValue(ctx, operationKey{}, name)
}

// renamed names a part of an operation that is counted apart from it.
func renamed(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, operationKey{}, name)
}

func (c *calls) count(ctx context.Context, cost Cost) {
	name, _ := ctx.Value(operationKey{}).(string)
	c.ledger.add(name, cost)
	meterOf(ctx).add(cost)
}

// tries follows one request through the tries that the SDK makes of it.
type tries struct {
	mu      sync.Mutex
	n       int64
	unclear bool // some try may have taken effect although it failed
}

func (t *tries) add(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n++
	t.unclear = t.unclear || unclear(err)
}

type triesKey struct{}

// countTries is an SDK middleware that sees every try, as the error of the whole
// says nothing of the tries before the last.
func countTries(stack *middleware.Stack) error {
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("AnnalsTries", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleFinalize(ctx, in)
		if t, ok := ctx.Value(triesKey{}).(*tries); ok {
			t.add(err)
		}
		return out, metadata, err
	}), "Retry", middleware.After)
}

// unclear reports whether a request that failed so may have taken effect.
func unclear(err error) bool {
	var dial *net.OpError
	var api smithy.APIError
	var reply *smithyhttp.ResponseError
	var certificate *tls.CertificateVerificationError
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

// once is a cost of the request that t followed, with the units it used. A
// driver over something that is no SDK client sees no tries: then it was one.
func (t *tries) once(writes, reads float64) Cost {
	return Cost{Requests: max(t.n, 1), Writes: writes, Reads: reads}
}
