package reaction_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/reaction"
	"github.com/eb901187/annals/view/pebbleview"
)

// The time limit passes while no process runs.
func TestTimeoutAcrossRestart(t *testing.T) {
	waiting := func(t *testing.T) *world {
		w, p, stop := begun(t)
		w.answer("payment-7", "payment-received", `{}`)
		w.settle(p)
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Fatalf("Run returned %v", err)
		}
		w.clock.pass(10 * time.Minute)
		return w
	}
	t.Run("without an answer", func(t *testing.T) {
		w := waiting(t)
		p := w.process(orderSaga())
		w.start(p)
		w.passUntil("saga-order/7", reaction.TimeoutElapsed)
		w.settle(p)
		w.wantTypes("payment-7", "payment-requested payment-received refund-requested")
		// The parcel leaves after all: it must come back.
		w.answer("shipping-7", "order-shipped", `{}`)
		w.answer("payment-7", "payment-refunded", `{}`)
		w.settle(p)
		w.wantTypes("shipping-7", "shipping-requested order-shipped return-requested")
		pr := w.wantPhase(p, "7", reaction.Compensated)
		if strings.Join(pr.Compensated, " ") != "payment shipping" {
			t.Errorf("progress %+v", pr)
		}
	})
	t.Run("with an answer that nobody has read yet", func(t *testing.T) {
		w := waiting(t)
		w.answer("shipping-7", "order-shipped", `{}`)
		opts := w.options()
		opts.Consumer.At = func(s consumer.Step) error {
			for i := 0; i < 10 && s == consumer.StepLoaded; i++ {
				w.moment() // the log is read late, and timers could be looked for before
			}
			return nil
		}
		p, err := reaction.NewProcess(w.store, w.views, orderSaga(), opts)
		if err != nil {
			t.Fatal(err)
		}
		w.start(p)
		w.passUntil("saga-order/7", reaction.SagaCompleted)
		if strings.Contains(w.types("saga-order/7"), reaction.TimeoutElapsed) {
			t.Errorf("the time limit won: %s", w.types("saga-order/7"))
		}
	})
	t.Run("on a view store that is made anew", func(t *testing.T) {
		w := waiting(t)
		lost := w.views
		w.views = pebbleview.Memory()
		if err := lost.Close(); err != nil {
			t.Fatal(err)
		}
		p := w.process(orderSaga())
		w.start(p)
		w.settle(p)
		w.wantTypes("payment-7", "payment-requested payment-received")
		w.wantTypes("shipping-7", "shipping-requested")
		w.passUntil("saga-order/7", reaction.TimeoutElapsed)
	})
}

// A process is gone while a command waits to be issued: whoever answers has the
// whole time nevertheless. Timers fire each at its own time.
func TestTimeLimitBeginsWithTheCommand(t *testing.T) {
	w := newWorld(t)
	saga := orderSaga()
	saga.Steps[0].Do.Timeout = time.Minute
	crash := errors.New("crash")
	opts := w.options()
	opts.Consumer.At = func(s consumer.Step) error {
		if s == consumer.StepCommitted {
			return crash
		}
		return nil
	}
	w.place("7")
	p, err := reaction.NewProcess(w.store, w.views, saga, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); !errors.Is(err, crash) {
		t.Fatalf("Run returned %v", err)
	}
	w.wantTypes("saga-order/7", "saga-started step-started timeout-set")
	w.clock.pass(10 * time.Minute)
	p = w.process(saga)
	w.start(p)
	w.settle(p)
	w.wantTypes("payment-7", "payment-requested")
	w.clock.pass(30 * time.Second)
	w.place("8")
	w.settle(p)
	for range 10 {
		w.moment()
	}
	w.wantTypes("saga-order/7", "saga-started step-started timeout-set")
	w.passUntil("saga-order/7", reaction.TimeoutElapsed)
	for range 10 {
		w.moment()
	}
	w.wantTypes("saga-order/8", "saga-started step-started timeout-set")
	w.passUntil("saga-order/8", reaction.TimeoutElapsed)
	for deadline := time.Now().Add(time.Minute); w.timers() > 0; w.moment() {
		if time.Now().After(deadline) {
			t.Fatalf("%d timers are left", w.timers())
		}
	}
}

// An answer is decided on just before the decision about its time limit is stored.
func TestAnswerThatOvertakesTheTimeLimit(t *testing.T) {
	w, p, _ := begun(t)
	w.answer("payment-7", "payment-received", `{}`)
	w.settle(p)
	overtaken := false
	w.faulty.before = func(events []annals.Event) {
		if events[0].Type != reaction.TimeoutElapsed || overtaken {
			return
		}
		overtaken = true
		w.answer("shipping-7", "order-shipped", `{}`)
		w.settle(p)
	}
	w.passUntil("saga-order/7", reaction.SagaCompleted)
	for range 5 {
		w.moment()
	}
	if got := w.types("saga-order/7"); !overtaken || strings.Contains(got, reaction.TimeoutElapsed) {
		t.Fatalf("overtaken %v, the saga's stream holds %s", overtaken, got)
	}
}

// A saga is at a step that a new definition has lost: its timer does not hold up
// the one behind it, and fires once the step is back.
func TestStepThatTheDefinitionHasLost(t *testing.T) {
	w := newWorld(t)
	saga, lost := orderSaga(), orderSaga()
	saga.Steps[0].Do.Timeout = 30 * time.Second
	lost.Steps = lost.Steps[1:]
	p := w.process(saga)
	stop := w.start(p)
	w.place("7")
	w.settle(p)
	_ = stop()
	p = w.process(lost)
	stop = w.start(p)
	w.place("9")
	w.settle(p)
	w.wantTypes("shipping-9", "shipping-requested")
	w.passUntil("saga-order/9", reaction.SagaCompensated)
	_ = stop()
	w.wantTypes("saga-order/7", "saga-started step-started timeout-set")
	p = w.process(saga)
	w.start(p)
	w.passUntil("saga-order/7", reaction.SagaCompensated)
}
