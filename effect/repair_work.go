package effect

import (
	"context"
	"fmt"
	"iter"
	"runtime/debug"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
)

// The steps of repairs and corrections, beside those of Steps.
const (
	StepRepairStarted     Step = "repair-started"     // it was written down that a repair is under way
	StepDifferenceFound   Step = "difference-found"   // the differences of an event were
	StepRepairEnded       Step = "repair-ended"       // that it is over was
	StepCorrecting        Step = "correcting"         // a correction is about to be sent
	StepCorrectionSent    Step = "correction-sent"    // it was
	StepJournalCorrected  Step = "journal-corrected"  // the journal agrees with the handler's code
	StepDifferenceSettled Step = "difference-settled" // the ledger says what came of the correction
)

// RepairSteps lists the steps of repairs and corrections.
func RepairSteps() []Step {
	return []Step{
		StepRepairStarted, StepDifferenceFound, StepRepairEnded,
		StepCorrecting, StepCorrectionSent, StepJournalCorrected, StepDifferenceSettled,
	}
}

// A Past is a handler as its repairs need it: by whatever runs it.
type Past struct {
	// Reached is the position that the handler has reached.
	Reached func(ctx context.Context) (int64, error)
	// Events yields what it has handled of from ≤ position ≤ to, as it was given it.
	Events func(ctx context.Context, from, to int64) iter.Seq2[*consumer.Message, error]
	// Handle runs its code for m, and does nothing else with what that returns. It
	// is nil where the code can't be run for a single event.
	Handle func(ctx context.Context, m *consumer.Message, t *RepairTurn) error
}

// A Ledger is one process's work on the repairs of one handler. It is for one
// goroutine at a time; any number of processes may have one of the same handler.
type Ledger struct {
	g    *Gateway
	book *book
}

// Ledger makes a Ledger, which has read nothing before Refresh.
func (g *Gateway) Ledger(handler string) *Ledger { return &Ledger{g, newBook(handler)} }

// Refresh reads what has come to the ledger.
func (l *Ledger) Refresh(ctx context.Context) error { return l.book.refresh(ctx, l.g.store) }

// Due is the first repair that is not over, or nil.
func (l *Ledger) Due() *RepairRun {
	for _, r := range l.book.repairs {
		if !r.Over() {
			return r
		}
	}
	return nil
}

// Repair is the repair with this ID, or nil.
func (l *Ledger) Repair(id string) *RepairRun {
	for _, r := range l.book.repairs {
		if r.ID == id {
			return r
		}
	}
	return nil
}

// Approved are the findings whose corrections are to be sent.
func (l *Ledger) Approved() []*Finding {
	var all []*Finding
	for _, f := range l.book.findings {
		if f.State == Approved {
			all = append(all, f)
		}
	}
	return all
}

// Found are the findings of a repair, as they are now.
func (l *Ledger) Found(repair string) []Finding {
	var all []Finding
	for _, f := range l.book.findings {
		if f.Repair == repair {
			all = append(all, *f)
		}
	}
	return all
}

// at stops the work at step as a crash would.
func (l *Ledger) at(step Step) error { return consumer.Blameless(l.g.opts.At(step)) }

// put appends one line, unless r is over by then, or another process has come as
// far with it.
func (l *Ledger) put(ctx context.Context, r *RepairRun, id, typ string, n note) error {
	n.Repair = r.version
	return l.book.write(ctx, l.g.store, func() ([]line, error) {
		if r.Over() || n.Position > 0 && n.Position <= r.Position {
			return nil, nil
		}
		return []line{{id, typ, "", n}}, nil
	})
}

// Start writes down that this process carries r out, up to the position that the
// handler has reached, or to r.To if that is less. Where r was started before, it
// goes on with the same r.To.
func (l *Ledger) Start(ctx context.Context, r *RepairRun, reached int64) error {
	to := r.To
	if r.starts == 0 && (to == 0 || to > reached) {
		to = reached
	}
	n := note{To: to, Runner: l.g.opts.ID}
	if err := l.put(ctx, r, hashed(RepairStarted, r.version, r.starts, l.g.opts.ID), RepairStarted, n); err != nil {
		return err
	}
	return l.at(StepRepairStarted)
}

// Progress writes down how far r is, so that it goes on from there after a crash,
// and people see it.
func (l *Ledger) Progress(ctx context.Context, r *RepairRun, position, events int64) error {
	return l.put(ctx, r, hashed(RepairProgressed, r.version, position), RepairProgressed, note{Position: position, Events: events})
}

// Finish writes down that r has found all that differs, in so many events.
func (l *Ledger) Finish(ctx context.Context, r *RepairRun, events int64) error {
	if err := l.put(ctx, r, hashed(RepairFinished, r.version), RepairFinished, note{Events: events, Differences: r.Differences}); err != nil {
		return err
	}
	return l.at(StepRepairEnded)
}

// Fail writes down that r can't go on because of cause.
func (l *Ledger) Fail(ctx context.Context, r *RepairRun, cause error) error {
	if err := l.put(ctx, r, hashed(RepairFailed, r.version), RepairFailed, note{Error: l.worded(cause)}); err != nil {
		return err
	}
	return l.at(StepRepairEnded)
}

// worded is the text of err as the ledger keeps it.
func (l *Ledger) worded(err error) string {
	const most = 4 << 10
	text := l.g.redact.sieve().message(err)
	if len(text) > most {
		text = text[:most] + " …"
	}
	return text
}

// Run carries r out. Where the handler's code fails for an event, r has failed and
// Run returns nil; an error says that a store can't be reached or that the process
// ends, and Run may be called again: it goes on.
func (l *Ledger) Run(ctx context.Context, r *RepairRun, p *Past) error {
	began, err := l.g.Began(ctx, l.book.handler, -1)
	if err != nil {
		return err
	}
	reached, err := p.Reached(ctx)
	if err != nil {
		return err
	}
	if err := l.Start(ctx, r, reached); err != nil {
		return err
	}
	run := running{Ledger: l, r: r, past: p, events: r.Events, noted: l.g.opts.Clock()}
	for m, err := range p.Events(ctx, max(r.From, r.Position+1, began+1), r.To) {
		if err == nil {
			err = run.handle(ctx, m)
		}
		if err != nil {
			return err
		}
		if r.Over() {
			return nil
		}
	}
	return l.Finish(ctx, r, run.events)
}

// running is a repair under way.
type running struct {
	*Ledger
	r      *RepairRun
	past   *Past
	events int64
	since  int // events since it was noted how far it is
	noted  time.Time
}

func (run *running) handle(ctx context.Context, m *consumer.Message) error {
	err := run.Turn(ctx, run.r, m, false, func(ctx context.Context, t *RepairTurn) error {
		return run.past.run(ctx, m, t)
	})
	if err != nil {
		if ctx.Err() != nil || consumer.Waits(err) {
			return err
		}
		return run.Fail(ctx, run.r, fmt.Errorf("event %s at position %d: %w", m.Cause(), m.Position, err))
	}
	const often, atMost = 2 * time.Second, 10_000
	run.events, run.since = run.events+1, run.since+1
	if now := run.g.opts.Clock(); run.since >= atMost || now.Sub(run.noted) >= often {
		run.since, run.noted = 0, now
		return run.Progress(ctx, run.r, m.Position, run.events)
	}
	return nil
}

// A RepairTurn is the repair of one event.
type RepairTurn struct {
	book    *book
	event   string
	subject string // that the event names
	send    bool
	found   []Difference
	made    map[string]bool
}

// Differs notes a difference that the Gateway can't see, such as an append.
func (t *RepairTurn) Differs(d Difference) { t.found = append(t.found, d) }

// Made notes that an append, named as in a Difference, stands as the code asks for it.
func (t *RepairTurn) Made(call string) { t.made[call] = true }

// Sends reports whether a call that was missing was approved as this very request
// and is to be made.
func (t *RepairTurn) Sends(call string, now *Request) bool {
	f := t.book.latest[callKey(t.event, call)]
	return t.send && f != nil && f.State == Approved && f.Missing() && sameRequest(f.Now, now)
}

// sameRequest compares what form does; kept may be a summary.
func sameRequest(kept, now *Request) bool {
	a, b := Difference{Now: kept}, Difference{Now: now}
	if a.form() == b.form() {
		return true
	}
	b.Now = summary(now)
	return a.form() == b.form()
}

// Turn runs f, a handler's code for the event m, in Repair and writes down what
// differs, for r unless that is nil. With send, calls that were missing and are
// approved are made. What differed before and does no more is settled.
func (l *Ledger) Turn(ctx context.Context, r *RepairRun, m *consumer.Message, send bool, f func(ctx context.Context, t *RepairTurn) error) error {
	t := &RepairTurn{book: l.book, event: m.Cause(), subject: m.Subject(), send: send, made: map[string]bool{}}
	whole := false
	h := Handling{Handler: l.book.handler, Event: &m.Event, Mode: Repair, Differs: func(_ context.Context, d Difference) error {
		t.found = append(t.found, d)
		return nil
	}}
	if send {
		h.Send = t.Sends
	}
	if m.Erased() {
		return nil
	}
	err := l.g.Handle(ctx, h, func(ctx context.Context) error {
		err := f(ctx, t)
		whole = err == nil
		return err
	})
	if err != nil {
		return err
	}
	version := l.book.version
	if err := l.record(ctx, r, t, whole); err != nil || l.book.version == version {
		return err
	}
	return l.at(StepDifferenceFound)
}

// record writes down what t has found. Unless the handler's code has run as a
// whole, what it did not come to may still differ.
func (l *Ledger) record(ctx context.Context, r *RepairRun, t *RepairTurn, whole bool) error {
	return l.book.write(ctx, l.g.store, func() (lines []line, err error) {
		seen, repair := map[string]bool{}, int64(0)
		if r != nil {
			repair = r.version
		}
		for i := range t.found {
			d := &t.found[i]
			seen[d.Call] = true
			found, err := l.book.discovery(repair, t.subject, d)
			if err != nil {
				return nil, err
			}
			fresh, err := l.fresh(ctx, found.note.Difference)
			if err != nil {
				return nil, err
			}
			if fresh {
				lines = append(lines, found)
			}
		}
		for _, f := range l.book.ofEvent[t.event] {
			if seen[f.Call] || f.State != Open && f.State != Approved && f.State != Uncorrected {
				continue
			}
			settled, err := l.settled(ctx, f, t.made[f.Call], whole)
			if err != nil {
				return nil, err
			}
			if settled != "" {
				lines = append(lines, line{hashed(settled, f.version, l.book.version), settled, "", note{Of: []int64{f.version}}})
			}
		}
		return lines, nil
	})
}

// fresh reports whether d is to be written down. Where a correction of the same call
// is under way, that one is finished first.
func (l *Ledger) fresh(ctx context.Context, d *Difference) (bool, error) {
	latest := l.book.latest[callKey(d.Event, d.Call)]
	if latest == nil || latest.State == Superseded {
		return true, nil
	}
	if latest.form == d.form() {
		return false, nil
	}
	if latest.State != Approved || latest.was() != d.was() {
		return true, nil
	}
	begun, err := l.begun(ctx, latest)
	return !begun, err
}

// settled is the type of the event that says why f does not differ any more; empty
// where that is not known, or its correction is yet to be finished. made says that
// the append which f is about stands.
func (l *Ledger) settled(ctx context.Context, f *Finding, made, whole bool) (string, error) {
	decided := f.State != Open && f.Missing()
	if made && decided {
		return DifferenceCorrected, nil
	}
	if f.Append == "" && decided {
		entries, err := Journal(ctx, l.g.store, f.Handler, f.Event)
		if err != nil {
			return "", err
		}
		for i := range entries {
			switch e := &entries[i]; {
			case e.Call != f.Call:
			case e.Status == Answered && !e.Withdrawn:
				return DifferenceCorrected, nil
			case e.Status != Failed && e.Status != Answered:
				return "", nil // under way, or unknown
			}
		}
	}
	if begun, err := l.begun(ctx, f); begun || err != nil || !whole {
		return "", err
	}
	return DifferenceSuperseded, nil
}

// run is Handle; a panic counts as an error.
func (p *Past) run(ctx context.Context, m *consumer.Message, t *RepairTurn) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("the handler panicked: %v\n%s", value, debug.Stack())
		}
	}()
	return p.Handle(ctx, m.WithContext(ctx), t)
}

// event is the one that f is about, as its handler was given it; nil if it was
// dropped or is parked.
func (p *Past) event(ctx context.Context, f *Finding) (*consumer.Message, error) {
	for m, err := range p.Events(ctx, f.Position, f.Position) {
		return m, err
	}
	return nil, ctx.Err()
}

func (f *Finding) gone() error {
	return &annals.Error{
		Code: annals.CodeConflict, Message: fmt.Sprintf("event %s is not handled any more: it was dropped or is parked", f.Event),
		Hint: "annals effect reject " + f.ID,
	}
}
