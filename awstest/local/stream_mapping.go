package local

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"
)

// A record is one of a Kinesis stream or of a table's stream.
type record struct {
	sequence string
	arrived  time.Time
	event    json.RawMessage // as the function gets it
	match    map[string]any  // what filters look at
}

// A shard is a part of a stream whose records have an order.
type shard struct {
	id      string
	parents []string
}

// errExpired says that an iterator can't be used any more: another from the same
// place can.
var errExpired = errors.New("the iterator has expired")

// A source is what a streamMapping reads.
type source interface {
	shards(ctx context.Context) ([]shard, error)
	// iterator begins behind the record after, or at position without one.
	iterator(ctx context.Context, shard, position, after string) (string, error)
	// read returns at most limit records and the next iterator: none at the end of
	// a closed shard.
	read(ctx context.Context, shard, iterator string, limit int) (records []record, next string, err error)
	// name is what a failure record calls the batch info, and how often Lambda
	// polls a shard.
	name() (info string, poll time.Duration)
}

// A streamMapping has a function handle the records of each shard in order, one
// batch of a shard at a time, and a shard after its parents.
type streamMapping struct {
	Mapping
	arn     string // of the function
	source  source
	invoke  func(context.Context, []byte) (Result, error)
	clock   Clock
	patient func(time.Duration) time.Duration
	note    func(format string, args ...any)
	discard func(ctx context.Context, body []byte) // on failure

	filters []filter
}

// run follows the shards until ctx ends.
func (m *streamMapping) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	var mu sync.Mutex
	done := map[string]bool{}
	started := map[string]bool{}
	_, poll := m.source.name()
	position := m.Position
	for ctx.Err() == nil {
		shards, err := m.source.shards(ctx)
		if err != nil {
			m.complain(ctx, "listing the shards of "+m.Source, err)
		}
		known := map[string]bool{}
		for _, s := range shards {
			known[s.id] = true
		}
		for _, s := range shards {
			mu.Lock()
			waits := slices.ContainsFunc(s.parents, func(p string) bool { return known[p] && !done[p] })
			mu.Unlock()
			if started[s.id] || waits {
				continue
			}
			started[s.id] = true
			at := position
			all.Go(func() {
				if m.follow(ctx, s.id, at) {
					mu.Lock()
					done[s.id] = true
					mu.Unlock()
				}
			})
		}
		if err == nil && len(shards) > 0 {
			position = "TRIM_HORIZON" // of shards that begin while we follow
		}
		wait(ctx, m.clock, m.patient(poll))
	}
}

func (m *streamMapping) complain(ctx context.Context, doing string, err error) {
	if ctx.Err() == nil {
		m.note("%s: %v", doing, err)
	}
}

// follow handles a shard to its end.
func (m *streamMapping) follow(ctx context.Context, id, position string) (ended bool) {
	_, poll := m.source.name()
	var after, iterator string
	var batch []record
	var closes time.Time
	for {
		if iterator == "" {
			var err error
			if iterator, err = m.source.iterator(ctx, id, position, after); err != nil {
				m.complain(ctx, "an iterator of "+id+" of "+m.Source, err)
				if !wait(ctx, m.clock, m.patient(poll)) {
					return false
				}
				continue
			}
		}
		records, next, err := m.source.read(ctx, id, iterator, m.BatchSize-len(batch))
		if err != nil {
			if !errors.Is(err, errExpired) {
				m.complain(ctx, "reading "+id+" of "+m.Source, err)
			}
			iterator = ""
			if !wait(ctx, m.clock, m.patient(poll)) {
				return false
			}
			continue
		}
		if len(records) > 0 {
			after = records[len(records)-1].sequence
		}
		if len(batch) == 0 {
			closes = m.clock.Now().Add(m.Window)
		}
		batch, iterator = append(batch, m.passing(records)...), next
		full := len(batch) >= m.BatchSize || sizeOf(batch) > maxPayload-(1<<20)
		if len(batch) > 0 && (full || next == "" || !m.clock.Now().Before(closes)) {
			if !m.handle(ctx, id, batch) {
				return false
			}
			batch = nil
		}
		if next == "" {
			return true
		}
		if len(records) == 0 && !wait(ctx, m.clock, m.pause(poll, batch, closes)) {
			return false
		}
	}
}

// pause is how long to wait before the next read.
func (m *streamMapping) pause(poll time.Duration, batch []record, closes time.Time) time.Duration {
	pause := m.patient(poll)
	if len(batch) > 0 {
		pause = min(pause, max(closes.Sub(m.clock.Now()), 0))
	}
	return pause
}

func (m *streamMapping) passing(records []record) []record {
	if len(m.filters) == 0 {
		return records
	}
	return slices.DeleteFunc(records, func(r record) bool {
		return !slices.ContainsFunc(m.filters, func(f filter) bool { return f.passes(r.match) })
	})
}

func sizeOf(batch []record) (n int) {
	for _, r := range batch {
		n += len(r.event)
	}
	return n
}

// maxBackoff is how long a retry is put off at most.
const maxBackoff = time.Minute

// handle has the function handle a batch until it has, or until the batch is given
// up. It returns false if ctx ended before.
func (m *streamMapping) handle(ctx context.Context, shard string, batch []record) bool {
	backoff := 200 * time.Millisecond
	for try := 0; len(batch) > 0; try++ {
		if batch = m.tooOld(ctx, shard, batch, try); len(batch) == 0 {
			return true
		}
		result, err := m.invoke(ctx, m.event(batch))
		if ctx.Err() != nil {
			return false
		}
		if err == nil && !result.Failed {
			rest, ok := m.rest(result.Payload, batch)
			if ok && len(rest) == 0 {
				return true
			}
			if ok && len(rest) < len(batch) {
				batch, try = rest, -1 // it got on; these are tried anew
				continue
			}
		} else {
			m.note("%s failed with %d records of %s: %s %v", m.Function, len(batch), shard, result.Payload, err)
			if err == nil && m.Bisect && len(batch) > 1 { // which costs no retry
				half := len(batch) / 2
				return m.handle(ctx, shard, batch[:half]) && m.handle(ctx, shard, batch[half:])
			}
		}
		if m.Retries >= 0 && try >= m.Retries {
			m.fail(ctx, shard, "RetryAttemptsExhausted", batch, try+1)
			return true
		}
		if !wait(ctx, m.clock, m.patient(backoff)) {
			return false
		}
		backoff = min(2*backoff, maxBackoff)
	}
	return true
}

// rest returns the records that a function asks to be given again: all from the
// first that failed. It is not ok if the whole batch failed.
func (m *streamMapping) rest(payload []byte, batch []record) (rest []record, ok bool) {
	if !m.PartialResponses {
		return nil, true
	}
	place := func(id string) int {
		return slices.IndexFunc(batch, func(r record) bool { return r.sequence == id })
	}
	failed, ok := partialAnswer(payload, func(id string) bool { return place(id) >= 0 })
	if !ok {
		m.note("%s gave a partial response that fails the whole batch: %s", m.Function, payload)
		return batch, false
	}
	from := len(batch)
	for _, id := range failed {
		from = min(from, place(id))
	}
	return batch[from:], true
}

// tooOld gives up the records at the start of a batch that are older than may be.
func (m *streamMapping) tooOld(ctx context.Context, shard string, batch []record, tries int) []record {
	if m.MaxAge < 0 {
		return batch
	}
	from := slices.IndexFunc(batch, func(r record) bool { return m.clock.Now().Sub(r.arrived) <= m.MaxAge })
	if from < 0 {
		from = len(batch)
	}
	if from > 0 {
		m.fail(ctx, shard, "RecordAgeExceeded", batch[:from], tries)
	}
	return batch[from:]
}

func (m *streamMapping) event(batch []record) []byte {
	events := make([]json.RawMessage, len(batch))
	for i, r := range batch {
		events[i] = r.event
	}
	return recordsEvent(events)
}

// fail tells the destination which records were given up, where to find them, and
// why. It doesn't hold them.
func (m *streamMapping) fail(ctx context.Context, shard, condition string, batch []record, tries int) {
	m.note("%s: gave up %d records of %s: %s", m.Function, len(batch), shard, condition)
	if m.OnFailure == "" {
		return
	}
	const layout = "2006-01-02T15:04:05.000Z"
	first, last := batch[0], batch[len(batch)-1]
	info, _ := m.source.name()
	body := map[string]any{
		"requestContext":  map[string]any{"requestId": newID(), "functionArn": m.arn, "condition": condition, "approximateInvokeCount": tries},
		"responseContext": map[string]any{"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
		"version":         "1.0", "timestamp": m.clock.Now().UTC().Format(layout),
		info: map[string]any{
			"shardId": shard, "startSequenceNumber": first.sequence, "endSequenceNumber": last.sequence,
			"approximateArrivalOfFirstRecord": first.arrived.UTC().Format(layout), "approximateArrivalOfLastRecord": last.arrived.UTC().Format(layout),
			"batchSize": len(batch), "streamArn": m.Source,
		},
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // texts and numbers
	}
	m.discard(ctx, text)
}
