package dynamoview

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/middleware"

	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/viewtest"
)

// newTable makes the tables of a store on a fresh stand-in, as annals init does,
// and returns its address and the name of that of views.
func newTable(t testing.TB) (endpoint, table string) {
	t.Helper()
	endpoint = awstest.DynamoDB(t)
	address := dynamo.Address{Name: "test", Region: "us-east-1", Endpoint: endpoint}
	if err := dynamo.Init(t.Context(), address, nil, nil); err != nil {
		t.Fatal(err)
	}
	return endpoint, address.Name + Suffix
}

// newClient is a client whose retries come at once.
func newClient(endpoint string, apiOptions ...func(*middleware.Stack) error) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""), BaseEndpoint: aws.String(endpoint),
		APIOptions: apiOptions,
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.RateLimiter = 8, ratelimit.None
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return time.Microsecond, nil })
		}),
	})
}

// atOnce is a pause that takes no time.
func atOnce(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// numbers are random by a seed, for many goroutines.
func numbers(seed uint64) func() uint64 {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 2))
	return func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		return random.Uint64()
	}
}

func mustOpen(t testing.TB, client *dynamodb.Client, table string) *Store {
	t.Helper()
	s, err := open(t.Context(), client, table, numbers(1), atOnce)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newStore(t testing.TB, apiOptions ...func(*middleware.Stack) error) *Store {
	t.Helper()
	endpoint, table := newTable(t)
	return mustOpen(t, newClient(endpoint, apiOptions...), table)
}

func TestStoreContract(t *testing.T) {
	viewtest.Test(t, func(t *testing.T) view.Store { return newStore(t) }, nil)
}

func put(space, key, data string) view.Put {
	return view.Put{Space: space, Document: view.Document{Key: key, Data: []byte(data)}}
}

func numbered(i int) string { return fmt.Sprintf("%03d", i) }
