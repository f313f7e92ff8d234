package dynamo

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	smithy "github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/eb901187/annals/storetest"
)

var faultSeed = flag.Uint64("fault-seed", 0, "seed of TestStoreContractUnderFaults; 0 takes one from the clock")

// faults is a layer below the SDK's retries that fails what passes it, at
// random by a seed.
type faults struct {
	mu     sync.Mutex
	random *rand.Rand
	count  map[string]int
}

// kinds are the faults of one try. after lets the request take effect first.
var kinds = []struct {
	name  string
	after bool
	only  string // operations, or all
	err   error
}{
	{"throttled", false, "", &types.ProvisionedThroughputExceededException{Message: aws.String("planted")}},
	{"throttled", false, "", &smithy.GenericAPIError{Code: "ThrottlingException", Message: "planted"}},
	{"timeout before", false, "", timeout{}},
	{"timeout after", true, "", timeout{}},
	{"5xx before", false, "", status(500)},
	{"5xx after", true, "", status(500)},
	{"conflict of transactions", false, "PutItem", &types.TransactionConflictException{Message: aws.String("planted")}},
	{"S3 is down", false, "PutObject CopyObject GetObject", status(503)},
}

func status(code int) error {
	return &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: code}}, Err: errors.New("planted"),
	}
}

type timeout struct{}

func (timeout) Error() string   { return "planted: timed out" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

// pick chooses a fault for one try in eight.
func (f *faults) pick(operation string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := f.random.IntN(8 * len(kinds))
	if down := len(kinds) - 1; f.random.IntN(4) == 0 && strings.Contains(kinds[down].only, operation) {
		i = down // there are few requests to S3
	}
	if i >= len(kinds) || kinds[i].only != "" && !strings.Contains(kinds[i].only, operation) {
		return -1
	}
	f.count[kinds[i].name]++
	return i
}

func (f *faults) below(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.random.IntN(n)
}

// install puts the layer into a client's stack.
func (f *faults) install(stack *middleware.Stack) error {
	err := stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("Faults", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		i := f.pick(middleware.GetOperationName(ctx))
		if i < 0 {
			return next.HandleFinalize(ctx, in)
		}
		if kinds[i].after {
			if _, metadata, err := next.HandleFinalize(ctx, in); err != nil {
				return middleware.FinalizeOutput{}, metadata, err
			}
		}
		return middleware.FinalizeOutput{}, middleware.Metadata{}, kinds[i].err
	}), "Retry", middleware.After)
	if err != nil {
		return err
	}
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("Pages", f.pages), middleware.Before)
}

// pages makes pages short and leaves parts of batches undone.
func (f *faults) pages(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
	switch p := in.Parameters.(type) {
	case *dynamodb.QueryInput:
		if f.below(4) == 0 {
			short := *p
			short.Limit = aws.Int32(int32(1 + f.below(3)))
			in.Parameters = &short
		}
	case *dynamodb.BatchWriteItemInput:
		for table, requests := range p.RequestItems {
			if n := 1 + f.below(len(requests)); n < len(requests) && f.below(2) == 0 {
				part := *p
				part.RequestItems = map[string][]types.WriteRequest{table: requests[:n]}
				in.Parameters = &part
				out, metadata, err := next.HandleInitialize(ctx, in)
				if reply, ok := out.Result.(*dynamodb.BatchWriteItemOutput); ok {
					reply.UnprocessedItems = map[string][]types.WriteRequest{table: append(reply.UnprocessedItems[table], requests[n:]...)}
				}
				return out, metadata, err
			}
		}
	}
	return next.HandleInitialize(ctx, in)
}

// impatient is a configuration whose retries come at once.
func impatient() *aws.Config {
	return &aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.RateLimiter = 12, ratelimit.None
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return time.Microsecond, nil })
				o.Retryables = append(o.Retryables, retryCodes)
			})
		},
	}
}

func TestStoreContractUnderFaults(t *testing.T) {
	seed := *faultSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: repeat with -fault-seed", seed)
	layer := &faults{random: rand.New(rand.NewPCG(seed, 1)), count: map[string]int{}}
	storetest.Run(t, opener(func() *Options {
		return &Options{Poll: 2 * time.Millisecond, sizes: &smallSizes, Config: impatient(), Middleware: []func(*middleware.Stack) error{layer.install}}
	}))
	for _, k := range kinds {
		if layer.count[k.name] == 0 {
			t.Errorf("the fault %q was never planted", k.name)
		}
	}
	t.Logf("planted %v", layer.count)
}
