package local_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/eb901187/annals/awstest/local"
)

const arn = "arn:aws:%s:us-east-1:123456789012:%s"

// triggered is a stack with a source of each kind, and a function for each that
// prints its batches.
func triggered() local.Stack {
	stack := local.Stack{
		Tables:  []local.Table{{Name: "log", Hash: "key:S", Range: "at:N", StreamView: "KEYS_ONLY", TTL: "until"}},
		Streams: []local.Stream{{Name: "ingest", Shards: 2}},
		Queues: []local.Queue{
			{Name: "dead"},
			{Name: "queue", Attributes: map[string]string{
				"VisibilityTimeout": "360", "RedrivePolicy": `{"deadLetterTargetArn":"` + fmt.Sprintf(arn, "sqs", "dead") + `","maxReceiveCount":3}`,
			}},
		},
	}
	for function, source := range map[string]string{
		"of-sqs": fmt.Sprintf(arn, "sqs", "queue"), "of-kinesis": fmt.Sprintf(arn, "kinesis", "stream/ingest"), "of-table": stack.TableStreamARN("log"),
	} {
		stack.Functions = append(stack.Functions, local.Function{Name: function, Timeout: 20 * time.Second, Grants: []local.Grant{
			{Actions: []string{"sqs:*", "kinesis:*", "dynamodb:*"}, Resources: []string{"*"}},
		}})
		m := local.Mapping{Source: source, Function: function, BatchSize: 5, Retries: -1, MaxAge: -1, PartialResponses: true}
		if function != "of-sqs" {
			m.Position = "TRIM_HORIZON"
		}
		if function == "of-table" {
			m.Filters = []string{`{"eventName":["INSERT"],"dynamodb":{"Keys":{"key":{"S":["log"]}}}}`}
		}
		stack.Mappings = append(stack.Mappings, m)
	}
	return stack
}

// records returns what the batches that a function printed held.
func records(t *testing.T, d *local.Deployment, function string) (all []json.RawMessage) {
	t.Helper()
	for _, line := range d.Lines(function) {
		var batch struct{ Records []json.RawMessage }
		if err := json.Unmarshal([]byte(line.Text), &batch); err != nil {
			t.Fatalf("%s: %v", line.Text, err)
		}
		all = append(all, batch.Records...)
	}
	return all
}

func TestDeployTriggersFunctions(t *testing.T) {
	t.Parallel()
	d := local.Deploy(t, triggered(), local.Options{Bootstrap: self(t), Patience: 50 * time.Millisecond})
	flows, tables, queues := kinesis.NewFromConfig(d.Config()), dynamodb.NewFromConfig(d.Config()), sqs.NewFromConfig(d.Config())

	in := &kinesis.PutRecordsInput{StreamName: aws.String("ingest")}
	for n := range 20 {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: fmt.Append(nil, n), PartitionKey: aws.String(fmt.Sprint(n % 7))})
	}
	if _, err := flows.PutRecords(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if _, err := tables.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("log"), Item: map[string]dynamotypes.AttributeValue{
			"key": &dynamotypes.AttributeValueMemberS{Value: []string{"log", "other", "log"}[n]}, "at": &dynamotypes.AttributeValueMemberN{Value: fmt.Sprint(n)},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	url := d.QueueURL("queue")
	for n := range 7 {
		if _, err := queues.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String(fmt.Sprint("m", n))}); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "records of Kinesis", func() bool { return len(records(t, d, "of-kinesis")) >= 20 })
	until(t, "records of the table", func() bool { return len(records(t, d, "of-table")) >= 2 })
	until(t, "messages of the queue", func() bool { return len(records(t, d, "of-sqs")) >= 7 })

	if got := string(records(t, d, "of-table")[1]); !strings.Contains(got, `"eventSourceARN":"arn:aws:dynamodb:us-east-1:123456789012:table/log/stream/`) ||
		!strings.Contains(got, `"Keys":{"at":{"N":"2"},"key":{"S":"log"}}`) || !strings.Contains(got, `"eventName":"INSERT"`) {
		t.Errorf("of the table: %s", got)
	}
	last := map[string]int{}
	for _, r := range records(t, d, "of-kinesis") {
		var got struct {
			EventID, EventSource, EventSourceARN string
			Kinesis                              struct {
				Data                         []byte
				PartitionKey, SequenceNumber string
			}
		}
		if err := json.Unmarshal(r, &got); err != nil {
			t.Fatal(err)
		}
		var n int
		if _, err := fmt.Sscan(string(got.Kinesis.Data), &n); err != nil || n < last[got.Kinesis.PartitionKey] {
			t.Errorf("%s after %d", got.Kinesis.Data, last[got.Kinesis.PartitionKey])
		}
		last[got.Kinesis.PartitionKey] = n
		if got.EventSource != "aws:kinesis" || !strings.HasPrefix(got.EventID, "shardId-") || !strings.HasSuffix(got.EventID, ":"+got.Kinesis.SequenceNumber) || !strings.HasSuffix(got.EventSourceARN, ":stream/ingest") {
			t.Errorf("of Kinesis: %s", r)
		}
	}
	until(t, "an empty queue", func() bool { return left(t, queues, url) == "0" })
}

// left tells how many messages a queue holds, those in flight included.
func left(t *testing.T, c *sqs.Client, url string) string {
	t.Helper()
	visible := attribute(t, c, url, "ApproximateNumberOfMessages")
	if hidden := attribute(t, c, url, "ApproximateNumberOfMessagesNotVisible"); hidden != "0" {
		return visible + "+" + hidden
	}
	return visible
}

// A message that fails again and again is redriven; those beside it are removed.
func TestDeployRedrivesWhatFails(t *testing.T) {
	t.Parallel()
	stack := triggered()
	stack.Tables, stack.Streams, stack.Mappings = nil, nil, stack.Mappings[:0]
	for _, f := range stack.Functions {
		if f.Name == "of-sqs" {
			stack.Functions = []local.Function{f}
			stack.Functions[0].Env = map[string]string{"FAIL": "bad"}
		}
	}
	stack.Mappings = []local.Mapping{{Source: fmt.Sprintf(arn, "sqs", "queue"), Function: "of-sqs", BatchSize: 10, PartialResponses: true}}
	d := local.Deploy(t, stack, local.Options{Bootstrap: self(t), Patience: 10 * time.Millisecond})
	queues := sqs.NewFromConfig(d.Config())
	url, dead := d.QueueURL("queue"), d.QueueURL("dead")
	for _, body := range []string{"good", "bad", "good too"} {
		if _, err := queues.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body}); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the dead letter", func() bool { return left(t, queues, dead) == "1" })
	until(t, "an empty queue", func() bool { return left(t, queues, url) == "0" })
	if got := receive(t, queues, dead, 0); len(got) != 1 || *got[0].Body != "bad" {
		t.Errorf("dead letters: %+v", got)
	}
	tries := 0
	for _, r := range records(t, d, "of-sqs") {
		tries += strings.Count(string(r), `"body":"bad"`)
	}
	if tries != 3 {
		t.Errorf("tried %d times", tries)
	}
}
