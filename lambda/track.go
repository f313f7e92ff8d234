package lambda

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/ingest"
)

// track stores the messages of an SQS queue.
type track struct {
	*receiving
	queue string
}

func newTrack(ctx context.Context, env *environment) (handler, error) {
	r, err := newReceiving(ctx, env)
	if err != nil {
		return nil, err
	}
	return &track{r, env.config.Queue}, nil
}

// A sqsBatch is what SQS hands to a function, as far as it is read.
type sqsBatch struct {
	Records []struct {
		ID         string `json:"messageId"`
		Body       string `json:"body"`
		Source     string `json:"eventSourceARN"`
		Attributes struct {
			Sent string `json:"SentTimestamp"` // in ms
		} `json:"attributes"`
		MessageAttributes map[string]struct {
			Text string `json:"stringValue"`
		} `json:"messageAttributes"`
	}
}

// handle answers with the messages that have to come again. A refused one counts as
// done once it is among the dead letters, unless others of the same SQS message
// failed: then all of it comes again.
func (t *track) handle(ctx context.Context, in *invocation) (any, error) {
	var given sqsBatch
	if err := json.Unmarshal(in.payload, &given); err != nil {
		return nil, annals.Invalid("payload", "is not what SQS sends: %v", err)
	}
	records := given.Records
	if err := checkSource(len(records), func(i int) string { return records[i].Source }, t.queue, "ANNALS_QUEUE"); err != nil {
		return nil, err
	}
	batch := make([]arrival, len(records))
	for i := range records {
		r := &records[i]
		if r.ID == "" {
			return nil, annals.Invalid("messageId", "of record %d is missing", i)
		}
		batch[i] = arrival{Delivery: ingest.Delivery{ID: r.ID, Body: []byte(r.Body)}, source: r.Source, traceparent: r.MessageAttributes["traceparent"].Text}
		if sent, err := strconv.ParseInt(r.Attributes.Sent, 10, 64); err == nil {
			in.report.most("LagMilliseconds", in.report.began.UnixMilli()-sent)
		}
	}
	outcomes := t.receive(ctx, in, batch)
	answer := batchAnswer{Failures: []batchFailure{}}
	var done []arrival
	var settled []ingest.Outcome
	for i := range outcomes {
		if outcomes[i].Failed() != nil {
			answer.Failures = append(answer.Failures, batchFailure{outcomes[i].ID})
			continue
		}
		done, settled = append(done, batch[i]), append(settled, outcomes[i])
	}
	for i, err := range t.bury(ctx, in, done, settled) {
		if err != nil {
			answer.Failures = append(answer.Failures, batchFailure{settled[i].ID})
		}
	}
	return answer, nil
}
