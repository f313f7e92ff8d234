package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/tracking"
)

// Limits of SQS, and what the sink keeps below them.
const (
	// MaxMessageBytes is what SQS takes as one message. A queue may have been set up
	// for less.
	MaxMessageBytes = 1 << 20
	// sharedBytes is up to where events share a message; SQS bills each 64 KiB.
	sharedBytes = 64 << 10
	callEntries = 10
	// callBytes is what SQS has always allowed a call.
	callBytes = 256 << 10
	// queueTries is how often what SQS did not take of a call is sent by one Deliver.
	queueTries = 4
)

// QueueOptions changes how ToQueue sends; nil means the defaults.
type QueueOptions struct {
	// Sleep pauses for d or until ctx ends.
	Sleep func(ctx context.Context, d time.Duration)
	// Rand draws from [0, 1) how long to pause.
	Rand func() float64
}

// ToQueue delivers to an SQS queue, as arrays of CloudEvents in JSON, of which the
// function track takes up all events. Such a queue keeps no order: a response may be
// stored before its request, and traces go by the times. A FIFO queue refuses what has
// no message group, as here. It needs the right to sqs:SendMessage.
func ToQueue(client *sqs.Client, url string, opts *QueueOptions) tracking.Sink {
	q := &toQueue{client: client, url: url}
	if opts != nil {
		q.opts = *opts
	}
	if q.opts.Sleep == nil {
		q.opts.Sleep = consumer.Sleep
	}
	if q.opts.Rand == nil {
		q.opts.Rand = rand.Float64
	}
	return q
}

type toQueue struct {
	client *sqs.Client
	url    string
	opts   QueueOptions
}

// Deliver implements tracking.Sink.
func (q *toQueue) Deliver(ctx context.Context, events []annals.Event) error {
	good, refused := storable(events)
	bodies, tooLarge := messages(good)
	errs := []error{refused, tooLarge}
	for len(bodies) > 0 {
		n := callLength(bodies)
		err := q.send(ctx, bodies[:n])
		if err != nil && !annals.IsRefusal(err) {
			return err
		}
		errs, bodies = append(errs, err), bodies[n:]
	}
	return first(errs...)
}

// messages are the bodies of messages that hold the events in their order.
func messages(events []annals.Event) (bodies []string, tooLarge error) {
	var body []byte
	flush := func() {
		if body != nil {
			bodies, body = append(bodies, string(append(body, ']'))), nil
		}
	}
	for i := range events {
		text := sendable(events[i].AppendJSON(nil, true))
		if len(text)+2 > MaxMessageBytes {
			if tooLarge == nil {
				tooLarge = about(&events[i], &annals.Error{
					Code: annals.CodeTooLarge, Message: fmt.Sprintf("it takes %d bytes as a message of SQS: the limit is %d", len(text)+2, MaxMessageBytes),
				})
			}
			continue
		}
		if body != nil && len(body)+len(text)+2 > sharedBytes {
			flush()
		}
		if body == nil {
			body = []byte{'['}
		} else {
			body = append(body, ',')
		}
		body = append(body, text...)
	}
	flush()
	return bodies, tooLarge
}

// sendable escapes the only characters that JSON may hold and SQS takes no message
// with.
func sendable(text []byte) []byte {
	for char, escaped := range map[string]string{"\ufffe": `\ufffe`, "\uffff": `\uffff`} {
		text = bytes.ReplaceAll(text, []byte(char), []byte(escaped))
	}
	return text
}

// callLength is how many of the bodies fit in a call. One that does not goes alone.
func callLength(bodies []string) int {
	size := 0
	for i, body := range bodies {
		if size += len(body); i == callEntries || i > 0 && size > callBytes {
			return i
		}
	}
	return len(bodies)
}

// send returns once all of the bodies are in the queue, after growing pauses between
// its tries.
func (q *toQueue) send(ctx context.Context, bodies []string) (refused error) {
	for try := 1; ; try++ {
		left, passes, wrong, err := q.call(ctx, bodies)
		refused = first(refused, wrong)
		switch {
		case err != nil && len(bodies) == 1 && isRefusal(errorCode(err)):
			return refuse(err)
		case err != nil:
			return q.explained(err)
		case len(left) == 0:
			return refused
		case try == queueTries:
			return &unavailable{"the SQS queue " + q.url + " did not take everything", passes}
		}
		bodies = left
		const step = 50 * time.Millisecond
		q.opts.Sleep(ctx, time.Duration((0.5+q.opts.Rand()/2)*float64(step<<try)))
	}
}

// call sends the bodies once. left are those that were not taken and may be next time,
// passes says why; wrong is what is wrong with others.
func (q *toQueue) call(ctx context.Context, bodies []string) (left []string, passes, wrong, err error) {
	in := &sqs.SendMessageBatchInput{QueueUrl: &q.url}
	for i := range bodies {
		in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: &bodies[i]})
	}
	out, err := q.client.SendMessageBatch(ctx, in)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, failed := range out.Failed {
		i, err := strconv.Atoi(aws.ToString(failed.Id))
		if err != nil || i < 0 || i >= len(bodies) {
			return nil, nil, nil, fmt.Errorf("the answer is about the entry %q, which was not sent", aws.ToString(failed.Id))
		}
		why := errors.New(aws.ToString(failed.Code) + ": " + aws.ToString(failed.Message))
		if isRefusal(aws.ToString(failed.Code)) {
			wrong = first(wrong, refuse(why))
			continue
		}
		left, passes = append(left, bodies[i]), why
	}
	return left, passes, wrong, nil
}

// isRefusal reports whether SQS says that a message itself is at fault.
func isRefusal(code string) bool {
	switch code {
	case "InvalidMessageContents", "InvalidParameterValue", "BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong":
		return true
	}
	return false
}

func refuse(why error) error {
	return &annals.InvalidError{Violations: []annals.Violation{{Field: "message", Message: "was refused by SQS: " + why.Error()}}}
}

func errorCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// explained words why SQS took none of a call.
func (q *toQueue) explained(err error) error {
	var missing *types.QueueDoesNotExist
	switch {
	case errors.As(err, &missing):
		return &annals.Error{
			Code: annals.CodeNotFound, Err: err, Message: "there is no SQS queue " + q.url, Hint: "check its URL and AWS_REGION; aws sqs list-queues names those that there are",
		}
	case errorCode(err) == "AccessDenied" || errorCode(err) == "AccessDeniedException":
		return &annals.Error{
			Code: annals.CodeForbidden, Err: err, Message: "the SQS queue " + q.url + " may not be used with these credentials", Hint: "give them the right to sqs:SendMessage",
		}
	}
	return &unavailable{"the SQS queue " + q.url + " took nothing", err}
}
