package dynamo

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streamtypes "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

func sortedNames(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

func sortedTexts(s []string) []string {
	slices.Sort(s)
	return s
}

func things(p string, n int) []interpItem {
	out := make([]interpItem, n)
	for s := range out {
		out[s] = thing(p, s)
	}
	return out
}

var batchCases = []contractCase{
	{"a batch gets what is there", func(w *world) {
		w.create(contractTable, false)
		w.put(thing("a", 1, "body", strings.Repeat("x", 5000)))
		w.put(thing("a", 2, "body", "x"))
		w.put(thing("b", 1, "body", "x"))
		w.batchGet(true, thing("a", 1), thing("a", 2), thing("b", 1))
		w.batchGet(false, thing("a", 1), thing("a", 2), thing("b", 1))
		w.batchGet(true, thing("c", 1))
		w.batchGet(false, thing("c", 1), thing("a", 1))
	}},
	{"a batch gets at most 100 keys, each once", func(w *world) {
		w.create(contractTable, false)
		w.put(thing("a", 99))
		w.batchGet(true, things("a", 100)...)
		w.batchGet(true, things("a", 101)...)
		w.batchGet(true, thing("a", 99), thing("b", 1), thing("a", 99))
	}},
	{"a batch writes puts and deletes", func(w *world) {
		w.create(contractTable, false)
		w.put(thing("a", 1, "body", strings.Repeat("x", 2000)))
		w.batchWrite(append(putting(thing("a", 2, "body", "x"), thing("b", 1, "body", strings.Repeat("x", 1100))), deleting(thing("a", 1), thing("c", 1))...)...)
		w.batchWrite(putting(thing("b", 1))...)
		w.say("%v", w.scan())
		w.batchWrite(deleting(thing("b", 1), thing("a", 2))...)
		w.say("%v", w.scan())
	}},
	{"a batch writes at most 25 items, each once, or nothing at all", func(w *world) {
		w.create(contractTable, false)
		w.batchWrite(putting(things("a", 25)...)...)
		w.batchWrite(putting(things("b", 26)...)...)
		w.batchWrite(putting(thing("b", 1), thing("b", 2), thing("b", 1))...)
		w.batchWrite(append(putting(thing("b", 1)), deleting(thing("b", 1))...)...)
		w.batchWrite(putting(thing("b", 1), thing("", 1))...)
		w.batchWrite()
		w.say("%v", w.scan())
	}},
}

// arn is of the stream of the contract's table.
func (w *world) arn() *string {
	w.t.Helper()
	out, err := w.db.DescribeTable(w.t.Context(), &dynamodb.DescribeTableInput{TableName: aws.String(contractTable)})
	if err != nil {
		w.t.Fatal(err)
	}
	return out.Table.LatestStreamArn
}

func (w *world) shardIDs() []string {
	w.t.Helper()
	out, err := w.shards.DescribeStream(w.t.Context(), &dynamodbstreams.DescribeStreamInput{StreamArn: w.arn()})
	if err != nil {
		w.t.Fatal(err)
	}
	var ids []string
	for _, shard := range out.StreamDescription.Shards {
		ids = append(ids, aws.ToString(shard.ShardId))
	}
	return ids
}

// iterator says the code of an error, and nothing otherwise.
func (w *world) iterator(shard string, kind streamtypes.ShardIteratorType, sequence *string) *string {
	w.t.Helper()
	out, err := w.shards.GetShardIterator(w.t.Context(), &dynamodbstreams.GetShardIteratorInput{
		StreamArn: w.arn(), ShardId: &shard, ShardIteratorType: kind, SequenceNumber: sequence,
	})
	if err != nil {
		w.say("iterator: %s", renderError(err))
		return nil
	}
	return out.ShardIterator
}

// records reads from an iterator until it gets nothing.
func (w *world) records(iterator *string, limit *int32) (all []streamtypes.Record, next *string) {
	w.t.Helper()
	for iterator != nil {
		out, err := w.shards.GetRecords(w.t.Context(), &dynamodbstreams.GetRecordsInput{ShardIterator: iterator, Limit: limit})
		if err != nil {
			w.say("records: %s", renderError(err))
			return all, nil
		}
		if limit != nil && len(out.Records) > int(*limit) {
			w.say("%d records", len(out.Records))
		}
		iterator = out.NextShardIterator
		if len(out.Records) == 0 {
			break
		}
		all = append(all, out.Records...)
	}
	return all, iterator
}

func renderRecord(r streamtypes.Record) string {
	d := r.Dynamodb
	return fmt.Sprintf("%s %s → %s, %s, %v", r.EventName, renderStreamItem(d.Keys), renderStreamItem(d.NewImage), d.StreamViewType, d.OldImage != nil)
}

func renderStreamItem(item map[string]streamtypes.AttributeValue) string {
	if item == nil {
		return "none"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(item)) {
		switch v := item[name].(type) {
		case *streamtypes.AttributeValueMemberS:
			parts = append(parts, name+":S"+shortened(v.Value))
		case *streamtypes.AttributeValueMemberN:
			parts = append(parts, name+":N"+v.Value)
		case *streamtypes.AttributeValueMemberB:
			parts = append(parts, name+":B"+shortened(string(v.Value)))
		case *streamtypes.AttributeValueMemberL:
			parts = append(parts, fmt.Sprintf("%s:L%d", name, len(v.Value)))
		default:
			parts = append(parts, fmt.Sprintf("%s:%T", name, v))
		}
	}
	return "{" + strings.Join(parts, " ") + "}"
}

// sayStream says every record of the table, by item, in their order.
func (w *world) sayStream(limit *int32) {
	w.t.Helper()
	byItem := map[string][]string{}
	for _, shard := range w.shardIDs() {
		all, _ := w.records(w.iterator(shard, streamtypes.ShardIteratorTypeTrimHorizon, nil), limit)
		for _, r := range all {
			key := renderStreamItem(r.Dynamodb.Keys)
			byItem[key] = append(byItem[key], renderRecord(r))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(byItem)) {
		w.said = append(w.said, byItem[key]...)
	}
}

var streamCases = []contractCase{
	{"puts, overwrites and deletes are in the stream with the new image", func(w *world) {
		w.create(contractTable, true)
		w.sayStream(nil)
		w.put(thing("a", 1, "body", "first", "binary", []byte{1, 2}, "list", []any{1, "2"}))
		w.put(thing("a", 1, "body", "second"))
		w.put(thing("b", 1), ifAbsent)
		w.put(thing("b", 1, "body", "never"), ifAbsent)
		w.batchWrite(append(deleting(thing("a", 1), thing("c", 1)), putting(thing("d", 1))...)...)
		w.put(thing("a", 1, "body", "again"))
		w.sayStream(nil)
		w.sayStream(aws.Int32(1))
	}},
	{"the records of an item are in order", func(w *world) {
		w.create(contractTable, true)
		for n := range 60 {
			w.put(thing(fmt.Sprint("p", n%3), n%5, "n", n))
		}
		w.sayStream(aws.Int32(7))
	}},
	{"iterators start where they are told to", func(w *world) {
		w.create(contractTable, true)
		ids := w.shardIDs()
		w.say("%d shards", len(ids))
		for n := range 5 {
			w.put(thing("a", n))
		}
		latest := w.iterator(ids[0], streamtypes.ShardIteratorTypeLatest, nil)
		all, next := w.records(w.iterator(ids[0], streamtypes.ShardIteratorTypeTrimHorizon, nil), nil)
		for n := range all {
			for _, kind := range []streamtypes.ShardIteratorType{streamtypes.ShardIteratorTypeAtSequenceNumber, streamtypes.ShardIteratorTypeAfterSequenceNumber} {
				rest, _ := w.records(w.iterator(ids[0], kind, all[n].Dynamodb.SequenceNumber), nil)
				w.sayRecords(fmt.Sprint(kind, " ", n), rest)
			}
		}
		w.put(thing("a", 5))
		w.put(thing("a", 6))
		for k, iterator := range []*string{latest, next} {
			rest, _ := w.records(iterator, nil)
			w.sayRecords(fmt.Sprint("iterator ", k), rest)
		}
	}},
	{"a stream that is not there is not found", func(w *world) {
		w.create(contractTable, true)
		missing := strings.Replace(*w.arn(), contractTable, "nothing", 1)
		_, err := w.shards.DescribeStream(w.t.Context(), &dynamodbstreams.DescribeStreamInput{StreamArn: &missing})
		w.say("%s", renderError(err))
	}},
}

func (w *world) sayRecords(name string, records []streamtypes.Record) {
	for _, r := range records {
		w.say("%s: %s", name, renderRecord(r))
	}
}

var randomCases = []contractCase{
	{"random calls on a few keys", func(w *world) {
		w.t.Logf("-contract-seed %d", *contractSeed)
		random := rand.New(rand.NewPCG(*contractSeed, 0))
		w.create(contractTable, true)
		for n := range 300 {
			w.randomCall(random, n)
		}
		w.say("%v", w.scan())
		w.sayStream(nil)
	}},
}

func randomKey(random *rand.Rand) interpItem {
	return thing(string(rune('a'+random.IntN(3))), random.IntN(8)-4)
}

// randomThing has a body that no other has, so that no put changes nothing.
func randomThing(random *rand.Rand, n int) interpItem {
	item := randomKey(random)
	item["n"] = valueOf(n)
	item["body"] = valueOf(strings.Repeat("x", random.IntN(6000)))
	return item
}

func (w *world) randomCall(random *rand.Rand, n int) {
	switch random.IntN(6) {
	case 0:
		w.put(randomThing(random, n))
	case 1:
		w.put(randomThing(random, n), ifAbsent)
	case 2:
		w.get(randomKey(random))
	case 3:
		from := random.IntN(8) - 4
		changes := []func(*dynamodb.QueryInput){withLimit(1 + random.Int32N(5))}
		if random.IntN(2) == 0 {
			changes = append(changes, readBackward)
		}
		w.query(string(rune('a'+random.IntN(4))), from, from+random.IntN(6), changes...)
	case 4:
		w.batchGet(random.IntN(2) == 0, randomKey(random), randomKey(random), randomKey(random))
	case 5:
		w.batchWrite(append(putting(randomThing(random, n)), deleting(randomKey(random), randomKey(random))...)...)
	}
}
