package dynamo

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streams "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"github.com/eb901187/annals"
)

// A Worker reads the stream of the events table and sequences what it brings.
// Any number of workers may run; a second one costs requests and no more. A
// Worker is for one goroutine.
type Worker struct {
	calls  *calls
	reader shardReader
	poll   time.Duration
	seq    *Sequencer

	stream  string    // its ARN
	created time.Time // of the table, if its stream is as old
	shards  map[string]*shard
	order   []string // of shards, as the stream lists them
	listed  time.Time
	lost    bool // records may have been dropped before they were read
	behind  int  // steps since then
	ended   bool // the stream was switched off
	full    bool // the last step brought as much as it could
}

// A shard is a part of the table's stream.
type shard struct {
	id, parent string
	iterator   *string
	after      string // sequence number of the last record that is sequenced
	// caught is a time up to which the shard's changes are surely sequenced. It
	// counts only where there is no sequence number, which proves more.
	caught time.Time
	empty  int // reads in a row that brought nothing
	saved  time.Time
	dirty  bool
	done   bool
}

// NewWorker makes a Worker of the driver's store.
func NewWorker(d *Driver) *Worker {
	return newWorker(d.calls, d.shards, d.poll)
}

func newWorker(c *calls, reader shardReader, poll time.Duration) *Worker {
	return &Worker{calls: c, reader: reader, poll: poll, seq: newSequencer(c), shards: map[string]*shard{}}
}

// How often the list of shards is read, and how often a shard's place is saved:
// what was read since is read again after a crash, and dropped.
const (
	listEvery = 30 * time.Second
	saveEvery = 10 * time.Second
	saveLife  = 48 * time.Hour // twice what a stream keeps
	// Places of quiet shards are saved too, so that they stay.
	saveQuiet = time.Hour
	// A stream keeps 24 hours; clocks may differ.
	surelyKept = 20 * time.Hour
	// A read may bring nothing although more is to come. So many in a row mean
	// that the end is reached.
	emptyAtEnd = 10
	// So many steps a stream that always brings something keeps a worker from what
	// it may have lost.
	patience = 1000
)

// Run sequences until ctx ends, and then returns nil. What may pass is tried
// again; other errors end it. A stream that brings nothing is read less often, as
// each read is paid for.
func (w *Worker) Run(ctx context.Context) error {
	quiet, failures := 0, 0
	for {
		n, err := w.Step(ctx)
		switch {
		case ctx.Err() != nil:
			return w.leave(ctx)
		case err != nil && !annals.CodeOf(err).Info().Retryable:
			return err
		case err != nil:
			failures++
			w.calls.logger.Warn("sequencing will be tried again", "error", err)
		case n == 0:
			quiet, failures = quiet+1, 0
		default:
			quiet, failures = 0, 0
		}
		if w.full && err == nil {
			continue
		}
		if w.calls.pause(ctx, min(w.poll<<max(min(quiet, 2), min(failures, 7)), 30*time.Second)) != nil {
			return w.leave(ctx)
		}
	}
}

// leave saves how far the shards were read, if that goes quickly: what is not
// saved is read again.
func (w *Worker) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return w.save(ctx, true)
}

// Step reads every shard once and returns how many records it brought.
func (w *Worker) Step(ctx context.Context) (int, error) {
	ctx = operation(ctx, "sequence")
	if w.stream == "" {
		if err := w.start(ctx); err != nil {
			return 0, err
		}
	}
	if now := w.calls.clock(); now.Sub(w.listed) >= listEvery || now.Before(w.listed) {
		if err := w.list(ctx); err != nil {
			return 0, err
		}
	}
	total, err := w.readShards(ctx)
	if err != nil {
		return total, err
	}
	if w.ended && total == 0 {
		if err := w.restart(ctx); err != nil {
			return 0, err
		}
	}
	if w.lost {
		// Streams keep 24 hours: what is older is in the table only. The stream's
		// own order goes first, as it is that of the appends.
		if w.behind++; total == 0 || w.behind > patience {
			if err := w.catchUp(ctx); err != nil {
				return total, err
			}
		}
	}
	return total, w.save(ctx, false)
}

// catchUp sequences from the table what the stream may no longer hold.
func (w *Worker) catchUp(ctx context.Context) error {
	w.calls.logger.Warn("the stream may no longer hold all that is not sequenced; reading the whole events table", "table", w.calls.eventsTable().name)
	began := w.calls.clock()
	if _, err := w.calls.reindex(ctx, w.seq, nil); err != nil {
		return err
	}
	for _, s := range w.shards {
		if s.caught.Before(began) {
			s.caught, s.dirty = began, true
		}
	}
	w.lost, w.behind = false, 0
	return nil
}

func (w *Worker) start(ctx context.Context) error {
	name := w.calls.eventsTable().name
	out, err := w.calls.db.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	if err != nil {
		return w.calls.failed(ctx, "DescribeTable", name, err)
	}
	if aws.ToString(out.Table.LatestStreamArn) == "" {
		return &annals.Error{
			Code: annals.CodeInvalid, Message: "the table " + name + " has no stream",
			Hint: "annals init --store '" + w.calls.address.String() + "' switches it on",
		}
	}
	w.stream = *out.Table.LatestStreamArn
	if made := aws.ToTime(out.Table.CreationDateTime); streamBegan(aws.ToString(out.Table.LatestStreamLabel)).Sub(made).Abs() < time.Minute {
		w.created = made
	}
	return nil
}

// streamBegan reads the time of a stream's label: AWS writes a date, dynoxide Unix
// seconds.
func streamBegan(label string) time.Time {
	if seconds, err := strconv.ParseFloat(label, 64); err == nil {
		return time.Unix(int64(seconds), 0)
	}
	t, err := time.Parse("2006-01-02T15:04:05.999", label)
	if err != nil {
		return time.Time{}
	}
	return t
}

// list reads which shards there are.
func (w *Worker) list(ctx context.Context) error {
	var all []streams.Shard
	for in := (&dynamodbstreams.DescribeStreamInput{StreamArn: &w.stream}); ; {
		out, err := w.reader.DescribeStream(ctx, in)
		if err != nil {
			return w.calls.failed(ctx, "DescribeStream", w.stream, err)
		}
		if is := out.StreamDescription; is.StreamStatus == streams.StreamStatusDisabled || is.StreamStatus == streams.StreamStatusDisabling {
			w.ended = true // what it holds is read; then the table may have another
		}
		all = append(all, out.StreamDescription.Shards...)
		if in.ExclusiveStartShardId = out.StreamDescription.LastEvaluatedShardId; in.ExclusiveStartShardId == nil {
			break
		}
	}
	there := map[string]bool{}
	for i := range all {
		there[aws.ToString(all[i].ShardId)] = true
	}
	w.order = w.order[:0]
	for _, one := range all {
		id, parent := aws.ToString(one.ShardId), aws.ToString(one.ParentShardId)
		if w.shards[id] == nil {
			s := &shard{id: id}
			if there[parent] {
				s.parent = parent
			}
			if err := w.resume(ctx, s, parent); err != nil {
				return err
			}
			w.shards[id] = s
		}
		w.order = append(w.order, id)
	}
	for id := range w.shards {
		if !there[id] {
			delete(w.shards, id)
		}
	}
	w.listed = w.calls.clock()
	return nil
}

// restart looks for another stream of the table, once the one that was switched
// off is read. What happened in between is in the table only.
func (w *Worker) restart(ctx context.Context) error {
	before := w.stream
	if err := w.start(ctx); err != nil {
		return err
	}
	if w.stream != before {
		w.shards, w.order, w.listed = map[string]*shard{}, nil, time.Time{}
		w.lost, w.ended = true, false
	}
	return nil
}

const (
	keyShard   = "shard:"
	attrAfter  = "after"
	attrCaught = "caught" // Unix seconds
	attrDone   = "done"
)

// resume looks up how far a shard was read. What is not known of it is known of
// its parent, from whose end it goes on.
func (w *Worker) resume(ctx context.Context, s *shard, parent string) error {
	for _, id := range []string{s.id, parent} {
		if id == "" {
			return nil
		}
		i, err := w.calls.get(ctx, w.calls.logTable(), keyShard+id, 0)
		if err != nil {
			return err
		}
		if i == nil {
			continue
		}
		s.caught = time.Unix(i.number(attrCaught), 0)
		if id == s.id {
			s.after, s.done = i.text(attrAfter), i.number(attrDone) > 0
		} else if i.number(attrDone) == 0 {
			s.caught = time.Time{}
		}
		return nil
	}
	return nil
}

// A reading is what one shard brought.
type reading struct {
	shard *shard
	out   *dynamodbstreams.GetRecordsOutput
}

// readShards reads every shard once and sequences what they brought together, so
// that it becomes few pages.
func (w *Worker) readShards(ctx context.Context) (total int, err error) {
	var readings []reading
	var items []map[string]types.AttributeValue
	w.full = false
	for _, id := range slices.Clone(w.order) {
		s := w.shards[id]
		var out *dynamodbstreams.GetRecordsOutput
		if out, err = w.readShard(ctx, s); err != nil {
			break // what the others brought is sequenced all the same
		}
		if out != nil {
			readings = append(readings, reading{s, out})
			fresh := images(out.Records)
			items = append(items, fresh...)
			w.full = w.full || isFull(fresh)
		}
	}
	if failed := w.seq.Sequence(ctx, items); failed != nil {
		for _, r := range readings {
			r.shard.iterator = nil
		}
		return 0, failed
	}
	for _, r := range readings {
		total += len(r.out.Records)
		r.shard.read(r.out.Records, w.calls.clock())
		if r.shard.iterator = r.out.NextShardIterator; r.shard.iterator == nil {
			r.shard.done, r.shard.dirty, r.shard.saved, w.listed = true, true, time.Time{}, time.Time{}
		}
	}
	return total, err
}

// isFull reports whether a read brought about as much as one can: 1,000 records
// or 1 MB.
func isFull(items []map[string]types.AttributeValue) bool {
	size := 0
	for _, i := range items {
		size += item(i).size()
	}
	return len(items) >= 1000 || size >= 512<<10
}

// readShard reads the next records of a shard whose parent has been read; nil if
// there is nothing to read now.
func (w *Worker) readShard(ctx context.Context, s *shard) (*dynamodbstreams.GetRecordsOutput, error) {
	parent := w.shards[s.parent]
	if s.done || parent != nil && !parent.done {
		return nil, nil
	}
	if parent != nil && s.caught.Before(parent.caught) {
		s.caught = parent.caught
	}
	if s.iterator == nil {
		if err := w.open(ctx, s); w.isGone(s, err) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
	out, err := w.reader.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: s.iterator})
	var expired *streams.ExpiredIteratorException
	var trimmed *streams.TrimmedDataAccessException
	switch {
	case errors.As(err, &trimmed):
		w.lost, s.after, s.iterator = true, "", nil
		return nil, nil
	case errors.As(err, &expired):
		s.iterator = nil
		return nil, nil
	case w.isGone(s, err):
		return nil, nil
	case err != nil:
		s.iterator = nil
		return nil, w.calls.failed(ctx, "GetRecords", w.stream, err)
	}
	return out, nil
}

// isGone reports whether a shard is no more: the stream has dropped it with its
// records, though it may list it for a while. If the stream itself is gone,
// listing it says so.
func (w *Worker) isGone(s *shard, err error) bool {
	var gone *streams.ResourceNotFoundException
	if !errors.As(err, &gone) {
		return false
	}
	s.done, s.iterator = true, nil
	w.lost, w.listed = true, time.Time{}
	return true
}

// read notes what was read and sequenced.
func (s *shard) read(records []streams.Record, now time.Time) {
	n := len(records)
	if n == 0 {
		if s.empty++; s.empty >= emptyAtEnd {
			s.caught = now
		}
		return
	}
	last := records[n-1].Dynamodb
	s.empty, s.dirty = 0, true
	s.after = aws.ToString(last.SequenceNumber)
	if t := aws.ToTime(last.ApproximateCreationDateTime); t.After(s.caught) {
		s.caught = t
	}
}

// open starts reading behind what was read, or at the oldest record there is.
func (w *Worker) open(ctx context.Context, s *shard) error {
	in := &dynamodbstreams.GetShardIteratorInput{StreamArn: &w.stream, ShardId: &s.id, ShardIteratorType: streams.ShardIteratorTypeTrimHorizon}
	if s.after != "" {
		in.ShardIteratorType, in.SequenceNumber = streams.ShardIteratorTypeAfterSequenceNumber, &s.after
	} else if now := w.calls.clock(); now.Sub(s.caught) > surelyKept && now.Sub(w.created) > surelyKept {
		w.lost = true
	}
	out, err := w.reader.GetShardIterator(ctx, in)
	var trimmed *streams.TrimmedDataAccessException
	if errors.As(err, &trimmed) && s.after != "" {
		w.lost, s.after = true, ""
		return w.open(ctx, s)
	}
	if err != nil {
		return w.calls.failed(ctx, "GetShardIterator", w.stream, err)
	}
	s.iterator = out.ShardIterator
	return nil
}

// images are the new items among records.
func images(records []streams.Record) []map[string]types.AttributeValue {
	var items []map[string]types.AttributeValue
	for _, r := range records {
		if r.EventName == streams.OperationTypeInsert && r.Dynamodb != nil {
			items = append(items, converted(r.Dynamodb.NewImage))
		}
	}
	return items
}

// converted changes the SDK's type of a stream's values into that of a table's;
// an item of the events table has these kinds only.
func converted(image map[string]streams.AttributeValue) map[string]types.AttributeValue {
	i := item{}
	for name, value := range image {
		switch v := value.(type) {
		case *streams.AttributeValueMemberS:
			i[name] = textValue(v.Value)
		case *streams.AttributeValueMemberN:
			i[name] = &types.AttributeValueMemberN{Value: v.Value}
		case *streams.AttributeValueMemberB:
			i[name] = bytesValue(v.Value)
		}
	}
	return i
}

// save keeps how far the shards were read, every now and then.
func (w *Worker) save(ctx context.Context, all bool) error {
	if w.lost {
		return nil
	}
	now := w.calls.clock()
	var items []item
	for _, id := range w.order {
		s := w.shards[id]
		wait := saveQuiet
		if s.dirty {
			wait = saveEvery
		}
		if age := now.Sub(s.saved); !all && age >= 0 && age < wait {
			continue
		}
		i := item{attrKey: textValue(keyShard + s.id), attrAt: numberValue(0), attrUntil: numberValue(now.Add(saveLife).Unix()), attrCaught: numberValue(s.caught.Unix())}
		if s.after != "" {
			i[attrAfter] = textValue(s.after)
		}
		if s.done {
			i[attrDone] = numberValue(1)
		}
		items = append(items, i)
		s.dirty, s.saved = false, now
	}
	return w.calls.write(ctx, w.calls.logTable(), items)
}
