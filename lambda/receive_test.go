package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/awstest/local"
	"github.com/eb901187/annals/deadletter"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/storetest"
)

// An inbound has a store, a queue of dead letters, and functions that fill them.
type inbound struct {
	t      *testing.T
	config Config
	aws    aws.Config
	box    *deadletter.Box

	mu     sync.Mutex
	broken func(operation, body string) bool // which requests are refused
	log    bytes.Buffer
}

const (
	queueARN  = "arn:aws:sqs:us-east-1:123456789012:annals-event-queue"
	streamARN = "arn:aws:kinesis:us-east-1:123456789012:stream/annals-ingest"
)

func newInbound(t *testing.T) *inbound {
	in := &inbound{t: t}
	in.aws = aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""), HTTPClient: in,
		Retryer: func() aws.Retryer { return aws.NopRetryer{} }, ConfigSources: []any{standIn{"SQS", local.SQS(t)}},
	}
	in.config = Config{
		Store:        dynamo.Address{Name: "annals", Region: "us-east-1", Bucket: "bodies", Endpoint: awstest.DynamoDB(t), S3Endpoint: awstest.S3(t, "bodies")},
		IngestStream: "annals-ingest", Queue: "annals-event-queue", Namespace: "Annals", LogLevel: slog.LevelDebug,
	}
	if err := dynamo.Init(t.Context(), in.config.Store, &dynamo.Options{Config: &in.aws}, nil); err != nil {
		t.Fatal(err)
	}
	made, err := sqs.NewFromConfig(in.aws).CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("annals-dead-letters")})
	if err != nil {
		t.Fatal(err)
	}
	in.config.DeadLetters = *made.QueueUrl
	in.box, err = deadletter.New(in.aws, *made.QueueUrl, &deadletter.Options{Bucket: "bodies", Name: "annals", S3Endpoint: in.config.Store.S3Endpoint})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// A standIn is the address of a service.
type standIn struct{ service, address string }

func (s standIn) GetServiceBaseEndpoint(_ context.Context, service string) (string, bool, error) {
	return s.address, service == s.service, nil
}

func (standIn) GetIgnoreConfiguredEndpoints(context.Context) (bool, bool, error) {
	return false, false, nil
}

// Do implements aws.HTTPClient. What is broken answers that there is too much to do.
func (in *inbound) Do(r *http.Request) (*http.Response, error) {
	in.mu.Lock()
	broken := in.broken
	in.mu.Unlock()
	if broken != nil && r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		if broken(operation, string(body)) {
			return &http.Response{StatusCode: http.StatusBadRequest, Body: io.NopCloser(strings.NewReader(`{"__type":"ThrottlingException"}`)), Header: http.Header{}, Request: r}, nil
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return http.DefaultClient.Do(r)
}

func (in *inbound) breaks(f func(operation, body string) bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.broken = f
}

// Write implements io.Writer for the log.
func (in *inbound) Write(b []byte) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.log.Write(b)
}

func (in *inbound) function(role Role) *Function {
	in.t.Helper()
	c := in.config
	c.Role = role
	f, err := New(in.t.Context(), c, nil, &Options{AWS: &in.aws, Output: in})
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() {
		if err := f.Close(); err != nil {
			in.t.Error(err)
		}
	})
	return f
}

func (in *inbound) store() *annals.Store {
	in.t.Helper()
	s, err := dynamo.Open(in.t.Context(), in.config.Store, &dynamo.Options{Config: &in.aws})
	if err != nil {
		in.t.Fatal(err)
	}
	in.t.Cleanup(func() { _ = s.Close() })
	return s
}

// events reads a stream as "id type" lines.
func (in *inbound) events(stream string) (all []string) {
	in.t.Helper()
	for _, e := range storetest.Collect(in.t, in.store().Stream(in.t.Context(), stream, nil)) {
		all = append(all, e.ID)
	}
	return all
}

func (in *inbound) letters() (all []deadletter.Letter) {
	in.t.Helper()
	for l, err := range in.box.List(in.t.Context()) {
		if err != nil {
			in.t.Fatal(err)
		}
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b deadletter.Letter) int { return strings.Compare(a.Place, b.Place) })
	return all
}

// invoked returns the items that a function wants again.
func (in *inbound) invoked(f *Function, payload []byte) (failures []string) {
	in.t.Helper()
	text, err := f.Invoke(in.t.Context(), payload)
	if err != nil {
		in.t.Fatal(err)
	}
	return failuresOf(in.t, text)
}

func failuresOf(t testing.TB, text []byte) (failures []string) {
	t.Helper()
	var a batchAnswer
	if err := json.Unmarshal(text, &a); err != nil || a.Failures == nil {
		t.Fatalf("the answer is %s, %v", text, err)
	}
	for _, f := range a.Failures {
		failures = append(failures, f.ID)
	}
	return failures
}

// command is a message for a stream.
func command(stream, id string) string {
	return fmt.Sprintf(`{"aggregateId":%q,"id":%q,"eventType":"T","eventData":{"n":1}}`, stream, id)
}

// A batch from elsewhere is refused as a whole, and the error names both.
func TestWrongSources(t *testing.T) {
	t.Parallel()
	in := newInbound(t)
	track, pump := in.function(Track), in.function(Pump)
	for name, c := range map[string]struct {
		f       *Function
		payload []byte
		want    []string
	}{
		"another queue":        {track, sqsPayload(strings.Replace(queueARN, "annals-", "other-", 1), "{}"), []string{"other-event-queue", "annals-event-queue", "ANNALS_QUEUE"}},
		"another stream":       {pump, kinesisPayload(streamARN+"2", "0", []byte("{}")), []string{"annals-ingest2", "from annals-ingest:", "ANNALS_INGEST_STREAM"}},
		"Kinesis to track":     {track, kinesisPayload(streamARN, "0", []byte("{}")), []string{"track", "Kinesis", "SQS"}},
		"SQS to pump":          {pump, sqsPayload(queueARN, "{}"), []string{"pump", "SQS", "Kinesis"}},
		"no message id":        {track, bytes.Replace(sqsPayload(queueARN, "{}"), []byte(`"messageId":"m0"`), []byte(`"messageId":""`), 1), []string{"messageId", "record 0"}},
		"no sequence number":   {pump, bytes.Replace(kinesisPayload(streamARN, "0", []byte("{}")), []byte(`"sequenceNumber":"100"`), []byte(`"sequenceNumber":""`), 1), []string{"sequenceNumber", "record 0"}},
		"a payload of its own": {track, []byte(`{"Records":[{"eventSource":"aws:sqs","body":7}]}`), []string{"not what SQS sends"}},
		"an unlike payload":    {pump, []byte(`{"Records":[{"eventSource":"aws:kinesis","kinesis":[]}]}`), []string{"not what Kinesis sends"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.f.Invoke(t.Context(), c.payload)
			if !errors.Is(err, annals.ErrInvalid) {
				t.Fatalf("got %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not say %q", err, want)
				}
			}
		})
	}
	for _, f := range []*Function{track, pump} {
		if failures := in.invoked(f, []byte(`{"Records":[]}`)); len(failures) != 0 {
			t.Errorf("an empty batch: %q", failures)
		}
	}
}

// Junk of many lines is one dead letter, as thousands could not be sent in the time
// of an invocation; its good messages are stored, and keep their ids in the letter.
func TestJunkOfManyLines(t *testing.T) {
	t.Parallel()
	in := newInbound(t)
	good := `{"aggregateId":"a","eventType":"T"}`
	body := good + strings.Repeat("\n!", 20)
	for _, c := range []struct {
		role    Role
		payload []byte
		place   string
	}{
		{Track, sqsPayload(queueARN, body), "m0"},
		{Pump, kinesisPayload(streamARN, "0", []byte(body)), "shardId-0:100"},
	} {
		sent := 0
		in.breaks(func(operation, _ string) bool {
			if operation == "SendMessage" {
				sent++ // one at a time, as there is one item
			}
			return false
		})
		if failures := in.invoked(in.function(c.role), c.payload); len(failures) != 0 {
			t.Fatalf("%s failed: %q", c.role, failures)
		}
		letters := slices.DeleteFunc(in.letters(), func(l deadletter.Letter) bool { return l.Place != c.place })
		if sent != 1 || len(letters) != 1 || letters[0].Body != body || !strings.Contains(letters[0].Reason, "20 of 21 messages are refused, the first of them, "+c.place+"#2") {
			t.Errorf("%s sent %d letters: %.300v", c.role, sent, letters)
		}
	}
	if got := in.events("a"); !slices.Equal(got, []string{"m0#1", "shardId-0:100#1"}) {
		t.Errorf("a holds %q", got)
	}
}

// Without a bucket there would be messages that can't become dead letters, and hold
// up all behind them.
func TestReceivingNeedsABucket(t *testing.T) {
	t.Parallel()
	in := newInbound(t)
	for _, role := range []Role{Track, Pump} {
		c := in.config
		c.Role, c.Store.Bucket = role, ""
		if _, err := New(t.Context(), c, nil, &Options{AWS: &in.aws, Output: in}); !errors.Is(err, annals.ErrInvalid) || !strings.Contains(err.Error(), "ANNALS_STORE") || !strings.Contains(err.Error(), "?bucket=") {
			t.Errorf("%s: %v", role, err)
		}
	}
}

// Messages that have no time left come again, and none is lost.
func TestNoTimeLeft(t *testing.T) {
	t.Parallel()
	in := newInbound(t)
	track, pump := in.function(Track), in.function(Pump)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	text, err := track.Invoke(ctx, sqsPayload(queueARN, command("a", "1"), "junk", command("b", "1")))
	if err != nil {
		t.Fatal(err)
	}
	if got := failuresOf(t, text); !slices.Equal(got, []string{"m0", "m2", "m1"}) {
		t.Errorf("track: %q", got)
	}
	text, err = pump.Invoke(ctx, kinesisPayload(streamARN, "0", []byte("junk"), []byte(command("a", "1"))))
	if err != nil {
		t.Fatal(err)
	}
	if got := failuresOf(t, text); !slices.Equal(got, []string{"100"}) {
		t.Errorf("pump: %q", got)
	}
	if letters := in.letters(); len(letters) != 0 {
		t.Errorf("letters: %+v", letters)
	}
}
