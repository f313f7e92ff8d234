package kinesis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// A shard is one that a reading knows.
type shard struct {
	id       string
	parents  []string
	iterator *string
	last     string // the sequence number of the last record; empty for none
	late     bool   // it was there when a reading of the latest records began
	begun    bool   // it had an iterator
	done     bool   // nothing more can come of it
	errors   int    // in a row
	asked    int    // how often the shards were listed to find what came of it
}

// maxAsked bounds the search for the children of a closed shard, which are listed some
// time after it was closed; a stream that is being deleted has none.
const maxAsked = 20

// list learns the shards that there are.
func (r *reading) list(ctx context.Context) error {
	first := len(r.order) == 0
	for token := (*string)(nil); ; {
		in := &sdk.ListShardsInput{NextToken: token}
		if token == nil { // a token stands for the name too
			in.StreamName = &r.stream
		}
		out, err := r.client.ListShards(ctx, in)
		if stale := (*types.ExpiredNextTokenException)(nil); errors.As(err, &stale) {
			token = nil
			continue
		}
		if err != nil {
			return fmt.Errorf("listing the shards of the Kinesis stream %s: %w", r.stream, explained(r.stream, err))
		}
		for i := range out.Shards {
			r.add(&out.Shards[i], first)
		}
		if token = out.NextToken; token == nil {
			return nil
		}
	}
}

func (r *reading) add(found *types.Shard, first bool) {
	id := aws.ToString(found.ShardId)
	if r.shards[id] != nil {
		return
	}
	s := &shard{id: id}
	for _, parent := range []*string{found.ParentShardId, found.AdjacentParentShardId} {
		if parent != nil {
			s.parents = append(s.parents, *parent)
		}
	}
	if first && r.opts.Latest {
		s.late = true
		// What a closed shard holds is not of the latest.
		s.done = found.SequenceNumberRange != nil && found.SequenceNumberRange.EndingSequenceNumber != nil
	}
	r.shards[id], r.order = s, append(r.order, s)
}

// parentsDone reports whether the shards that s came of, as far as the stream still has
// them, were read to their ends.
func (r *reading) parentsDone(s *shard) bool {
	for _, id := range s.parents {
		if parent := r.shards[id]; parent != nil && !parent.done {
			return false
		}
	}
	return true
}

// childless reports whether a shard was closed and what came of it is not listed yet.
func (r *reading) childless() bool {
	parents := map[string]bool{}
	for _, s := range r.order {
		for _, id := range s.parents {
			parents[id] = true
		}
	}
	found := false
	for _, s := range r.order {
		if s.done && !parents[s.id] && s.asked < maxAsked {
			s.asked++
			found = true
		}
	}
	return found
}

// get asks a shard for what comes next. An iterator that has expired is given up, so that
// the next call takes another.
func (r *reading) get(ctx context.Context, s *shard) (*sdk.GetRecordsOutput, error) {
	if s.iterator == nil {
		out, err := r.client.GetShardIterator(ctx, r.place(s))
		if err != nil {
			return nil, err
		}
		s.iterator, s.begun = out.ShardIterator, true
	}
	out, err := r.client.GetRecords(ctx, &sdk.GetRecordsInput{ShardIterator: s.iterator, Limit: &r.opts.Limit})
	if expired(err) {
		s.iterator = nil
	}
	return out, err
}

func expired(err error) bool {
	var iterator *types.ExpiredIteratorException
	return errors.As(err, &iterator)
}

// place says where an iterator of s is to begin.
func (r *reading) place(s *shard) *sdk.GetShardIteratorInput {
	in := &sdk.GetShardIteratorInput{StreamName: &r.stream, ShardId: &s.id, ShardIteratorType: types.ShardIteratorTypeTrimHorizon}
	at := func(t time.Time) {
		in.ShardIteratorType, in.Timestamp = types.ShardIteratorTypeAtTimestamp, &t
	}
	switch {
	case s.last != "":
		in.ShardIteratorType, in.StartingSequenceNumber = types.ShardIteratorTypeAfterSequenceNumber, &s.last
	case s.late && s.begun:
		// LATEST would pass over what has come since; clocks may differ.
		const skew = time.Minute
		at(r.began.Add(-skew))
	case s.late:
		in.ShardIteratorType = types.ShardIteratorTypeLatest
	case !r.opts.Latest && !r.opts.Since.IsZero():
		at(r.opts.Since)
	}
	return in
}
