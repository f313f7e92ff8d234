package effect

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/eb901187/annals"
)

// Journal reads the calls that handler has made for event, which is a
// stream@version, in their order. It sees what was journaled before the call, on
// every store; no calls are no error.
func Journal(ctx context.Context, store *annals.Store, handler, event string) ([]Entry, error) {
	j, err := readJournal(ctx, store, handler, event)
	if err != nil {
		return nil, err
	}
	return j.list(), nil
}

func readJournal(ctx context.Context, store *annals.Store, handler, event string) (*journal, error) {
	if err := checkHandler(handler); err != nil {
		return nil, err
	}
	if _, _, err := annals.ParseCausation(event); err != nil {
		return nil, annals.Invalid("event", "must be stream@version, for example order-7@3")
	}
	j := journalOf(store, handler, event)
	return j, j.load(ctx)
}

// A Filter says which entries to list; the zero Filter is all.
type Filter struct {
	Handler string
	Status  []Status // any of them
}

// Entries lists the calls of all journals that match f, by the position in the log
// at which their event's first call was journaled. It reads the log once, holding
// in memory the status of every call of f.Handler, and then the journals that have
// matching calls; where a driver numbers its log later, the newest calls come to be
// listed later. The sequence ends after its first error.
func Entries(ctx context.Context, store *annals.Store, f Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		events, err := matchingJournals(ctx, store, f)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		for _, at := range events {
			list, err := Journal(ctx, store, at.handler, at.event)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range list {
				if f.match(e.Status) && !yield(e, nil) {
					return
				}
			}
		}
	}
}

func (f Filter) match(s Status) bool { return len(f.Status) == 0 || slices.Contains(f.Status, s) }

// A place is one handler's work on one event.
type place struct{ handler, event string }

func matchingJournals(ctx context.Context, store *annals.Store, f Filter) ([]place, error) {
	q := annals.Query{Types: kinds, Prefix: effectsPrefix}
	if f.Handler != "" {
		if err := checkHandler(f.Handler); err != nil {
			return nil, err
		}
		q.Prefix = HandlerStream(f.Handler) + "/"
	}
	type calls map[string]*Entry
	journals, order := map[place]calls{}, []place{}
	for e, err := range store.Log(ctx, q) {
		if err != nil {
			return nil, err
		}
		if e.Erased() {
			continue
		}
		handler, _, _ := strings.Cut(strings.TrimPrefix(e.Stream, effectsPrefix), "/")
		at := place{handler, e.Causation}
		var r record
		if err := decode(e.Data, &r); err != nil {
			return nil, damaged(e.Stream, e.Version, err)
		}
		if journals[at] == nil {
			journals[at], order = calls{}, append(order, at)
		}
		light := journals[at][r.Call]
		if light == nil {
			light = &Entry{}
			journals[at][r.Call] = light
		}
		light.fold(&e, &r)
		*light = Entry{Status: light.Status}
	}
	return slices.DeleteFunc(order, func(at place) bool {
		for _, e := range journals[at] {
			if f.match(e.Status) {
				return false
			}
		}
		return true
	}), nil
}

// A Decision is what an operator says of a call whose outcome is unknown.
type Decision string

// The decisions.
const (
	// DecideResend has the call made again with the same Idempotency-Key, when its
	// event is handled again.
	DecideResend Decision = "resend"
	// DecideNoEffect says that the call had no effect; it is made again likewise.
	DecideNoEffect Decision = "no-effect"
	// DecideAnswered says that the call had its effect, and what the handler and
	// every replay are answered.
	DecideAnswered Decision = "answered"
)

// Resolve records what became of a call whose outcome is unknown, or what to do
// about it; reason says why. The event that is parked because of it has to be
// retried then. Errors: annals.ErrNotFound where there is no such call;
// annals.ErrConflict where its outcome is not unknown, as after it was resolved
// before.
func Resolve(ctx context.Context, store *annals.Store, handler, event, call string, decision Decision, response *Response, reason string) error {
	if err := checkDecision(decision, response, reason); err != nil {
		return err
	}
	redact, err := Redaction{}.compile()
	if err != nil {
		return err
	}
	j, err := readJournal(ctx, store, handler, event)
	if err != nil {
		return err
	}
	e := j.entry(call)
	if e == nil {
		return &annals.Error{
			Code:    annals.CodeNotFound,
			Message: fmt.Sprintf("handler %s has made no call %q for event %s", handler, call, event),
			Hint:    "annals effect show " + handler + " " + event + " lists its calls",
		}
	}
	if e.Status != Unknown {
		return notUnknown(e)
	}
	r := record{Call: call, Attempt: e.Attempts, Decision: decision, Reason: reason}
	if response != nil {
		kept, err := redact.sieve().response(*response)
		if err != nil {
			return err
		}
		if len(encode(kept)) > maxMaxBody {
			return annals.Invalid("response", "must be at most %d bytes", maxMaxBody)
		}
		r.Response = &kept
	}
	err = j.append(ctx, EffectResolved, r)
	if moved(err) {
		return &annals.Error{
			Code: annals.CodeConflict, Err: err,
			Message: fmt.Sprintf("call %s of handler %s for event %s was worked on meanwhile", call, handler, event),
			Hint:    "look at it again before you decide: annals effect show " + handler + " " + event,
		}
	}
	return err
}

// ParseResponse reads an answer for Resolve, in JSON as an Entry has it. name is that
// of the file or field that holds text, for messages.
func ParseResponse(name string, text []byte) (*Response, error) {
	var r Response
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	d.DisallowUnknownFields()
	err := annals.CheckJSON(text)
	if err == nil {
		err = d.Decode(&r)
	}
	if err != nil {
		return nil, &annals.Error{
			Code: annals.CodeInvalid, Message: name + " is no response: " + err.Error(),
			Hint: "its members are status, headers, data, text, bytes and error, as annals effect show --json prints them",
		}
	}
	return &r, nil
}

func checkDecision(d Decision, response *Response, reason string) error {
	const maxReason = 1000
	switch {
	case d != DecideResend && d != DecideNoEffect && d != DecideAnswered:
		return annals.Invalid("decision", "must be %s, %s or %s", DecideResend, DecideNoEffect, DecideAnswered)
	case d == DecideAnswered && response == nil:
		return annals.Invalid("response", "must be given with %s", d)
	case d != DecideAnswered && response != nil:
		return annals.Invalid("response", "must not be given with %s", d)
	case strings.TrimSpace(reason) == "":
		return annals.Invalid("reason", "must not be empty")
	case len(reason) > maxReason:
		return annals.Invalid("reason", "must be at most %d bytes", maxReason)
	}
	return nil
}

func notUnknown(e *Entry) error {
	hint := "only a call that is unknown can be resolved"
	switch {
	case e.Status == Intended:
		hint = "its process has until " + e.Deadline.Format("15:04:05 MST") + "; when the event is handled again after that, the call becomes unknown"
	case strings.HasPrefix(e.Error, "resolved: "):
		hint = "it was resolved before: nothing to do"
	}
	return &annals.Error{
		Code:    annals.CodeConflict,
		Message: fmt.Sprintf("call %s of handler %s for event %s is %s, not unknown", e.Call, e.Handler, e.Event, e.Status),
		Hint:    hint,
	}
}

// A correction is what a repair has put in the place of a call.
type correction struct {
	Difference string    // its id
	Call       string    // as in Entry
	Request    *Request  // in the place of the entry's; nil with Withdrawn
	Response   *Response // nil keeps the entry's
	Withdrawn  bool      // the call is not made any more
}

// appendCorrection appends EffectCorrected to the journal of handler's work on e,
// once for each Difference.
func appendCorrection(ctx context.Context, store *annals.Store, handler string, e *annals.Event, c correction) error {
	j := journalOf(store, handler, cause(e))
	j.correlation, j.subject = e.Correlation, e.Subject()
	for {
		if err := j.load(ctx); err != nil {
			return err
		}
		r := record{Call: c.Call, Difference: c.Difference, Request: c.Request, Response: c.Response, Withdrawn: c.Withdrawn}
		if j.applied[c.Difference] {
			return nil
		}
		if err := j.append(ctx, EffectCorrected, r); !moved(err) {
			return err
		}
	}
}
