package reaction

import (
	"context"
	"errors"
	"sync"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/view"
)

// Options changes how a Reaction or a Process works; nil means the defaults.
type Options struct {
	// From is the position behind which it starts the first time; later it goes
	// on from its checkpoint. 0, the default, is the whole log.
	From int64
	// FromEnd starts it the first time behind what the log holds then, so that
	// nothing is done about what happened before. It can't be used with From.
	FromEnd bool
	// Source is that of the events it appends where they name none; by default
	// "reaction/" or "saga/" and the name.
	Source string
	// Effects journals the outside calls that the Handler makes with the context it
	// is given, under the reaction's name, so that they are made once; and Run then
	// carries out repairs and sends the corrections that were approved. When the
	// reaction starts for the first time, the calls for events that the log holds by
	// then are suppressed, unless effect.Gateway.Began said otherwise before; one
	// that has run without Effects makes them for what is behind its checkpoint. No
	// saga is started by an event whose calls would be suppressed.
	Effects *effect.Gateway
	// Consumer changes how the log is read. A batch is 100 events by default: so
	// many may come again after a crash.
	Consumer *consumer.Options
}

const (
	defaultBatch = 100
	// tries is how often a Handler is called at once while it meets conflicts,
	// before the consumer counts a failed attempt and pauses.
	tries = 10
)

// A Handler acts on the event of t. It must decide by that event, by what streams
// hold, and by nothing else: not by the machine's clock, nor by chance.
//
// It is called again with the same event after a crash, and whenever it returns
// an error: at once where that is annals.ErrConflict, as another writer was
// faster, and else after a pause, until the event is parked (see package consumer
// for that, and for errors that are Permanent). It keeps nothing of t.
type Handler func(ctx context.Context, t *Turn) error

// A Reaction calls a Handler for the events of a store. Its methods are safe for
// concurrent use; Run is called once.
type Reaction struct {
	store   *annals.Store
	views   view.Store
	name    string
	query   annals.Query
	fromEnd bool
	source  string
	handle  Handler
	effects *effect.Gateway // may be nil
	from    int64           // position behind which it started, where that was given
	single  bool            // handle can be run for a single event without harm
	opts    consumer.Options

	runner *consumer.Runner // set before ready is closed
	ready  chan struct{}
}

// New makes a Reaction to the events that match q, whose After, Until, Limit and
// Backward must not be set. name is that of its consumer, for consumer.NewControl
// too, and part of every id that it makes: under another name it would act on
// everything once more. Its checkpoint is kept in views.
//
// A Reaction that appends events which match its own query reacts to them too.
func New(store *annals.Store, views view.Store, name string, q annals.Query, handle Handler, opts *Options) (*Reaction, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	switch {
	case handle == nil:
		return nil, annals.Invalid("handle", "must be given")
	case q.After != 0:
		return nil, annals.Invalid("query", "must not set After: Options.From says where to start")
	case o.From < 0:
		return nil, annals.Invalid("from", "must be 0 or a position")
	case o.FromEnd && o.From != 0:
		return nil, annals.Invalid("from", "can't be used with FromEnd")
	}
	if o.Source == "" {
		o.Source = "reaction/" + name
	}
	q.After = o.From
	r := &Reaction{
		store: store, views: views, name: name, query: q, fromEnd: o.FromEnd, source: o.Source,
		handle: handle, effects: o.Effects, from: o.From, single: true, opts: consumerOptions(o.Consumer), ready: make(chan struct{}),
	}
	if err := r.makeRunner(); err != nil {
		return nil, err
	}
	if !r.fromEnd {
		close(r.ready)
	}
	return r, nil
}

// consumerOptions are those that are given, with a smaller batch by default.
func consumerOptions(given *consumer.Options) consumer.Options {
	o := given.Complete()
	if given == nil || given.Batch <= 0 {
		o.Batch = defaultBatch
	}
	return *o
}

func (r *Reaction) makeRunner() (err error) {
	r.runner, err = consumer.New(r.store, r.views, r.name, r.query, handler{r}, &r.opts)
	return err
}

// Run reacts until ctx ends, and then returns ctx's error; any other error says
// that it can't go on. While a store can't be reached it waits. Run it in as many
// processes as you like: one works, the others take over when it is gone.
func (r *Reaction) Run(ctx context.Context) error {
	start, err := r.begin(ctx)
	if err != nil {
		return err
	}
	if r.effects == nil {
		return r.runner.Run(ctx)
	}
	if err := r.began(ctx, start); err != nil {
		return err
	}
	running, cancel := context.WithCancel(ctx)
	var repairs sync.WaitGroup
	repairs.Go(func() { r.watchRepairs(running) })
	err = r.runner.Run(running)
	cancel()
	repairs.Wait()
	return err
}

// begin makes the runner of a Reaction that starts at the end of the log, which it
// returns; -1 where the start is known otherwise.
func (r *Reaction) begin(ctx context.Context) (start int64, err error) {
	select {
	case <-r.ready:
		return -1, nil
	default:
	}
	// The checkpoint that the consumer writes before it does anything makes this
	// position the start for ever.
	end, err := r.end(ctx)
	if err != nil {
		return -1, err
	}
	r.query.After = end
	if err := r.makeRunner(); err != nil {
		return -1, err
	}
	close(r.ready)
	return end, nil
}

// CatchUp works like Run and returns nil once nothing is left to do: every event
// that the log held when it last looked was handled or parked, and repairs and
// corrections are made; or the reaction is paused, or another process works on it.
// It is for processes that are woken: when it returns nothing goes on. It is called
// by one goroutine at a time, any number of times, and not beside Run.
func (r *Reaction) CatchUp(ctx context.Context) error {
	start, err := r.begin(ctx)
	if err != nil {
		return err
	}
	if r.effects != nil {
		if err := r.began(ctx, start); err != nil {
			return err
		}
	}
	if err := r.runner.CatchUp(ctx); err != nil || r.effects == nil {
		return err
	}
	return r.effects.Ledger(r.name).Tend(ctx, r.repairs())
}

// end is the end of the log, waiting for a store that can't be reached.
func (r *Reaction) end(ctx context.Context) (end int64, err error) {
	return end, r.patiently(ctx, func() error {
		end, err = r.store.End(ctx)
		return err
	})
}

// patiently calls f again while its store can't be reached.
func (r *Reaction) patiently(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil || ctx.Err() != nil || !errors.Is(err, annals.ErrUnavailable) {
			return err
		}
		r.opts.Logger.Warn("a reaction waits for its store", "consumer", r.name, "error", err)
		r.opts.Sleep(ctx, r.opts.Poll)
	}
}

// Name is the name of the consumer, for consumer.NewControl: with that, events
// that could not be handled are listed and tried again.
func (r *Reaction) Name() string { return r.name }

// WaitFor waits until every event up to position has been handled, parked or
// found not to match.
func (r *Reaction) WaitFor(ctx context.Context, position int64) error {
	if err := r.waitReady(ctx); err != nil {
		return err
	}
	return r.runner.WaitFor(ctx, position)
}

// Status says where the reaction stands.
func (r *Reaction) Status(ctx context.Context) (consumer.Status, error) {
	if err := r.waitReady(ctx); err != nil {
		return consumer.Status{}, err
	}
	return r.runner.Status(ctx)
}

func (r *Reaction) waitReady(ctx context.Context) error {
	select {
	case <-r.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// handler is the Reaction as its consumer sees it. It remembers nothing.
type handler struct{ *Reaction }

func (h handler) Handle(ctx context.Context, batch []consumer.Message) (view.Change, error) {
	var change view.Change
	for i := range batch {
		puts, err := h.turn(ctx, &batch[i])
		if err != nil {
			return view.Change{}, err
		}
		change.Put = append(change.Put, puts...)
	}
	return change, nil
}

func (handler) Forget() {}

// Fit says that each event changes one document at most: the timer that it sets.
func (handler) Fit(batch []consumer.Message, documents int) int { return min(len(batch), documents) }

// turn handles m, again while it loses against other writers.
func (r *Reaction) turn(ctx context.Context, m *consumer.Message) ([]view.Put, error) {
	for try := 1; ; try++ {
		t := r.newTurn(m)
		err := r.act(ctx, t)
		if err == nil {
			return t.puts, nil
		}
		if !errors.Is(err, annals.ErrConflict) || consumer.Waits(err) || try == tries || ctx.Err() != nil {
			return nil, err
		}
	}
}

func (r *Reaction) newTurn(m *consumer.Message) *Turn {
	return &Turn{Message: m, reaction: r, calls: map[string]int{}}
}
