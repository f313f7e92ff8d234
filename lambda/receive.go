package lambda

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	if store.Bucket == "" {
		return nil, annals.Invalid("ANNALS_STORE", "has no bucket: dead letters that SQS does not take are kept there, so name one with ?bucket=")
	}
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

// maxRefusals is how many letters one item of a batch may become: sending thousands
// takes longer than an invocation has, and each attempt would send them again.
const maxRefusals = 10

// refusals are the letters of what is refused of an item: one for each message, or one
// for all of the item, with its good messages, where they would be too many.
func refusals(from *arrival, outcome *ingest.Outcome) (all []deadletter.Refusal) {
	letter := deadletter.Refusal{Source: from.source, Partition: from.partition}
	for _, m := range outcome.Messages {
		if m.Status == ingest.Refused {
			letter.Body, letter.Err, letter.Place, letter.Correlation = m.Text, m.Reason, m.Place, m.Message.Event.Correlation
			all = append(all, letter)
		}
	}
	if len(all) <= maxRefusals {
		return all
	}
	first := all[0]
	first.Err = fmt.Errorf("%d of %d messages are refused, the first of them, %s: %w", len(all), len(outcome.Messages), first.Place, first.Err)
	first.Body, first.Place = from.Body, from.ID
	return []deadletter.Refusal{first}
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
			for _, letter := range refusals(&batch[i], &outcomes[i]) {
				if failed[i] = r.box.Send(ctx, letter); failed[i] != nil {
					return
				}
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
