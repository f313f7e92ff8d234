package lambda

import (
	"context"
	"errors"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
)

// sequence numbers the log. What a batch tells it in vain is in the table, so that
// nothing depends on the order of batches, or on each coming once.
type sequence struct {
	place
	env   *environment
	table string
	seq   *dynamo.Sequencer
}

func newSequence(ctx context.Context, e *environment) (handler, error) {
	at, err := e.openStore(ctx)
	if err != nil {
		return nil, err
	}
	if at.driver == nil {
		return nil, errors.Join(annals.Invalid("Store", "of the options is none that role sequence works on: it numbers the log of tables"), at.store.Close())
	}
	return &sequence{place: at, env: e, table: e.config.Store.Name + "-events", seq: dynamo.NewSequencer(at.driver)}, nil
}

func (s *sequence) close() error { return s.store.Close() }

func (s *sequence) handle(ctx context.Context, in *invocation) (any, error) {
	records, err := streamRecords(in.payload)
	if err != nil {
		return nil, err
	}
	in.report.count("Received", len(records))
	var items []map[string]types.AttributeValue
	var places []string
	for i := range records {
		r := &records[i]
		if err := r.from(in.kind, s.table); err != nil {
			return nil, err
		}
		in.report.most("LagMilliseconds", r.age(s.env.clock()).Milliseconds())
		if r.Name != "INSERT" {
			in.report.count("Tampered", 1)
			in.report.message(ctx, slog.LevelError, "an item of the events table was changed or removed, which nobody may do; the log keeps what was appended", "",
				"change", r.Name, "item", r.key(), "table", s.table)
			continue
		}
		items, places = append(items, r.item()), append(places, r.sequence())
	}
	n, err := s.through(ctx, items)
	in.report.count("Sequenced", n)
	if err == nil {
		return batchAnswer{Failures: []batchFailure{}}, nil
	}
	in.report.count("Failed", len(items)-n)
	in.report.log.Error("a commit could not be numbered, and those behind it in its shard wait", "error", err, "code", annals.CodeOf(err), "sequenceNumber", places[n])
	return batchAnswer{Failures: []batchFailure{{places[n]}}}, nil
}

// through sequences items and returns how many surely are. Where one of them is at
// fault, those before it are sequenced first, as that one may come again for long.
func (s *sequence) through(ctx context.Context, items []map[string]types.AttributeValue) (int, error) {
	if len(items) == 0 {
		return 0, nil
	}
	err := s.seq.Sequence(ctx, items)
	if err == nil {
		return len(items), nil
	}
	if len(items) == 1 || ctx.Err() != nil || annals.CodeOf(err).Info().Retryable {
		return 0, err
	}
	half := len(items) / 2
	n, err := s.through(ctx, items[:half])
	if err != nil {
		return n, err
	}
	n, err = s.through(ctx, items[half:])
	return half + n, err
}
