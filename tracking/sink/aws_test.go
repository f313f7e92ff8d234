package sink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest/local"
	"github.com/eb901187/annals/ingest"
	"github.com/eb901187/annals/kinesis"
)

var anyone = credentials.NewStaticCredentialsProvider("id", "secret", "")

// A fault says what becomes of a call: entries that fail with a code, or an error.
type fault func(in *sqs.SendMessageBatchInput) (failed map[int]string, err error)

// planted is a client of SQS with faults between.
func planted(endpoint string, plant *fault) *sqs.Client {
	opts := sqs.Options{Region: "us-east-1", Credentials: anyone, BaseEndpoint: &endpoint}
	opts.APIOptions = append(opts.APIOptions, func(s *middleware.Stack) error {
		return s.Initialize.Add(middleware.InitializeMiddlewareFunc("faults", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (out middleware.InitializeOutput, m middleware.Metadata, err error) {
			call, ok := in.Parameters.(*sqs.SendMessageBatchInput)
			if !ok || *plant == nil {
				return next.HandleInitialize(ctx, in)
			}
			failed, err := (*plant)(call)
			if err != nil {
				return out, m, err
			}
			sent, refused := *call, []sqstypes.BatchResultErrorEntry{}
			sent.Entries = nil
			for i, entry := range call.Entries {
				if code := failed[i]; code != "" {
					refused = append(refused, sqstypes.BatchResultErrorEntry{Id: entry.Id, Code: aws.String(code), Message: aws.String("planted")})
					continue
				}
				sent.Entries = append(sent.Entries, entry)
			}
			result := &sqs.SendMessageBatchOutput{}
			if len(sent.Entries) > 0 {
				if out, m, err = next.HandleInitialize(ctx, middleware.InitializeInput{Parameters: &sent}); err != nil {
					return out, m, err
				}
				result = out.Result.(*sqs.SendMessageBatchOutput)
			}
			result.Failed = append(result.Failed, refused...)
			out.Result = result
			return out, m, nil
		}), middleware.After)
	})
	return sqs.New(opts)
}

// drain stores what the queue holds, as the function track does.
func drain(t *testing.T, client *sqs.Client, queue string, store *annals.Store) (messages int) {
	t.Helper()
	receiver := ingest.Receiver{Store: store}
	for {
		out, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &queue, MaxNumberOfMessages: 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Messages) == 0 {
			return messages
		}
		for _, m := range out.Messages {
			messages++
			for _, outcome := range receiver.Receive(t.Context(), []ingest.Delivery{{ID: *m.MessageId, Body: []byte(*m.Body)}}) {
				for _, part := range outcome.Messages {
					if part.Status != ingest.Stored && part.Status != ingest.Replayed {
						t.Errorf("%s: %v", part.Status, part.Reason)
					}
				}
			}
			if _, err := client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &queue, ReceiptHandle: m.ReceiptHandle}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// One stand-in serves these: to start it takes longer than they do.
func TestToQueue(t *testing.T) {
	t.Parallel()
	endpoint := local.SQS(t)
	for name, test := range map[string]func(t *testing.T, plant *fault, client *sqs.Client, queue string){
		"faults": queueTakesAllUnderFaults, "refused": queueRefusals, "large": queueTakesLargeEvents, "missing": noQueue,
	} {
		t.Run(name, func(t *testing.T) {
			plant := new(fault)
			client := planted(endpoint, plant)
			out, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: map[string]string{"MaximumMessageSize": fmt.Sprint(MaxMessageBytes)}})
			if err != nil {
				t.Fatal(err)
			}
			test(t, plant, client, *out.QueueUrl)
		})
	}
}

func patient() *QueueOptions {
	return &QueueOptions{Sleep: func(context.Context, time.Duration) {}, Rand: func() float64 { return 0 }}
}

func queueTakesAllUnderFaults(t *testing.T, plant *fault, client *sqs.Client, queue string) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	*plant = func(in *sqs.SendMessageBatchInput) (map[int]string, error) {
		size := 0
		for _, entry := range in.Entries {
			size += len(*entry.MessageBody)
		}
		if len(in.Entries) > callEntries || size > callBytes {
			t.Errorf("a call of %d messages and %d bytes", len(in.Entries), size)
		}
		failed := map[int]string{}
		for i := range in.Entries {
			failed[i] = []string{"", "", "InternalError", "ServiceUnavailable"}[random.IntN(4)]
		}
		if random.IntN(6) == 0 {
			return nil, errors.New("planted: the connection was reset")
		}
		return failed, nil
	}
	to, events := ToQueue(client, queue, patient()), exchanges(800)
	tries := 1
	for err := to.Deliver(t.Context(), events); err != nil; err = to.Deliver(t.Context(), events) {
		if annals.IsRefusal(err) || annals.CodeOf(err) != annals.CodeUnavailable || errors.Is(err, annals.ErrUnavailable) || !strings.Contains(err.Error(), queue) {
			t.Fatal(err)
		}
		if tries++; tries > 1000 {
			t.Fatal("never delivered")
		}
	}
	*plant = nil
	store := open(t)
	if n := drain(t, client, queue, store); n < 5 || n > 20*tries {
		t.Errorf("%d messages after %d deliveries", n, tries)
	}
	compare(t, store, events, false)
}

func queueRefusals(t *testing.T, plant *fault, client *sqs.Client, queue string) {
	good := exchanges(500)
	to := ToQueue(client, queue, patient())
	err := to.Deliver(t.Context(), poisoned(good))
	if !annals.IsRefusal(err) {
		t.Errorf("poison: %v", err)
	}
	calls := 0
	*plant = func(*sqs.SendMessageBatchInput) (map[int]string, error) {
		calls++
		return map[int]string{0: "InvalidMessageContents"}, nil
	}
	if err := to.Deliver(t.Context(), exchanges(1)); !annals.IsRefusal(err) || calls != 1 {
		t.Errorf("what SQS refuses: %v, after %d calls", err, calls)
	}
	calls = 0
	*plant = func(*sqs.SendMessageBatchInput) (map[int]string, error) {
		calls++
		return map[int]string{0: "InternalError"}, nil
	}
	if err := to.Deliver(t.Context(), exchanges(1)); annals.IsRefusal(err) || annals.CodeOf(err) != annals.CodeUnavailable || calls != queueTries || !strings.Contains(err.Error(), "InternalError: planted") {
		t.Errorf("what SQS never takes: %v, after %d calls", err, calls)
	}
	*plant = nil
	store := open(t)
	drain(t, client, queue, store)
	compare(t, store, good, false)
}

func queueTakesLargeEvents(t *testing.T, plant *fault, client *sqs.Client, queue string) {
	*plant = func(in *sqs.SendMessageBatchInput) (map[int]string, error) {
		for _, entry := range in.Entries {
			if len(*entry.MessageBody) > MaxMessageBytes || strings.ContainsAny(*entry.MessageBody, "\ufffe\uffff") {
				t.Errorf("a message of %d bytes that SQS would not take", len(*entry.MessageBody))
			}
		}
		return nil, nil
	}
	events := exchanges(4)
	for i := range events {
		events[i].Data = fmt.Appendf(nil, `"%s"`, strings.Repeat("x", i*(MaxMessageBytes-400)/(len(events)-1)))
	}
	events[0].Data = []byte("\"\ufffe\uffff\u007f\"")
	tooLarge := events[0]
	tooLarge.ID, tooLarge.Data = "large", fmt.Appendf(nil, `"%s"`, strings.Repeat("x", annals.MaxDataBytes-10))
	err := ToQueue(client, queue, patient()).Deliver(t.Context(), append([]annals.Event{tooLarge}, events...))
	if annals.CodeOf(err) != annals.CodeTooLarge || !strings.Contains(err.Error(), "event large") {
		t.Errorf("too large: %v", err)
	}
	store := open(t)
	drain(t, client, queue, store)
	n := 0
	for _, err := range store.Log(t.Context(), annals.Query{}) {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if n != len(events) {
		t.Errorf("%d events", n)
	}
}

func noQueue(t *testing.T, _ *fault, client *sqs.Client, queue string) {
	err := ToQueue(client, queue+"-none", patient()).Deliver(t.Context(), exchanges(1))
	if annals.CodeOf(err) != annals.CodeNotFound || annals.IsRefusal(err) || !strings.Contains(err.Error(), "-none") {
		t.Error(err)
	}
}

func TestToStream(t *testing.T) {
	t.Parallel()
	client := sdk.New(sdk.Options{Region: "us-east-1", Credentials: anyone, BaseEndpoint: aws.String(local.Kinesis(t))})
	stream := "events"
	if _, err := client.CreateStream(t.Context(), &sdk.CreateStreamInput{StreamName: &stream, ShardCount: aws.Int32(3)}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		out, err := client.DescribeStreamSummary(t.Context(), &sdk.DescribeStreamSummaryInput{StreamName: &stream})
		if err != nil || time.Now().After(deadline) {
			t.Fatal(err, "the stream is not there")
		}
		if out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			break
		}
	}
	to := ToStream(kinesis.NewWriter(client, stream, nil))
	events := exchanges(300)
	deliver(t, to, nil)
	deliver(t, to, events[:301])
	large := events[0]
	large.ID, large.Data = "large", fmt.Appendf(nil, `"%s"`, strings.Repeat("x", annals.MaxDataBytes-10))
	if err := to.Deliver(t.Context(), append(poisoned(events), large)); !annals.IsRefusal(err) {
		t.Errorf("poison: %v", err)
	}
	if err := to.Deliver(t.Context(), []annals.Event{large}); annals.CodeOf(err) != annals.CodeTooLarge || !annals.IsRefusal(err) {
		t.Errorf("too large: %v", err)
	}
	store := open(t)
	receiver := ingest.Receiver{Store: store}
	for record, err := range kinesis.NewReader(client, stream, nil).Records(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		for _, outcome := range receiver.Receive(t.Context(), []ingest.Delivery{{ID: record.Shard + "/" + record.Sequence, Body: record.Data}}) {
			if err := outcome.Failed(); err != nil {
				t.Error(err)
			}
		}
	}
	stored(t, store, events)
	err := ToStream(kinesis.NewWriter(client, "none", nil)).Deliver(t.Context(), exchanges(1))
	if annals.CodeOf(err) != annals.CodeNotFound || annals.IsRefusal(err) {
		t.Errorf("no stream: %v", err)
	}
}
