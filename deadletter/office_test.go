package deadletter

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	kinesistypes "github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/awstest/local"
	"github.com/eb901187/annals/storetest"
)

// An office has stand-ins of all services that letters go through.
type office struct {
	t       *testing.T
	config  aws.Config
	opts    Options
	kinesis *kinesis.Client
	sqs     *sqs.Client
	broken  func(service, operation string) bool // which requests fail
}

const bucket = "letters"

func newOffice(t *testing.T) *office {
	o := &office{t: t, opts: Options{Bucket: bucket, Name: "annals", S3Endpoint: awstest.S3(t, bucket), Clock: func() time.Time { return storetest.Epoch }}}
	addresses := map[string]string{"SQS": local.SQS(t), "Kinesis": local.Kinesis(t)}
	// Its own connections: whoever closes an httptest.Server closes idle ones of the
	// default transport, at any time.
	connections := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(connections.CloseIdleConnections)
	o.config = aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
		HTTPClient: breaking{o, &http.Client{Transport: connections}}, RetryMaxAttempts: 1,
		ConfigSources: []any{endpoints(addresses)},
	}
	o.kinesis, o.sqs = kinesis.NewFromConfig(o.config), sqs.NewFromConfig(o.config)
	return o
}

// endpoints play AWS_ENDPOINT_URL_SQS and its like.
type endpoints map[string]string

func (e endpoints) GetServiceBaseEndpoint(_ context.Context, service string) (string, bool, error) {
	address, known := e[service]
	return address, known, nil
}

func (endpoints) GetIgnoreConfiguredEndpoints(context.Context) (bool, bool, error) {
	return false, false, nil
}

// A breaking client loses requests that a test names.
type breaking struct {
	o  *office
	to *http.Client
}

var errLost = errors.New("the request was lost")

func (b breaking) Do(r *http.Request) (*http.Response, error) {
	service, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if b.o.broken != nil && b.o.broken(service, operation) {
		return nil, errLost
	}
	return b.to.Do(r)
}

func (o *office) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) queue(name string, attributes map[string]string) (url string) {
	o.t.Helper()
	made, err := o.sqs.CreateQueue(o.t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	o.must(err)
	return *made.QueueUrl
}

// box makes a queue of dead letters and the queue that has it.
func (o *office) box(name string) (b *Box, source string) {
	o.t.Helper()
	url := o.queue(name+"-dead-letters", nil)
	source = o.queue(name+"-event-queue", map[string]string{
		"RedrivePolicy":     `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:` + name + `-dead-letters","maxReceiveCount":"1"}`,
		"VisibilityTimeout": "0",
	})
	b, err := New(o.config, url, &o.opts)
	o.must(err)
	b.wait = 0
	return b, source
}

func (o *office) received(url string) (bodies []string) {
	o.t.Helper()
	for {
		got, err := o.sqs.ReceiveMessage(o.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10, VisibilityTimeout: 1000})
		o.must(err)
		if len(got.Messages) == 0 {
			return bodies
		}
		for _, m := range got.Messages {
			bodies = append(bodies, *m.Body)
		}
	}
}

func (o *office) records(stream string) (all []kinesistypes.Record) {
	o.t.Helper()
	shards, err := o.kinesis.ListShards(o.t.Context(), &kinesis.ListShardsInput{StreamName: &stream})
	o.must(err)
	for _, s := range shards.Shards {
		at, err := o.kinesis.GetShardIterator(o.t.Context(), &kinesis.GetShardIteratorInput{StreamName: &stream, ShardId: s.ShardId, ShardIteratorType: kinesistypes.ShardIteratorTypeTrimHorizon})
		o.must(err)
		got, err := o.kinesis.GetRecords(o.t.Context(), &kinesis.GetRecordsInput{ShardIterator: at.ShardIterator})
		o.must(err)
		all = append(all, got.Records...)
	}
	return all
}

func collect(t *testing.T, letters iter.Seq2[Letter, error]) (all []Letter) {
	t.Helper()
	for l, err := range letters {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	return all
}

func ids(letters []Letter) (ids []string) {
	for _, l := range letters {
		ids = append(ids, l.ID)
	}
	return ids
}

const (
	fromQueue  = "arn:aws:sqs:us-east-1:123456789012:"
	fromStream = "arn:aws:kinesis:us-east-1:123456789012:stream/"
)
