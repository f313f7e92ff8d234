package effect

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
)

const (
	defaultTimeout = 30 * time.Second
	defaultMaxBody = 256 << 10
	maxMaxBody     = 700 << 10
	// recordTimeout is how long the journal may take to note what became of a call
	// whose context has ended.
	recordTimeout = 10 * time.Second
	// quiet is how long a handler's suppressed calls are counted before they are
	// logged again.
	quiet = time.Minute
)

// A Gateway stands between handlers and the outside. It is safe for concurrent
// use; a process needs one for each store.
type Gateway struct {
	store  *annals.Store
	opts   Options
	redact *redactor

	mu       sync.Mutex
	handlers map[string]*handlerState
	underWay map[string]bool // calls that this process is sending
	forkRead bool
	isFork   bool
}

// A handlerState is what a Gateway remembers of a handler.
type handlerState struct {
	name                                string
	lowest                              atomic.Int64 // position of an event handled live; 0 for none
	sent, answered, suppressed, unknown atomic.Int64

	mu         sync.Mutex
	began      int64
	beganKnown bool
	ledger     *book     // once a call asked otherwise than then
	logged     time.Time // when suppressed calls were logged last
	unlogged   int64     // calls suppressed since
}

// Stats counts a handler's calls since the Gateway was made.
type Stats struct {
	Handler    string `json:"handler"`
	Sent       int64  `json:"sent"`       // attempts that were handed to the outside
	Answered   int64  `json:"answered"`   // calls answered from the journal
	Suppressed int64  `json:"suppressed"` // calls that were not sent
	Unknown    int64  `json:"unknown"`    // attempts whose outcome is unknown
}

// New makes a Gateway that journals in store, which it does not touch before the
// first call. An error says what is wrong with opts.
func New(store *annals.Store, opts *Options) (*Gateway, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.MaxBody < 0 || o.MaxBody > maxMaxBody {
		return nil, annals.Invalid("MaxBody", "must be 0 to %d bytes", maxMaxBody)
	}
	if o.Timeout < 0 {
		return nil, annals.Invalid("Timeout", "must not be negative")
	}
	redact, err := o.Redact.compile()
	if err != nil {
		return nil, err
	}
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	o.MaxBody = cmp.Or(o.MaxBody, defaultMaxBody)
	o.ID = cmp.Or(o.ID, strings.ToLower(rand.Text()))
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.At == nil {
		o.At = func(Step) error { return nil }
	}
	if o.Unknown == nil {
		o.Unknown = resendIdempotent
	}
	return &Gateway{
		store: store, opts: o, redact: redact,
		handlers: map[string]*handlerState{}, underWay: map[string]bool{},
	}, nil
}

// Handle runs f, a handler's code for one event, with a context by which Transport
// and Do know the event. A handler that makes no calls costs no access to the
// store.
//
// Where a call was suppressed and f returned its ErrSuppressed, Handle returns nil.
// A consumer.Blameless error says that the event can't be handled now, whatever f
// made of it; the same handling later may succeed. A consumer.Permanent error
// needs an operator. Other errors of f are returned as they are, but for the secrets in
// URLs within their text, which http.Client puts there and whoever parks events keeps.
//
// For an event that is erased f is not called: nobody knows any more what it was to
// ask for, and its journal is erased too. It counts as handled.
//
// Calls that f makes at the same time need names, see Named: the order in which
// they get their numbers is chance. Calls made after f has returned are refused.
//
// Where ctx ends while a call is under way, as when the process is asked to end, the
// context of f ends once that call is over, or 5 s later: a call that is cut off has an
// unknown outcome. What f itself cuts off is cut off at once.
func (g *Gateway) Handle(ctx context.Context, h Handling, f func(ctx context.Context) error) error {
	if err := checkHandling(h); err != nil {
		return err
	}
	if h.Event.Erased() {
		return nil
	}
	run := g.newHandling(h)
	lasting, stop := run.outlasting(ctx)
	defer stop()
	err := f(context.WithValue(lasting, scopeKey{}, &scope{handling: run}))
	return g.redact.discreet(run.end(ctx, err))
}

func checkHandling(h Handling) error {
	if err := checkHandler(h.Handler); err != nil {
		return err
	}
	switch {
	case h.Event == nil || h.Event.Stream == "" || h.Event.Version < 1:
		return annals.Invalid("Event", "must be an event of a stream, with its version")
	case h.Mode < Live || h.Mode > Repair:
		return annals.Invalid("Mode", "must be Live, Replay or Repair")
	case h.Mode == Repair && h.Differs == nil:
		return annals.Invalid("Differs", "must be set in Repair")
	}
	return nil
}

func checkHandler(name string) error {
	if err := consumer.CheckName(name); err != nil {
		return err
	}
	return annals.CheckStream(HandlerStream(name))
}

func (g *Gateway) handler(name string) *handlerState {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.handlers[name]
	if s == nil {
		s = &handlerState{name: name}
		g.handlers[name] = s
	}
	return s
}

// Stats counts the calls of every handler that this Gateway has run, by name.
func (g *Gateway) Stats() []Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]Stats, 0, len(g.handlers))
	for _, s := range g.handlers {
		all = append(all, Stats{s.name, s.sent.Load(), s.answered.Load(), s.suppressed.Load(), s.unknown.Load()})
	}
	slices.SortFunc(all, func(a, b Stats) int { return strings.Compare(a.Handler, b.Handler) })
	return all
}

// occupy notes that this process is at work on a call; false says that it is
// already.
func (g *Gateway) occupy(call string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.underWay[call] {
		return false
	}
	g.underWay[call] = true
	return true
}

func (g *Gateway) release(call string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.underWay, call)
}

// Began records behind which position of the log the calls of handler are live, and
// returns what is recorded: the first record stands. at below 0 means the end of
// the log as it is now. Calls for an event at or before that position are handled
// as in Replay even when the Handling is Live, so that a new feature makes no
// outside call for what happened before it existed.
//
// Where nobody has called Began, the first live call of a handler records the
// position before the first event that this Gateway has run it for.
func (g *Gateway) Began(ctx context.Context, handler string, at int64) (int64, error) {
	if err := checkHandler(handler); err != nil {
		return 0, err
	}
	s := g.handler(handler)
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, err := g.recorded(ctx, s); known || err != nil {
		return s.began, err
	}
	if at < 0 {
		end, err := g.store.End(ctx)
		if err != nil {
			return 0, err
		}
		at = end
	}
	_, err := g.store.Append(ctx, HandlerStream(handler), annals.NoStream, annals.Event{
		ID: "began", Type: EffectsBegan, Source: source(handler), Time: g.opts.Clock(),
		Data: encode(beganRecord{at}),
	})
	if err != nil && !moved(err) {
		return 0, err
	}
	if known, err := g.recorded(ctx, s); !known && err == nil {
		return 0, damaged(HandlerStream(handler), 1, errors.New("it does not start with "+EffectsBegan))
	} else if err != nil {
		return 0, err
	}
	return s.began, nil
}

type beganRecord struct {
	Position int64 `json:"position,string"`
}

// recorded reads what Began has recorded; s.mu is held.
func (g *Gateway) recorded(ctx context.Context, s *handlerState) (bool, error) {
	if s.beganKnown {
		return true, nil
	}
	for e, err := range g.store.Stream(ctx, HandlerStream(s.name), &annals.StreamOptions{Limit: 1}) {
		if err != nil {
			return false, err
		}
		var r beganRecord
		if err := decode(e.Data, &r); err != nil || e.Type != EffectsBegan {
			return false, damaged(e.Stream, e.Version, cmp.Or(err, errors.New("its type is "+e.Type)))
		}
		s.began, s.beganKnown = r.Position, true
	}
	return s.beganKnown, nil
}

// fork reports whether the store is a fork whose calls must not leave it.
func (g *Gateway) fork(ctx context.Context) (bool, error) {
	if g.opts.SendFromFork {
		return false, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.forkRead {
		return g.isFork, nil
	}
	for _, err := range g.store.Stream(ctx, ForkStream, &annals.StreamOptions{Limit: 1}) {
		if err != nil {
			return false, err
		}
		g.isFork = true
	}
	g.forkRead = true
	return g.isFork, nil
}

// logSuppressed logs the first suppressed call of a handler, and later ones each
// minute by their number.
func (g *Gateway) logSuppressed(h *handling, c *call, why string) {
	s, now := h.state, g.opts.Clock()
	s.mu.Lock()
	s.unlogged++
	due := s.logged.IsZero() || now.Sub(s.logged) >= quiet
	count := s.unlogged
	if due {
		s.logged, s.unlogged = now, 0
	}
	s.mu.Unlock()
	if due {
		g.opts.Logger.Info("outside calls were suppressed", "handler", s.name, "calls", count, "event", h.event, "call", c.key, "request", c.request.String(), "why", why)
	}
}
