package local

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/eb901187/annals/awstest"
)

// backends are the stand-ins behind a deployment. One that a stack doesn't need is
// not started.
type backends struct {
	client                *http.Client
	tables, shards, flows *service
	sqs                   *sqs.Client
	queues, objects       string            // addresses
	streams               map[string]string // ARNs of tables' streams in the stand-in, by table
}

func (b *backends) addresses() map[string]string {
	all := map[string]string{"dynamodb": b.tables.address, "s3": b.objects, "sqs": b.queues, "kinesis": b.flows.address}
	for name, address := range all {
		if address == "" {
			delete(all, name)
		}
	}
	return all
}

func startBackends(t testing.TB, s *Stack) backends {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost, transport.DisableCompression = 64, true
	t.Cleanup(transport.CloseIdleConnections)
	b := backends{client: &http.Client{Transport: transport}, streams: map[string]string{}}
	var tables, flows string
	if len(s.Tables) > 0 {
		tables = awstest.DynamoDB(t)
	}
	if len(s.Streams) > 0 {
		flows = Kinesis(t)
	}
	if len(s.Queues) > 0 {
		b.queues = SQS(t)
	}
	if len(s.Buckets) > 0 {
		b.objects = awstest.S3(t, s.Buckets...)
	}
	const json = "application/x-amz-json-1."
	b.tables = &service{tables, "DynamoDB_20120810", "dynamodb", json + "0", b.client}
	b.shards = &service{tables, "DynamoDBStreams_20120810", "dynamodb", json + "0", b.client}
	b.flows = &service{flows, "Kinesis_20131202", "kinesis", json + "1", b.client}
	b.sqs = sqs.New(sqs.Options{
		Region: s.region(), Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""), BaseEndpoint: &b.queues, HTTPClient: b.client,
	})
	for _, table := range s.Tables {
		b.makeTable(t, table)
	}
	for _, stream := range s.Streams {
		b.makeStream(t, stream)
	}
	// A queue that redrives needs the other one to be there.
	for _, redrives := range []bool{false, true} {
		for _, queue := range s.Queues {
			if _, has := queue.Attributes["RedrivePolicy"]; has == redrives {
				b.makeQueue(t, queue)
			}
		}
	}
	return b
}

func (b *backends) makeTable(t testing.TB, table Table) {
	var definitions, schema []map[string]string
	for i, key := range []string{table.Hash, table.Range} {
		if key == "" {
			continue
		}
		name, kind, _ := strings.Cut(key, ":")
		definitions = append(definitions, map[string]string{"AttributeName": name, "AttributeType": kind})
		schema = append(schema, map[string]string{"AttributeName": name, "KeyType": []string{"HASH", "RANGE"}[i]})
	}
	in := map[string]any{"TableName": table.Name, "BillingMode": "PAY_PER_REQUEST", "AttributeDefinitions": definitions, "KeySchema": schema}
	if table.StreamView != "" {
		in["StreamSpecification"] = map[string]any{"StreamEnabled": true, "StreamViewType": table.StreamView}
	}
	var out struct {
		TableDescription struct{ LatestStreamArn string }
	}
	if err := b.tables.call(t.Context(), "CreateTable", in, &out); err != nil {
		t.Fatalf("making the table %s: %v", table.Name, err)
	}
	b.streams[table.Name] = out.TableDescription.LatestStreamArn
	if table.TTL != "" {
		if err := b.tables.call(t.Context(), "UpdateTimeToLive", map[string]any{
			"TableName": table.Name, "TimeToLiveSpecification": map[string]any{"AttributeName": table.TTL, "Enabled": true},
		}, nil); err != nil {
			t.Fatalf("the table %s: %v", table.Name, err)
		}
	}
}

func (b *backends) makeStream(t testing.TB, stream Stream) {
	n := stream.Shards
	if n == 0 {
		n = 4
	}
	if err := b.flows.call(t.Context(), "CreateStream", map[string]any{"StreamName": stream.Name, "ShardCount": n}, nil); err != nil {
		t.Fatalf("making the stream %s: %v", stream.Name, err)
	}
	for {
		var out struct {
			StreamDescriptionSummary struct{ StreamStatus string }
		}
		if err := b.flows.call(t.Context(), "DescribeStreamSummary", map[string]any{"StreamName": stream.Name}, &out); err != nil {
			t.Fatalf("the stream %s: %v", stream.Name, err)
		}
		if out.StreamDescriptionSummary.StreamStatus == "ACTIVE" {
			return
		}
	}
}

func (b *backends) makeQueue(t testing.TB, queue Queue) {
	if _, err := b.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String(queue.Name), Attributes: queue.Attributes}); err != nil {
		t.Fatalf("making the queue %s: %v", queue.Name, err)
	}
}
