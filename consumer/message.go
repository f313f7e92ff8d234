package consumer

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// A Message is one event on its way to a Handler.
type Message struct {
	annals.Event
	// Attempt counts the tries of this event, from 1. A batch's tries count for
	// its first event only.
	Attempt int
	// Edited says that an operator replaced Data.
	Edited bool
	// Retried says that the event was parked, or waited behind one that was, and
	// that an operator asked to handle it now.
	Retried bool

	ctx context.Context
}

// Context is that of the handling of this event, for what a Handler does outside
// of the view. It is never nil, and ends when the Runner stops.
func (m *Message) Context() context.Context {
	if m.ctx == nil {
		return context.Background()
	}
	return m.ctx
}

// WithContext returns a shallow copy of m with another Context, for a Handler that
// hands its messages on.
func (m *Message) WithContext(ctx context.Context) *Message {
	c := *m
	c.ctx = ctx
	return &c
}

// Now is the time by which a Handler acts: the event's own.
func (m *Message) Now() time.Time { return m.Time }

// Cause is the event as others name it in their Causation: stream@version.
func (m *Message) Cause() string { return m.Stream + "@" + strconv.FormatInt(m.Version, 10) }

// A Handler works on the events of one consumer. A Runner calls it from one
// goroutine at a time.
type Handler interface {
	// Handle works on batch, which has at least one event, in order of position.
	// What it returns is committed together with the checkpoint; the Runner adds
	// its own keys to it. It keeps nothing of batch beyond that Commit.
	//
	// After an error the Runner calls Forget and tries smaller batches until
	// the event at fault stands alone; that one is tried again, and then parked.
	// An error that Permanent made is not tried again. While errors say that a
	// store can't be reached (annals.ErrUnavailable, ErrUnknownOutcome, ErrNoSpace)
	// or are Blameless, nothing is parked: the Runner waits. An expectation of the
	// Handler's own that does not hold is a failure of its event.
	Handle(ctx context.Context, batch []Message) (view.Change, error)

	// Forget says that the view may differ from what Handle has returned so far,
	// so that nothing the Handler remembers of it may be used.
	Forget()
}

// Each makes a Handler of a function that is called for one event at a time and
// writes nothing to the view. It must be harmless to call again with an event
// that it has worked on, because a crash can come between it and the checkpoint.
func Each(f func(ctx context.Context, m *Message) error) Handler { return each(f) }

type each func(ctx context.Context, m *Message) error

func (f each) Handle(ctx context.Context, batch []Message) (view.Change, error) {
	for i := range batch {
		if err := f(ctx, &batch[i]); err != nil {
			return view.Change{}, err
		}
	}
	return view.Change{}, nil
}

func (each) Forget() {}

// Permanent marks err as one that another try can't mend: its event is parked at
// once. A panic counts as permanent.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanent{err}
}

// Blameless marks err as no fault of the events at hand: nothing is parked because
// of it. The Runner waits and begins again.
func Blameless(err error) error {
	if err == nil {
		return nil
	}
	return &blameless{err}
}

type blameless struct{ err error }

func (b *blameless) Error() string { return b.err.Error() }
func (b *blameless) Unwrap() error { return b.err }

func isBlameless(err error) bool {
	var b *blameless
	return errors.As(err, &b)
}

type permanent struct{ err error }

func (p *permanent) Error() string { return p.err.Error() }
func (p *permanent) Unwrap() error { return p.err }

// Waits reports whether a Runner waits because of err and parks nothing: a store
// can't be reached, or err is Blameless.
func Waits(err error) bool { return unreachable(err) }
