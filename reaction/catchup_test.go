package reaction_test

import (
	"context"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/reaction"
	"github.com/eb901187/annals/view"
)

type waker interface{ CatchUp(context.Context) error }

// catchUp fails the test where it does not end.
func (w *world) catchUp(r waker) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if err := r.CatchUp(ctx); err != nil {
		w.t.Fatal(err)
	}
}

func TestAReactionCatchesUp(t *testing.T) {
	w := newWorld(t)
	w.append("a", event("x", `{}`))
	var handled atomic.Int64
	opts := w.options()
	opts.FromEnd = true
	r, err := reaction.New(w.store, w.views, "r", annals.Query{Types: []string{"x"}}, func(ctx context.Context, turn *reaction.Turn) error {
		handled.Add(1)
		_, err := turn.Append(ctx, "b", annals.Any, annals.Event{Type: "y"})
		return err
	}, opts)
	if err != nil {
		t.Fatal(err)
	}
	w.catchUp(r)
	w.catchUp(r)
	if handled.Load() != 0 {
		t.Fatal("it handled what was before its start")
	}
	w.append("a", event("x", `{}`))
	w.append("a", event("x", `{}`))
	w.catchUp(r)
	w.wantTypes("b", "y y")
	if s, err := r.Status(t.Context()); err != nil || s.State != consumer.Idle || s.Lag != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestAProcessCatchesUpAndFiresWhatIsDue(t *testing.T) {
	w := newWorld(t)
	saga := orderSaga()
	saga.Steps[0].Do.Timeout, saga.Steps[0].Do.Attempts = time.Minute, 1
	p := w.process(saga)
	w.place("7")
	w.catchUp(p)
	w.wantTypes("saga-order/7", "saga-started step-started timeout-set")
	w.wantTypes("payment-7", "payment-requested")
	w.clock.pass(59 * time.Second)
	w.catchUp(p)
	if n := w.timers(); n != 1 {
		t.Fatalf("%d timers wait", n)
	}
	w.clock.pass(time.Minute)
	// A paused process neither handles nor fires, and does not keep its caller.
	control := consumer.NewControl(w.store, w.views, p.Name(), nil)
	if err := control.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.place("8")
	w.catchUp(p)
	w.wantTypes("saga-order/7", "saga-started step-started timeout-set")
	if err := control.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.catchUp(p)
	w.wantTypes("saga-order/7", "saga-started step-started timeout-set timeout-elapsed saga-compensated")
	w.wantTypes("saga-order/8", "saga-started step-started timeout-set")
}

// scanned is a view store in which something happens before timers are looked for.
type scanned struct {
	view.Store
	before func()
}

func (s *scanned) Scan(ctx context.Context, space string, r view.Range) iter.Seq2[view.Document, error] {
	if space == "annals.timers/saga-order" {
		s.before()
	}
	return s.Store.Scan(ctx, space, r)
}

// What comes between the last look at the log and the timers is handled before they
// fire: an answer that came in time wins.
func TestACatchUpHandlesAnAnswerBeforeItFires(t *testing.T) {
	w := newWorld(t)
	saga := orderSaga()
	saga.Steps[0].Do.Timeout = time.Minute
	views := &scanned{Store: w.views, before: func() {}}
	p, err := reaction.NewProcess(w.store, views, saga, w.options())
	if err != nil {
		t.Fatal(err)
	}
	w.place("7")
	w.catchUp(p)
	w.clock.pass(2 * time.Minute)
	views.before = func() {
		views.before = func() {}
		w.answer("payment-7", "payment-received", `{}`)
	}
	w.catchUp(p)
	if got := w.types("saga-order/7"); strings.Contains(got, reaction.TimeoutElapsed) || !strings.Contains(got, reaction.StepCompleted) || w.timers() > 1 {
		t.Errorf("the saga holds %s, and %d timers wait", got, w.timers())
	}
}
