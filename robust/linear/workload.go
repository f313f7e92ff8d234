package linear

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eb901187/annals"
)

// A Workload is what clients do to one stream, by a seed: three quarters of it
// are appends, most of them at a version that has been passed by the time they arrive, or
// that is wrong on purpose: behind, or ahead of what anybody has reached.
type Workload struct {
	Stream     string
	Seed       uint64
	Clients    int // at most MaxClients
	Operations int // of all clients together, at most MaxOperations-1; a last read is added
	// Mistaken is how many of 100 appends are at a version that is wrong on purpose.
	Mistaken int
	// Large is how many of 100 appends have an event of 32 KB that can't be packed, which
	// is more than a store may want to keep with the others.
	Large int
	// Timeout is how long an operation may take.
	Timeout time.Duration
	// Store is the store that a client uses next. It is asked before every operation.
	Store func(client int) *annals.Store
}

// A recorder runs a Workload.
type recorder struct {
	*Workload
	order   Order
	batches atomic.Int64
	known   atomic.Int64 // the highest version that somebody has seen
}

// Run lets the clients work and returns when all are done. The history still lacks
// its last read: see Finish.
func (w *Workload) Run(ctx context.Context) *Recorded {
	r := &recorder{Workload: w}
	clients := make([]caller, w.Clients)
	var left atomic.Int64
	left.Store(int64(w.Operations))
	var working sync.WaitGroup
	for i := range clients {
		c := &clients[i]
		*c = caller{recorder: r, number: i, random: rand.New(rand.NewPCG(w.Seed, uint64(i)+1))}
		working.Go(func() {
			for left.Add(-1) >= 0 && ctx.Err() == nil {
				c.next(ctx)
			}
		})
	}
	working.Wait()
	h := &History{Stream: w.Stream}
	for i := range clients {
		h.Operations = append(h.Operations, clients[i].done...)
	}
	return &Recorded{r, h}
}

// Recorded is a history without its last read.
type Recorded struct {
	recorder *recorder
	history  *History
}

// Finish reads the whole stream from store, which no fault may disturb, and returns
// the history with that. Nobody may append to the stream any more, but for what is
// still on its way.
func (r *Recorded) Finish(ctx context.Context, store *annals.Store) (*History, error) {
	c := caller{recorder: r.recorder, number: r.recorder.Clients}
	op := Operation{Client: c.number, Call: c.order.Next(), Outcome: Done, First: 1, ToEnd: true}
	for e, err := range store.Stream(ctx, r.history.Stream, nil) {
		if errors.Is(err, annals.ErrDamaged) {
			op.Outcome, op.Why = Broken, err.Error()
			break
		}
		if err != nil {
			return nil, fmt.Errorf("the last read of %s: %w", r.history.Stream, err)
		}
		r.history.Last = append(r.history.Last, c.saw(&op, &e))
	}
	op.Return = c.order.Next()
	r.history.Operations = append(r.history.Operations, op)
	return r.history, nil
}

// A caller is a client: it does one operation after the other.
type caller struct {
	*recorder
	number  int
	random  *rand.Rand
	done    []Operation
	version int64 // as this client believes
	sent    []batch
}

// A batch is events that are appended together, maybe several times.
type batch struct {
	number   int64
	expected int64
	events   []annals.Event
	prints   []Print
}

// Of 100 operations.
const (
	appends   = 75
	repeats   = 5 // of the appends, the same events again
	anyhow    = 8 // of the appends, at any version
	headReads = 9
	tailReads = 9
	lastReads = 5
	partReads = 2 // the rest reads the stream as a whole
	recent    = 4 // how far back a client repeats its own
)

func (c *caller) next(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	store := c.Store(c.number)
	n := c.random.IntN(100)
	if n < appends {
		c.append(ctx, store)
		return
	}
	n -= appends
	opts := &annals.StreamOptions{}
	switch {
	case n < headReads:
		opts.Backward, opts.Limit = true, 1
	case n < headReads+tailReads:
		opts.From = max(1, c.version-c.random.Int64N(5))
	case n < headReads+tailReads+lastReads:
		opts.Backward, opts.Limit = true, 1+c.random.IntN(30)
	case n < headReads+tailReads+lastReads+partReads:
		opts.From = max(1, c.version-c.random.Int64N(20))
		opts.To = opts.From + c.random.Int64N(15)
	}
	c.read(ctx, store, opts)
}

// batch is the next one to append.
func (c *caller) batch() batch {
	n := c.random.IntN(100)
	if n < repeats && len(c.sent) > 0 {
		return c.sent[c.random.IntN(len(c.sent))]
	}
	b := batch{number: c.batches.Add(1), expected: c.version}
	switch n -= repeats; {
	case n < anyhow:
		b.expected = annals.Any
	case n < anyhow+c.Mistaken:
		b.expected = c.mistake()
	}
	size := max(1, c.random.IntN(6)-2)
	if c.random.IntN(100) == 0 {
		size = 20
	}
	large := c.Large > 0 && c.random.IntN(100) < c.Large
	if large {
		size = 1
	}
	for i := range size {
		e := annals.Event{
			ID: fmt.Sprintf("%s-%d-%d", c.Stream, b.number, i), Type: "Happened", Source: "linear", ContentType: annals.JSONContentType,
			Data: fmt.Appendf(nil, `{"client":%d,"batch":%d,"text":"%0*d"}`, c.number, b.number, c.random.IntN(120), i),
		}
		if large {
			e.Data = fmt.Appendf(nil, `{"client":%d,"batch":%d,"text":"%s"}`, c.number, b.number, c.noise(24<<10))
		}
		b.events, b.prints = append(b.events, e), append(b.prints, PrintOf(&e))
	}
	if c.sent = append(c.sent, b); len(c.sent) > recent {
		c.sent = slices.Delete(c.sent, 0, 1)
	}
	return b
}

// noise is the text of n random bytes.
func (c *caller) noise(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(c.random.Uint32())
	}
	return base64.StdEncoding.EncodeToString(b)
}

// mistake is a version that the stream is not at, behind or ahead.
func (c *caller) mistake() int64 {
	if known := c.known.Load(); known > 0 && c.random.IntN(3) > 0 {
		return c.random.Int64N(min(known, 50)) + max(0, known-50)
	}
	return c.known.Load() + 100 + c.random.Int64N(10)
}

func (c *caller) append(ctx context.Context, store *annals.Store) {
	b := c.batch()
	op := Operation{
		Client: c.number, Append: true, Batch: b.number, Expected: b.expected, Prints: b.prints,
		Call: c.order.Next(),
	}
	commit, err := store.Append(ctx, c.Stream, b.expected, b.events...)
	op.Return = c.order.Next()
	var conflict *annals.ConflictError
	switch {
	case err == nil:
		op.Outcome, op.Version, op.Replayed = Done, commit.Version, commit.Replayed
		if commit.Count != len(b.events) || commit.Stream != c.Stream {
			op.Outcome = Broken
		}
	case errors.As(err, &conflict):
		op.Outcome, op.Version = Conflict, conflict.Actual
		if conflict.Expected != b.expected {
			op.Outcome = Broken
		}
	case errors.Is(err, annals.ErrUnknownOutcome):
		op.Outcome, op.Return = Unknown, math.MaxInt64
	case annals.IsRefusal(err) || errors.Is(err, annals.ErrDamaged):
		op.Outcome = Broken // nothing is wrong with these events, and their ids are their own
	default:
		op.Outcome = Refused
	}
	if err != nil {
		op.Why = string(annals.CodeOf(err))
	}
	c.learn(op.Version)
	c.done = append(c.done, op)
}

func (c *caller) learn(version int64) {
	if version == 0 {
		return
	}
	c.version = version
	for known := c.known.Load(); known < version && !c.known.CompareAndSwap(known, version); known = c.known.Load() {
	}
}

// saw takes an event that was read into op, which reads forward.
func (c *caller) saw(op *Operation, e *annals.Event) Print {
	p := PrintOf(e)
	if op.Version < op.First-1 {
		op.Version = op.First - 1
	}
	if op.Version++; e.Version != op.Version || e.Stream != c.Stream {
		op.Outcome = Broken
	}
	op.Hash = chained(op.Hash, p)
	return p
}

func (c *caller) read(ctx context.Context, store *annals.Store, opts *annals.StreamOptions) {
	op := Operation{Client: c.number, Outcome: Done, First: max(opts.From, 1), ToEnd: true, Call: c.order.Next()}
	var events []annals.Event
	cut := false
	for e, err := range store.Stream(ctx, c.Stream, opts) {
		if err != nil {
			cut, op.Why = true, string(annals.CodeOf(err))
			switch {
			case errors.Is(err, annals.ErrDamaged):
				op.Outcome = Broken
			case len(events) == 0:
				op.Outcome = Refused
			}
			break
		}
		events = append(events, e)
	}
	op.Return = c.order.Next()
	if opts.Backward {
		slices.Reverse(events)
		if len(events) > 0 {
			op.First = max(events[0].Version, 1)
		}
	}
	op.Version = op.First - 1
	for i := range events {
		op.Prints = append(op.Prints, c.saw(&op, &events[i]))
	}
	op.ToEnd = opts.Backward || !cut && (opts.To == 0 || op.Version < opts.To)
	if short := opts.Limit > 0 && len(events) < opts.Limit; short && op.First > 1 && !cut {
		op.Outcome = Broken // events before those must have been shown too
	}
	if op.First == 1 && op.ToEnd {
		op.Prints = nil
	}
	if op.Outcome == Done {
		c.learn(op.Version)
	}
	c.done = append(c.done, op)
}
