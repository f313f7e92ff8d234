package local

import (
	"context"
	"encoding/json"
	"time"
)

// A tableSource reads the stream of a DynamoDB table.
type tableSource struct {
	service *service
	stream  string // ARN in the stand-in
	arn     string // ARN in the stack
	region  string
}

func (s *tableSource) name() (string, time.Duration) {
	return "DDBStreamBatchInfo", 250 * time.Millisecond
}

func (s *tableSource) shards(ctx context.Context) ([]shard, error) {
	var all []shard
	in := map[string]any{"StreamArn": s.stream}
	for {
		var out struct {
			StreamDescription struct {
				Shards []struct {
					ID     string `json:"ShardId"`
					Parent string `json:"ParentShardId"`
				}
				LastEvaluatedShardID string `json:"LastEvaluatedShardId"`
			}
		}
		if err := s.service.call(ctx, "DescribeStream", in, &out); err != nil {
			return nil, err
		}
		for _, one := range out.StreamDescription.Shards {
			shard := shard{id: one.ID}
			if one.Parent != "" {
				shard.parents = []string{one.Parent}
			}
			all = append(all, shard)
		}
		if out.StreamDescription.LastEvaluatedShardID == "" {
			return all, nil
		}
		in["ExclusiveStartShardId"] = out.StreamDescription.LastEvaluatedShardID
	}
}

func (s *tableSource) iterator(ctx context.Context, shard, position, after string) (string, error) {
	in := map[string]any{"StreamArn": s.stream, "ShardId": shard, "ShardIteratorType": position}
	if after != "" {
		in["ShardIteratorType"], in["SequenceNumber"] = "AFTER_SEQUENCE_NUMBER", after
	}
	return iteratorOf(ctx, s.service, in)
}

func (s *tableSource) read(ctx context.Context, _, iterator string, limit int) ([]record, string, error) {
	var out struct {
		Records           []map[string]any
		NextShardIterator string
	}
	// A call gives 1,000 records at most.
	if err := s.service.call(ctx, "GetRecords", map[string]any{"ShardIterator": iterator, "Limit": min(limit, 1000)}, &out); err != nil {
		return nil, "", expired(err)
	}
	var records []record
	for _, r := range out.Records {
		r["eventSourceARN"], r["awsRegion"], r["eventSource"] = s.arn, s.region, "aws:dynamodb"
		event, err := json.Marshal(r)
		if err != nil {
			return nil, "", err
		}
		change, _ := r["dynamodb"].(map[string]any)
		sequence, _ := change["SequenceNumber"].(string)
		made, _ := change["ApproximateCreationDateTime"].(float64)
		records = append(records, record{sequence: sequence, arrived: seconds(made), event: event, match: r})
	}
	return records, out.NextShardIterator, nil
}
