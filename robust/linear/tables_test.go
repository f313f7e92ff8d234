package linear

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/middleware"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/dynamo"
)

// tables are a store in DynamoDB and S3 that several processes have open, as far as that can
// be seen: drivers that share nothing. Their requests are throttled, lost, and held
// back; their clocks jump; again and again one of them ends in the middle of what it
// does, and another begins.
type tables struct {
	*dice
	t       *testing.T
	address dynamo.Address
	network *http.Transport
	random  *rand.Rand // of restarts
	every   int        // requests between two of them
	calls   counter
	late    sync.WaitGroup

	mu       sync.RWMutex
	drivers  []*dynamo.Driver
	stores   []*annals.Store
	steady   *annals.Store
	answered map[string]middleware.InitializeOutput // by what was asked for, where a stale answer would do

	end   chan struct{}
	chaos sync.WaitGroup
}

var ofPuts = []chance{
	{"throttled", 20}, {"put lost", 40}, {"500 before", 15}, {"answer of a put lost", 120}, {"500 after", 40}, {"put late", 130}, {"held", 10},
}

// Of S3, where the bodies of large commits are: put as pending, and copied once the
// commit is stored.
var ofObjects = []chance{
	{"object throttled", 100}, {"object lost", 120}, {"answer of an object lost", 150}, {"object late", 100},
}

var ofObjectReads = []chance{{"object unread", 120}}

var ofReads = []chance{{"throttled", 20}, {"read lost", 190}, {"held", 5}}

const restart = "restart"

func newTables(t *testing.T, seed uint64, processes, every int) *tables {
	t.Helper()
	w := &tables{
		dice: newDice(seed, restart, "short page"), t: t, random: rand.New(rand.NewPCG(seed, 8)), every: every,
		address: dynamo.Address{Name: "linear", Region: "us-east-1", Endpoint: awstest.DynamoDB(t), Bucket: "linear", S3Endpoint: awstest.S3(t, "linear")},
		network: &http.Transport{MaxIdleConnsPerHost: 256}, answered: map[string]middleware.InitializeOutput{},
		drivers: make([]*dynamo.Driver, processes), stores: make([]*annals.Store, processes),
	}
	for _, c := range slices.Concat(ofPuts, ofReads, ofObjects, ofObjectReads) {
		w.count[c.name] = 0
	}
	w.quiet(true)
	t.Cleanup(w.network.CloseIdleConnections)
	if err := dynamo.Init(t.Context(), w.address, &dynamo.Options{Config: w.config(w.network, 2)}, func(dynamo.Part) {}); err != nil {
		t.Fatal(err)
	}
	steady, err := dynamo.Open(t.Context(), w.address, &dynamo.Options{Config: w.config(w.network, 2)})
	if err != nil {
		t.Fatal(err)
	}
	w.steady = steady
	t.Cleanup(func() { _ = steady.Close() }) // it has nothing to close
	for i := range w.drivers {
		if !w.process(i) {
			t.Fatalf("driver %d could not be opened", i)
		}
	}
	return w
}

// config is one that tries so often, at once.
func (w *tables) config(network http.RoundTripper, tries int) *aws.Config {
	return &aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""), HTTPClient: &http.Client{Transport: network},
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.RateLimiter = tries, ratelimit.None
				o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return time.Microsecond, nil })
			})
		},
	}
}

// process begins driver i anew and ends the one that was there; false says that a
// fault met it.
func (w *tables) process(i int) bool {
	d, err := dynamo.OpenDriver(context.WithoutCancel(w.t.Context()), w.address, &dynamo.Options{
		Config: w.config(w, 1+i%2), Clock: w.jumping,
		Middleware: []func(*middleware.Stack) error{func(stack *middleware.Stack) error {
			return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("Pages", w.pages), middleware.Before)
		}},
	})
	if err != nil {
		return false
	}
	w.mu.Lock()
	old := w.drivers[i]
	w.drivers[i], w.stores[i] = d, annals.New(d, w.options())
	w.mu.Unlock()
	if old != nil {
		w.note(restart)
		_ = old.Close() // it returns nothing else than nil
	}
	return true
}

func (w *tables) store(client int) *annals.Store {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.stores[client%len(w.stores)]
}

func (w *tables) begin(int) {
	w.calls.hold()
	w.quiet(false)
	w.end = make(chan struct{})
	w.chaos.Go(func() {
		for {
			select {
			case <-w.calls.after(w.every/2 + w.random.IntN(w.every)):
				for i := w.random.IntN(len(w.drivers)); !w.process(i) && w.t.Context().Err() == nil; { // by a fault
				}
			case <-w.end:
				return
			}
		}
	})
}

func (w *tables) planted() map[string]int { return w.counts() }

func (w *tables) calm() *annals.Store {
	w.quiet(true)
	close(w.end)
	w.calls.release() // also a driver that is being opened: nobody calls any more
	w.chaos.Wait()
	w.late.Wait()
	return w.steady
}

var errNetwork = errors.New("planted: the connection broke")

// chances are those of a request to DynamoDB or S3.
func chances(r *http.Request) []chance {
	switch target := r.Header.Get("X-Amz-Target"); {
	case target == "" && r.Method == http.MethodPut:
		return ofObjects
	case target == "":
		return ofObjectReads
	case strings.HasSuffix(target, ".PutItem"):
		return ofPuts
	}
	return ofReads
}

// RoundTrip is the network between a driver and AWS.
func (w *tables) RoundTrip(r *http.Request) (*http.Response, error) {
	defer w.calls.add()
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		if err = errors.Join(err, r.Body.Close()); err != nil {
			return nil, err
		}
	}
	again := func(ctx context.Context) (*http.Response, error) {
		r := r.Clone(ctx)
		r.Body = io.NopCloser(bytes.NewReader(body))
		return w.network.RoundTrip(r)
	}
	switch fault := w.fall(chances(r)); fault {
	case "put lost", "read lost", "object lost", "object unread":
		return nil, errNetwork
	case "throttled":
		return reply(r, 400, "ThrottlingException"), nil
	case "500 before":
		return reply(r, 500, "InternalServerError"), nil
	case "object throttled":
		return slowDown(r), nil
	case "put late", "object late":
		landing, ctx := w.calls.after(1+w.below(60)), context.WithoutCancel(r.Context())
		w.late.Go(func() {
			<-landing
			if out, err := again(ctx); err == nil {
				_ = out.Body.Close() // nobody asks any more
			}
		})
		return nil, errNetwork
	case "answer of a put lost", "answer of an object lost", "500 after":
		out, err := again(r.Context())
		if err == nil {
			err = out.Body.Close()
		}
		if err != nil || fault != "500 after" {
			return nil, errors.Join(errNetwork, err)
		}
		return reply(r, 500, "InternalServerError"), nil
	case "held": // as when the process is stopped for a while
		select {
		case <-w.calls.after(10 + w.below(50)):
		case <-r.Context().Done():
		}
	}
	return again(r.Context())
}

func reply(r *http.Request, status int, code string) *http.Response {
	body := fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"planted"}`, code)
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

func slowDown(r *http.Request) *http.Response {
	const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>planted</Message></Error>`
	return &http.Response{
		StatusCode: http.StatusServiceUnavailable, Status: "503 Slow Down", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/xml"}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// pages makes pages short. Where a request would take an eventually consistent answer,
// it gets one that was right a while ago.
func (w *tables) pages(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
	p, is := in.Parameters.(*dynamodb.QueryInput)
	if !is {
		return next.HandleInitialize(ctx, in)
	}
	asked := ""
	if !aws.ToBool(p.ConsistentRead) {
		asked = fmt.Sprint(*p.TableName, p.ExpressionAttributeValues[":p"], p.ExclusiveStartKey, aws.ToBool(p.ScanIndexForward), aws.ToInt32(p.Limit))
		w.mu.RLock()
		old, there := w.answered[asked]
		w.mu.RUnlock()
		if there && w.below(3) == 0 {
			w.note("stale answer")
			return old, middleware.Metadata{}, nil
		}
	}
	if w.fall([]chance{{"short page", 100}}) != "" {
		short := *p
		short.Limit = aws.Int32(int32(1 + w.below(30)))
		in.Parameters = &short
	}
	out, metadata, err := next.HandleInitialize(ctx, in)
	if asked != "" && err == nil {
		w.mu.Lock()
		w.answered[asked] = out
		w.mu.Unlock()
	}
	return out, metadata, err
}

// A round ends also where a request is held while a driver is opened: nobody else
// calls any more.
func TestRoundEndsWhileADriverIsOpened(t *testing.T) {
	w := newTables(t, 1, 1, 1<<30)
	w.begin(1)
	w.chaos.Go(func() { <-w.calls.after(50) })
	calm := make(chan struct{})
	go func() {
		w.calm()
		close(calm)
	}()
	select {
	case <-calm:
	case <-time.After(20 * time.Second):
		t.Fatal("the round does not end")
	}
}
