package local

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// A kinesisSource reads a Kinesis stream.
type kinesisSource struct {
	service *service
	stream  string // name
	arn     string
	role    string // of the function
	region  string
}

func (k *kinesisSource) name() (string, time.Duration) { return "KinesisBatchInfo", time.Second }

func (k *kinesisSource) shards(ctx context.Context) ([]shard, error) {
	var all []shard
	in := map[string]any{"StreamName": k.stream}
	for {
		var out struct {
			Shards []struct {
				ShardID  string `json:"ShardId"`
				Parent   string `json:"ParentShardId"`
				Adjacent string `json:"AdjacentParentShardId"`
			}
			NextToken string
		}
		if err := k.service.call(ctx, "ListShards", in, &out); err != nil {
			return nil, err
		}
		for _, s := range out.Shards {
			one := shard{id: s.ShardID}
			for _, parent := range []string{s.Parent, s.Adjacent} {
				if parent != "" {
					one.parents = append(one.parents, parent)
				}
			}
			all = append(all, one)
		}
		if out.NextToken == "" {
			return all, nil
		}
		in = map[string]any{"NextToken": out.NextToken}
	}
}

func (k *kinesisSource) iterator(ctx context.Context, shard, position, after string) (string, error) {
	in := map[string]any{"StreamName": k.stream, "ShardId": shard, "ShardIteratorType": position}
	if after != "" {
		in["ShardIteratorType"], in["StartingSequenceNumber"] = "AFTER_SEQUENCE_NUMBER", after
	}
	return iteratorOf(ctx, k.service, in)
}

func iteratorOf(ctx context.Context, s *service, in map[string]any) (string, error) {
	var out struct{ ShardIterator string }
	err := s.call(ctx, "GetShardIterator", in, &out)
	return out.ShardIterator, err
}

func (k *kinesisSource) read(ctx context.Context, shard, iterator string, limit int) ([]record, string, error) {
	var out struct {
		Records []struct {
			Arrival  float64 `json:"ApproximateArrivalTimestamp"`
			Data     string
			Key      string `json:"PartitionKey"`
			Sequence string `json:"SequenceNumber"`
		}
		NextShardIterator string
	}
	if err := k.service.call(ctx, "GetRecords", map[string]any{"ShardIterator": iterator, "Limit": limit}, &out); err != nil {
		return nil, "", expired(err)
	}
	var records []record
	for _, r := range out.Records {
		event, err := json.Marshal(map[string]any{
			"kinesis": map[string]any{
				"kinesisSchemaVersion": "1.0", "partitionKey": r.Key, "sequenceNumber": r.Sequence, "data": r.Data, "approximateArrivalTimestamp": r.Arrival,
			},
			"eventID": shard + ":" + r.Sequence, "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventName": "aws:kinesis:record",
			"invokeIdentityArn": k.role, "awsRegion": k.region, "eventSourceARN": k.arn,
		})
		if err != nil {
			return nil, "", err
		}
		records = append(records, record{sequence: r.Sequence, arrived: seconds(r.Arrival), event: event})
	}
	return records, out.NextShardIterator, nil
}

func seconds(s float64) time.Time { return time.UnixMilli(int64(s * 1000)) }

// expired tells an expired iterator from other errors.
func expired(err error) error {
	var e *serviceError
	if errors.As(err, &e) && strings.HasSuffix(e.Type, "ExpiredIteratorException") {
		return errExpired
	}
	return err
}
