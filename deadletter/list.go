package deadletter

import (
	"context"
	"iter"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const (
	// MaxLetters is how many letters a List yields at most.
	MaxLetters = 10_000
	// maxReceived is how many are looked at to find those that are settled: SQS shows no
	// more than 120,000 that nobody has deleted or released.
	maxReceived = 100_000
	// hidden is for how many seconds at most others don't see a letter that is
	// listed; acted is that for one which is sent again or dropped.
	hidden = 60
	acted  = 300

	atOnce = 10 // messages that SQS takes or gives in a call
)

// List yields the letters of the queue, up to MaxLetters, in no order. Others don't
// see a letter from when it was received until the listing ends, for a minute at
// most. Letters that others have received meanwhile are not yielded; Hidden says
// how many.
func (b *Box) List(ctx context.Context) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) { b.each(ctx, hidden, b.listed, yield) }
}

// Hidden is how many letters somebody has received and not deleted, as far as SQS
// knows: an approximation.
func (b *Box) Hidden(ctx context.Context) (int, error) {
	const name = sqstypes.QueueAttributeNameApproximateNumberOfMessagesNotVisible
	got, err := b.sqs.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &b.url, AttributeNames: []sqstypes.QueueAttributeName{name}})
	if err != nil {
		return 0, explained("look at", "the queue "+b.Queue(), err)
	}
	n, err := strconv.Atoi(got.Attributes[string(name)])
	if err != nil {
		return 0, explained("look at", "the queue "+b.Queue(), err)
	}
	return n, nil
}

// each receives letters until there are no others, or there were as many as most, and
// then makes those visible that the receiver has not deleted.
func (b *Box) each(ctx context.Context, visibility int32, most int, yield func(Letter, error) bool) {
	receipts := map[string]string{} // by letter
	defer func() { b.release(ctx, receipts) }()
	// A receive that waits asks all servers of SQS. One without anything new is the
	// end, unless letters that were seen come again and may hide others.
	const enough = 3
	for again := 0; again < enough && len(receipts) < most; {
		got, err := b.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: &b.url, MaxNumberOfMessages: atOnce, VisibilityTimeout: visibility, WaitTimeSeconds: b.wait,
			MessageAttributeNames:       []string{"All"},
			MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{sqstypes.MessageSystemAttributeNameAll},
		})
		if err != nil {
			yield(Letter{}, explained("receive from", "the queue "+b.Queue(), err))
			return
		}
		if len(got.Messages) == 0 {
			return
		}
		again++
		var fresh []Letter
		for i := range got.Messages {
			l := newLetter(&got.Messages[i])
			if _, seen := receipts[l.ID]; !seen {
				fresh = append(fresh, l)
			}
			receipts[l.ID] = l.receipt
		}
		for _, l := range fresh {
			if again = 0; !yield(l, nil) {
				return
			}
		}
	}
}

// release makes letters visible again. What is not released, or was deleted, needs
// nothing: its time ends by itself.
func (b *Box) release(ctx context.Context, receipts map[string]string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	var batch []sqstypes.ChangeMessageVisibilityBatchRequestEntry
	send := func() bool {
		_, err := b.sqs.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &b.url, Entries: batch})
		batch = nil
		return err == nil
	}
	for id, receipt := range receipts {
		batch = append(batch, sqstypes.ChangeMessageVisibilityBatchRequestEntry{Id: &id, ReceiptHandle: &receipt})
		if len(batch) == atOnce && !send() {
			return
		}
	}
	if len(batch) > 0 {
		send()
	}
}
