package consumer

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// Options changes how a Runner works; nil means the defaults.
type Options struct {
	// Batch is the most events that are handled and committed together; 1,000 by
	// default. A batch ends earlier at 4 MiB of data.
	Batch int
	// Attempts is how often an event is tried before it is parked; 5 by default.
	Attempts int
	// Backoff is the pause before the next try, after so many; by default 100 ms
	// doubled for each, up to 10 s.
	Backoff func(attempts int) time.Duration
	// Sleep pauses for d or until ctx ends.
	Sleep func(ctx context.Context, d time.Duration)
	// Poll is how often an idle Runner looks whether another process paused it or
	// asked for something; 2 s by default. A Runner on standby takes over when
	// events wait and nothing has moved for five times as long.
	Poll time.Duration
	// StallAfter is how long a consumer with events ahead may stand still before
	// its status is Stalled; 30 s by default.
	StallAfter time.Duration
	// Clock measures lag and dates checkpoints; time.Now by default. Handlers
	// never see it.
	Clock func() time.Time
	// Logger is told what was parked and what stands still; slog.Default by
	// default.
	Logger *slog.Logger
	// ID names this Runner to others of the same consumer; random by default.
	ID string
	// At, in tests, is called at each Step; an error stops the Runner there as a
	// crash would.
	At func(Step) error
}

const (
	defaultBatch    = 1000
	maxBatchBytes   = 4 << 20
	defaultAttempts = 5
	firstBackoff    = 100 * time.Millisecond
	maxBackoff      = 10 * time.Second
	defaultPoll     = 2 * time.Second
	defaultStall    = 30 * time.Second
	// flushAfter is how long a checkpoint may lag behind events that were passed
	// over because they don't match: nothing is lost with it but reading again.
	flushAfter    = time.Second
	takeOverPolls = 5
)

func (o *Options) complete() *Options {
	c := Options{}
	if o != nil {
		c = *o
	}
	if c.Batch <= 0 {
		c.Batch = defaultBatch
	}
	if c.Attempts <= 0 {
		c.Attempts = defaultAttempts
	}
	if c.Backoff == nil {
		c.Backoff = func(attempts int) time.Duration {
			return min(firstBackoff<<min(attempts-1, 10), maxBackoff)
		}
	}
	if c.Sleep == nil {
		c.Sleep = sleep
	}
	if c.Poll <= 0 {
		c.Poll = defaultPoll
	}
	if c.StallAfter <= 0 {
		c.StallAfter = defaultStall
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.ID == "" {
		c.ID = strings.ToLower(rand.Text())
	}
	if c.At == nil {
		c.At = func(Step) error { return nil }
	}
	return &c
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// A Runner is one process's work on one consumer. Its methods are safe for
// concurrent use; Run is called once.
type Runner struct {
	store   *annals.Store
	views   view.Store
	name    string
	query   annals.Query
	handler Handler
	opts    *Options
	control *Control
	wake    chan struct{}

	mu       sync.Mutex
	position int64         // reached, whether the record says so yet or not
	atEnd    bool          // nothing was ahead when it looked last
	lastMove time.Time     // when it moved, or found events ahead after it had been at the end
	standby  bool          // another Runner does the work
	trouble  error         // what it is trying to get past
	moved    chan struct{} // closed at the next move
}

// New makes a Runner of the consumer called name. It reads the events of store
// that match q, whose Until, Limit and Backward must not be set, behind q.After
// at first, and keeps what it must remember in views. Annals' own events, those
// of streams that start with "annals.", are passed over unless q.Prefix asks for
// them. See CheckName for names.
func New(store *annals.Store, views view.Store, name string, q annals.Query, h Handler, opts *Options) (*Runner, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	if q.Until != 0 || q.Limit != 0 || q.Backward {
		return nil, annals.Invalid("query", "must not set Until, Limit or Backward: a consumer reads on for ever")
	}
	o := opts.complete()
	return &Runner{
		store: store, views: views, name: name, query: q, handler: h, opts: o, control: NewControl(store, views, name, o),
		wake: make(chan struct{}, 1), position: -1, moved: make(chan struct{}),
	}, nil
}

// Run works until ctx ends, and then returns ctx's error; any other error says
// that the consumer can't go on. While a store can't be reached it waits.
func (r *Runner) Run(ctx context.Context) error {
	failures := 0
	for {
		before, _ := r.place()
		err := r.session(ctx)
		if after, _ := r.place(); after > before {
			failures = 0
		}
		var stop *stopped
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &stop):
			return stop.err
		case errors.Is(err, errChanged):
			continue
		case errors.Is(err, errOvertaken):
			err = r.rest(ctx)
		case !unreachable(err) || errors.Is(err, annals.ErrClosed):
			return err
		}
		if err != nil {
			failures++
			r.troubled(err)
			r.opts.Logger.Warn("a consumer waits for its stores", "consumer", r.name, "failures", failures, "error", err)
			r.opts.Sleep(ctx, r.opts.Backoff(failures))
		}
	}
}

// How a session ends when it is to begin again.
var (
	errChanged   = errors.New("the consumer's record was changed")
	errOvertaken = errors.New("another runner works on this consumer")
)

// stopped is the error of Options.At: the process is gone.
type stopped struct{ err error }

func (s *stopped) Error() string { return s.err.Error() }

func (r *Runner) at(step Step) error {
	if err := r.opts.At(step); err != nil {
		return &stopped{err}
	}
	return nil
}

// A session is the work from one reading of the record to the next.
type session struct {
	record    record
	blocked   map[string]int // parked events by stream
	decisions map[int64]decision
	size      int // of batches: smaller after a failure, growing again
	attempts  int // of the event at hand
}

func (r *Runner) session(ctx context.Context) error {
	s, err := r.load(ctx)
	if err != nil {
		return err
	}
	if err := r.at(StepLoaded); err != nil {
		return err
	}
	for s.record.Paused {
		if err := r.untilChanged(ctx, s); err != nil {
			return err
		}
	}
	if err := r.retryParked(ctx, s); err != nil {
		return err
	}
	for {
		if err := r.catchUp(ctx, s); err != nil {
			return err
		}
		if err := r.idle(ctx, s); err != nil {
			return err
		}
	}
}

func (r *Runner) load(ctx context.Context) (*session, error) {
	r.handler.Forget()
	s := &session{blocked: map[string]int{}, size: r.opts.Batch}
	var err error
	if s.record, err = readRecord(ctx, r.views, r.name); err != nil {
		return nil, err
	}
	if s.record.text == nil {
		// So that operators find it, and the first batch is fenced like the others.
		if err := r.commit(ctx, s, view.Change{}, r.query.After, 0); err != nil {
			return nil, err
		}
	}
	for p, err := range r.control.Parked(ctx) {
		if err != nil {
			return nil, err
		}
		s.blocked[p.Stream]++
	}
	if s.decisions, err = readDecisions(ctx, r.views, r.name); err != nil {
		return nil, err
	}
	r.reached(s.record.Position)
	return s, nil
}

// catchUp handles what the log holds behind the checkpoint.
func (r *Runner) catchUp(ctx context.Context, s *session) error {
	end, err := r.store.End(ctx)
	from, _ := r.place()
	if err != nil || end <= from {
		return err
	}
	r.ahead()
	q := r.query
	q.After, q.Until = from, end
	own := strings.HasPrefix(q.Prefix, annals.OwnPrefix)
	batch, size := make([]Message, 0, r.opts.Batch), 0
	for e, err := range r.store.Log(ctx, q) {
		if err != nil {
			return err
		}
		if !own && strings.HasPrefix(e.Stream, annals.OwnPrefix) {
			continue
		}
		if len(batch) == cap(batch) || len(batch) > 0 && size+len(e.Data) > maxBatchBytes {
			if err := r.work(ctx, s, batch, batch[len(batch)-1].Position); err != nil {
				return err
			}
			batch, size = batch[:0], 0
		}
		batch, size = append(batch, Message{Event: e}), size+len(e.Data)
	}
	return r.work(ctx, s, batch, end)
}

// idle waits for events, and writes down how far was read meanwhile.
func (r *Runner) idle(ctx context.Context, s *session) error {
	position, _ := r.place()
	r.ended()
	wait := r.opts.Poll
	if position > s.record.Position {
		wait = min(wait, flushAfter)
		if r.opts.Clock().Sub(s.record.Updated) >= flushAfter {
			return r.commit(ctx, s, view.Change{}, position, 0)
		}
	}
	moved, err := r.waitPast(ctx, position, wait)
	if err != nil || moved {
		return err
	}
	if position > s.record.Position {
		return r.commit(ctx, s, view.Change{}, position, 0)
	}
	return r.unchanged(ctx, s)
}

// waitPast waits for events behind position, at most for so long, and for Wake.
func (r *Runner) waitPast(ctx context.Context, position int64, most time.Duration) (moved bool, err error) {
	waiting, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	go func() {
		select {
		case <-r.wake:
			cancel()
		case <-waiting.Done():
		}
	}()
	_, err = r.store.WaitPast(waiting, position)
	if err != nil && waiting.Err() != nil {
		return false, ctx.Err()
	}
	return err == nil, err
}

// unchanged is errChanged once the record differs from the session's.
func (r *Runner) unchanged(ctx context.Context, s *session) error {
	now, err := readRecord(ctx, r.views, r.name)
	if err == nil && string(now.text) != string(s.record.text) {
		return errChanged
	}
	return err
}

// untilChanged waits while the consumer is paused.
func (r *Runner) untilChanged(ctx context.Context, s *session) error {
	waiting, cancel := context.WithTimeout(ctx, r.opts.Poll)
	defer cancel()
	select {
	case <-r.wake:
	case <-waiting.Done():
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return r.unchanged(ctx, s)
}

// rest watches another Runner work, and returns once nothing has moved for a
// while although events wait.
func (r *Runner) rest(ctx context.Context) error {
	r.resting(true)
	defer r.resting(false)
	still, last := 0, int64(-1)
	for still < takeOverPolls && ctx.Err() == nil {
		r.opts.Sleep(ctx, r.opts.Poll)
		now, err := readRecord(ctx, r.views, r.name)
		if err != nil {
			return err
		}
		end, err := r.store.End(ctx)
		if err != nil {
			return err
		}
		r.reached(now.Position)
		if still++; now.Revision != last || end <= now.Position || now.Paused {
			still, last = 0, now.Revision
		}
	}
	return ctx.Err()
}
