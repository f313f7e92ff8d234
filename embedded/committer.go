package embedded

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/eb901187/annals"
)

// The committer is whichever append finds nobody else committing. It writes all
// waiting appends as one batch, syncs once, answers the batch, and hands the role
// to an append that arrived meanwhile. So a single writer never switches
// goroutines, and many writers share a sync.
type committer struct {
	mu      sync.Mutex
	queue   []*pending
	leading bool
	idle    sync.Cond // leading has ended
	stopped bool

	// What follows belongs to the leader.
	active *segment
	digest *xxhash.Digest
	end    logEnd
	failed error // set once the log can't be written safely any more

	buf     []byte
	entries []entry
	heads   map[string]head // of streams with events in this batch
	ids     map[idKey]int64 // versions of the ids in this batch
	spare   chan spareSegment
	format  int // what FORMAT says
}

type idKey struct{ stream, id string }

// maxBatchBytes bounds a batch, and with it the memory of the committer.
const maxBatchBytes = 8 << 20

// pending is an append on its way through the committer.
type pending struct {
	stream   string
	expected int64
	events   []annals.Event
	hashes   []uint64
	records  []byte
	digest   annals.Hash
	// What lookUp found, before the committer's turn.
	head       head    // of the stream
	inTail     bool    // a tail held the stream
	held       []int64 // versions that the ids have in the stream, 0 for none
	generation uint64

	group  *group        // nil for an append of its own
	turn   chan struct{} // one value: answered, or to lead
	leads  bool
	result annals.Commit
	err    error
}

var pendings = sync.Pool{New: func() any { return &pending{turn: make(chan struct{}, 1)} }}

// Append implements annals.Driver.
func (d *driver) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	p := pendings.Get().(*pending)
	defer p.release()
	if err := d.prepare(p, stream, expected, events); err != nil {
		return annals.Commit{}, err
	}
	c := &d.commit
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		return annals.Commit{}, annals.ErrClosed
	}
	c.queue = append(c.queue, p)
	if c.leading {
		c.mu.Unlock()
		select {
		case <-p.turn:
		case <-ctx.Done():
			if c.withdraw(p) {
				return annals.Commit{}, ctx.Err()
			}
			<-p.turn
		}
		if !p.leads {
			return p.result, p.err
		}
	} else {
		c.leading = true
		c.mu.Unlock()
	}
	d.lead()
	return p.result, p.err
}

func (p *pending) release() {
	const keep = 64 << 10
	if cap(p.records) > keep {
		p.records = nil
	}
	*p = pending{turn: p.turn, records: p.records[:0], hashes: p.hashes[:0], held: p.held[:0]}
	pendings.Put(p)
}

// prepare does what needs no order among appends, on the caller's own time.
func (d *driver) prepare(p *pending, stream string, expected int64, events []annals.Event) error {
	p.stream, p.expected, p.events = stream, expected, events
	for i := range events {
		p.hashes = append(p.hashes, idHash(stream, events[i].ID))
		p.records = appendRecord(p.records, stream, &events[i], i, len(events))
	}
	p.digest = annals.Digest(stream, events)
	return d.lookUp(p)
}

// withdraw takes p out of the queue; false if its turn has come.
func (c *committer) withdraw(p *pending) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.queue, p)
	if i < 0 || p.leads {
		return false
	}
	c.queue = slices.Delete(c.queue, i, i+1)
	return true
}

// lead commits one batch, answers it, and hands on the role.
func (d *driver) lead() {
	c := &d.commit
	// Lets those whom the last batch's answers woke append once more and join:
	// with 16 writers this is worth a quarter.
	runtime.Gosched()
	batch := c.take()
	d.commitBatch(batch)
	for _, p := range batch[1:] {
		p.turn <- struct{}{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) > 0 {
		next := c.queue[0]
		next.leads = true
		next.turn <- struct{}{}
	} else {
		c.leading = false
		c.idle.Broadcast()
	}
}

// take takes the appends of the next batch. The leader's own is the first.
func (c *committer) take() []*pending {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, size := 1, len(c.queue[0].records)
	for n < len(c.queue) && size+len(c.queue[n].records) <= maxBatchBytes {
		size += len(c.queue[n].records)
		n++
	}
	batch := c.queue[:n:n]
	c.queue = append([]*pending(nil), c.queue[n:]...)
	return batch
}

// stop lets nobody lead any more and waits for who does.
func (c *committer) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	for c.leading {
		c.idle.Wait()
	}
}

// commitBatch checks and writes a batch and sets the results of its appends.
func (d *driver) commitBatch(batch []*pending) {
	c := &d.commit
	size := int64(0)
	for _, p := range batch {
		size += int64(len(p.records))
	}
	err := c.failed
	if err == nil {
		err = d.raiseFormat()
	}
	if err == nil {
		err = d.sealIfDue()
	}
	if err == nil {
		err = d.makeRoom(size)
	}
	if err != nil {
		refuse(batch, err)
		return
	}
	c.buf, c.entries = c.buf[:0], c.entries[:0]
	clear(c.heads)
	clear(c.ids)
	start := c.end.address
	for _, p := range batch {
		if p.group != nil && p.group.broken {
			p.err = errBehind
		} else if p.err = d.place(p, start); p.err != nil {
			refuse([]*pending{p}, p.err)
		}
	}
	if len(c.buf) == 0 {
		return
	}
	if err := d.write(start); err != nil {
		// Refusals go too: they were for the versions that the batch would have made.
		refuse(batch, err)
		return
	}
	c.end.address += int64(len(c.buf))
	c.end.position += int64(len(c.entries))
	d.publish(c.entries, c.end)
}

func refuse(batch []*pending, err error) {
	for _, p := range batch {
		p.result, p.err = annals.Commit{}, err
		if p.group != nil {
			p.group.broken = true
		}
	}
}

// place checks an append against the streams as they will be and puts its
// records into the batch.
func (d *driver) place(p *pending, start int64) error {
	c := &d.commit
	before, err := d.head(p)
	if err != nil {
		return err
	}
	if p.expected != annals.Any && p.expected != before.version && !planted.noVersionCheck {
		return &annals.ConflictError{Stream: p.stream, Expected: p.expected, Actual: before.version}
	}
	at := place{
		batch: start, position: c.end.position + int64(len(c.entries)),
		version: before.version, previous: before.hash,
	}
	rest := p.records
	for i := range p.events {
		e := &p.events[i]
		at.version++
		at.position++
		at.address = start + int64(len(c.buf))
		n := finishRecord(rest, at)
		c.buf = append(c.buf, rest[:n]...)
		rest = rest[n:]
		c.ids[idKey{p.stream, e.ID}] = at.version
		c.entries = append(c.entries, entry{
			stream: p.stream, typ: e.Type, source: e.Source, correlation: e.Correlation,
			id: p.hashes[i], version: at.version, address: at.address,
		})
	}
	hash := annals.Link(before.hash, before.version+1, len(p.events), p.digest)
	c.entries[len(c.entries)-1].hash = hash
	c.heads[p.stream] = head{at.version, hash}
	p.result = annals.Commit{Stream: p.stream, Version: at.version, Count: len(p.events), Position: at.position}
	return nil
}

// head returns where the stream ends for p, after refusing ids that it holds
// already.
func (d *driver) head(p *pending) (head, error) {
	if d.moved(p) && !planted.noSecondLook {
		if err := d.lookUp(p); err != nil {
			return head{}, err
		}
	}
	batched, inBatch := d.commit.heads[p.stream]
	for i := range p.events {
		id := p.events[i].ID
		version := int64(0)
		if len(p.held) > 0 {
			version = p.held[i]
		}
		if version == 0 && inBatch {
			version = d.commit.ids[idKey{p.stream, id}]
		}
		if version > 0 && !planted.noIDCheck {
			return head{}, &annals.DuplicateError{Stream: p.stream, ID: id, Version: version}
		}
	}
	if inBatch {
		return batched, nil
	}
	return p.head, nil
}

// write makes the batch durable. An error that matches ErrUnknownOutcome means
// that its bytes may become part of the log after a restart.
func (d *driver) write(start int64) error {
	c := &d.commit
	offset := start - c.active.base
	if _, err := c.active.file.WriteAt(c.buf, offset); err != nil {
		if undo := d.unwrite(offset); undo != nil {
			return d.fail(errors.Join(err, undo))
		}
		return storeErr(d.dir, "writing the log", err)
	}
	if !planted.noSync {
		if err := c.active.file.SyncData(); err != nil {
			// After a failed sync the kernel may drop the pages and report the
			// next sync as good: nothing written here can be trusted any more.
			return d.fail(err)
		}
	}
	_, _ = c.digest.Write(c.buf) // never fails
	return nil
}

// unwrite clears a batch that was written in part, so that it can't come back.
func (d *driver) unwrite(offset int64) error {
	c := &d.commit
	if _, err := c.active.file.WriteAt(make([]byte, len(c.buf)), offset); err != nil {
		return err
	}
	return c.active.file.SyncData()
}

// fail stops all appending until the store is opened again.
func (d *driver) fail(cause error) error {
	d.commit.failed = &annals.Error{
		Code: annals.CodeUnavailable, Err: cause,
		Message: "the log in " + d.dir + " could not be written",
		Hint:    "nothing acknowledged is lost; check the disk, then start again",
	}
	d.logger.Error("the log could not be written; appends are refused until the store is opened again", "dir", d.dir, "error", cause)
	return &annals.Error{
		Code: annals.CodeUnknownOutcome, Err: cause,
		Message: "the log in " + d.dir + " could not be written, so it is unknown whether these events are stored",
		Hint:    "check the disk, start again, and append the same events with the same ids",
	}
}
