package local

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// pollers is how many long polls of a queue Lambda starts with.
const pollers = 5

// A queueMapping takes messages of a queue, has a function handle them, and
// removes what it handled. What failed becomes visible again when its visibility
// timeout passes.
type queueMapping struct {
	Mapping
	region     string
	queue      string // URL
	visibility time.Duration
	sqs        *sqs.Client
	invoke     func(context.Context, []byte) (Result, error)
	clock      Clock
	patient    func(time.Duration) time.Duration
	note       func(format string, args ...any)
}

// pollPause is how long to wait before a queue without messages is asked again.
const pollPause = 50 * time.Millisecond

func (m *queueMapping) run(ctx context.Context) {
	n := m.MaximumConcurrent
	if n == 0 {
		n = pollers
	}
	var all sync.WaitGroup
	for range n {
		all.Go(func() { m.poll(ctx, &all) })
	}
	all.Wait()
}

func (m *queueMapping) poll(ctx context.Context, all *sync.WaitGroup) {
	for ctx.Err() == nil {
		batch := m.gather(ctx)
		if len(batch) == 0 {
			continue
		}
		failed := m.handle(ctx, batch)
		// Long before AWS would show them again, if patience is short.
		if after := m.patient(m.visibility); len(failed) > 0 && after < m.visibility {
			all.Go(func() {
				if wait(ctx, m.clock, after) {
					m.show(ctx, failed)
				}
			})
		}
	}
}

// gather takes messages until the batch is full in number or in bytes, or the
// window that the first message opened closes.
func (m *queueMapping) gather(ctx context.Context) (batch []types.Message) {
	var closes time.Time
	size := 0
	for len(batch) < m.BatchSize && size < maxPayload-(1<<20) {
		in := &sqs.ReceiveMessageInput{
			QueueUrl: &m.queue, MaxNumberOfMessages: int32(min(10, m.BatchSize-len(batch))),
			MessageAttributeNames: []string{"All"}, MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		}
		out, err := m.sqs.ReceiveMessage(ctx, in)
		if err != nil {
			if ctx.Err() == nil {
				m.note("receiving from %s: %v", m.queue, err)
				wait(ctx, m.clock, m.patient(time.Second))
			}
			return batch
		}
		if len(batch) == 0 {
			closes = m.clock.Now().Add(m.Window)
		}
		batch = append(batch, out.Messages...)
		for _, message := range out.Messages {
			size += len(aws.ToString(message.Body)) + 1<<10
		}
		if len(batch) == 0 {
			wait(ctx, m.clock, pollPause)
			return nil
		}
		left := closes.Sub(m.clock.Now())
		if left <= 0 || len(out.Messages) == 0 && !wait(ctx, m.clock, min(left, pollPause)) {
			break
		}
	}
	return batch
}

// handle returns the messages that failed.
func (m *queueMapping) handle(ctx context.Context, batch []types.Message) []types.Message {
	result, err := m.invoke(ctx, m.event(batch))
	if err != nil {
		return batch
	}
	if result.Failed {
		m.note("%s failed with %d messages: %s", m.Function, len(batch), result.Payload)
		return batch
	}
	ids := map[string]types.Message{}
	for _, message := range batch {
		ids[*message.MessageId] = message
	}
	var failed []types.Message
	if m.PartialResponses {
		names, ok := partialAnswer(result.Payload, func(id string) bool { _, has := ids[id]; return has })
		if !ok {
			m.note("%s gave a partial response that fails the whole batch: %s", m.Function, result.Payload)
			return batch
		}
		for _, name := range names {
			if message, has := ids[name]; has { // once, if it is named twice
				failed = append(failed, message)
				delete(ids, name)
			}
		}
	}
	m.remove(ctx, ids)
	return failed
}

func (m *queueMapping) remove(ctx context.Context, done map[string]types.Message) {
	var entries []types.DeleteMessageBatchRequestEntry
	for _, message := range done {
		entries = append(entries, types.DeleteMessageBatchRequestEntry{Id: aws.String(fmt.Sprint("m", len(entries)%10)), ReceiptHandle: message.ReceiptHandle})
	}
	for chunk := range slices.Chunk(entries, 10) {
		out, err := m.sqs.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &m.queue, Entries: chunk})
		if ctx.Err() == nil && (err != nil || len(out.Failed) > 0) {
			m.note("removing from %s: %v", m.queue, err)
		}
	}
}

func (m *queueMapping) show(ctx context.Context, messages []types.Message) {
	for _, message := range messages {
		_, err := m.sqs.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{QueueUrl: &m.queue, ReceiptHandle: message.ReceiptHandle})
		if err != nil && ctx.Err() == nil {
			m.note("showing a message of %s again: %v", m.queue, err)
		}
	}
}

type sqsRecord struct {
	MessageID     string                  `json:"messageId"`
	ReceiptHandle string                  `json:"receiptHandle"`
	Body          string                  `json:"body"`
	Attributes    map[string]string       `json:"attributes"`
	Custom        map[string]sqsAttribute `json:"messageAttributes"`
	MD5           string                  `json:"md5OfBody"`
	Source        string                  `json:"eventSource"`
	SourceARN     string                  `json:"eventSourceARN"`
	Region        string                  `json:"awsRegion"`
}

type sqsAttribute struct {
	StringValue *string  `json:"stringValue,omitempty"`
	BinaryValue []byte   `json:"binaryValue,omitempty"`
	StringList  []string `json:"stringListValues"`
	BinaryList  [][]byte `json:"binaryListValues"`
	DataType    string   `json:"dataType"`
}

func (m *queueMapping) event(batch []types.Message) []byte {
	records := make([]sqsRecord, len(batch))
	for i, message := range batch {
		r := sqsRecord{
			MessageID: aws.ToString(message.MessageId), ReceiptHandle: aws.ToString(message.ReceiptHandle), Body: aws.ToString(message.Body),
			Attributes: message.Attributes, Custom: map[string]sqsAttribute{}, MD5: aws.ToString(message.MD5OfBody),
			Source: "aws:sqs", SourceARN: m.Source, Region: m.region,
		}
		for name, a := range message.MessageAttributes {
			r.Custom[name] = sqsAttribute{StringValue: a.StringValue, BinaryValue: a.BinaryValue, StringList: []string{}, BinaryList: [][]byte{}, DataType: aws.ToString(a.DataType)}
		}
		records[i] = r
	}
	return recordsEvent(records)
}

// recordsEvent is the payload of a batch.
func recordsEvent[R any](records []R) []byte {
	payload, err := json.Marshal(map[string][]R{"Records": records})
	if err != nil {
		panic(err) // texts and numbers
	}
	return payload
}

// visibilityOf reads how long a queue hides a message that was received.
func visibilityOf(q Queue) time.Duration {
	seconds, err := strconv.Atoi(q.Attributes["VisibilityTimeout"])
	if err != nil {
		return 30 * time.Second // SQS's own
	}
	return time.Duration(seconds) * time.Second
}
