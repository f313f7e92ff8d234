package effect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
)

// Do makes a call that is not HTTP through the journal: mail, a queue, a database of
// somebody else, a library with a transport of its own. name stands in the journal
// and follows the rules of Named. request says what is asked and is compared as JSON
// with what was asked then; what call returns is kept as JSON and given again in
// replays, without secrets, so that T must read what it has written. key is to be sent
// to the other side, if it knows idempotency keys, and is the same whenever the call
// is made again.
//
// An error that NotSent made says that the call had no effect and may be made again,
// one that Final made is the call's answer for good; after any other the outcome is
// unknown, and Options.Unknown decides. The context that call gets ends after
// Options.Timeout; calls that it makes through a Transport or Do are not journaled on
// their own.
//
// Errors: ErrSuppressed in a replay that the journal has no answer for;
// ErrNoHandling; what call returned.
func Do[T any](ctx context.Context, name string, request any, call func(ctx context.Context, key string) (T, error)) (T, error) {
	var answer T
	s := scopeOf(ctx)
	if s == nil {
		return answer, ErrNoHandling
	}
	if err := checkName(name); err != nil {
		return answer, err
	}
	h := s.handling
	if s.direct != "" {
		asked, err := json.Marshal(request) // tells calls of one name apart
		if err != nil {
			return answer, unwritable(name, err)
		}
		key := idempotencyKey(h.Handler, h.Event, s.direct+"/"+name+"/"+string(asked), 0)
		return call(h.direct(ctx, key), key)
	}
	e, err := h.do(ctx, name, request, func(ctx context.Context, key string) (any, error) {
		var err error
		answer, err = call(ctx, key)
		return answer, err
	})
	if e == nil || err != nil {
		return answer, err
	}
	var given T
	if err := e.value(&given); err != nil {
		var final *FinalError
		if !errors.As(err, &final) {
			err = h.verdict(consumer.Permanent(err))
		}
		return given, err
	}
	return given, nil
}

// do is Do without its type.
func (h *handling) do(ctx context.Context, name string, request any, f func(ctx context.Context, key string) (any, error)) (*Entry, error) {
	asked, err := json.Marshal(request)
	if err != nil {
		return nil, unwritable(name, err)
	}
	if len(asked) > maxRequest {
		return nil, annals.Invalid("request", "of call %s has more than %d bytes as JSON; nothing was sent", name, maxRequest)
	}
	s := h.g.redact.sieve()
	c := &call{request: &Request{Body: s.json(asked, h.g.opts.MaxBody)}, same: asksTheSame}
	c.send = func(ctx context.Context, key string) outcome {
		answer, err := f(h.direct(ctx, key), key)
		return s.returned(answer, err, h.g.opts.MaxBody)
	}
	return h.answer(ctx, c, name)
}

func unwritable(name string, err error) error {
	return annals.Invalid("request", "of call %s can't be written as JSON, so that nothing was sent: %v", name, err)
}

func (s *sieve) json(text []byte, max int) Body {
	return s.body(text, map[string][]string{"Content-Type": {annals.JSONContentType}}, max, false)
}

// returned is the outcome of a call that returned answer and err.
func (s *sieve) returned(answer any, err error, max int) outcome {
	var (
		final *FinalError
		not   *notSent
	)
	switch {
	case err == nil:
		text, err := json.Marshal(answer)
		if err != nil {
			err = consumer.Permanent(fmt.Errorf("a call was made, but what it returned can't be kept as JSON: %w", err))
			return outcome{status: Unknown, text: s.message(err), err: err}
		}
		return outcome{status: Answered, response: &Response{Body: s.json(text, max)}}
	case errors.As(err, &not):
		return outcome{status: Failed, text: s.message(err), err: err}
	case errors.As(err, &final):
		return outcome{status: Answered, response: &Response{Error: s.message(err)}, err: err}
	}
	return outcome{status: Unknown, text: s.message(err), err: err}
}

// value is the answer of e, as Do gives it.
func (e *Entry) value(into any) error {
	switch {
	case e.Response == nil || e.Response.Truncated:
		return e.cannotRepeat()
	case e.Response.Error != "":
		return &FinalError{Message: e.Response.Error}
	}
	content := e.Response.content()
	if len(content) == 0 {
		return nil
	}
	if err := json.Unmarshal(content, into); err != nil {
		return &annals.Error{
			Code: annals.CodeInvalid, Err: err,
			Message: fmt.Sprintf("the answer to call %s of handler %s for event %s, as the journal keeps it, is not what its code expects", e.Call, e.Handler, e.Event),
			Hint:    "the type that Do returns must read its own JSON, also of earlier versions of the code and with secrets replaced",
		}
	}
	return nil
}

// NotSent marks err, for Do, as one of a call that had no effect and may be made again.
func NotSent(err error) error {
	if err == nil {
		return nil
	}
	return &notSent{err}
}

type notSent struct{ err error }

func (n *notSent) Error() string { return n.err.Error() }
func (n *notSent) Unwrap() error { return n.err }

// Final marks err, for Do, as the answer of a call for good, such as a card that was
// declined. Every replay returns a *FinalError with its text.
func Final(err error) error {
	if err == nil {
		return nil
	}
	return &FinalError{Message: err.Error(), err: err}
}

// A FinalError is an error that is a call's answer. See Final.
type FinalError struct {
	Message string // without secrets, where it comes from the journal

	err error
}

func (e *FinalError) Error() string { return e.Message }

// Unwrap returns what Final was given; nil where the error comes from the journal.
func (e *FinalError) Unwrap() error { return e.err }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("annals: the outcome of call %s (%s) of handler %s for event %s is unknown: %s (find out what became of it, then annals effect resolve %s %s %s, and retry the event)",
		e.Entry.Call, e.Entry.Request.String(), e.Entry.Handler, e.Entry.Event, e.Entry.Error, e.Entry.Handler, e.Entry.Event, e.Entry.Call)
}
