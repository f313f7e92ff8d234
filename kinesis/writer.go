package kinesis

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
)

// The limits of a call that the Writer keeps; that of bytes is below the 5 MiB that
// Kinesis has always allowed.
const (
	callRecords = 500
	callBytes   = 4 << 20
)

// WriterOptions changes how a Writer works; nil means the defaults.
type WriterOptions struct {
	// Tries is how many calls in a row may get nothing accepted before Put gives up;
	// 30 by default, which takes about two minutes.
	Tries int
	// Timeout is how long Kinesis may take to answer a call; 5 s by default.
	Timeout time.Duration
	// Sleep pauses for d or until ctx ends.
	Sleep func(ctx context.Context, d time.Duration)
	// Rand draws from [0, 1) how long to pause, so that many writers don't come back
	// at once; it is called from one goroutine at a time for each Put.
	Rand func() float64
}

// A Writer puts events on one Kinesis stream. It is safe for concurrent use; events of
// one stream that are put by several calls of Put at once come in any order.
type Writer struct {
	client *sdk.Client
	stream string
	opts   WriterOptions
}

// NewWriter makes a Writer for a Kinesis stream. It needs the right to PutRecords only,
// and asks nothing before the first Put.
func NewWriter(client *sdk.Client, stream string, opts *WriterOptions) *Writer {
	w := &Writer{client: client, stream: stream}
	if opts != nil {
		w.opts = *opts
	}
	if w.opts.Tries <= 0 {
		w.opts.Tries = 30
	}
	if w.opts.Timeout <= 0 {
		w.opts.Timeout = 5 * time.Second
	}
	if w.opts.Sleep == nil {
		w.opts.Sleep = consumer.Sleep
	}
	if w.opts.Rand == nil {
		w.opts.Rand = rand.Float64
	}
	return w
}

// Stream is the name of the Kinesis stream.
func (w *Writer) Stream() string { return w.stream }

// Put returns when the stream has accepted all events. Those of one stream, which
// Event.Stream names, are there in the order given, behind those of earlier calls. It
// keeps all events as JSON in memory.
//
// What fails is put again, after growing pauses, until Tries calls in a row got nothing
// accepted, Kinesis refuses for good, or ctx ends: then the error is a *PutError, which
// says what became of each event. Errors of Check come before anything is put.
func (w *Writer) Put(ctx context.Context, events []annals.Event) error {
	queue, err := lanes(events)
	if err != nil {
		return err
	}
	outcomes := make([]Outcome, len(events))
	for i := range outcomes {
		outcomes[i] = NotAccepted
	}
	for fruitless := 0; len(queue) > 0; {
		if err := ctx.Err(); err != nil {
			return &PutError{w.stream, outcomes, err}
		}
		n := callSize(queue)
		accepted, err := w.call(ctx, queue[:n], outcomes)
		if err != nil && refused(err) && !throttled(err) {
			return &PutError{w.stream, outcomes, explained(w.stream, err)}
		}
		// What was asked for goes to the back, so that a throttled shard does not keep
		// the records of the others waiting.
		queue = append(queue[n:len(queue):len(queue)], unfinished(queue[:n])...)
		switch {
		case err == nil:
			fruitless = 0
			continue
		case accepted > 0:
			fruitless = 0
		default:
			fruitless++
		}
		if fruitless == w.opts.Tries {
			return &PutError{w.stream, outcomes, explained(w.stream, err)}
		}
		if ctx.Err() == nil {
			w.opts.Sleep(ctx, w.delay(fruitless))
		}
	}
	return nil
}

// callSize is how many lanes can give their first record to one call.
func callSize(queue []*lane) int {
	size := 0
	for i, l := range queue {
		if size += len(l.key) + len(l.records[0].data); i == callRecords || i > 0 && size > callBytes {
			return i
		}
	}
	return len(queue)
}

func unfinished(asked []*lane) (left []*lane) {
	for _, l := range asked {
		if len(l.records) > 0 {
			left = append(left, l)
		}
	}
	return left
}

// delay doubles with each fruitless call, up to 5 s, and is at least half of that.
func (w *Writer) delay(fruitless int) time.Duration {
	const first, most = 50 * time.Millisecond, 5 * time.Second
	d := min(first<<min(fruitless, 10), most)
	return d/2 + time.Duration(w.opts.Rand()*float64(d/2))
}

// call puts the first record of each lane, each under a key of its own: Kinesis may
// accept a record and fail one before it. Those accepted leave their lanes. The error is
// that of the call, or of one record that was not accepted.
func (w *Writer) call(ctx context.Context, asked []*lane, outcomes []Outcome) (accepted int, err error) {
	in := &sdk.PutRecordsInput{StreamName: &w.stream, Records: make([]types.PutRecordsRequestEntry, len(asked))}
	for i, l := range asked {
		in.Records[i] = types.PutRecordsRequestEntry{PartitionKey: &l.key, Data: l.records[0].data}
	}
	limited, cancel := context.WithTimeout(ctx, w.opts.Timeout)
	defer cancel()
	// Retries of the client would hide what is unknown.
	out, err := w.client.PutRecords(limited, in, func(o *sdk.Options) { o.Retryer = aws.NopRetryer{} })
	if err == nil && len(out.Records) != len(asked) {
		err = errors.New("the answer is not one for every record")
	}
	if err != nil {
		if !refused(err) {
			for _, l := range asked {
				l.records[0].become(Unknown, outcomes)
			}
		}
		return 0, err
	}
	for i, l := range asked {
		answer := &out.Records[i]
		switch code := aws.ToString(answer.ErrorCode); code {
		case "":
			l.records[0].become(Accepted, outcomes)
			l.records = l.records[1:]
			accepted++
		default:
			if code == "InternalFailure" {
				l.records[0].become(Unknown, outcomes)
			}
			err = recordFailure{code, aws.ToString(answer.ErrorMessage)}
		}
	}
	return accepted, err
}

func (r *record) become(outcome Outcome, outcomes []Outcome) {
	for _, i := range r.events {
		outcomes[i] = outcome
	}
}

// A recordFailure is why Kinesis did not accept one record of a call.
type recordFailure struct{ code, message string }

func (e recordFailure) Error() string { return e.code + ": " + e.message }
