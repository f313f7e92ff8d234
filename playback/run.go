package playback

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/time/rate"

	"github.com/eb901187/annals"
)

// A Run is this process's work on a playback. Call Run once.
type Run struct {
	store   *annals.Store
	target  Target
	opts    *Options
	p       Playback
	resumed bool
	limit   *rate.Limiter // nil for none

	place    Place     // what was written
	recorded time.Time // when the last record was made
}

// Start records a playback of what the log holds now, for Run to send. A nil target has
// subscribers only. The store is not closed by it.
//
// Errors: *annals.InvalidError; annals.ErrInvalid for positions past the end of the log;
// ErrNothing where no event matches; what the target's Check says; annals.ErrConflict
// where the id is taken. Nothing was recorded then.
func Start(ctx context.Context, store *annals.Store, selection Selection, target Target, opts *Options) (*Run, error) {
	r := newRun(store, target, opts)
	id := cmp.Or(r.opts.ID, newID())
	end, err := checkStart(ctx, store, selection, id, r.opts.Rate)
	if err != nil {
		return nil, err
	}
	if err := r.target.Check(ctx, store); err != nil {
		return nil, err
	}
	b := beginning{Selection: selection, End: end, Target: r.target.Destination(), Rate: r.opts.Rate, Runner: r.opts.Runner}
	r.p = Playback{
		ID: id, State: StateRunning, Selection: selection, End: end, Target: b.Target, Rate: b.Rate, By: b.Runner, Runner: b.Runner,
		Place: Place{Position: max(0, selection.From-1)},
	}
	now := r.opts.Clock()
	if err := r.p.record(ctx, store, now, Started, b); errors.Is(err, ErrNotOwner) {
		return nil, taken(id)
	} else if err != nil {
		return nil, err
	}
	r.p.Started = r.p.Updated
	return r, r.begin(now)
}

// CheckStart reports what would keep Start from beginning, whatever the target is.
func CheckStart(ctx context.Context, store *annals.Store, selection Selection, opts *Options) error {
	o := opts.complete()
	id := cmp.Or(o.ID, newID())
	if _, err := checkStart(ctx, store, selection, id, o.Rate); err != nil {
		return err
	}
	_, err := Show(ctx, store, id, o)
	switch {
	case err == nil:
		return taken(id)
	case annals.CodeOf(err) == annals.CodeNotFound:
		return nil
	}
	return err
}

// checkStart returns the position up to which there is something to send.
func checkStart(ctx context.Context, store *annals.Store, selection Selection, id string, rate float64) (end int64, err error) {
	if err := errors.Join(checkID(id), checkRate(rate)); err != nil {
		return 0, err
	}
	if end, err = selection.bounds(ctx, store); err != nil {
		return 0, err
	}
	found, err := selection.any(ctx, store, end)
	if err == nil && !found {
		err = nothing(end)
	}
	return end, err
}

func taken(id string) error {
	return &annals.Error{
		Code: annals.CodeConflict, Message: "there is a playback " + id + " already",
		Hint: "annals playback resume " + id + " goes on with it; another one needs another id",
	}
}

// any reports whether an event is selected.
func (s *Selection) any(ctx context.Context, store *annals.Store, end int64) (bool, error) {
	for _, err := range s.read(ctx, store, 0, end) {
		return err == nil, err
	}
	return false, nil
}

// Resume takes a playback over that has not finished, for Run to go on behind what is
// recorded; whoever still runs it ends with ErrNotOwner. target is the one that the
// playback was started with; nil where that is a stream of the store, or subscribers.
//
// Errors: annals.ErrNotFound; annals.ErrConflict where it has finished; annals.ErrInvalid
// where target is not that of the playback.
func Resume(ctx context.Context, store *annals.Store, id string, target Target, opts *Options) (*Run, error) {
	return takeOver(ctx, store, id, target, opts, func(r *Run) error {
		if r.p.State != StateFinished {
			return nil
		}
		return &annals.Error{
			Code: annals.CodeConflict, Message: "playback " + id + " has finished: there is nothing to do",
			Hint: "annals playback start begins another one",
		}
	})
}

// takeOver makes a Run of a recorded playback, unless refuse has something against it.
func takeOver(ctx context.Context, store *annals.Store, id string, target Target, opts *Options, refuse func(*Run) error) (*Run, error) {
	r := newRun(store, target, opts)
	var err error
	if r.p, err = Show(ctx, store, id, r.opts); err != nil {
		return nil, err
	}
	if err := refuse(r); err != nil {
		return nil, err
	}
	if target == nil && r.p.Target.Kind == KindStream {
		r.target = ToStream(r.p.Target.Name)
	}
	if given := r.target.Destination(); given != r.p.Target {
		return nil, annals.Invalid("target", "playback %s goes to %s, not to %s", id, r.p.Target, given)
	}
	now := r.opts.Clock()
	if err := r.p.advance(ctx, store, now, Resumed, progress{Place: r.p.Place, Runner: r.opts.Runner}); err != nil {
		return nil, err
	}
	r.resumed = true
	return r, r.begin(now)
}

func newRun(store *annals.Store, target Target, opts *Options) *Run {
	if target == nil {
		target = audience{}
	}
	return &Run{store: store, target: target, opts: opts.complete()}
}

// begin is called when the beginning is recorded.
func (r *Run) begin(now time.Time) error {
	r.place, r.recorded = r.p.Place, now
	if r.p.Rate > 0 && r.p.Target.Kind != "" {
		r.limit = rate.NewLimiter(rate.Limit(r.p.Rate), burst(r.p.Rate))
	}
	return r.opts.at(StepRecorded)
}

// Playback is what is recorded of it, as far as this Run knows.
func (r *Run) Playback() Playback { return r.p }

// Run sends the events until the selection's end and returns what was recorded last.
//
// Where ctx ends before, the playback is recorded as stopped and the error is that of
// ctx; see ErrHandOver for the exception. ErrNotOwner: it was stopped or resumed elsewhere. Any other error is recorded as
// its failure, and returned. In every case what the record says is in the target, and
// Resume goes on there.
func (r *Run) Run(ctx context.Context) (p Playback, err error) {
	err = r.work(ctx)
	err = errors.Join(err, r.target.Close())
	var crashed crash
	switch {
	case err == nil, errors.As(err, &crashed), errors.Is(err, ErrNotOwner):
		return r.p, err
	}
	// Recording how it ended must not depend on ctx, which may be what ended.
	const patience = 5 * time.Second
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	typ, to := Failed, progress{Place: r.p.Place, Runner: r.opts.Runner, Error: err.Error()}
	if ctx.Err() != nil {
		typ, to.Error, to.Reason = Stopped, "", "interrupted"
		err = ctx.Err()
		if errors.Is(context.Cause(ctx), ErrHandOver) {
			typ, to.Reason, err = Progressed, "", ErrHandOver
		}
	}
	if recording := r.p.advance(last, r.store, r.opts.Clock(), typ, to); recording != nil {
		err = errors.Join(err, fmt.Errorf("that was not recorded: %w", recording))
	}
	return r.p, err
}

func (r *Run) work(ctx context.Context) error {
	if err := r.target.Open(ctx, r.store, &r.p, r.resumed); err != nil {
		return err
	}
	if err := r.opts.at(StepOpened); err != nil {
		return err
	}
	send := r.send
	if reader, reads := r.target.(Reader); reads {
		send = func(ctx context.Context) error { return r.await(ctx, reader) }
	}
	err := send(ctx)
	if ctx.Err() != nil && !errors.As(err, new(crash)) {
		// What was written counts, if it can still be made durable.
		keeping, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.opts.Interval)
		defer cancel()
		return errors.Join(ctx.Err(), r.flush(keeping))
	}
	if err != nil {
		return err
	}
	r.place.Position = r.p.End
	return r.save(ctx, Finished, StepFinished)
}

// send writes the selected events part by part. The next part is read meanwhile; none
// of these reads is left open while a target or a rate makes it wait.
func (r *Run) send(ctx context.Context) error {
	for part, err := range ahead(r.parts(ctx, r.place.Position)) {
		if err != nil {
			return err
		}
		for len(part.events) > 0 {
			n := len(part.events)
			if r.limit != nil {
				n = min(n, r.limit.Burst())
				if err := r.pace(ctx, n); err != nil {
					return err
				}
			}
			if err := r.write(ctx, part.events[:n]); err != nil {
				return err
			}
			part.events = part.events[n:]
		}
		r.place.Position = part.reached
		if err := r.tick(ctx); err != nil {
			return err
		}
	}
	return nil
}

// A part is some of a playback's events, marked.
type part struct {
	events  []annals.Event
	reached int64 // the position up to which no other is selected
}

const (
	partEvents = 8192
	partBytes  = 4 << 20
)

// parts reads the log behind a position up to the playback's end.
func (r *Run) parts(ctx context.Context, after int64) iter.Seq2[part, error] {
	return func(yield func(part, error) bool) {
		for after < r.p.End {
			part, err := r.read(ctx, after)
			if !yield(part, err) || err != nil {
				return
			}
			after = part.reached
		}
	}
}

func (r *Run) read(ctx context.Context, after int64) (p part, err error) {
	q := r.p.Selection.query(after, r.p.End)
	q.Limit = partEvents
	seen, size := 0, 0
	for e, err := range r.store.Log(ctx, q) {
		if err != nil {
			return part{}, err
		}
		p.reached = e.Position
		if r.p.Selection.matchStream(e.Stream) {
			marked, err := Mark(e, r.p.ID)
			if err != nil {
				return part{}, err
			}
			p.events, size = append(p.events, marked), size+sizeOf(&marked)
		}
		if seen++; seen == partEvents || size >= partBytes {
			return p, nil
		}
	}
	p.reached = r.p.End
	return p, nil
}

func (r *Run) write(ctx context.Context, events []annals.Event) error {
	if err := r.target.Write(ctx, events); err != nil {
		return err
	}
	r.place.Position, r.place.Count = events[len(events)-1].Position, r.place.Count+int64(len(events))
	if err := r.opts.at(StepWritten); err != nil {
		return err
	}
	so := r.p
	so.Place = r.place
	r.opts.Progress(&so)
	return r.tick(ctx)
}

// tick records progress when it is time to.
func (r *Run) tick(ctx context.Context) error {
	if r.place.Count-r.p.Count < r.opts.Every && r.opts.Clock().Sub(r.recorded) < r.opts.Interval {
		return nil
	}
	return r.save(ctx, Progressed, StepProgressed)
}

// flush makes what was written count.
func (r *Run) flush(ctx context.Context) (err error) {
	if r.place.Bytes, err = r.target.Flush(ctx); err != nil {
		return err
	}
	if err := r.opts.at(StepFlushed); err != nil {
		return err
	}
	r.p.Place = r.place
	return nil
}

func (r *Run) save(ctx context.Context, typ string, step Step) error {
	if err := r.flush(ctx); err != nil {
		return err
	}
	now := r.opts.Clock()
	if err := r.p.advance(ctx, r.store, now, typ, progress{Place: r.place, Runner: r.opts.Runner}); err != nil {
		return err
	}
	r.recorded = now
	return r.opts.at(step)
}

// burst is how many events are sent at once at a rate: those of a tenth of a second.
func burst(perSecond float64) int { return int(max(1, min(perSecond/10, annals.MaxCommitEvents))) }

// pace waits until n events may be sent. It goes on recording meanwhile, so that a slow
// playback shows that it lives and notices that it was stopped.
func (r *Run) pace(ctx context.Context, n int) error {
	now := r.opts.Clock()
	for wait := r.limit.ReserveN(now, n).DelayFrom(now); wait > 0; {
		step := min(wait, r.opts.Interval)
		r.opts.Sleep(ctx, step)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := r.tick(ctx); err != nil {
			return err
		}
		wait -= step
	}
	return nil
}

// await records how far a target has come that reads by itself, and counts what it was
// given.
func (r *Run) await(ctx context.Context, reader Reader) error {
	const poll = 100 * time.Millisecond
	for {
		reached, err := reader.Reached(ctx)
		if err != nil {
			return err
		}
		if err := r.count(ctx, min(reached, r.p.End)); err != nil {
			return err
		}
		so := r.p
		so.Place = r.place
		r.opts.Progress(&so)
		if r.place.Position == r.p.End {
			return nil
		}
		r.opts.Sleep(ctx, poll)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := r.tick(ctx); err != nil {
			return err
		}
	}
}

// count counts the selected events up to a position.
func (r *Run) count(ctx context.Context, reached int64) error {
	if reached <= r.place.Position {
		return nil
	}
	for _, err := range r.p.Selection.read(ctx, r.store, r.place.Position, reached) {
		if err != nil {
			return err
		}
		r.place.Count++
	}
	r.place.Position = reached
	return nil
}
