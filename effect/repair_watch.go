package effect

import (
	"context"
	"errors"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
)

// Watch calls round at once and then after the log of store has grown, at most
// every opts.Poll, until ctx ends or the store is closed. An idle store is not
// asked. With again, round is called once more after opts.Poll without waiting for
// the log. An error of round is logged and means the same. Of opts it uses Poll,
// Sleep and Logger.
func Watch(ctx context.Context, store *annals.Store, opts *consumer.Options, round func(ctx context.Context) (again bool, err error)) {
	o := opts.Complete()
	for ctx.Err() == nil {
		// Asked first, so that nothing that comes during the round is missed.
		seen, err := store.End(ctx)
		again := true
		if err == nil {
			again, err = round(ctx)
		}
		if err == nil && !again {
			// A busy store is asked once in a while too.
			o.Sleep(ctx, o.Poll)
			_, err = store.WaitPast(ctx, seen)
		}
		switch {
		case ctx.Err() != nil || errors.Is(err, annals.ErrClosed):
			return
		case err != nil:
			o.Logger.Warn("repairs of outside calls wait", "error", err)
		}
		if err != nil || again {
			o.Sleep(ctx, o.Poll)
		}
	}
}

// Tend is one round of the repairs of a handler that Past can run for single
// events: the repairs that were asked for, and then the corrections that were
// approved, one after the other.
func (l *Ledger) Tend(ctx context.Context, p *Past) error {
	if err := l.Refresh(ctx); err != nil {
		return err
	}
	for r := l.Due(); r != nil; r = l.Due() {
		if err := l.Run(ctx, r, p); err != nil {
			return err
		}
	}
	_, err := l.CorrectAll(ctx, p)
	return err
}

// CorrectAll sends the corrections of all findings that are approved, in the order
// in which they were found, and returns these, with what came of them.
func (l *Ledger) CorrectAll(ctx context.Context, p *Past) ([]Finding, error) {
	var done []Finding
	for _, f := range l.Approved() {
		if f.State != Approved {
			continue // one before it had the same event
		}
		if _, err := l.Correct(ctx, f, p); err != nil {
			return done, err
		}
		done = append(done, *f)
	}
	return done, nil
}
