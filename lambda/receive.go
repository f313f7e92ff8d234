package lambda

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/deadletter"
	"github.com/eb901187/annals/ingest"
)

// A receiving stores what a queue or a stream delivers. track and pump are made of
// it.
type receiving struct {
	place
	receiver ingest.Receiver
	box      *deadletter.Box
}

func newReceiving(ctx context.Context, env *environment) (*receiving, error) {
	store := &env.config.Store
	box, err := deadletter.New(env.aws, env.config.DeadLetters, &deadletter.Options{
		Bucket: store.Bucket, Name: store.Name, S3Endpoint: store.S3Endpoint, Clock: env.clock,
	})
	if err != nil {
		return nil, err
	}
	p, err := env.openStore(ctx)
	if err != nil {
		return nil, err
	}
	return &receiving{place: p, receiver: ingest.Receiver{Store: p.store}, box: box}, nil
}

func (r *receiving) close() error { return r.store.Close() }

// An arrival is one item of a batch, as it came.
type arrival struct {
	ingest.Delivery
	source      string // ARN
	partition   string
	traceparent string
	bad         error  // why it has no body
	raw         []byte // what it has instead
}

// receive stores the messages of a batch, and tells what became of each.
func (r *receiving) receive(ctx context.Context, in *invocation, batch []arrival) []ingest.Outcome {
	deliveries := make([]ingest.Delivery, len(batch))
	for i := range batch {
		deliveries[i] = batch[i].Delivery
	}
	outcomes := r.receiver.Receive(ctx, deliveries)
	for i := range outcomes {
		for _, m := range outcomes[i].Messages {
			if batch[i].bad != nil {
				m.Text, m.Reason = batch[i].raw, batch[i].bad
			}
			tell(ctx, in.report, &batch[i], m)
		}
	}
	return outcomes
}

func tell(ctx context.Context, to *report, from *arrival, m *ingest.Settled) {
	to.count("Received", 1)
	postponed := errors.Is(m.Reason, ingest.ErrNextBatch)
	if postponed {
		to.count("Postponed", 1)
	} else {
		to.count(strings.ToUpper(string(m.Status[:1]))+string(m.Status[1:]), 1)
	}
	e := &m.Message.Event
	args := []any{"stream", m.Message.Stream, "id", e.ID, "place", m.Place, "traceparent", cmp.Or(e.Attributes["traceparent"], from.traceparent)}
	level := slog.LevelDebug
	if m.Reason != nil {
		if !postponed {
			level = slog.LevelWarn
		}
		args = append(args, "error", m.Reason, "code", annals.CodeOf(m.Reason))
	} else {
		args = append(args, "version", m.Version)
	}
	to.message(ctx, level, "message "+string(m.Status), e.Correlation, args...)
}

// sendsAtOnce is how many dead letters are sent side by side.
const sendsAtOnce = 16

// bury sends the refused messages of the outcomes to the dead letters. It returns
// for each outcome why that failed, so that it has to come again.
func (r *receiving) bury(ctx context.Context, in *invocation, batch []arrival, outcomes []ingest.Outcome) []error {
	failed := make([]error, len(outcomes))
	slots := make(chan struct{}, sendsAtOnce)
	var all sync.WaitGroup
	for i := range outcomes {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			for _, m := range outcomes[i].Messages {
				if m.Status != ingest.Refused || failed[i] != nil {
					continue
				}
				failed[i] = r.box.Send(ctx, deadletter.Refusal{
					Body: m.Text, Err: m.Reason, Source: batch[i].source, Place: m.Place,
					Partition: batch[i].partition, Correlation: m.Message.Event.Correlation,
				})
			}
		})
	}
	all.Wait()
	for i, err := range failed {
		if err != nil {
			in.report.count("DeadLettersNotSent", 1)
			in.report.log.Error("a refused message could not be sent to the dead letters, and has to come again", "place", outcomes[i].ID, "error", err)
		}
	}
	return failed
}

// checkSource refuses records that are not of the queue or stream that the function
// is configured for: their ids would mean others.
func checkSource(records int, arn func(int) string, name, variable string) error {
	for i := range records {
		if _, found := lastOf(arn(i)); found != name {
			return annals.Invalid("eventSourceARN", "of record %d is %q, and this function takes what comes from %s: see its trigger and %s", i, arn(i), name, variable)
		}
	}
	return nil
}

// lastOf splits an ARN before the name that it ends in.
func lastOf(arn string) (before, name string) {
	i := strings.LastIndexAny(arn, ":/")
	return arn[:i+1], arn[i+1:]
}
