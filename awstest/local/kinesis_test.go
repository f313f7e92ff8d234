package local_test

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// createStream makes a stream and waits until it can be used.
func createStream(t *testing.T, c *kinesis.Client, name string, shards int32) {
	t.Helper()
	if _, err := c.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: &name, ShardCount: &shards}); err != nil {
		t.Fatal(err)
	}
	untilActive(t, c, name)
}

func untilActive(t *testing.T, c *kinesis.Client, name string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		out, err := c.DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: &name})
		if err != nil {
			t.Fatal(err)
		}
		if out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is %s", name, out.StreamDescriptionSummary.StreamStatus)
		}
	}
}

func shards(t *testing.T, c *kinesis.Client, name string) []types.Shard {
	t.Helper()
	out, err := c.ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return out.Shards
}

// read returns what a shard holds from an iterator on, and the next iterator.
func read(t *testing.T, c *kinesis.Client, in kinesis.GetShardIteratorInput) ([]types.Record, *string) {
	t.Helper()
	it, err := c.GetShardIterator(t.Context(), &in)
	if err != nil {
		t.Fatal(err)
	}
	var all []types.Record
	next := it.ShardIterator
	for {
		out, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: next})
		if err != nil {
			t.Fatal(err)
		}
		if out.MillisBehindLatest == nil {
			t.Fatal("no MillisBehindLatest")
		}
		all, next = append(all, out.Records...), out.NextShardIterator
		if next == nil || len(out.Records) == 0 {
			return all, next
		}
	}
}

func texts(records []types.Record) string {
	var all []string
	for _, r := range records {
		all = append(all, string(r.Data))
	}
	return strings.Join(all, " ")
}

func number(t *testing.T, s *string) *big.Int {
	t.Helper()
	n, ok := new(big.Int).SetString(aws.ToString(s), 10)
	if !ok {
		t.Fatalf("sequence number %q", aws.ToString(s))
	}
	return n
}

func put(t *testing.T, c *kinesis.Client, name string, texts ...string) []types.PutRecordsResultEntry {
	t.Helper()
	in := &kinesis.PutRecordsInput{StreamName: &name}
	for _, s := range texts {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: []byte(s), PartitionKey: aws.String(s)})
	}
	out, err := c.PutRecords(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToInt32(out.FailedRecordCount) != 0 {
		t.Fatalf("%d records failed", *out.FailedRecordCount)
	}
	return out.Records
}

func TestKinesisKeepsTheOrderOfAShard(t *testing.T) {
	t.Parallel()
	c, name := kinesisClient(t), "s"
	createStream(t, c, name, 1)
	var want []string
	for batch := range 3 {
		var texts []string
		for n := range 100 {
			texts = append(texts, fmt.Sprintf("%d.%d", batch, n))
		}
		put(t, c, name, texts...)
		want = append(want, texts...)
	}
	records, next := read(t, c, kinesis.GetShardIteratorInput{
		StreamName: &name, ShardId: shards(t, c, name)[0].ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
	})
	if texts(records) != strings.Join(want, " ") {
		t.Fatalf("got %s", texts(records))
	}
	if next == nil {
		t.Fatal("an open shard goes on")
	}
	for i := 1; i < len(records); i++ {
		if number(t, records[i-1].SequenceNumber).Cmp(number(t, records[i].SequenceNumber)) >= 0 {
			t.Fatalf("sequence numbers don't rise at %d", i)
		}
	}
}

func TestKinesisIterators(t *testing.T) {
	t.Parallel()
	c, name := kinesisClient(t), "s"
	createStream(t, c, name, 1)
	shard := shards(t, c, name)[0].ShardId
	before, _ := c.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{StreamName: &name, ShardId: shard, ShardIteratorType: types.ShardIteratorTypeLatest})
	put(t, c, name, "a", "b", "c")
	records, _ := read(t, c, kinesis.GetShardIteratorInput{StreamName: &name, ShardId: shard, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	for _, test := range []struct {
		in   kinesis.GetShardIteratorInput
		want string
	}{
		{kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeTrimHorizon}, "a b c"},
		{kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeLatest}, ""},
		{kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtSequenceNumber, StartingSequenceNumber: records[1].SequenceNumber}, "b c"},
		{kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAfterSequenceNumber, StartingSequenceNumber: records[1].SequenceNumber}, "c"},
		{kinesis.GetShardIteratorInput{ShardIteratorType: types.ShardIteratorTypeAtTimestamp, Timestamp: aws.Time(time.Now().Add(-time.Hour))}, "a b c"},
	} {
		test.in.StreamName, test.in.ShardId = &name, shard
		if got, _ := read(t, c, test.in); texts(got) != test.want {
			t.Errorf("%s: got %q, want %q", test.in.ShardIteratorType, texts(got), test.want)
		}
	}
	out, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: before.ShardIterator})
	if err != nil || texts(out.Records) != "a b c" {
		t.Errorf("an iterator of LATEST taken before the records: got %q, %v", texts(out.Records), err)
	}
	var missing *types.ResourceNotFoundException
	if _, err := c.GetShardIterator(t.Context(), &kinesis.GetShardIteratorInput{
		StreamName: aws.String("none"), ShardId: shard, ShardIteratorType: types.ShardIteratorTypeLatest,
	}); !errors.As(err, &missing) {
		t.Errorf("an unknown stream: %v", err)
	}
}

// Children name their parents, take over their keys and begin where they end.
func TestKinesisReshards(t *testing.T) {
	t.Parallel()
	c, name := kinesisClient(t), "s"
	createStream(t, c, name, 1)
	parent := shards(t, c, name)[0]
	put(t, c, name, "a", "b")
	if _, err := c.SplitShard(t.Context(), &kinesis.SplitShardInput{
		StreamName: &name, ShardToSplit: parent.ShardId, NewStartingHashKey: aws.String("170141183460469231731687303715884105728"),
	}); err != nil {
		t.Fatal(err)
	}
	untilActive(t, c, name)
	all := shards(t, c, name)
	if len(all) != 3 || all[0].SequenceNumberRange.EndingSequenceNumber == nil ||
		aws.ToString(all[1].ParentShardId) != *parent.ShardId || aws.ToString(all[2].ParentShardId) != *parent.ShardId {
		t.Fatalf("after the split: %+v", all)
	}
	put(t, c, name, "c", "d", "e", "f")
	old, next := read(t, c, kinesis.GetShardIteratorInput{StreamName: &name, ShardId: parent.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
	if texts(old) != "a b" || next != nil {
		t.Fatalf("the parent holds %q and goes on with %v", texts(old), next)
	}
	if _, err := c.MergeShards(t.Context(), &kinesis.MergeShardsInput{
		StreamName: &name, ShardToMerge: all[1].ShardId, AdjacentShardToMerge: all[2].ShardId,
	}); err != nil {
		t.Fatal(err)
	}
	untilActive(t, c, name)
	merged := shards(t, c, name)
	if len(merged) != 4 || aws.ToString(merged[3].ParentShardId) != *all[1].ShardId || aws.ToString(merged[3].AdjacentParentShardId) != *all[2].ShardId {
		t.Fatalf("after the merge: %+v", merged)
	}
	var held int
	for _, shard := range merged[1:3] {
		records, next := read(t, c, kinesis.GetShardIteratorInput{StreamName: &name, ShardId: shard.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon})
		if next != nil {
			t.Errorf("shard %s is closed and goes on", *shard.ShardId)
		}
		held += len(records)
	}
	if held != 4 {
		t.Fatalf("the two shards between hold %d records", held)
	}
}

func TestKinesisRefusesWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	c, name := kinesisClient(t), "s"
	createStream(t, c, name, 1)
	in := &kinesis.PutRecordsInput{StreamName: &name}
	for range 501 {
		in.Records = append(in.Records, types.PutRecordsRequestEntry{Data: []byte("x"), PartitionKey: aws.String("k")})
	}
	if _, err := c.PutRecords(t.Context(), in); err == nil {
		t.Error("501 records in one call were taken")
	}
	large := make([]byte, 11<<20)
	if _, err := c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: &name, Data: large, PartitionKey: aws.String("k")}); err == nil {
		t.Error("a record of 11 MiB was taken")
	}
	if _, err := c.GetRecords(t.Context(), &kinesis.GetRecordsInput{ShardIterator: aws.String("AAAA")}); err == nil {
		t.Error("a bad iterator was taken")
	}
}
