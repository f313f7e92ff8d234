package tracking

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/tracking/spool"
)

// A Sink takes what was recorded to a store, a queue or a stream; package
// tracking/sink has some.
type Sink interface {
	// Deliver stores events, each in the stream that its Stream names, and returns
	// once they are safe. All or none need not hold: after an error the same events
	// come again, and their ids make that harmless. An error that says that an
	// event itself is wrong, such as *annals.InvalidError or annals.ErrIDReused,
	// makes the Recorder look for that event and set it aside; after every other
	// error it tries again for ever. The events and their Data belong to the
	// Recorder. Calls come one at a time.
	Deliver(ctx context.Context, events []annals.Event) error
}

// Full says what becomes of calls while nothing more can be recorded.
type Full int

const (
	// Shed lets calls through unrecorded and counts them.
	Shed Full = iota
	// Refuse refuses calls with ErrFull before they are made.
	Refuse
)

// ErrFull: memory and spill are full, so that a recording was not taken.
var ErrFull error = &annals.Error{
	Code: annals.CodeNoSpace, Message: "the recorder is full: what it took before waits for its sink",
	Hint: "see whether the sink can be reached; give the spill more bytes, or let calls go unrecorded",
}

// RecorderOptions changes how a Recorder works; nil and zero fields mean the
// defaults.
type RecorderOptions struct {
	// Memory bounds the bytes of events that wait in memory, with the room held for
	// the responses of calls under way; 32 MiB by default.
	Memory int64
	// Spill is a directory for what the sink does not take in time. Empty keeps
	// everything in memory, and a kill loses it. It belongs to one Recorder.
	Spill string
	// SpillBytes bounds the files in Spill; 1 GiB by default.
	SpillBytes int64
	// SpillAfter is how long an event may wait in memory before it is written to
	// Spill and synced; 1 s by default. While the spill has room and can be written,
	// a kill loses what is younger than that and one sync. Once it is full, events
	// wait in memory for as long as the sink does not take them, and a kill loses
	// those.
	SpillAfter time.Duration
	// Linger is how long the first event of a batch waits for others; 50 ms by
	// default, negative for none.
	Linger time.Duration
	// Timeout bounds one delivery; 30 s by default.
	Timeout time.Duration
	// Full says what becomes of calls while memory and spill are full.
	Full Full
	// Clock stamps what is recorded; time.Now by default.
	Clock func() time.Time
	// Rand draws ids and the jitter between attempts; math/rand/v2 by default. It
	// must be safe for concurrent use.
	Rand func() uint64
	// Logger hears of failures, once when they begin and once when they end.
	Logger *slog.Logger
}

// Stats says what a Recorder did since it was made, in events, and what waits.
type Stats struct {
	Taken     int64 // recorded: each is delivered, set aside, or waits
	Delivered int64 // taken by the sink; more than Taken after a restart or a repeat
	Shed      int64 // not taken, for memory was full (under both policies) or the Recorder closed
	Refused   int64 // set aside, for the sink said that they are wrong
	Failures  int64 // deliveries that failed and were tried again

	WaitingMemory      int64 // events in memory
	WaitingMemoryBytes int64
	WaitingSpill       int64 // events in the spill
	WaitingSpillBytes  int64 // bytes of its files
	Reserved           int64 // bytes of memory held for the responses of calls under way
	Lost               int64 // events that the spill held and damage took
}

// A Recorder takes events without waiting for anything, and delivers them to a
// Sink in the background, at least once and roughly in order. It is safe for
// concurrent use. A nil Recorder records nothing.
//
// Events wait in memory. Those that waited there for long, or are too many, go
// to the spill, from which the sink is served first. A kill of the process
// loses what waits in memory. While the spill has room and can be written, that
// is nothing older than SpillAfter and one sync of the disk; a Recorder whose spill
// is full, or that has none, loses all that the sink has not taken, up to Memory
// bytes. Close loses nothing that it does not report.
type Recorder struct {
	sink  Sink
	opts  RecorderOptions
	spool *spool.Spool // nil for none
	aside refusals

	wake     chan struct{} // of the deliverer
	pressed  chan struct{} // of the keeper: memory gets full
	closing  chan struct{} // closed by Close
	kept     chan struct{} // closed when the keeper has ended
	finished chan struct{} // closed when the deliverer has ended
	stop     context.CancelFunc

	mu       sync.Mutex
	queue    queue
	reserved int64
	flushes  int           // calls of Flush under way
	done     int64         // events that do not wait any more
	progress chan struct{} // closed and made anew when done grows
	closed   bool
	stats    Stats
}

// Limits of a delivery.
const (
	batchEvents = 500
	batchBytes  = 256 << 10
)

// NewRecorder begins to deliver what opts.Spill holds. The error says why the
// spill can't be used, such as annals.ErrInUse.
func NewRecorder(sink Sink, opts *RecorderOptions) (*Recorder, error) {
	r := &Recorder{
		sink: sink, wake: make(chan struct{}, 1), pressed: make(chan struct{}, 1), closing: make(chan struct{}),
		kept: make(chan struct{}), finished: make(chan struct{}), progress: make(chan struct{}),
	}
	if opts != nil {
		r.opts = *opts
	}
	if err := r.opts.fill(); err != nil {
		return nil, err
	}
	if r.opts.Spill != "" {
		var err error
		if r.spool, err = spool.Open(r.opts.Spill, r.opts.SpillBytes, &spool.Options{Logger: r.opts.Logger}); err != nil {
			return nil, err
		}
	}
	r.aside = refusals{dir: r.opts.Spill, logger: r.opts.Logger}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go r.deliver(ctx)
	go r.keep()
	return r, nil
}

func (o *RecorderOptions) fill() error {
	o.Memory = cmp.Or(o.Memory, 32<<20)
	o.SpillBytes = cmp.Or(o.SpillBytes, 1<<30)
	o.SpillAfter = cmp.Or(o.SpillAfter, time.Second)
	o.Linger = max(cmp.Or(o.Linger, 50*time.Millisecond), 0)
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Uint64
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	const least = 1 << 20
	switch {
	case o.Memory < least:
		return annals.Invalid("memory", "is %d bytes: a recorder needs %d at least", o.Memory, least)
	case o.Spill != "" && o.SpillBytes < 8*least:
		return annals.Invalid("spillBytes", "is %d bytes: a spill needs %d at least", o.SpillBytes, 8*least)
	case o.SpillAfter < time.Millisecond || o.Timeout < time.Millisecond:
		return annals.Invalid("spillAfter", "and timeout must be a millisecond at least, not %v and %v", o.SpillAfter, o.Timeout)
	}
	return nil
}

// Record takes events, all or none, each for the stream that its Stream names
// and with an ID and a Time. nil means that they are taken: they are delivered
// at least once, unless the process is killed before they reach the spill. It
// never waits for the sink or a disk. The events must not be changed any more.
//
// Errors: ErrFull, whatever the policy; annals.ErrClosed; *annals.InvalidError.
func (r *Recorder) Record(events ...annals.Event) error {
	if r == nil {
		return nil
	}
	for i := range events {
		e := &events[i]
		if e.ID == "" || e.Time.IsZero() || e.Source == "" {
			return annals.Invalid(fmt.Sprintf("events[%d]", i), "needs an id, a source and a time, so that it is stored once")
		}
		if err := annals.CheckAppend(e.Stream, *e); err != nil {
			return err
		}
	}
	return r.take(events, 0, 0)
}

// take puts events into memory. It holds reserve bytes more for what comes later,
// and lets go of those that were held for these events, for which there is
// always room.
func (r *Recorder) take(events []annals.Event, reserve, held int64) error {
	size := int64(0)
	for i := range events {
		size += sizeOf(&events[i])
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reserved -= held
	if r.closed {
		r.stats.Shed += int64(len(events))
		return errClosed
	}
	if held == 0 && r.queue.bytes+r.reserved+size+reserve > r.opts.Memory {
		r.stats.Shed += int64(len(events))
		signal(r.pressed)
		return ErrFull
	}
	r.reserved += reserve
	before := r.queue.len()
	r.queue.push(events)
	r.stats.Taken += int64(len(events))
	if after := r.queue.len(); before == 0 || before < batchEvents && after >= batchEvents {
		signal(r.wake)
	}
	if r.queue.bytes > r.opts.Memory/2 {
		signal(r.pressed)
	}
	return nil
}

var errClosed error = &annals.Error{Code: annals.CodeClosed, Message: "the recorder is closed: the event was not taken"}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Stats may be called at any time.
func (r *Recorder) Stats() Stats {
	if r == nil {
		return Stats{}
	}
	r.mu.Lock()
	s := r.stats
	s.WaitingMemory, s.WaitingMemoryBytes, s.Reserved = int64(r.queue.len()), r.queue.bytes, r.reserved
	r.mu.Unlock()
	if r.spool != nil {
		s.WaitingSpill, s.WaitingSpillBytes = r.spool.Len()
		s.Lost += r.spool.Lost()
	}
	return s
}

// Flush waits until everything taken before the call is delivered or set
// aside. If ctx ends before, the error says how many events wait.
func (r *Recorder) Flush(ctx context.Context) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	r.flushes++
	target := r.done + r.waiting()
	signal(r.wake)
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.flushes--
		r.mu.Unlock()
	}()
	for {
		r.mu.Lock()
		waiting, left, progress := r.waiting(), target-r.done, r.progress
		r.mu.Unlock()
		if left <= 0 || waiting == 0 {
			return nil
		}
		select {
		case <-progress:
		case <-r.finished:
			return errClosed
		case <-ctx.Done():
			return fmt.Errorf("%d recorded events wait for their sink: %w", min(left, waiting), ctx.Err())
		}
	}
}

// waiting counts the events in memory and spill.
func (r *Recorder) waiting() int64 {
	n := int64(r.queue.len())
	if r.spool != nil {
		records, _ := r.spool.Len()
		n += records
	}
	return n
}

// settle counts n events as done and tells those who wait.
func (r *Recorder) settle(n int64) {
	r.done += n
	close(r.progress)
	r.progress = make(chan struct{})
}

// Close takes no more, delivers what waits until ctx ends or, where there is a
// spill, until the first failure, and spills the rest. The error says how many
// events could be kept nowhere.
func (r *Recorder) Close(ctx context.Context) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	first := !r.closed
	r.closed = true
	r.mu.Unlock()
	if !first {
		return nil
	}
	close(r.closing)
	select {
	case <-r.finished:
	case <-ctx.Done(): // a sink that does not heed its context is left to itself
	}
	r.stop()
	<-r.kept
	var err error
	if r.spool != nil {
		_, err = r.spill(math.MaxInt64)
		err = errors.Join(err, r.spool.Close())
	}
	r.mu.Lock()
	left := r.queue.len()
	r.mu.Unlock()
	if left > 0 {
		return &annals.Error{
			Code: annals.CodeInternal, Err: cmp.Or(err, context.Cause(ctx)),
			Message: fmt.Sprintf("%d recorded events were neither delivered nor spilled, and are lost", left),
			Hint:    "see why the sink failed; give the recorder a spill with room, and more time to close",
		}
	}
	return err
}
