package effect

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
)

// A Correction puts right outside what a Difference says went wrong: of the call
// that was made, d.Was, the one that the handler's code would make today, d.Now, or
// that there should have been none. It is called once the difference is approved,
// makes its calls with ctx, and is called again after a crash: calls that it has
// made are then answered from the journal, where they stand as "correction/…".
//
// The Response that it returns is what the corrected call is answered by in later
// replays; nil means the answer that the journal has. After an error the
// difference counts as not corrected, until it is approved again. ErrAsIs makes a
// call that was missing.
type Correction func(ctx context.Context, d *Difference) (*Response, error)

// ErrAsIs, from a Correction, makes a call that was missing (d.Was is nil) by
// running the handler's own code, as happens where there is no Correction.
var ErrAsIs = errors.New("effect: the handler's code is to make this call itself")

// Correct sends the correction of f, which is approved, and writes down what came
// of it, in f too. An error says that a store can't be reached or that the process
// ends, and Correct may be called again.
//
// A call that is to be made as it is, where p.Handle is nil, is left alone: asIs
// says so.
func (l *Ledger) Correct(ctx context.Context, f *Finding, p *Past) (asIs bool, err error) {
	if err := l.at(StepCorrecting); err != nil {
		return false, err
	}
	asIs, failure, err := l.send(ctx, f, p)
	switch {
	case err != nil:
		return false, err
	case asIs:
		return true, nil
	}
	if f.State == Approved {
		err = l.conclude(ctx, f, failure)
	}
	if err != nil {
		return false, err
	}
	return false, l.at(StepDifferenceSettled)
}

// send does what an approved finding asks for. failure is why it is not corrected;
// err ends the attempt.
func (l *Ledger) send(ctx context.Context, f *Finding, p *Past) (asIs bool, failure, err error) {
	m, err := p.event(ctx, f)
	if err != nil {
		return false, nil, err
	}
	if m == nil {
		return false, f.gone(), nil
	}
	correction := l.g.opts.Corrections[f.Handler]
	if correction != nil {
		asIs, failure, err = l.run(ctx, f, m, correction)
	} else if asIs = f.Missing(); !asIs {
		failure = noCorrection(f)
	}
	if !asIs || p.Handle == nil {
		return asIs, failure, err
	}
	failure, err = l.repeat(ctx, f, m, p)
	return false, failure, err
}

func noCorrection(f *Finding) error {
	return &annals.Error{
		Code: annals.CodeInvalid, Message: "there is no correction function for " + f.Handler,
		Hint: "give one in effect.Options.Corrections, and approve " + f.ID + " again",
	}
}

// run calls a correction function, and makes the journal agree with the handler's
// code.
func (l *Ledger) run(ctx context.Context, f *Finding, m *consumer.Message, correct Correction) (asIs bool, failure, err error) {
	d, done, err := l.current(ctx, f)
	switch {
	case err != nil || done:
		return false, nil, err
	case d == nil:
		return false, f.outdated(), nil
	}
	var response *Response
	var returned error
	h := Handling{Handler: f.Handler, Event: &m.Event, Mode: Live, Prefix: f.prefix()}
	err = l.g.Handle(ctx, h, func(ctx context.Context) error {
		if response, returned = called(ctx, correct, d); returned == nil && response != nil {
			var kept Response
			kept, returned = l.g.redact.sieve().response(*response)
			response = &kept
		}
		return returned
	})
	switch {
	case errors.Is(returned, ErrAsIs) && f.Missing():
		return true, nil, nil
	case err != nil && (ctx.Err() != nil || consumer.Waits(err)):
		return false, nil, err
	case err != nil:
		return false, err, nil
	case returned != nil: // suppressed: Handle made nil of it
		return false, returned, nil
	}
	if err := l.at(StepCorrectionSent); err != nil {
		return false, nil, err
	}
	if f.Append != "" {
		return false, nil, nil // what was appended stands
	}
	c := correction{Difference: f.ID, Call: f.Call, Request: f.Now, Response: response, Withdrawn: f.Now == nil}
	if err := appendCorrection(ctx, l.g.store, f.Handler, &m.Event, c); err != nil {
		return false, nil, err
	}
	return false, nil, l.at(StepJournalCorrected)
}

// called is correct's answer; a panic counts as an error.
func called(ctx context.Context, correct Correction, d *Difference) (r *Response, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("the correction function panicked: %v\n%s", value, debug.Stack())
		}
	}()
	return correct(ctx, d)
}

// current is the difference of f with what the journal says of the call, whose
// answer the ledger may have had no room for; nil if the call of then is another one
// by now. done says that the journal has the correction of f already.
func (l *Ledger) current(ctx context.Context, f *Finding) (d *Difference, done bool, err error) {
	c := f.Difference
	if c.Append != "" {
		return &c, false, nil
	}
	j, err := readJournal(ctx, l.g.store, f.Handler, f.Event)
	if err != nil || j.applied[f.ID] {
		return nil, err == nil, err
	}
	if c.Was == nil {
		return &c, false, nil
	}
	e := j.entry(f.Call)
	if e == nil || e.Withdrawn || e.Status == Failed && c.Was.Status != Failed || !sameRequest(c.Was.Past(), e.Past()) {
		return nil, false, nil
	}
	c.Was = e
	return &c, false, nil
}

func (f *Finding) outdated() error {
	return &annals.Error{
		Code: annals.CodeConflict, Message: fmt.Sprintf("call %s for event %s is not what it was when %s was found: it was corrected or resolved since", f.Call, f.Event, f.ID),
		Hint: "another repair shows what differs by now",
	}
}

// rejected reports whether a repair has found that c asks otherwise than then, and
// somebody has decided that the call of then stands.
func (h *handling) rejected(ctx context.Context, c *call) (bool, error) {
	s := h.state
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ledger == nil {
		s.ledger = newBook(h.Handler)
	}
	if err := s.ledger.refresh(ctx, h.g.store); err != nil {
		return false, err
	}
	f := s.ledger.latest[callKey(h.event, c.key)]
	return f != nil && f.State == Rejected && sameRequest(f.Now, c.request), nil
}

// prefix starts the names of the calls of f's correction.
func (f *Finding) prefix() string { return correctionPrefix + strconv.FormatInt(f.round, 10) + "/" }

// begun reports whether a correction of f has made calls, which may have had an
// effect: then it is to be finished, whatever the handler's code asks for.
func (l *Ledger) begun(ctx context.Context, f *Finding) (bool, error) {
	if f.State != Approved && f.State != Uncorrected {
		return false, nil
	}
	entries, err := Journal(ctx, l.g.store, f.Handler, f.Event)
	return slices.ContainsFunc(entries, func(e Entry) bool {
		return e.Status != Failed && strings.HasPrefix(e.Call, f.prefix())
	}), err
}

// repeat runs the handler's own code again, in which nothing goes out but what was
// approved.
func (l *Ledger) repeat(ctx context.Context, f *Finding, m *consumer.Message, p *Past) (failure, err error) {
	err = l.Turn(ctx, nil, m, true, func(ctx context.Context, t *RepairTurn) error {
		return p.run(ctx, m, t)
	})
	switch {
	case err == nil && f.State == Approved:
		return errNotMade, nil
	case err == nil:
		return nil, l.at(StepCorrectionSent)
	case ctx.Err() != nil || consumer.Waits(err):
		return nil, err
	}
	return err, nil
}

var errNotMade = errors.New("the call was not answered when it was made, or its event has another call before it that is not approved: approve these in order")

// NotMade writes down that a call which was to be made as it is has not been made.
func (l *Ledger) NotMade(ctx context.Context, f *Finding) error {
	if f.State != Approved {
		return nil
	}
	return l.conclude(ctx, f, errNotMade)
}

// conclude writes down that f is corrected, or why it is not.
func (l *Ledger) conclude(ctx context.Context, f *Finding, failure error) error {
	typ, n, about := DifferenceCorrected, note{Of: []int64{f.version}}, ""
	if failure != nil {
		// Its text may quote the event.
		typ, n.Error, about = CorrectionFailed, l.worded(failure), f.subject
		l.g.opts.Logger.Error("a correction failed", "handler", f.Handler, "difference", f.ID, "event", f.Event, "error", n.Error)
	}
	return l.book.write(ctx, l.g.store, func() ([]line, error) {
		if f.State == Corrected || failure != nil && f.State != Approved {
			return nil, nil
		}
		return []line{{hashed(typ, f.version, f.failures), typ, about, n}}, nil
	})
}
