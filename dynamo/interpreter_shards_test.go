package dynamo

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"

	streamtypes "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/cespare/xxhash/v2"
)

const interpARN = "arn:aws:dynamodb:us-east-1:000000000000:table/"

type interpStream struct {
	arn, label string
	table      *interpTable
	made       time.Time
	shards     []*interpShard // in the order they were opened
}

// interpShard takes the records whose hash is in its range, until it is split.
type interpShard struct {
	id, parent string
	low, high  uint64 // inclusive
	records    []interpRecord
	starting   int // the sequence number that opened it
	last       int // of its last record that ever was, or starting
	dropped    int // of the last of its records that were trimmed
	ending     int // 0 while it is open
}

// interpRecord shares its image with the table: a stored item is replaced as a
// whole and never changed.
type interpRecord struct {
	number      int
	name        streamtypes.OperationType
	keys, image interpItem
	size        int
	at          time.Time
}

// sequenceNumber is how a number is written: a decimal of 21 digits without zeros
// in front, so that the order of the texts is the order of the numbers.
func sequenceNumber(n int) string { return fmt.Sprintf("1%020d", n) }

func parseSequenceNumber(s string) (int, error) {
	if len(s) != 21 || s[0] != '1' {
		return 0, invalidCall("Invalid sequence number: %q", s)
	}
	n, err := strconv.Atoi(s[1:])
	if err != nil {
		return 0, invalidCall("Invalid sequence number: %q", s)
	}
	return n, nil
}

// newStream, like all below but split, trim and shardIDs, wants the lock held.
func (i *interpreter) newStream(t *interpTable) *interpStream {
	label := i.clock().UTC().Format("2006-01-02T15:04:05.000")
	s := &interpStream{arn: interpARN + t.name + "/stream/" + label, label: label, table: t, made: i.clock()}
	i.streams[s.arn] = s
	i.open(s, "", 0, math.MaxUint64)
	return s
}

func (i *interpreter) open(s *interpStream, parent string, low, high uint64) *interpShard {
	i.sequence++
	shard := &interpShard{
		id: fmt.Sprintf("shardId-%020d", i.sequence), parent: parent,
		low: low, high: high, starting: i.sequence, last: i.sequence,
	}
	s.shards = append(s.shards, shard)
	return shard
}

// record adds what became of an item to the table's stream. A put that changes
// nothing leaves no record.
func (i *interpreter) record(t *interpTable, k interpKey, old, item interpItem) {
	if t.stream == nil || reflect.DeepEqual(old, item) {
		return
	}
	name := streamtypes.OperationTypeModify
	switch {
	case item == nil:
		name = streamtypes.OperationTypeRemove
	case old == nil:
		name = streamtypes.OperationTypeInsert
	}
	i.sequence++
	r := interpRecord{number: i.sequence, name: name, keys: t.keyItem(k), image: item, at: i.clock().Truncate(time.Second)}
	for _, part := range []interpItem{r.keys, item} {
		_, size, _ := checkIn(part)
		r.size += size
	}
	shard := t.stream.shardOf(i.hashOf(k))
	shard.last = i.sequence
	shard.records = append(shard.records, r)
}

func (i *interpreter) hashOf(k interpKey) uint64 {
	if i.byPartition {
		return xxhash.Sum64String(k.partition)
	}
	return xxhash.Sum64String(strconv.FormatInt(k.sort, 10) + " " + k.partition)
}

// shardOf finds the open shard; the ranges of the open ones are without gaps.
func (s *interpStream) shardOf(hash uint64) *interpShard {
	at := slices.IndexFunc(s.shards, func(shard *interpShard) bool {
		return shard.ending == 0 && shard.low <= hash && hash <= shard.high
	})
	return s.shards[at]
}

// split closes a shard and opens two in its place, or panics if it is not open.
func (i *interpreter) split(shardID string) (left, right string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, s := range i.streams {
		parent := s.shard(shardID)
		if parent == nil || parent.ending != 0 {
			continue
		}
		i.sequence++
		parent.ending = i.sequence
		middle := parent.low + (parent.high-parent.low)/2
		return i.open(s, parent.id, parent.low, middle).id, i.open(s, parent.id, middle+1, parent.high).id
	}
	panic("no open shard " + shardID)
}

func (s *interpStream) shard(id string) *interpShard {
	for _, shard := range s.shards {
		if shard.id == id {
			return shard
		}
	}
	return nil
}

// openShards are the ids of a table's open shards, in the order they were opened.
func (i *interpreter) openShards(table string) []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var ids []string
	for _, shard := range i.tables[table].stream.shards {
		if shard.ending == 0 {
			ids = append(ids, shard.id)
		}
	}
	return ids
}

// nextSequence is the number of the record that comes next: trimming before it
// drops everything.
func (i *interpreter) nextSequence() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.sequence + 1
}

// trim drops the records of all streams below a sequence number, as their age does
// after 24 hours.
func (i *interpreter) trim(before int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.trimmed = max(i.trimmed, before)
	for _, s := range i.streams {
		for _, shard := range s.shards {
			for len(shard.records) > 0 && shard.records[0].number < i.trimmed {
				shard.dropped = shard.records[0].number
				shard.records = shard.records[1:]
			}
		}
	}
}

// gone says whether a shard is no longer described: it is closed, and what it held
// is trimmed.
func (i *interpreter) gone(shard *interpShard) bool {
	return shard.ending != 0 && len(shard.records) == 0 && shard.last < i.trimmed
}
