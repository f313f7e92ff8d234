package reaction

import (
	"context"
	"errors"
	"iter"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
)

// act runs the Handler, with its outside calls journaled.
func (r *Reaction) act(ctx context.Context, t *Turn) error {
	if t.Erased() {
		return nil
	}
	if r.effects == nil {
		return r.handle(ctx, t)
	}
	h := effect.Handling{Handler: r.name, Event: &t.Event, Mode: effect.Live}
	return r.effects.Handle(ctx, h, func(ctx context.Context) error {
		t.Message = t.WithContext(ctx)
		return r.handle(ctx, t)
	})
}

// began records at its first start since when the reaction makes calls: behind at,
// or the end of the log if that is -1. One that has run without a Gateway goes on
// behind its checkpoint.
func (r *Reaction) began(ctx context.Context, at int64) error {
	return r.patiently(ctx, func() error {
		position, err := consumer.NewControl(r.store, r.views, r.name, &r.opts).Position(ctx)
		if err != nil {
			return err
		}
		if position > 0 {
			at = position
		}
		_, err = r.effects.Began(ctx, r.name, at)
		return err
	})
}

// Repair handles events of the past again, from opts.From on, with nothing sent and
// nothing appended, and returns each outside call and each append that would now
// differ and that no repair has found before. See effect.Approve for what can be
// done about them. It works beside Run or without it. The Handler reads streams as
// they are today.
//
// Where the code fails for an event, the error says which, and the repair is over.
// An append that the Handler made then and does not make today is not found.
func (r *Reaction) Repair(ctx context.Context, opts effect.RepairOptions) ([]effect.Finding, error) {
	if err := r.repairable(); err != nil {
		return nil, err
	}
	if err := r.began(ctx, -1); err != nil {
		return nil, err
	}
	asked, err := effect.RequestRepair(ctx, r.store, r.name, opts)
	if err != nil {
		return nil, err
	}
	ledger := r.effects.Ledger(r.name)
	if err := ledger.Refresh(ctx); err != nil {
		return nil, err
	}
	run := ledger.Repair(asked.ID)
	if err := ledger.Run(ctx, run, r.repairs()); err != nil {
		return nil, err
	}
	if run.State == effect.Broken {
		err = &annals.Error{Code: annals.CodeInvalid, Message: "the repair " + run.ID + " failed: " + run.Error, Hint: "mend the code, or begin behind that event"}
	}
	return ledger.Found(run.ID), err
}

// Correct sends the corrections of everything that is approved and returns it, with
// what came of each; those that failed can be approved again. Run does this by
// itself.
func (r *Reaction) Correct(ctx context.Context) ([]effect.Finding, error) {
	if err := r.repairable(); err != nil {
		return nil, err
	}
	ledger := r.effects.Ledger(r.name)
	if err := ledger.Refresh(ctx); err != nil {
		return nil, err
	}
	return ledger.CorrectAll(ctx, r.repairs())
}

func (r *Reaction) repairable() error {
	if r.effects == nil {
		return annals.Invalid("Effects", "must be given in the Options of reaction %s: without them its outside calls are not journaled", r.name)
	}
	return nil
}

// past reports whether e is from before the reaction made outside calls: a saga that
// it started would make them, for its own events come after.
func (r *Reaction) past(ctx context.Context, e *annals.Event) (bool, error) {
	if r.effects == nil {
		return false, nil
	}
	began, err := r.effects.Began(ctx, r.name, -1)
	return e.Position <= began, consumer.Blameless(err)
}

// repairs is the reaction as its repairs need it.
func (r *Reaction) repairs() *effect.Past {
	control := consumer.NewControl(r.store, r.views, r.name, &r.opts)
	return &effect.Past{
		Reached: control.Position,
		Events: func(ctx context.Context, from, to int64) iter.Seq2[*consumer.Message, error] {
			q := r.query
			q.After, q.Until = max(from-1, r.from), to
			if q.After >= q.Until {
				return func(func(*consumer.Message, error) bool) {}
			}
			return control.Handled(ctx, q)
		},
		Handle: r.actAgain,
	}
}

// actAgain runs the Handler in a repair.
func (r *Reaction) actAgain(ctx context.Context, m *consumer.Message, repair *effect.RepairTurn) error {
	if !r.single {
		return annals.Invalid("handler", "%s runs sagas, whose steps are not repaired: what they issue follows from how far a saga is", r.name)
	}
	t := r.newTurn(m)
	t.repair = repair
	return r.handle(ctx, t)
}

// watchRepairs carries out repairs and corrections until ctx ends.
func (r *Reaction) watchRepairs(ctx context.Context) {
	ledger, past := r.effects.Ledger(r.name), r.repairs()
	effect.Watch(ctx, r.store, &r.opts, func(ctx context.Context) (again bool, err error) {
		status, err := r.runner.Status(ctx)
		if err != nil {
			return false, err
		}
		if status.State == consumer.Standby {
			// The process that works on the consumer works on its repairs too.
			err := ledger.Refresh(ctx)
			return ledger.Due() != nil || len(ledger.Approved()) > 0, err
		}
		err = ledger.Tend(ctx, past)
		if errors.Is(err, annals.ErrClosed) || ctx.Err() != nil {
			return false, err
		}
		return err != nil, err
	})
}
