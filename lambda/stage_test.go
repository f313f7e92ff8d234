package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streams "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/dynamo"
)

// A stage is a store on stand-ins, as a deployment makes it: with nothing in its
// tables. Functions run on it.
type stage struct {
	t       *testing.T
	address dynamo.Address
	aws     aws.Config
	out     *output
	places  map[string]*string // of what was read of the tables' streams: iterators
	clock   func() time.Time   // of functions; the machine's if nil

	mu       sync.Mutex
	requests map[string]int // that functions made since counted was called, by action
	used     struct{ writes, reads float64 }
}

// An output keeps what functions print.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

// take returns the lines since the last call.
func (o *output) take(t *testing.T) (lines []map[string]any) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for line := range strings.Lines(o.text.String()) {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v in the line %s", err, line)
		}
		lines = append(lines, l)
	}
	o.text.Reset()
	return lines
}

// metrics returns those of the last invocation.
func (o *output) metrics(t *testing.T) map[string]any {
	t.Helper()
	lines := o.take(t)
	for i := len(lines) - 1; i >= 0; i-- {
		if lines[i]["_aws"] != nil {
			return lines[i]
		}
	}
	t.Fatalf("no line has metrics: %v", lines)
	return nil
}

const stageBucket = "annals-stage"

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{
		t: t, out: &output{}, places: map[string]*string{}, requests: map[string]int{},
		address: dynamo.Address{Name: "stage", Region: "eu-central-1", Bucket: stageBucket, Endpoint: awstest.DynamoDB(t), S3Endpoint: awstest.S3(t, stageBucket)},
	}
	s.aws = aws.Config{Region: "eu-central-1", Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")}
	if err := dynamo.Init(t.Context(), s.address, &dynamo.Options{Config: &s.aws}, nil); err != nil {
		t.Fatal(err)
	}
	// A deployment leaves no marks.
	db := s.db()
	for table, key := range map[string]string{"stage-log": `{"key":"store","at":0}`, "stage-views": `{"space":"annals:views","key":"layout"}`} {
		if _, err := db.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: &table, Key: plainItem(t, key)}); err != nil {
			t.Fatal(err)
		}
	}
	s.aws.APIOptions = []func(*middleware.Stack) error{s.countRequests}
	return s
}

func (s *stage) db() *dynamodb.Client {
	return dynamodb.NewFromConfig(s.aws, func(o *dynamodb.Options) { o.BaseEndpoint = &s.address.Endpoint })
}

// countRequests counts each request that is sent, and the units that it used.
func (s *stage) countRequests(stack *middleware.Stack) error {
	err := stack.Initialize.Add(middleware.InitializeMiddlewareFunc("CountUnits", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		const total = types.ReturnConsumedCapacityTotal
		switch p := in.Parameters.(type) {
		case *dynamodb.TransactWriteItemsInput:
			p.ReturnConsumedCapacity = total
		case *dynamodb.PutItemInput:
			p.ReturnConsumedCapacity = total
		case *dynamodb.GetItemInput:
			p.ReturnConsumedCapacity = total
		case *dynamodb.QueryInput:
			p.ReturnConsumedCapacity = total
		}
		out, metadata, err := next.HandleInitialize(ctx, in)
		if err == nil {
			s.use(out.Result)
		}
		return out, metadata, err
	}), middleware.Before)
	if err != nil {
		return err
	}
	return stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("CountRequests", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		s.mu.Lock()
		s.requests[middleware.GetOperationName(ctx)]++
		s.mu.Unlock()
		return next.HandleFinalize(ctx, in)
	}), middleware.After)
}

func (s *stage) use(result any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r := result.(type) {
	case *dynamodb.TransactWriteItemsOutput:
		for _, c := range r.ConsumedCapacity {
			s.used.writes += aws.ToFloat64(c.CapacityUnits)
		}
	case *dynamodb.PutItemOutput:
		s.used.writes += aws.ToFloat64(r.ConsumedCapacity.CapacityUnits)
	case *dynamodb.GetItemOutput:
		s.used.reads += aws.ToFloat64(r.ConsumedCapacity.CapacityUnits)
	case *dynamodb.QueryOutput:
		s.used.reads += aws.ToFloat64(r.ConsumedCapacity.CapacityUnits)
	}
}

// counted returns the requests and the units since the last call.
func (s *stage) counted() (requests map[string]int, writes, reads float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests, writes, reads = s.requests, s.used.writes, s.used.reads
	s.requests, s.used.writes, s.used.reads = map[string]int{}, 0, 0
	return requests, writes, reads
}

// environ is what a function of role r is told.
func (s *stage) environ(r Role) []string {
	return []string{
		"ANNALS_ROLE=" + string(r), "ANNALS_STORE=" + s.address.String(), "ANNALS_LOG_LEVEL=debug", "ANNALS_INGEST_STREAM=stage-ingest",
		"ANNALS_PLAYBACK_STREAM=stage-playback", "ANNALS_QUEUE=stage-queue", "ANNALS_DEAD_LETTERS=http://127.0.0.1:1/stage-dead-letters",
	}
}

// function starts a function; more replaces variables.
func (s *stage) function(r Role, program *Program, more ...string) *Function {
	s.t.Helper()
	config, err := ReadConfig(append(s.environ(r), more...))
	if err != nil {
		s.t.Fatal(err)
	}
	f, err := New(s.t.Context(), config, program, &Options{AWS: &s.aws, Output: s.out, Clock: s.clock})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := f.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return f
}

// invoke calls f as Lambda does, with 30 s of time.
func (s *stage) invoke(f *Function, payload string) (string, error) {
	s.t.Helper()
	return s.invokeWithin(f, payload, 30*time.Second)
}

func (s *stage) invokeWithin(f *Function, payload string, timeout time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), timeout)
	defer cancel()
	answer, err := f.Invoke(lambdacontext.NewContext(ctx, &lambdacontext.LambdaContext{AwsRequestID: "request-1"}), []byte(payload))
	return string(answer), err
}

func (s *stage) mustInvoke(f *Function, payload, want string) {
	s.t.Helper()
	if answer, err := s.invoke(f, payload); err != nil || answer != want {
		s.t.Fatalf("answered %s, %v; want %s", answer, err, want)
	}
}

const allDone = `{"batchItemFailures":[]}`

// store opens the store beside the functions.
func (s *stage) store() *annals.Store {
	s.t.Helper()
	store, err := dynamo.Open(s.t.Context(), s.address, &dynamo.Options{Config: &aws.Config{Region: s.aws.Region, Credentials: s.aws.Credentials}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if err := store.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return store
}

// batch reads what is new in the stream of a table, as Lambda hands it over.
func (s *stage) batch(table string) string {
	s.t.Helper()
	config := s.aws
	config.APIOptions = nil
	reader := dynamodbstreams.NewFromConfig(config, func(o *dynamodbstreams.Options) { o.BaseEndpoint = &s.address.Endpoint })
	if s.places[table] == nil {
		s.places[table] = s.firstIterator(reader, table)
	}
	records := []map[string]any{}
	for {
		out, err := reader.GetRecords(s.t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: s.places[table]})
		if err != nil {
			s.t.Fatal(err)
		}
		s.places[table] = out.NextShardIterator
		for _, r := range out.Records {
			records = append(records, lambdaRecord(table, r))
		}
		if len(out.Records) == 0 {
			break
		}
	}
	text, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

func (s *stage) firstIterator(reader *dynamodbstreams.Client, table string) *string {
	s.t.Helper()
	described, err := s.db().DescribeTable(s.t.Context(), &dynamodb.DescribeTableInput{TableName: &table})
	if err != nil {
		s.t.Fatal(err)
	}
	arn := described.Table.LatestStreamArn
	shards, err := reader.DescribeStream(s.t.Context(), &dynamodbstreams.DescribeStreamInput{StreamArn: arn})
	if err != nil || len(shards.StreamDescription.Shards) != 1 {
		s.t.Fatal(shards, err)
	}
	first, err := reader.GetShardIterator(s.t.Context(), &dynamodbstreams.GetShardIteratorInput{
		StreamArn: arn, ShardId: shards.StreamDescription.Shards[0].ShardId, ShardIteratorType: streams.ShardIteratorTypeTrimHorizon,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return first.ShardIterator
}

func lambdaRecord(table string, r streams.Record) map[string]any {
	values := func(of map[string]streams.AttributeValue) map[string]any {
		all := map[string]any{}
		for name, value := range of {
			switch v := value.(type) {
			case *streams.AttributeValueMemberS:
				all[name] = map[string]any{"S": v.Value}
			case *streams.AttributeValueMemberN:
				all[name] = map[string]any{"N": v.Value}
			case *streams.AttributeValueMemberB:
				all[name] = map[string]any{"B": v.Value}
			}
		}
		return all
	}
	return map[string]any{
		"eventID": aws.ToString(r.EventID), "eventName": string(r.EventName), "eventVersion": "1.1", "eventSource": "aws:dynamodb", "awsRegion": "eu-central-1",
		"eventSourceARN": "arn:aws:dynamodb:eu-central-1:123456789012:table/" + table + "/stream/2026-11-21T00:00:00.000",
		"dynamodb": map[string]any{
			"ApproximateCreationDateTime": float64(aws.ToTime(r.Dynamodb.ApproximateCreationDateTime).Unix()), "SequenceNumber": aws.ToString(r.Dynamodb.SequenceNumber),
			"Keys": values(r.Dynamodb.Keys), "NewImage": values(r.Dynamodb.NewImage), "StreamViewType": string(r.Dynamodb.StreamViewType),
		},
	}
}

// request is what API Gateway hands over.
func request(method, path, body string, headers ...string) string {
	path, query, _ := strings.Cut(path, "?")
	h := map[string]string{"host": "api.execute-api.eu-central-1.amazonaws.com", "content-type": "application/json"}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		h[strings.ToLower(name)] = value
	}
	text, err := json.Marshal(map[string]any{
		"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "headers": h, "body": body, "isBase64Encoded": false,
		"requestContext": map[string]any{
			"domainName": h["host"], "stage": "$default", "requestId": "gateway-1",
			"http": map[string]any{"method": method, "path": path, "sourceIp": "192.0.2.1", "protocol": "HTTP/1.1"},
		},
	})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// An answer is what API Gateway gets.
type answer struct {
	StatusCode      int
	Headers         map[string]string
	Body            string
	IsBase64Encoded bool
	Cookies         []string
}

func (s *stage) ask(f *Function, method, path, body string, headers ...string) answer {
	s.t.Helper()
	text, err := s.invoke(f, request(method, path, body, headers...))
	if err != nil {
		s.t.Fatal(err)
	}
	var a answer
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		s.t.Fatal(err)
	}
	return a
}

func (s *stage) mustAsk(f *Function, method, path, body string, status int, want string) answer {
	s.t.Helper()
	a := s.ask(f, method, path, body)
	if a.StatusCode != status || !strings.Contains(a.Body, want) {
		s.t.Fatalf("%s %s was answered %d %s; want %d with %s", method, path, a.StatusCode, a.Body, status, want)
	}
	return a
}

func wantError(t *testing.T, err error, code annals.Code, parts ...string) {
	t.Helper()
	if annals.CodeOf(err) != code {
		t.Errorf("got %v, want code %s", err, code)
		return
	}
	for _, p := range parts {
		if !strings.Contains(fmt.Sprint(err), p) {
			t.Errorf("got %v, want %q in it", err, p)
		}
	}
}
