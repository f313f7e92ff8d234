package kinesis

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/playback"
)

// ReaderOptions changes how a Reader works; nil means the defaults.
type ReaderOptions struct {
	// Since leaves out what arrived before it; zero begins with the oldest record
	// that the stream keeps.
	Since time.Time
	// Latest begins with what arrives from now on. Since is without meaning then.
	Latest bool
	// Follow goes on with new records. Without it a read ends when no shard had
	// anything more.
	Follow bool
	// Limit is the most records that a call asks a shard for; 1,000 by default, and
	// at most 10,000.
	Limit int32
	// Clock is time.Now by default.
	Clock func() time.Time
	// Sleep pauses for d or until ctx ends.
	Sleep func(ctx context.Context, d time.Duration)
}

// A Reader reads a Kinesis stream, all shards in turn. It suits subscribers that keep
// up with a few shards: a shard gives at most 2 MiB a second to all who poll it. It
// needs the rights to ListShards, GetShardIterator and GetRecords. It is safe for
// concurrent use; each read is one of its own.
type Reader struct {
	client *sdk.Client
	stream string
	opts   ReaderOptions
}

// NewReader makes a Reader of a Kinesis stream. It asks nothing before the first read.
func NewReader(client *sdk.Client, stream string, opts *ReaderOptions) *Reader {
	r := &Reader{client: client, stream: stream}
	if opts != nil {
		r.opts = *opts
	}
	if r.opts.Limit <= 0 {
		r.opts.Limit = 1000
	}
	if r.opts.Clock == nil {
		r.opts.Clock = time.Now
	}
	if r.opts.Sleep == nil {
		r.opts.Sleep = consumer.Sleep
	}
	return r
}

// Kinesis answers five reads of a shard a second, to all of its readers together.
const (
	pauseBehind = 250 * time.Millisecond
	pauseIdle   = time.Second
)

// Records yields the records, those of each shard in order, and those of a shard that
// was split or merged before those of the shards that came of it: so the records of one
// key are in order. Whoever takes the records slowly is given some again only where
// Latest is set and a shard has had none yet. A record that can't be decoded has Err.
//
// The sequence ends after its first error: that of ctx, annals.ErrNotFound, or another
// of Kinesis, which is asked again some times before.
func (r *Reader) Records(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		run := &reading{Reader: r, began: r.opts.Clock(), shards: map[string]*shard{}}
		if err := run.list(ctx); err != nil {
			yield(Record{}, err)
			return
		}
		for {
			ended, pause, err := run.round(ctx, func(record Record) bool { return yield(record, nil) })
			if err == nil && !ended {
				r.opts.Sleep(ctx, pause)
				err = ctx.Err()
			}
			if err != nil && !errors.Is(err, errEnough) {
				yield(Record{}, err)
			}
			if err != nil || ended {
				return
			}
		}
	}
}

// errEnough says that the caller wants no more.
var errEnough = errors.New("enough was read")

// Playback yields the events of the playback called id, or of all with an empty id,
// each once, and those of one stream in order. Events that belong to no playback are
// left out with an id, and passed on as they come without one. It keeps a number for
// each stream that it meets.
//
// An error that is a *RecordError is about one record, and the sequence goes on behind
// it; any other ends it, as Records says.
func (r *Reader) Playback(ctx context.Context, id string) iter.Seq2[annals.Event, error] {
	type part struct{ playback, stream string }
	return func(yield func(annals.Event, error) bool) {
		seen := map[part]int64{}
		for record, err := range r.Records(ctx) {
			if err == nil {
				err = record.Err
			}
			if err != nil && !yield(annals.Event{}, err) {
				return
			}
			for _, e := range record.Events {
				by := e.Attributes[playback.AttributeID]
				stream, version, err := annals.ParseCausation(e.Attributes[playback.AttributeOf])
				marked := by != "" && err == nil
				if id != "" && (by != id || !marked) {
					continue
				}
				if marked {
					// Whoever sends a version has sent all below it before.
					if version <= seen[part{by, stream}] {
						continue
					}
					seen[part{by, stream}] = version
				}
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// A reading is one read of all shards.
type reading struct {
	*Reader
	began  time.Time
	shards map[string]*shard
	order  []*shard // as Kinesis lists them: parents before children
}

// maxErrors is how many answers of a shard in a row may fail.
const maxErrors = 30

// round asks each shard that may be read once. It reports whether the read has ended,
// and how long to wait before the next round.
func (r *reading) round(ctx context.Context, each func(Record) bool) (ended bool, pause time.Duration, err error) {
	closed, idle, failed := false, true, false
	for _, s := range r.order {
		if s.done || !r.parentsDone(s) {
			idle = idle && s.done
			continue
		}
		out, err := r.get(ctx, s)
		if err != nil {
			if err = r.bear(ctx, s, err); err != nil {
				return false, 0, err
			}
			idle, failed = false, true
			continue
		}
		s.errors = 0
		for i := range out.Records {
			s.last = aws.ToString(out.Records[i].SequenceNumber)
			if !each(r.record(s, &out.Records[i])) {
				return false, 0, errEnough
			}
		}
		s.iterator = out.NextShardIterator
		if s.iterator == nil {
			s.done, closed = true, true
		}
		idle = idle && len(out.Records) == 0 && aws.ToInt64(out.MillisBehindLatest) == 0
	}
	if closed || r.childless() {
		if err := r.list(ctx); err != nil {
			return false, 0, err
		}
		return false, pauseBehind, nil
	}
	if idle || failed {
		return idle && !r.opts.Follow, pauseIdle, nil
	}
	return false, pauseBehind, nil
}

// bear decides whether to ask again after an error.
func (r *reading) bear(ctx context.Context, s *shard, err error) error {
	if s.errors++; ctx.Err() == nil && s.errors < maxErrors && (!refused(err) || throttled(err) || expired(err)) {
		return nil
	}
	return fmt.Errorf("reading the Kinesis stream %s: %w", r.stream, explained(r.stream, err))
}

func (r *reading) record(s *shard, from *types.Record) Record {
	record := Record{
		Shard: s.id, Sequence: aws.ToString(from.SequenceNumber), Key: aws.ToString(from.PartitionKey),
		Arrived: aws.ToTime(from.ApproximateArrivalTimestamp), Data: from.Data,
	}
	var err error
	if record.Events, err = Decode(from.Data); err != nil {
		record.Err = &RecordError{r.stream, s.id, record.Sequence, err}
	}
	return record
}
