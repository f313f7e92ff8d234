package dynamoview

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	smithy "github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// A fault is what happens to one try of a request. after lets it take effect
// first.
type fault struct {
	name  string
	after bool
	only  string // operations, or all
	err   error
}

type timeout struct{}

func (timeout) Error() string   { return "planted: timed out" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

func status(code int) error {
	return &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: &http.Response{StatusCode: code}}, Err: errors.New("planted")}
}

func canceled(codes ...string) error {
	e := &types.TransactionCanceledException{Message: aws.String("planted")}
	for _, code := range codes {
		e.CancellationReasons = append(e.CancellationReasons, types.CancellationReason{Code: aws.String(code), Message: aws.String("planted")})
	}
	return e
}

// Faults that leave no doubt, and such that do.
var (
	clearFaults = []fault{
		{name: "throttled", err: &types.ProvisionedThroughputExceededException{Message: aws.String("planted")}},
		{name: "throttled", err: &smithy.GenericAPIError{Code: "ThrottlingException", Message: "planted", Fault: smithy.FaultClient}},
		{name: "a put meets a transaction", only: "PutItem", err: &types.TransactionConflictException{Message: aws.String("planted")}},
		{name: "transactions meet", only: "TransactWriteItems", err: canceled("None", "TransactionConflict")},
	}
	doubtfulFaults = []fault{
		{name: "timeout before", err: timeout{}},
		{name: "timeout after", after: true, err: timeout{}},
		{name: "5xx before", err: status(500)},
		{name: "5xx after", after: true, err: status(500)},
	}
)

// layer lies below the SDK's retries and fails what passes it.
type layer struct {
	mu      sync.Mutex
	pick    func(operation string) *fault
	planted map[string]int
	tries   map[string]int
}

func (l *layer) next(operation string) *fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.planted == nil {
		l.planted, l.tries = map[string]int{}, map[string]int{}
	}
	l.tries[operation]++
	if l.pick == nil {
		return nil
	}
	f := l.pick(operation)
	if f == nil || f.only != "" && f.only != operation {
		return nil
	}
	l.planted[f.name]++
	return f
}

func (l *layer) install(stack *middleware.Stack) error {
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("Faults", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		f := l.next(middleware.GetOperationName(ctx))
		if f == nil {
			return next.HandleFinalize(ctx, in)
		}
		if f.after {
			if _, metadata, err := next.HandleFinalize(ctx, in); err != nil {
				return middleware.FinalizeOutput{}, metadata, err
			}
		}
		return middleware.FinalizeOutput{}, middleware.Metadata{}, f.err
	}), "Retry", middleware.After)
}

// parts leaves pages and batches unfinished, at random.
func parts(random func() uint64) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("Parts", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			var rest func(out any)
			switch p := in.Parameters.(type) {
			case *dynamodb.QueryInput:
				if random()%4 == 0 {
					short := *p
					short.Limit = aws.Int32(int32(1 + random()%30))
					in.Parameters = &short
				}
			case *dynamodb.BatchGetItemInput:
				for table, k := range p.RequestItems {
					n := int(random() % uint64(len(k.Keys)+1))
					part := *p
					some, others := k, k
					some.Keys, others.Keys = k.Keys[:max(n, 1)], k.Keys[max(n, 1):]
					part.RequestItems = map[string]types.KeysAndAttributes{table: some}
					in.Parameters = &part
					if len(others.Keys) > 0 {
						rest = func(out any) {
							out.(*dynamodb.BatchGetItemOutput).UnprocessedKeys = map[string]types.KeysAndAttributes{table: others}
						}
					}
				}
			case *dynamodb.BatchWriteItemInput:
				for table, requests := range p.RequestItems {
					n := max(1, int(random()%uint64(len(requests)+1)))
					part := *p
					part.RequestItems = map[string][]types.WriteRequest{table: requests[:n]}
					in.Parameters = &part
					if n < len(requests) {
						rest = func(out any) {
							out.(*dynamodb.BatchWriteItemOutput).UnprocessedItems = map[string][]types.WriteRequest{table: requests[n:]}
						}
					}
				}
			}
			out, metadata, err := next.HandleInitialize(ctx, in)
			if err == nil && rest != nil {
				rest(out.Result)
			}
			return out, metadata, err
		}), middleware.Before)
	}
}
