package annals

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"maps"
	"math"
	"slices"
	"time"
)

// What Append may expect of a stream, beside an exact version.
const (
	// Any appends whatever the stream's version is.
	Any int64 = -1
	// NoStream appends only if the stream has no events.
	NoStream int64 = 0
)

// Options changes how a Store works; nil means the defaults.
type Options struct {
	// Clock stamps events without a time; time.Now by default.
	Clock func() time.Time
	// NewID makes the ids of events without one; UUIDv7 by default.
	NewID func() string
	// Source is that of events that name none; "annals" by default.
	Source string
	// Attempts is how often an append is sent while its outcome is unknown; 3
	// by default.
	Attempts int
	// Pause waits between attempts, or until ctx ends; by default 50 ms times
	// the attempt.
	Pause func(ctx context.Context, attempt int)
	// Sealer seals the data of events that name a data subject when they are
	// appended, and opens it when they are read; see Event.Subject. Without one the
	// Store takes no such event unless its data is sealed, and reads it sealed. Over
	// a RemoteDriver there must be none: the server seals.
	Sealer Sealer
}

// A Store appends events and reads them back. It is safe for concurrent use.
// Open one with a driver's package.
type Store struct {
	driver Driver
	opts   Options
}

// New makes a Store over a driver. Programs use a driver's own constructor,
// such as embedded.Open.
func New(driver Driver, opts *Options) *Store {
	s := &Store{driver: driver}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Clock == nil {
		s.opts.Clock = time.Now
	}
	if s.opts.NewID == nil {
		s.opts.NewID = defaultID(s.opts.Clock)
	}
	if s.opts.Source == "" {
		s.opts.Source = "annals"
	}
	if s.opts.Attempts <= 0 {
		s.opts.Attempts = 3
	}
	if s.opts.Pause == nil {
		s.opts.Pause = pause
	}
	return s
}

func pause(ctx context.Context, attempt int) {
	timer := time.NewTimer(time.Duration(attempt) * 50 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// Append stores events at the end of stream, all or none, durably when it
// returns. expected is the stream's version as the caller knows it, NoStream or
// Any. The events given are not changed.
//
// The same events again, by their ids, return the first commit with Replayed
// set: with an exact expected version for ever, with Any for at least the last
// 1,000 events of the stream. Times count as a difference only if given.
//
// Errors: *ConflictError if the stream is at another version; *DuplicateError if
// an id belongs to a different event of the stream, or if only some of the
// events were stored before; *InvalidError; ErrNoSpace; ErrUnknownOutcome; one of
// CodeErased where an event names a data subject that was erased, also if it was
// stored before.
func (s *Store) Append(ctx context.Context, stream string, expected int64, events ...Event) (Commit, error) {
	if err := ctx.Err(); err != nil {
		return Commit{}, err
	}
	stamped := s.stamp(events)
	if err := commitErr(stream, expected, stamped); err != nil {
		return Commit{}, err
	}
	if err := s.seal(ctx, stream, stamped); err != nil {
		return Commit{}, err
	}
	return s.settled(ctx, stream, expected, events, stamped, false)
}

// settled appends events that are valid until the outcome is known, or can't be.
// unknown says that they may be stored already.
func (s *Store) settled(ctx context.Context, stream string, expected int64, events, stamped []Event, unknown bool) (Commit, error) {
	for attempt := 1; ; attempt++ {
		// Appending again settles an unknown outcome: the ids are the same, so a
		// first try that did land is found, and one that did not is made good.
		commit, err := s.driver.Append(ctx, stream, expected, stamped)
		if err == nil {
			return commit, nil
		}
		var duplicate *DuplicateError
		switch {
		case errors.As(err, &duplicate):
			return s.replayed(ctx, stream, expected, events, stamped, duplicate)
		case errors.Is(err, ErrUnknownOutcome):
			unknown = true
		case !unknown || errors.Is(err, ErrConflict):
			return Commit{}, err
		}
		if attempt >= s.opts.Attempts || ctx.Err() != nil {
			return s.look(ctx, stream, expected, events, stamped, err)
		}
		s.opts.Pause(ctx, attempt)
	}
}

// stamp copies events and fills in what their author left to the store.
func (s *Store) stamp(events []Event) []Event {
	stamped := make([]Event, len(events))
	now := s.opts.Clock()
	for i := range events {
		e := events[i]
		if e.ID == "" {
			e.ID = s.opts.NewID()
		}
		if e.Time.IsZero() {
			e.Time = now
		}
		if e.Source == "" {
			e.Source = s.opts.Source
		}
		if e.ContentType == "" {
			e.ContentType = JSONContentType
		}
		e.Time = e.Time.UTC().Round(0)
		e.Stream, e.Version, e.Position = "", 0, 0
		stamped[i] = e
	}
	return stamped
}

// detached lets an append whose events may be stored be resolved though its
// caller's context has ended.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	const lookTimeout = 2 * time.Second
	return context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
}

// look tries to learn the outcome of an append by reading.
func (s *Store) look(ctx context.Context, stream string, expected int64, given, stamped []Event, cause error) (Commit, error) {
	ctx, cancel := detached(ctx)
	defer cancel()
	const lookBack = 1000 + MaxCommitEvents
	read, version := 0, int64(0)
	for e, err := range s.driver.Stream(ctx, stream, 1, math.MaxInt64, true) {
		if err != nil || read == lookBack {
			break
		}
		if read++; e.ID == stamped[0].ID {
			version = e.Version
			break
		}
	}
	if version > 0 {
		return s.replayed(ctx, stream, expected, given, stamped, &DuplicateError{stream, stamped[0].ID, version})
	}
	return Commit{}, unknownOutcome(stream, cause)
}

func unknownOutcome(stream string, cause error) error {
	return &Error{
		Code: CodeUnknownOutcome, Err: cause,
		Message: "can't tell whether the events were appended to stream " + stream,
		Hint:    "append the same events with the same ids again: if they are stored, the answer is their commit",
	}
}

// replayed decides what an append means that has an id of the stream: the same
// commit again, or an error.
func (s *Store) replayed(ctx context.Context, stream string, expected int64, given, stamped []Event, d *DuplicateError) (Commit, error) {
	ctx, cancel := detached(ctx)
	defer cancel()
	known := slices.IndexFunc(stamped, func(e Event) bool { return e.ID == d.ID })
	first, i := d.Version-int64(known), 0
	if known < 0 || first < 1 {
		return Commit{}, d
	}
	var position int64
	for stored, err := range s.driver.Stream(ctx, stream, first, first+int64(len(stamped))-1, false) {
		if err != nil {
			return Commit{}, unknownOutcome(stream, err)
		}
		if stored.ID != stamped[i].ID {
			return Commit{}, d
		}
		if i == 0 {
			// A server takes each time as given, and may name a later event.
			d = &DuplicateError{stream, stored.ID, stored.Version}
		}
		if !sameEvent(&stored, &stamped[i], !given[i].Time.IsZero()) {
			return Commit{}, &DuplicateError{stream, stamped[i].ID, stored.Version}
		}
		position = stored.Position
		i++
	}
	if i < len(stamped) {
		return Commit{}, d
	}
	if expected != Any && expected != first-1 {
		if actual, err := s.version(ctx, stream); err != nil || actual != expected {
			return Commit{}, errors.Join(err, &ConflictError{stream, expected, actual})
		}
		return Commit{}, d
	}
	return Commit{
		Stream: stream, Version: first + int64(len(stamped)) - 1, Count: len(stamped),
		Position: position, Replayed: true,
	}, nil
}

func (s *Store) version(ctx context.Context, stream string) (int64, error) {
	for e, err := range s.driver.Stream(ctx, stream, 1, math.MaxInt64, true) {
		return e.Version, err
	}
	return 0, nil
}

func sameEvent(a, b *Event, times bool) bool {
	return a.ID == b.ID && a.Type == b.Type && a.Source == b.Source &&
		a.Correlation == b.Correlation && a.Causation == b.Causation &&
		a.ContentType == b.ContentType && maps.Equal(a.Attributes, b.Attributes) &&
		bytes.Equal(a.Data, b.Data) && (!times || a.Time.Equal(b.Time))
}

// Stream reads the events of one stream: every one whose append returned before
// the call. An unknown stream has no events. The sequence ends after its first
// error.
func (s *Store) Stream(ctx context.Context, stream string, opts *StreamOptions) iter.Seq2[Event, error] {
	var o StreamOptions
	if opts != nil {
		o = *opts
	}
	var v violations
	v.stream("stream", stream)
	v.when(o.From < 0, "from", "must be 0 or a version")
	v.when(o.To < 0, "to", "must be 0 or a version")
	v.when(o.Limit < 0, "limit", "must not be negative")
	if err := v.err(); err != nil {
		return failed(err)
	}
	if o.To == 0 {
		o.To = math.MaxInt64
	}
	o.From = max(o.From, 1)
	// Versions have no gap, so that a driver need not read more than the limit.
	if n := int64(o.Limit); n > 0 && !o.Backward {
		o.To = min(o.To, max(o.From, o.From+n-1))
	} else if n > 0 && o.To < math.MaxInt64 {
		o.From = max(o.From, o.To-n+1)
	}
	if o.From > o.To {
		return nothing
	}
	return limited(s.opened(ctx, s.driver.Stream(ctx, stream, o.From, o.To, o.Backward)), o.Limit)
}

// Log reads the events that match q, up to the end of the log at the call. The
// prefix it shows is stable: nothing new ever appears at or below a position
// that was seen. The sequence ends after its first error.
func (s *Store) Log(ctx context.Context, q Query) iter.Seq2[Event, error] {
	if err := q.check(); err != nil {
		return failed(err)
	}
	return limited(s.opened(ctx, s.driver.Log(ctx, q)), q.Limit)
}

// Follow reads like Log and then goes on with new events as they arrive, until
// ctx ends, q.Until or q.Limit is reached, or an error. It can't go backwards.
func (s *Store) Follow(ctx context.Context, q Query) iter.Seq2[Event, error] {
	if err := q.check(); err != nil {
		return failed(err)
	}
	if q.Backward {
		return failed(Invalid("backward", "can't be followed"))
	}
	return limited(func(yield func(Event, error) bool) {
		last := q.After
		for q.Until == 0 || last < q.Until {
			end, err := s.driver.End(ctx, last)
			if err != nil {
				yield(Event{}, err)
				return
			}
			next := q
			next.After, next.Until, next.Limit = last, end, 0
			if q.Until > 0 {
				next.Until = min(end, q.Until)
			}
			for e, err := range s.opened(ctx, s.driver.Log(ctx, next)) {
				if !yield(e, err) || err != nil {
					return
				}
			}
			last = end
		}
	}, q.Limit)
}

// Wait returns commit with its position, once the log holds it: at once on a
// store that numbers its log as it appends.
func (s *Store) Wait(ctx context.Context, commit Commit) (Commit, error) {
	if commit.Position > 0 {
		return commit, nil
	}
	if sequencer, ok := s.driver.(Sequencer); ok {
		return sequencer.Wait(ctx, commit)
	}
	return Commit{}, Invalid("commit", "has no position, and this store gives one to every commit")
}

// End returns the position of the log's last event, 0 for an empty log.
func (s *Store) End(ctx context.Context) (int64, error) { return s.driver.End(ctx, -1) }

// WaitPast waits until the log holds a position past after, or ctx ends, and
// returns its last position.
func (s *Store) WaitPast(ctx context.Context, after int64) (int64, error) {
	if after < 0 {
		return 0, Invalid("after", "must not be negative")
	}
	return s.driver.End(ctx, after)
}

// Close releases the store. Reads under way end in ErrClosed; appends that have
// not returned have an unknown outcome.
func (s *Store) Close() error { return s.driver.Close() }

func nothing(func(Event, error) bool) {}

func failed(err error) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) { yield(Event{}, err) }
}

// limited ends seq after n of what it yields, or after the first error; n 0 is no
// limit.
func limited[T any](seq iter.Seq2[T, error], n int) iter.Seq2[T, error] {
	if n == 0 {
		return seq
	}
	return func(yield func(T, error) bool) {
		left := n
		for e, err := range seq {
			if left--; !yield(e, err) || err != nil || left == 0 {
				return
			}
		}
	}
}
