package local_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/awstest/local"
)

// One process serves all of these: to start it takes longer than they do.
func TestSQS(t *testing.T) {
	t.Parallel()
	endpoint := local.SQS(t)
	c := sqs.New(sqs.Options{Region: "us-east-1", Credentials: anyone, BaseEndpoint: &endpoint})
	t.Run("group", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *sqs.Client){
			"batches": sqsBatches, "redrive": sqsHidesCountsAndRedrives, "large": sqsRefusesWhatIsTooLarge, "delays": sqsDelaysAndPollsLong,
			"at once": sqsLosesNothingAtOnce,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, c)
			})
		}
		t.Run("query", func(t *testing.T) {
			t.Parallel()
			sqsSpeaksTheQueryProtocol(t, endpoint)
		})
		t.Run("aws", func(t *testing.T) {
			t.Parallel()
			sqsServesTheCommandLine(t, endpoint)
		})
	})
}

func createQueue(t *testing.T, c *sqs.Client, name string, attributes map[string]string) string {
	t.Helper()
	out, err := c.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		t.Fatal(err)
	}
	return *out.QueueUrl
}

func receive(t *testing.T, c *sqs.Client, queue string, waitSeconds int32) []types.Message {
	t.Helper()
	out, err := c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: &queue, MaxNumberOfMessages: 10, WaitTimeSeconds: waitSeconds, MessageAttributeNames: []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Messages
}

// again makes a message visible at once.
func again(t *testing.T, c *sqs.Client, queue string, m types.Message) {
	t.Helper()
	if _, err := c.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: &queue, ReceiptHandle: m.ReceiptHandle}); err != nil {
		t.Fatal(err)
	}
}

func attribute(t *testing.T, c *sqs.Client, queue string, name types.QueueAttributeName) string {
	t.Helper()
	out, err := c.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &queue, AttributeNames: []types.QueueAttributeName{name}})
	if err != nil {
		t.Fatal(err)
	}
	return out.Attributes[string(name)]
}

func sqsBatches(t *testing.T, c *sqs.Client) {
	queue := createQueue(t, c, "batches", nil)
	in := &sqs.SendMessageBatchInput{QueueUrl: &queue}
	for n := range 10 {
		in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{
			Id: aws.String(fmt.Sprint("e", n)), MessageBody: aws.String(fmt.Sprint("body ", n)),
			MessageAttributes: map[string]types.MessageAttributeValue{"reason": {DataType: aws.String("String"), StringValue: aws.String("ä")}},
		})
	}
	sent, err := c.SendMessageBatch(t.Context(), in)
	if err != nil || len(sent.Successful) != 10 {
		t.Fatalf("sent %d of 10: %v", len(sent.Successful), err)
	}
	messages := receive(t, c, queue, 0)
	if len(messages) != 10 {
		t.Fatalf("received %d of 10", len(messages))
	}
	remove := &sqs.DeleteMessageBatchInput{QueueUrl: &queue}
	for n, m := range messages {
		if got := aws.ToString(m.MessageAttributes["reason"].StringValue); got != "ä" {
			t.Errorf("message attribute %q", got)
		}
		if m.Attributes["SentTimestamp"] == "" || m.Attributes["ApproximateFirstReceiveTimestamp"] == "" {
			t.Errorf("system attributes %v", m.Attributes)
		}
		remove.Entries = append(remove.Entries, types.DeleteMessageBatchRequestEntry{Id: aws.String(fmt.Sprint("e", n)), ReceiptHandle: m.ReceiptHandle})
	}
	removed, err := c.DeleteMessageBatch(t.Context(), remove)
	if err != nil || len(removed.Successful) != 10 {
		t.Fatalf("removed %d of 10: %v", len(removed.Successful), err)
	}
	for _, name := range []types.QueueAttributeName{types.QueueAttributeNameApproximateNumberOfMessages, types.QueueAttributeNameApproximateNumberOfMessagesNotVisible} {
		if got := attribute(t, c, queue, name); got != "0" {
			t.Errorf("%s is %s", name, got)
		}
	}
}

// A received message is out of sight, counts its receives, and goes to the dead
// letters when it would be received once too often.
func sqsHidesCountsAndRedrives(t *testing.T, c *sqs.Client) {
	dead := createQueue(t, c, "dead", nil)
	queue := createQueue(t, c, "redrives", map[string]string{
		"VisibilityTimeout": "360",
		"RedrivePolicy":     `{"deadLetterTargetArn":"` + attribute(t, c, dead, types.QueueAttributeNameQueueArn) + `","maxReceiveCount":"3"}`,
	})
	sent, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: aws.String("poison")})
	if err != nil {
		t.Fatal(err)
	}
	for want := range 3 {
		messages := receive(t, c, queue, 0)
		if len(messages) != 1 {
			t.Fatalf("receive %d: %d messages", want+1, len(messages))
		}
		if got := messages[0].Attributes["ApproximateReceiveCount"]; got != fmt.Sprint(want+1) {
			t.Errorf("receive count %s, want %d", got, want+1)
		}
		if hidden := receive(t, c, queue, 0); len(hidden) != 0 {
			t.Error("a message in flight was received again")
		}
		again(t, c, queue, messages[0])
	}
	if messages := receive(t, c, queue, 0); len(messages) != 0 {
		t.Fatalf("received a 4th time")
	}
	messages := receive(t, c, dead, 0)
	if len(messages) != 1 || *messages[0].Body != "poison" || *messages[0].MessageId != *sent.MessageId {
		t.Fatalf("dead letters: %+v", messages)
	}
}

func sqsRefusesWhatIsTooLarge(t *testing.T, c *sqs.Client) {
	queue := createQueue(t, c, "large", map[string]string{"MaximumMessageSize": "262144"})
	if _, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: aws.String(strings.Repeat("x", 256<<10))}); err != nil {
		t.Errorf("256 KiB: %v", err)
	}
	if _, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: aws.String(strings.Repeat("x", 256<<10+1))}); err == nil {
		t.Error("256 KiB and a byte were taken")
	}
}

// A long poll ends as soon as there is a message, a delayed one included.
func sqsDelaysAndPollsLong(t *testing.T, c *sqs.Client) {
	queue := createQueue(t, c, "delays", nil)
	if _, err := c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: aws.String("late"), DelaySeconds: 1}); err != nil {
		t.Fatal(err)
	}
	if early := receive(t, c, queue, 0); len(early) != 0 {
		t.Error("a delayed message came at once")
	}
	started := time.Now()
	if messages := receive(t, c, queue, 20); len(messages) != 1 {
		t.Fatalf("a long poll of 20 s ended after %v without the message", time.Since(started))
	}
}

// The query protocol is what command lines older than 2023 speak.
func sqsSpeaksTheQueryProtocol(t *testing.T, endpoint string) {
	query := func(path string, form url.Values) string {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=id/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s %v", form.Get("Action"), answer.Status, body, err)
		}
		return string(body)
	}
	made := query("/", url.Values{"Action": {"CreateQueue"}, "QueueName": {"query"}, "Version": {"2012-11-05"}})
	path := "/123456789012/query"
	if !strings.Contains(made, "<QueueUrl>"+endpoint+path+"</QueueUrl>") {
		t.Fatalf("CreateQueue: %s", made)
	}
	sent := query(path, url.Values{
		"Action": {"SendMessageBatch"}, "Version": {"2012-11-05"},
		"SendMessageBatchRequestEntry.1.Id": {"a"}, "SendMessageBatchRequestEntry.1.MessageBody": {"<one>"},
		"SendMessageBatchRequestEntry.2.Id": {"b"}, "SendMessageBatchRequestEntry.2.MessageBody": {"two"},
	})
	if strings.Count(sent, "<SendMessageBatchResultEntry>") != 2 {
		t.Fatalf("SendMessageBatch: %s", sent)
	}
	got := query(path, url.Values{"Action": {"ReceiveMessage"}, "MaxNumberOfMessages": {"10"}, "AttributeName.1": {"All"}, "Version": {"2012-11-05"}})
	if !strings.Contains(got, "<Body>&lt;one&gt;</Body>") || !strings.Contains(got, "<Body>two</Body>") || !strings.Contains(got, "ApproximateReceiveCount") {
		t.Fatalf("ReceiveMessage: %s", got)
	}
}

func sqsServesTheCommandLine(t *testing.T, endpoint string) {
	run := func(args ...string) []byte {
		c := exec.CommandContext(t.Context(), awstest.Tool(t, "python/bin/aws"), append([]string{"--endpoint-url", endpoint, "sqs"}, args...)...)
		c.Env = append(c.Environ(), "AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=secret", "AWS_DEFAULT_REGION=us-east-1")
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("aws sqs %s: %v\n%s", args, err, out)
		}
		return out
	}
	var made struct{ QueueUrl string }
	if err := json.Unmarshal(run("create-queue", "--queue-name", "command-line"), &made); err != nil {
		t.Fatal(err)
	}
	run("send-message", "--queue-url", made.QueueUrl, "--message-body", "hello")
	if out := run("receive-message", "--queue-url", made.QueueUrl); !strings.Contains(string(out), `"Body": "hello"`) {
		t.Fatalf("got %s", out)
	}
}
