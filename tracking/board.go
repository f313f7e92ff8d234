package tracking

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/eb901187/annals"
)

// Bounds of what a Board keeps. Together they hold it below 80 MB, whatever the
// log holds; 10,000 requests of a few calls to a dozen services take about 10 MB.
const (
	// BoardRequests is how many recent requests a Board lists.
	BoardRequests = 10_000
	// BoardWindow is how far back a Board's figures of services reach.
	BoardWindow = time.Hour
	// BoardIdle is how long a Board goes on working when nobody looks.
	BoardIdle = 10 * time.Minute
)

// BoardOptions changes how a Board works; nil means the defaults.
type BoardOptions struct {
	// Clock is time.Now by default.
	Clock func() time.Time
	// Logger is told when the log can't be read; slog.Default by default.
	Logger *slog.Logger
	// Sleep pauses for d or until ctx ends; by the machine's clock by default.
	Sleep func(ctx context.Context, d time.Duration)
	// Ending, when it is closed, closes the Board.
	Ending <-chan struct{}
}

// A Board knows the recent requests of a store, and how its services did over the
// last hour. It reads the log from its end backward, over at most 200,000 events of
// calls and one day, and then follows it; all that it knows is in memory. It works
// from the first look at it until nobody has looked for BoardIdle, and then begins
// anew. Parents are known by parentId only. It is safe for concurrent use.
type Board struct {
	store *annals.Store
	opts  BoardOptions

	mu     sync.Mutex
	looked time.Time
	now    *knowledge    // nil while it does not work
	stop   func()        // ends the work
	ended  chan struct{} // closed once the work has ended
	closed bool
}

// NewBoard makes a Board over store. It reads nothing before somebody looks.
func NewBoard(store *annals.Store, opts *BoardOptions) *Board {
	b := &Board{store: store}
	if opts != nil {
		b.opts = *opts
	}
	if b.opts.Clock == nil {
		b.opts.Clock = time.Now
	}
	if b.opts.Logger == nil {
		b.opts.Logger = slog.Default()
	}
	if b.opts.Sleep == nil {
		b.opts.Sleep = func(ctx context.Context, d time.Duration) {
			t := time.NewTimer(d)
			defer t.Stop()
			select {
			case <-ctx.Done():
			case <-t.C:
			}
		}
	}
	return b
}

// A BoardState says how much a Board knows.
type BoardState struct {
	// Since is the time from which on it knows what happened; zero if it has found
	// nothing yet.
	Since time.Time
	// Reading says that it is still reading backward.
	Reading bool
	// Problem is why the log can't be read now; nil if it can. What was read before
	// stands, and no call is given up for want of a response that came since.
	Problem error
}

// A Request is a recent request, as its calls that are known so far tell. It has a
// hundredth of a Trace: texts are cut to 128 bytes.
type Request struct {
	ID           string
	Method, Path string // of the first call at the top
	Began        time.Time
	Duration     time.Duration // until its last response so far
	// Status is that of its first failed call at the top, else of its last one there;
	// 0 if that has none.
	Status int
	Failed bool   // a call failed
	Open   bool   // a call waits for its response
	Faulty string // as in a Trace
	// Services are those called, in order of their first calls; at most 50.
	Services []string
	// Failing are those of them with a failed call.
	Failing []string
	Calls   int
	// Partial says that it has more calls than a Board keeps of a request: calls
	// without a response are not given up then.
	Partial bool
}

// A RequestQuery says which requests to list. The zero value lists the newest.
type RequestQuery struct {
	// Service is one that was called; with Failing, one whose call failed.
	Service string
	// Failing leaves out requests in which no call failed.
	Failing bool
	// Prefix is how the request's id starts.
	Prefix string
	// Before and BeforeID say where the page before this one ended: Began and ID of
	// its last request.
	Before   time.Time
	BeforeID string
	// Limit is the most requests to list; 100 by default.
	Limit int
}

// Requests lists recent requests, by Began and then by ID, the latest first. more
// says that others follow. It waits for the first events to be read, or for ctx.
func (b *Board) Requests(ctx context.Context, q RequestQuery) (requests []Request, more bool, state BoardState, err error) {
	err = b.look(ctx, func(k *knowledge, now time.Time) {
		requests, more = k.list(q)
		state = k.state()
		if k.evicted || k.full() {
			state.Since = k.oldestKept().Began
		}
	})
	return requests, more, state, err
}

// Services says how each service did over BoardWindow. It waits for the first
// events to be read, or for ctx.
func (b *Board) Services(ctx context.Context) (m ServiceMap, state BoardState, err error) {
	err = b.look(ctx, func(k *knowledge, now time.Time) {
		m = k.services(now)
		state = k.state()
	})
	return m, state, err
}

// Close ends the Board's work, and waits until it has ended. Whoever looks then gets
// annals.ErrClosed.
func (b *Board) Close() {
	b.mu.Lock()
	b.closed = true
	ended := b.ended
	if b.stop != nil {
		b.stop()
	}
	b.mu.Unlock()
	if ended != nil {
		<-ended
	}
}

// look calls f with what is known, after it has begun to learn.
func (b *Board) look(ctx context.Context, f func(k *knowledge, now time.Time)) error {
	b.mu.Lock()
	if b.closed || b.isEnding() {
		b.mu.Unlock()
		return &annals.Error{Code: annals.CodeClosed, Message: "the server is ending", Hint: "open the page again once it runs"}
	}
	b.looked = b.opts.Clock()
	if b.now == nil {
		b.begin()
	}
	k := b.now
	b.mu.Unlock()
	select {
	case <-k.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.opts.Clock()
	k.settleAll(now)
	f(k, now)
	return nil
}

func (b *Board) isEnding() bool {
	select {
	case <-b.opts.Ending:
		return true
	default:
		return false
	}
}

// begin starts the work, with b.mu held.
func (b *Board) begin() {
	ctx, stop := context.WithCancel(context.Background())
	k, ended := newKnowledge(), make(chan struct{})
	b.now, b.stop, b.ended = k, stop, ended
	go func() {
		select {
		case <-b.opts.Ending:
			stop()
		case <-ctx.Done():
		}
	}()
	go func() {
		defer close(ended)
		defer stop()
		b.work(ctx, k)
	}()
}

const (
	// waitFor is how long the work rests without an event.
	waitFor = 5 * time.Second
	// restFor is how long it rests between two reads of a busy log.
	restFor = 250 * time.Millisecond
	// longestRest is the longest pause after the log could not be read.
	longestRest = 30 * time.Second
)

// work learns until nobody looks or ctx ends.
func (b *Board) work(ctx context.Context, k *knowledge) {
	pause := time.Second
	for {
		err := b.learn(ctx, k)
		going, first := b.stands(ctx, k, err)
		if err == nil && going && !k.reading {
			b.opts.Sleep(ctx, restFor)
			if err = b.wait(ctx, k); err != nil {
				going, first = b.stands(ctx, k, err)
			}
		}
		switch {
		case !going:
			return
		case err == nil:
			pause = time.Second
			continue
		case first:
			b.opts.Logger.Warn("the recent requests can't be read; trying again", "error", err)
		}
		b.opts.Sleep(ctx, pause)
		pause = min(2*pause, longestRest)
	}
}

// stands tells those who look how the last step went. going says that the work goes
// on, first that no step before it failed.
func (b *Board) stands(ctx context.Context, k *knowledge, err error) (going, first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first, k.problem = k.problem == nil, err
	switch {
	case err == nil:
		k.deaf = time.Time{}
	case k.deaf.IsZero():
		k.deaf = b.opts.Clock()
	}
	k.begun()
	if ctx.Err() != nil || errors.Is(err, annals.ErrClosed) || b.opts.Clock().Sub(b.looked) >= BoardIdle {
		b.now = nil
		return false, first
	}
	return true, first
}

// wait waits for a further event, for at most waitFor.
func (b *Board) wait(ctx context.Context, k *knowledge) error {
	ctx, cancel := context.WithTimeout(ctx, waitFor)
	defer cancel()
	_, err := b.store.WaitPast(ctx, k.head)
	if ctx.Err() != nil {
		return nil
	}
	return err
}
