package effect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
)

// live answers c from the journal, or sends it once.
func (h *handling) live(ctx context.Context, c *call) (*Entry, error) {
	id := h.Handler + "\n" + h.event + "\n" + c.key
	if !h.g.occupy(id) {
		return nil, h.breaks(inFlight(h, c, "this process", time.Time{}))
	}
	defer h.g.release(id)
	if held, err := h.g.fork(ctx); err != nil {
		return nil, h.breaks(err)
	} else if held { // in Live begin has seen to it, in Repair the call was approved
		return nil, h.suppress(c, "the store is a fork")
	}
	for {
		e := h.journal.entry(c.key)
		send := e == nil || e.Status == Failed || e.Withdrawn && h.Mode == Repair || e.asksAgain(c)
		var err error
		switch {
		case send:
		case e.Status == Answered:
			return h.matching(ctx, e, c)
		case e.Status == Intended:
			if now := h.g.opts.Clock(); e.Runner != h.g.opts.ID && now.Before(e.Deadline) {
				return nil, h.breaks(inFlight(h, c, "process "+e.Runner, e.Deadline))
			}
			err = h.lost(ctx, c, e)
		default:
			send, err = h.settle(ctx, c, e)
		}
		if send && err == nil {
			if err = h.attempt(ctx, c, e); !errors.Is(err, errMoved) {
				return nil, err
			}
		}
		if errors.Is(err, errMoved) {
			err = h.journal.load(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
}

// asksAgain reports whether c is a query whose answer was larger than the journal keeps:
// nothing else would give its handler an answer.
func (e *Entry) asksAgain(c *call) bool {
	return e.Status == Answered && e.Corrected == nil && e.Response != nil && e.Response.Truncated &&
		isQuery(c.request) && c.same(&e.Request, c.request)
}

func inFlight(h *handling, c *call, who string, deadline time.Time) error {
	until := ""
	if !deadline.IsZero() {
		until = ", until " + deadline.UTC().Format(time.RFC3339) + " at most"
	}
	return &annals.Error{
		Code:    annals.CodeConflict,
		Message: fmt.Sprintf("call %s of handler %s for event %s is being made by %s%s", c.key, h.Handler, h.event, who, until),
		Hint:    "the event is handled again after that",
	}
}

// lost notes that the process which made an attempt has not noted its result.
func (h *handling) lost(ctx context.Context, c *call, e *Entry) error {
	return h.unknown(ctx, c, e, "process "+e.Runner+" ended, or could not write, before it noted what became of the call")
}

func (h *handling) unknown(ctx context.Context, c *call, e *Entry, why string) error {
	if err := h.note(ctx, EffectUnknown, record{Call: c.key, Attempt: e.Attempts, Error: why}); err != nil {
		return err
	}
	h.state.unknown.Add(1)
	h.g.opts.Logger.Warn("the outcome of an outside call is unknown", "handler", h.Handler, "event", h.event, "call", c.key, "request", c.request.String(), "error", why)
	return h.at(StepMarked)
}

// note appends a record. Where it can't, and the journal has not moved, the
// handling is broken.
func (h *handling) note(ctx context.Context, kind string, r record) error {
	err := h.journal.append(ctx, kind, r)
	if err == nil || errors.Is(err, errMoved) {
		return err
	}
	whole := &annals.Error{
		Code: annals.CodeOf(err), Err: err,
		Message: fmt.Sprintf("call %s of handler %s for event %s: the journal could not take %s", r.Call, h.Handler, h.event, kind),
		Hint:    "the event is handled again, by what the journal holds then",
	}
	if errors.Is(err, annals.ErrInvalid) || errors.Is(err, annals.ErrTooLarge) || errors.Is(err, annals.ErrInvalidJSON) {
		whole.Hint = "it would not take it later either: the handler's code has to ask otherwise, or for less"
		return h.stops(consumer.Permanent(whole))
	}
	return h.breaks(whole)
}

// settle decides about an entry whose outcome is unknown, and whether to send the
// call again.
func (h *handling) settle(ctx context.Context, c *call, e *Entry) (resend bool, err error) {
	if ask := h.g.opts.Ask[h.Handler]; ask != nil {
		response, err := ask(h.direct(ctx, e.Key), e)
		switch {
		case err != nil:
			return false, fmt.Errorf("asking what became of call %s of handler %s for event %s: %w", c.key, h.Handler, h.event, err)
		case response != nil:
			kept, err := h.g.redact.sieve().response(*response)
			if err != nil {
				return false, err
			}
			return false, h.note(ctx, EffectAnswered, record{Call: c.key, Attempt: e.Attempts, Response: &kept})
		}
		return false, h.note(ctx, EffectFailed, record{Call: c.key, Attempt: e.Attempts, Error: "the other side was asked and knows of no effect"})
	}
	if h.g.opts.Unknown(e) != Resend {
		return false, h.verdict(consumer.Permanent(&UnknownError{*e}))
	}
	if !c.same(e.Past(), c.request) {
		_, err := h.matching(ctx, e, c)
		return false, err
	}
	return true, nil
}

// direct is ctx for code whose calls are not journaled.
func (h *handling) direct(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, scopeKey{}, &scope{handling: h, direct: key})
}

// attempt journals the intent, sends c and journals the outcome. errMoved says
// that another process was faster, and that nothing was sent.
func (h *handling) attempt(ctx context.Context, c *call, e *Entry) error {
	h.underWay.RLock()
	defer h.underWay.RUnlock()
	started, deadline := time.Now(), h.g.opts.Clock().Add(h.g.opts.Timeout)
	r := record{
		Call: c.key, Attempt: 1, Key: c.own, Request: c.request,
		Runner: h.g.opts.ID, Deadline: deadline.UTC(),
	}
	rounds := 0
	if e != nil {
		r.Attempt, r.Key, rounds = e.Attempts+1, e.Key, e.withdrawals
	}
	if r.Key == "" || e != nil && e.Withdrawn {
		r.Key = idempotencyKey(h.Handler, h.Event, c.key, rounds)
	}
	if err := h.note(ctx, EffectIntended, r); err != nil {
		return err
	}
	if err := h.at(StepIntended); err != nil {
		return err
	}
	// The clock of the machine, not of Options: past the deadline that others see,
	// nothing of this attempt may be on its way any more.
	sending, cancel := context.WithDeadline(ctx, started.Add(h.g.opts.Timeout))
	defer cancel()
	out := outcome{status: Failed}
	if out.err = sending.Err(); out.err != nil {
		out.text = "not sent: " + out.err.Error()
	} else {
		h.state.sent.Add(1)
		out = c.send(sending, r.Key)
		if err := h.at(StepSent); err != nil {
			return err
		}
	}
	return h.conclude(ctx, c, r.Attempt, out)
}

// grace is how long a call may go on once its process is asked to end.
const grace = 5 * time.Second

// outlasting is ctx for the handler: see Gateway.Handle.
func (h *handling) outlasting(ctx context.Context) (lasting context.Context, stop func()) {
	lasting, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	unlink := context.AfterFunc(ctx, func() {
		over := make(chan struct{})
		go func() {
			h.underWay.Lock()
			defer h.underWay.Unlock()
			close(over)
		}()
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-over:
		case <-timer.C:
		case <-lasting.Done():
		}
		cancel(context.Cause(ctx))
	})
	return lasting, func() { unlink(); cancel(nil) }
}

// conclude journals what became of an attempt, although ctx may have ended.
func (h *handling) conclude(ctx context.Context, c *call, attempt int, out outcome) error {
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	for {
		err := h.record(detached, c, attempt, out)
		if err == nil {
			return out.err
		}
		if !errors.Is(err, errMoved) {
			return err
		}
		if err := h.journal.load(detached); err != nil {
			return h.breaks(err)
		}
		// Another call of this handling may have moved the journal, or a process
		// that took this one over because its deadline has passed.
		e := h.journal.entry(c.key)
		mine := e.Attempts == attempt && e.Status == Intended && e.Runner == h.g.opts.ID
		if !mine && (out.status != Answered || e.Status == Answered) {
			return h.breaks(inFlight(h, c, "process "+e.Runner, e.Deadline))
		}
	}
}

func (h *handling) record(ctx context.Context, c *call, attempt int, out outcome) error {
	r := record{Call: c.key, Attempt: attempt, Error: out.text, Response: out.response}
	switch out.status {
	case Answered:
		if err := h.note(ctx, EffectAnswered, r); err != nil {
			return err
		}
		return h.at(StepAnswered)
	case Failed:
		if err := h.note(ctx, EffectFailed, r); err != nil {
			return err
		}
		return h.at(StepAnswered)
	}
	return h.unknown(ctx, c, &Entry{Attempts: attempt}, out.text)
}
