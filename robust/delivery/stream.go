package delivery

import (
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
)

// A shard is a part of a Stream: the partitions whose hashes it holds.
type shard struct {
	id       string
	from, to uint32 // hashes, both included
	records  []record
	next     int // the checkpoint
	most     int // what a batch may hold after it was halved; 0 for any number
	closed   bool
	parents  []*shard
}

type record struct {
	sequence, partition, data string
}

func (s *shard) drained() bool { return s.closed && s.next == len(s.records) }

// A Stream is a data stream of Kinesis, with what Lambda does to hand its records to a
// function.
type Stream struct {
	ARN    string
	Random *rand.Rand
	Odds   Odds

	shards []*shard
	put    int64
}

// NewStream makes a stream of one shard.
func NewStream(arn string, random *rand.Rand, odds Odds) *Stream {
	s := &Stream{ARN: arn, Random: random, Odds: odds, put: 90} // so that sequence numbers grow in length
	s.add(0, math.MaxUint32)
	return s
}

func (s *Stream) add(from, to uint32, parents ...*shard) {
	s.shards = append(s.shards, &shard{id: fmt.Sprintf("shardId-%012d", len(s.shards)), from: from, to: to, parents: parents})
}

// open are the shards that take records, by their hashes.
func (s *Stream) open() (open []*shard) {
	for _, of := range s.shards {
		if !of.closed {
			open = append(open, of)
		}
	}
	slices.SortFunc(open, func(a, b *shard) int { return int(a.from>>1) - int(b.from>>1) })
	return open
}

// Put adds a record and returns its id, shard:sequence.
func (s *Stream) Put(partition, data string) (id string) {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(partition)) // never fails
	for _, of := range s.open() {
		if sum := hash.Sum32(); of.from <= sum && sum <= of.to {
			s.put++
			sequence := strconv.FormatInt(s.put, 10)
			of.records = append(of.records, record{sequence, partition, data})
			return of.id + ":" + sequence
		}
	}
	panic("delivery: the open shards do not hold all hashes")
}

// Reshard splits an open shard into two, or merges two neighbours.
func (s *Stream) Reshard() {
	open := s.open()
	if i := s.Random.IntN(len(open)); i+1 < len(open) && s.Random.IntN(2) == 0 {
		a, b := open[i], open[i+1]
		a.closed, b.closed = true, true
		s.add(a.from, b.to, a, b)
		return
	}
	of := open[s.Random.IntN(len(open))]
	if middle := of.from + (of.to-of.from)/2; middle < of.to {
		of.closed = true
		s.add(of.from, middle, of)
		s.add(middle+1, of.to, of)
	}
}

// readable are the shards with records that may be delivered: all of their parents are
// at their end.
func (s *Stream) readable() (all []*shard) {
	for _, of := range s.shards {
		if of.next < len(of.records) && !slices.ContainsFunc(of.parents, func(p *shard) bool { return !p.ended() }) {
			all = append(all, of)
		}
	}
	return all
}

// ended reports that nothing of the shard or of those before it is left.
func (s *shard) ended() bool {
	return s.drained() && !slices.ContainsFunc(s.parents, func(p *shard) bool { return !p.ended() })
}

// Waiting reports whether records are to be delivered.
func (s *Stream) Waiting() bool { return len(s.readable()) > 0 }

// Deliver hands a batch of up to most records of one shard to a function. An error says
// that the function's answer is none that Lambda takes; that the function fails is none.
func (s *Stream) Deliver(most int, invoke Invoke) error {
	ready := s.readable()
	if len(ready) == 0 {
		return nil
	}
	of := ready[s.Random.IntN(len(ready))]
	n := min(len(of.records)-of.next, 1+s.Random.IntN(most))
	if of.most > 0 {
		n = min(n, of.most)
	}
	batch := of.records[of.next : of.next+n]
	var records []map[string]any
	for _, r := range batch {
		records = append(records, s.record(of, r))
	}
	text := payload(records)
	if s.Odds.happens(s.Random, s.Odds.Twice) {
		_, _ = invoke(text) // its answer is lost, so that its batch is handed over again
	}
	answer, err := invoke(text)
	if err != nil {
		of.most = max(1, n/2)
		return nil
	}
	failed, err := failures(answer)
	if err != nil {
		return err
	}
	of.most = 0
	if s.Odds.happens(s.Random, s.Odds.Again) {
		return nil // the checkpoint is lost
	}
	next := n
	for _, sequence := range failed {
		i := slices.IndexFunc(batch, func(r record) bool { return r.sequence == sequence })
		if i < 0 {
			return fmt.Errorf("delivery: the answer names the sequence number %s, which was not in the batch: all of it would fail", sequence)
		}
		next = min(next, i) // Lambda goes on from the lowest
	}
	of.next += next
	return nil
}

func (s *Stream) record(of *shard, r record) map[string]any {
	return map[string]any{
		"eventID": of.id + ":" + r.sequence, "eventName": "aws:kinesis:record", "eventVersion": "1.0", "eventSource": "aws:kinesis", "eventSourceARN": s.ARN, "awsRegion": "us-east-1",
		"kinesis": map[string]any{
			"partitionKey": r.partition, "sequenceNumber": r.sequence, "data": base64.StdEncoding.EncodeToString([]byte(r.data)),
			"approximateArrivalTimestamp": 1588363200.5, "kinesisSchemaVersion": "1.0",
		},
	}
}
