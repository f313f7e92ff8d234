package consumer

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// A Runner is one process's work on one consumer. Its methods are safe for
// concurrent use; Run is called once, or CatchUp by one goroutine at a time.
type Runner struct {
	store   *annals.Store
	views   view.Store
	name    string
	query   annals.Query
	handler Handler
	opts    *Options
	control *Control
	wake    chan struct{}
	useful  bool // the session has committed something, or waited in vain for a change
	once    bool // it ends when nothing is left to do

	mu       sync.Mutex
	position int64         // reached, whether the record says so yet or not
	seen     int64         // where the log was seen to end
	lastMove time.Time     // when it moved, or when events were seen ahead of it after none had been
	standby  bool          // another Runner does the work
	trouble  error         // what it is trying to get past
	handling bool          // trouble is of handling, so that reading well does not end it
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
	o := opts.Complete()
	return &Runner{
		store: store, views: views, name: name, query: q, handler: h, opts: o, control: NewControl(store, views, name, o),
		wake: make(chan struct{}, 1), position: -1, moved: make(chan struct{}),
	}, nil
}

// Run works until ctx ends, and then returns ctx's error; any other error says
// that the consumer can't go on. While a store can't be reached it waits.
func (r *Runner) Run(ctx context.Context) error {
	failures, changes := 0, 0
	for {
		r.useful = false
		err := r.session(ctx)
		if r.useful {
			failures, changes = 0, 0
		}
		var stop *stopped
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &stop):
			return stop.err
		case errors.Is(err, errDone):
			return nil
		case errors.Is(err, errChanged):
			if changes++; changes >= patience {
				r.opts.Sleep(ctx, r.opts.Backoff(changes-patience+1))
			}
			continue
		case errors.Is(err, errOvertaken):
			if err = r.rest(ctx); errors.Is(err, errDone) {
				return nil
			}
		case !unreachable(err) || errors.Is(err, annals.ErrClosed) && !isBlameless(err):
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

// CatchUp works like Run and returns nil once nothing is left to do: it has looked
// at the log after its last commit and found nothing behind, and has tried what
// operators asked for; or the consumer is paused; or another Runner works on it,
// which looks at the log after this call began. For processes that are woken, and
// may not go on working after that.
func (r *Runner) CatchUp(ctx context.Context) error {
	r.once = true
	return r.Run(ctx)
}

// How a session ends when it is to begin again.
var (
	errChanged   = errors.New("the consumer's record was changed")
	errOvertaken = errors.New("another runner works on this consumer")
	errDone      = errors.New("nothing is left to do") // of CatchUp, which ends by it
)

// patience is how many sessions in a row may be of no use, because the record was
// changed, until the next one waits.
const patience = 3

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
	blocked   map[string]int    // parked events by stream
	retrying  map[string]*queue // those of them that are to be handled, by stream
	queues    []*queue          // the same, in turn
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
	if r.once && s.record.Paused {
		return errDone
	}
	if !r.once { // then catchUp asks at once
		if _, err := r.end(ctx); err != nil {
			return err
		}
	}
	for s.record.Paused {
		if err := r.untilChanged(ctx, s); err != nil {
			return err
		}
	}
	for {
		if err := r.retrySome(ctx, s); err != nil {
			return err
		}
		before, _ := r.place()
		more, err := r.catchUp(ctx, s)
		switch {
		case err != nil || more || len(s.queues) > 0:
		case r.once:
			err = r.settle(ctx, s, before)
		default:
			err = r.idle(ctx, s)
		}
		if err != nil {
			return err
		}
	}
}

func (r *Runner) load(ctx context.Context) (*session, error) {
	r.handler.Forget()
	s := &session{blocked: map[string]int{}, retrying: map[string]*queue{}, size: r.opts.Batch}
	var err error
	if s.record, err = readRecord(ctx, r.views, r.name); err != nil {
		return nil, err
	}
	if s.record.text == nil && r.opts.Known {
		return nil, noConsumer(r.name)
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
		r.found(s, &p)
	}
	if s.decisions, err = readDecisions(ctx, r.views, r.name); err != nil {
		return nil, err
	}
	r.reached(s.record.Position)
	r.loaded()
	return s, nil
}

// catchUp handles a window of what the log holds behind the checkpoint; more says
// that it holds more.
func (r *Runner) catchUp(ctx context.Context, s *session) (more bool, err error) {
	end, err := r.end(ctx)
	from, _ := r.place()
	if err != nil || end <= from {
		return false, err
	}
	r.saw(end)
	until := min(end, from+window)
	if err := r.handleLog(ctx, s, from, until); err != nil || until == end {
		return false, err
	}
	if r.due(s) {
		return true, r.write(ctx, s)
	}
	return true, r.unchanged(ctx, s)
}

// handleLog handles what the log holds behind from, up to end.
func (r *Runner) handleLog(ctx context.Context, s *session, from, end int64) error {
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
		batch, size = append(batch, Message{Event: e, ctx: ctx}), size+len(e.Data)
	}
	return r.work(ctx, s, batch, end)
}
