package lambda

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/ingest"
)

// pump stores the records of the Kinesis event stream.
type pump struct {
	*receiving
	stream string
}

func newPump(ctx context.Context, env *environment) (handler, error) {
	r, err := newReceiving(ctx, env)
	if err != nil {
		return nil, err
	}
	r.receiver.PerStream = annals.MaxCommitEvents
	return &pump{r, env.config.IngestStream}, nil
}

// A kinesisRecord is one of what Kinesis hands to a function, as far as it is read.
type kinesisRecord struct {
	ID     string `json:"eventID"` // shard:sequence
	Source string `json:"eventSourceARN"`
	Record struct {
		Partition string  `json:"partitionKey"`
		Sequence  string  `json:"sequenceNumber"`
		Data      string  `json:"data"`
		Arrived   float64 `json:"approximateArrivalTimestamp"` // in s
	} `json:"kinesis"`
}

// handle answers with the lowest record that has to come again: Lambda goes on from
// there, with all records behind it, so that streams keep their order. What of those
// is stored is told by its ids then, and what of them is refused becomes a dead
// letter when it is their turn.
func (p *pump) handle(ctx context.Context, in *invocation) (any, error) {
	batch, sequences, err := p.arrivals(in)
	if err != nil {
		return nil, err
	}
	outcomes := p.receive(ctx, in, batch)
	first := slices.IndexFunc(outcomes, func(o ingest.Outcome) bool { return o.Failed() != nil })
	if first < 0 {
		first = len(outcomes)
	}
	unsent := p.bury(ctx, in, batch[:first], outcomes[:first])
	if i := slices.IndexFunc(unsent, func(err error) bool { return err != nil }); i >= 0 {
		first = i
	}
	answer := batchAnswer{Failures: []batchFailure{}}
	if first < len(outcomes) {
		answer.Failures = append(answer.Failures, batchFailure{sequences[first]})
	}
	return answer, nil
}

// arrivals are the records of the payload in the order of their shard.
func (p *pump) arrivals(in *invocation) (batch []arrival, sequences []string, err error) {
	var given struct{ Records []kinesisRecord }
	if err := json.Unmarshal(in.payload, &given); err != nil {
		return nil, nil, annals.Invalid("payload", "is not what Kinesis sends: %v", err)
	}
	records := given.Records
	if err := checkSource(len(records), func(i int) string { return records[i].Source }, p.stream, "ANNALS_INGEST_STREAM"); err != nil {
		return nil, nil, err
	}
	slices.SortStableFunc(records, func(a, b kinesisRecord) int {
		return cmp.Or(cmp.Compare(len(a.Record.Sequence), len(b.Record.Sequence)), strings.Compare(a.Record.Sequence, b.Record.Sequence))
	})
	for i := range records {
		r := &records[i]
		if r.ID == "" || r.Record.Sequence == "" {
			return nil, nil, annals.Invalid("eventID", "and kinesis.sequenceNumber of record %d must not be empty", i)
		}
		a := arrival{Delivery: ingest.Delivery{ID: r.ID}, source: r.Source, partition: r.Record.Partition}
		if a.Body, err = base64.StdEncoding.DecodeString(r.Record.Data); err != nil {
			a.Body, a.raw, a.bad = nil, []byte(r.Record.Data), annals.Invalid("data", "of the record is not base64: %v", err)
		}
		if r.Record.Arrived > 0 {
			in.report.most("LagMilliseconds", in.report.began.Sub(time.UnixMilli(int64(r.Record.Arrived*1000))).Milliseconds())
		}
		batch, sequences = append(batch, a), append(sequences, r.Record.Sequence)
	}
	return batch, sequences, nil
}
