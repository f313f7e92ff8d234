package effect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
)

type scopeKey struct{}

// A scope is what a context knows.
type scope struct {
	handling *handling
	name     string // by Named
	direct   string // the key of the call by Do whose code runs; its own calls are not journaled
}

func scopeOf(ctx context.Context) *scope {
	s, _ := ctx.Value(scopeKey{}).(*scope)
	return s
}

// Now is the time by which a handler acts: that of the event at hand, or the zero
// time where ctx is not one that Handle made.
func Now(ctx context.Context) time.Time {
	if s := scopeOf(ctx); s != nil {
		return s.handling.Event.Time
	}
	return time.Time{}
}

// Named returns a context whose calls are kept in the journal as name, name#1,
// name#2 and so on, instead of by their order among all calls. So code may make
// them in another order later, or at the same time as others. A name is 1 to 100
// of a-z, 0-9 and - _ . and starts with a letter; calls by another are refused.
func Named(ctx context.Context, name string) context.Context {
	s := scopeOf(ctx)
	if s == nil {
		return ctx
	}
	named := *s
	named.name = name
	if name == "" {
		named.name = " " // refused by checkName
	}
	return context.WithValue(ctx, scopeKey{}, &named)
}

const maxName = 100

func checkName(name string) error {
	ok := name != "" && len(name) <= maxName && name[0] >= 'a' && name[0] <= 'z'
	for i := range len(name) {
		c := name[i]
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
	}
	if !ok {
		return annals.Invalid("name", "must be 1 to %d of a-z, 0-9 and - _ . and start with a letter, not %.120q", maxName, name)
	}
	return nil
}

// A handling is one run of a handler's code for one event.
type handling struct {
	g *Gateway
	Handling
	state *handlerState
	event string // stream@version

	mu         sync.Mutex
	ended      bool
	broken     error // no call is made any more: the process is at fault or must wait
	verdicts   []error
	suppressed bool
	index      map[string]int   // the next number, by name
	open       map[string]*call // by name, the last call if it ended without an answer
	made       map[string]bool  // calls, by key
	found      []Difference

	underWay sync.RWMutex // read-locked by each attempt

	begun   sync.Mutex // held while the journal is read first
	ready   bool
	behind  bool // in Replay: the live handler has not reached the event
	journal *journal
}

func (g *Gateway) newHandling(h Handling) *handling {
	s := g.handler(h.Handler)
	if position := h.Event.Position; h.Mode == Live && position > 0 {
		for low := s.lowest.Load(); (low == 0 || position < low) && !s.lowest.CompareAndSwap(low, position); low = s.lowest.Load() {
		}
	}
	return &handling{g: g, Handling: h, state: s, event: cause(h.Event)}
}

// A call is one outside call of a handling.
type call struct {
	key     string // in the journal
	own     string // the Idempotency-Key that the caller chose; may be empty
	request *Request
	same    func(was, now *Request) bool
	// send makes the call once, with its Idempotency-Key.
	send func(ctx context.Context, key string) outcome
}

// An outcome is what became of an attempt.
type outcome struct {
	status   Status // Answered, Failed or Unknown
	response *Response
	text     string // without secrets: why it is Failed or Unknown
	err      error  // what the caller is told where the journal has no answer
}

// begin finds out, at the first call, what becomes of calls.
func (h *handling) begin(ctx context.Context) error {
	h.begun.Lock()
	defer h.begun.Unlock()
	if h.ready {
		return nil
	}
	if err := h.settleMode(ctx); err != nil {
		return err
	}
	if h.Mode == Replay && h.Reached != nil && h.Event.Position > 0 {
		// Asked before the journal is read: where the event was reached, every call
		// made for it is in what is read after.
		reached, err := h.Reached(ctx)
		if err != nil {
			return err
		}
		h.behind = reached < h.Event.Position
	}
	h.journal = newJournal(h.g, h.Handler, h.Event)
	if err := h.journal.load(ctx); err != nil {
		return err
	}
	if err := h.at(StepLoaded); err != nil {
		return err
	}
	h.ready = true
	return nil
}

// settleMode makes Replay of what is Live in a fork, and of an event from before the
// handler's calls began.
func (h *handling) settleMode(ctx context.Context) error {
	if h.Mode == Live {
		held, err := h.g.fork(ctx)
		if err != nil {
			return err
		}
		if held {
			h.Mode, h.Reached = Replay, nil
		}
	}
	if h.Mode == Replay || h.Prefix != "" || h.Send != nil || h.Event.Position == 0 {
		return nil
	}
	began, err := h.beganAt(ctx)
	if err != nil {
		return err
	}
	if h.Event.Position <= began {
		h.Mode, h.Reached = Replay, nil
	}
	return nil
}

func (h *handling) beganAt(ctx context.Context) (int64, error) {
	if h.Mode == Live {
		return h.g.Began(ctx, h.Handler, h.state.lowest.Load()-1)
	}
	h.state.mu.Lock()
	defer h.state.mu.Unlock()
	_, err := h.g.recorded(ctx, h.state)
	return h.state.began, err
}

// answer returns the journal's entry of a call that it answers; or the call was
// sent, and c.send has kept what came back, or err says why there is no answer.
func (h *handling) answer(ctx context.Context, c *call, name string) (e *Entry, err error) {
	if err := h.usable(); err != nil {
		return nil, err
	}
	if err := h.begin(ctx); err != nil {
		return nil, h.breaks(&annals.Error{
			Code: annals.CodeOf(err), Err: err,
			Message: fmt.Sprintf("the journal of handler %s for event %s could not be read, so that nothing was sent", h.Handler, h.event),
		})
	}
	h.assign(c, name)
	switch {
	case h.Mode == Live || h.approved(c):
		e, err = h.live(ctx, c)
	case h.Mode == Replay:
		e, err = h.replay(ctx, c)
	default:
		e, err = h.repair(c)
	}
	h.close(c, name, e != nil)
	if e != nil {
		h.state.answered.Add(1)
	}
	return e, err
}

func (h *handling) usable() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return fmt.Errorf("%w: handler %s has returned from event %s", ErrNoHandling, h.Handler, h.event)
	}
	return h.broken
}

// assign gives c its key. A call that is made again right after it ended without
// an answer, as retry loops do, is a further attempt of the same call.
func (h *handling) assign(c *call, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.index == nil {
		h.index, h.open, h.made = map[string]int{}, map[string]*call{}, map[string]bool{}
	}
	if again := h.open[name]; again != nil && c.same(again.request, c.request) {
		c.key = again.key
		return
	}
	n := h.index[name]
	h.index[name]++
	switch {
	case name == "":
		c.key = strconv.Itoa(n)
	case n == 0:
		c.key = name
	default:
		c.key = name + "#" + strconv.Itoa(n)
	}
	c.key = h.Prefix + c.key
	h.made[c.key] = true
}

// close remembers c while it has no answer: given is one from the journal.
func (h *handling) close(c *call, name string, given bool) {
	e := h.journal.entry(c.key)
	open := e != nil && e.Status != Answered
	if h.Mode != Live && !h.approved(c) {
		open = !given
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, name)
	if open {
		h.open[name] = c
	}
}

// approved reports whether c, which has no answer yet, may be sent in Repair.
func (h *handling) approved(c *call) bool {
	if h.Mode != Repair || h.Send == nil {
		return false
	}
	e := h.journal.entry(c.key)
	return (e == nil || e.Status != Answered || e.Withdrawn) && h.Send(c.key, c.request)
}

// replay answers from the journal or suppresses.
func (h *handling) replay(ctx context.Context, c *call) (*Entry, error) {
	e := h.journal.entry(c.key)
	switch {
	case e != nil && e.Status == Answered && !e.Withdrawn:
		return h.matching(ctx, e, c)
	case h.behind:
		return nil, h.breaks(&annals.Error{
			Code:    annals.CodeConflict,
			Message: fmt.Sprintf("handler %s has not yet made its outside calls for event %s", h.Handler, h.event),
			Hint:    "the replay waits for it",
		})
	}
	return nil, h.suppress(c, notJournaled)
}

// repair answers from the journal and notes what differs.
func (h *handling) repair(c *call) (*Entry, error) {
	e := h.journal.entry(c.key)
	switch {
	case e == nil || e.Status == Failed || e.Withdrawn:
		h.differs(nil, c)
		return nil, h.suppress(c, notJournaled)
	case !c.same(e.Past(), c.request):
		h.differs(e, c)
	}
	if e.Status != Answered {
		return nil, h.suppress(c, notJournaled)
	}
	return e, nil
}

func (h *handling) differs(was *Entry, c *call) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.difference(was, c.request, c.key)
	if i := slices.IndexFunc(h.found, func(of Difference) bool { return of.Call == d.Call }); i >= 0 {
		h.found[i] = d // a retry of the caller
		return
	}
	h.found = append(h.found, d)
}

func (h *handling) difference(was *Entry, now *Request, key string) Difference {
	return Difference{Handler: h.Handler, Event: h.event, Position: h.Event.Position, Call: key, Was: was, Now: now}
}

// matching is e where c asks what was asked then. Other code may ask otherwise in a
// replay, as in a fork for debugging: its call is suppressed.
func (h *handling) matching(ctx context.Context, e *Entry, c *call) (*Entry, error) {
	if !e.Withdrawn && c.same(e.Past(), c.request) {
		return e, nil
	}
	if e.Status == Answered && !e.Withdrawn {
		if rejected, err := h.rejected(ctx, c); err != nil {
			return nil, h.breaks(err)
		} else if rejected {
			return e, nil
		}
	}
	what := "other headers, body or data than then"
	if was, now := e.Past().String(), c.request.String(); was != now {
		what = fmt.Sprintf("%s; then it was %s", now, was)
	}
	if e.Withdrawn {
		what = c.request.String() + ", which a repair has withdrawn"
	}
	if h.Mode == Replay && !h.Strict {
		return nil, h.suppress(c, "it asks otherwise than then: "+what)
	}
	return nil, h.verdict(consumer.Permanent(&annals.Error{
		Code:    annals.CodeInvalid,
		Message: fmt.Sprintf("handler %s now asks otherwise in call %s for event %s: %s", h.Handler, c.key, h.event, what),
		Hint:    "if its code was changed on purpose, run a repair, which shows the difference; else see that calls come in the same order with the same content each time, or name them by effect.Named",
	}))
}

// notJournaled is why most calls are suppressed.
const notJournaled = "the journal has no answer"

// suppress is the error of a call that is not sent.
func (h *handling) suppress(c *call, why string) error {
	h.mu.Lock()
	h.suppressed = true
	h.mu.Unlock()
	h.state.suppressed.Add(1)
	h.g.logSuppressed(h, c, why)
	return ErrSuppressed
}

// verdict remembers an error that must reach whoever called Handle even where a
// library on the way keeps only its text.
func (h *handling) verdict(err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.verdicts = append(h.verdicts, err)
	return err
}

// breaks ends the handling: no further call is made, and Handle returns err.
func (h *handling) breaks(err error) error { return h.stops(consumer.Blameless(err)) }

func (h *handling) stops(err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken == nil {
		h.broken = err
	}
	return h.broken
}

// at stops the handling at step as a crash would.
func (h *handling) at(step Step) error {
	if err := h.g.opts.At(step); err != nil {
		return h.breaks(err)
	}
	return nil
}

// end is what Handle returns where the handler returned err.
func (h *handling) end(ctx context.Context, err error) error {
	h.mu.Lock()
	h.ended = true
	broken, suppressed, verdicts := h.broken, h.suppressed, h.verdicts
	h.mu.Unlock()
	switch {
	case broken != nil && err != nil && !errors.Is(err, broken):
		return fmt.Errorf("%w: %w", err, broken)
	case broken != nil:
		return broken
	case err == nil:
		return h.report(ctx, true)
	case suppressed && says(err, ErrSuppressed):
		return h.report(ctx, false)
	}
	for _, v := range verdicts {
		if says(err, v) && !errors.Is(err, v) {
			return fmt.Errorf("%w: %w", err, v)
		}
	}
	return err
}

// says reports whether err is because of cause, if only by its text.
func says(err, cause error) bool {
	return errors.Is(err, cause) || strings.Contains(err.Error(), cause.Error())
}

// report tells of the differences that a repair has found. Where the handler ended
// early, because a call could not be answered, what it would have done behind that
// call is not known, so that no call counts as missing.
func (h *handling) report(ctx context.Context, whole bool) error {
	if h.mode() != Repair {
		return nil
	}
	h.mu.Lock()
	found, made := slices.Clone(h.found), maps.Clone(h.made)
	h.mu.Unlock()
	if whole {
		missing, err := h.missing(ctx, made)
		if err != nil {
			return err
		}
		found = append(found, missing...)
	}
	for _, d := range found {
		if err := h.Differs(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// mode is what became of Mode.
func (h *handling) mode() Mode {
	h.begun.Lock()
	defer h.begun.Unlock()
	return h.Mode
}

// missing returns the calls with an effect that the handler no longer makes.
func (h *handling) missing(ctx context.Context, made map[string]bool) (missing []Difference, err error) {
	if err := h.begin(ctx); err != nil {
		return nil, err
	}
	if h.mode() != Repair { // the event is from before the handler's calls began
		return nil, nil
	}
	for _, e := range h.journal.list() {
		if made[e.Call] || e.Withdrawn || e.Status == Failed || strings.Contains(e.Call, "/") || isQuery(e.Past()) {
			continue
		}
		missing = append(missing, h.difference(&e, nil, e.Call))
	}
	return missing, nil
}

// isQuery reports whether a request asks and changes nothing.
func isQuery(r *Request) bool {
	return slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions}, r.Method)
}
