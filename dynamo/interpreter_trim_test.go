package dynamo

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streamtypes "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

func TestInterpreterSplitsShards(t *testing.T) {
	i := newInterpreter()
	w := worldOf(t, i)
	first := i.openShards(contractTable)[0]
	putMany := func(n int) {
		for s := range 20 {
			w.put(thing(fmt.Sprint("p", s%4), s, "n", n))
		}
	}
	putMany(1)
	left, right := i.split(first)
	putMany(2)
	i.split(left)
	putMany(3)
	if got := w.shardIDs(); len(got) != 5 || got[1] != left || got[2] != right || len(i.openShards(contractTable)) != 3 {
		t.Fatalf("shards %v", got)
	}
	out, err := i.DescribeStream(t.Context(), &dynamodbstreams.DescribeStreamInput{StreamArn: w.arn(), Limit: aws.Int32(2), ExclusiveStartShardId: &first})
	if err != nil {
		t.Fatal(err)
	}
	d := out.StreamDescription
	if len(d.Shards) != 2 || *d.Shards[0].ParentShardId != first || d.Shards[0].SequenceNumberRange.EndingSequenceNumber == nil ||
		d.Shards[1].SequenceNumberRange.EndingSequenceNumber != nil || *d.LastEvaluatedShardId != right {
		t.Fatalf("got %+v", d)
	}
	seen := map[string]int{} // shards come with parents first, so every item's puts are in order
	total := 0
	for _, id := range w.shardIDs() {
		all, next := w.records(w.iterator(id, streamtypes.ShardIteratorTypeTrimHorizon, nil), aws.Int32(3))
		if closed := id == first || id == left; closed != (next == nil) {
			t.Fatalf("shard %s ends with iterator %v", id, next)
		}
		for _, r := range all {
			key := renderStreamItem(r.Dynamodb.Keys)
			if seen[key]++; r.Dynamodb.NewImage["n"].(*streamtypes.AttributeValueMemberN).Value != fmt.Sprint(seen[key]) {
				t.Fatalf("record %d of %s is %s", seen[key], key, renderRecord(r))
			}
			total++
		}
	}
	if total != 60 {
		t.Fatalf("%d records", total)
	}
}

func TestInterpreterSpreadsAPartitionOverShardsUnlessTold(t *testing.T) {
	for _, byPartition := range []bool{false, true} {
		i := newInterpreter()
		i.byPartition = byPartition
		w := worldOf(t, i)
		left, right := i.split(i.openShards(contractTable)[0])
		for s := range 20 {
			w.put(thing("a", s))
		}
		l, _ := w.records(w.iterator(left, streamtypes.ShardIteratorTypeTrimHorizon, nil), nil)
		r, _ := w.records(w.iterator(right, streamtypes.ShardIteratorTypeTrimHorizon, nil), nil)
		if together := len(l) == 0 || len(r) == 0; together != byPartition || len(l)+len(r) != 20 {
			t.Fatalf("by partition %v: %d and %d records", byPartition, len(l), len(r))
		}
	}
}

func TestInterpreterTrims(t *testing.T) {
	i := newInterpreter()
	w := worldOf(t, i)
	shard := i.openShards(contractTable)[0]
	for s := range 4 {
		w.put(thing("a", s))
	}
	early := w.iterator(shard, streamtypes.ShardIteratorTypeTrimHorizon, nil)
	all, caughtUp := w.records(early, nil)
	numbers := make([]*string, len(all))
	for k := range all {
		numbers[k] = all[k].Dynamodb.SequenceNumber
		if len(*numbers[k]) < 21 {
			t.Fatalf("sequence number %s", *numbers[k])
		}
	}
	third, err := parseSequenceNumber(*numbers[2])
	if err != nil {
		t.Fatal(err)
	}
	i.trim(third)
	w.said = nil
	w.records(early, nil)
	w.iterator(shard, streamtypes.ShardIteratorTypeAfterSequenceNumber, numbers[1])
	w.wantSaid("records: TrimmedDataAccessException", "iterator: TrimmedDataAccessException")
	for kind, want := range map[streamtypes.ShardIteratorType]int{"TRIM_HORIZON": 2, "LATEST": 0} {
		if rest, _ := w.records(w.iterator(shard, kind, nil), nil); len(rest) != want {
			t.Fatalf("%s: %d records", kind, len(rest))
		}
	}
	if rest, _ := w.records(w.iterator(shard, streamtypes.ShardIteratorTypeAfterSequenceNumber, numbers[2]), nil); len(rest) != 1 {
		t.Fatalf("%d records", len(rest))
	}
	i.split(shard)
	i.trim(i.nextSequence())
	w.iterator(shard, streamtypes.ShardIteratorTypeTrimHorizon, nil)
	w.records(caughtUp, nil)
	w.wantSaid("iterator: ResourceNotFoundException", "records: ResourceNotFoundException")
	if ids := strings.Join(w.shardIDs(), " "); strings.Contains(ids, shard) || len(w.shardIDs()) != 2 {
		t.Fatalf("shards %s", ids)
	}
}

func TestInterpreterRecordsNoPutThatChangesNothing(t *testing.T) {
	i := newInterpreter()
	w := worldOf(t, i)
	for range 3 {
		w.put(thing("a", 1, "body", []any{"x", 1}))
	}
	if all, _ := w.records(w.iterator(i.openShards(contractTable)[0], streamtypes.ShardIteratorTypeTrimHorizon, nil), nil); len(all) != 1 {
		t.Fatalf("%d records", len(all))
	}
}
