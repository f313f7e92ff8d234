package reaction_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/reaction"
	"github.com/eb901187/annals/view/pebbleview"
)

// order is what the sagas of these tests know.
type order struct {
	Amount  int    `json:"amount"`
	Payment string `json:"payment,omitempty"`
}

// command issues an event of type typ to the stream prefix-ID.
func command(prefix, typ string) func(context.Context, *reaction.Command[order]) error {
	return func(ctx context.Context, c *reaction.Command[order]) error {
		data, err := json.Marshal(c.State)
		if err != nil {
			return err
		}
		_, err = c.Append(ctx, prefix+"-"+c.ID, annals.Any, annals.Event{Type: typ, Data: data})
		return err
	}
}

// orderSaga takes a payment, ships within a minute, and closes the order, which
// nobody answers.
func orderSaga() reaction.Saga[order] {
	return reaction.Saga[order]{
		Name:   "order",
		ID:     func(e *annals.Event) string { _, id, _ := strings.Cut(e.Stream, "-"); return id },
		Starts: []string{"order-placed"},
		Start:  func(o *order, e *annals.Event) error { return json.Unmarshal(e.Data, o) },
		Steps: []reaction.Step[order]{{
			Name: "payment",
			Do: reaction.Action[order]{
				Issue:   command("payment", "payment-requested"),
				Success: []string{"payment-received"}, Failure: []string{"payment-declined"},
				Keep: func(o *order, e *annals.Event) error { o.Payment = e.Stream; return nil },
			},
			Undo: reaction.Action[order]{
				Issue: command("payment", "refund-requested"), Success: []string{"payment-refunded"}, Failure: []string{"refund-refused"}, Attempts: 2,
			},
		}, {
			Name: "shipping",
			Do: reaction.Action[order]{
				Issue:   command("shipping", "shipping-requested"),
				Success: []string{"order-shipped"}, Failure: []string{"shipping-refused"}, Timeout: time.Minute,
			},
			Undo: reaction.Action[order]{Issue: command("shipping", "return-requested")},
		}, {
			Name: "closing",
			Do:   reaction.Action[order]{Issue: command("order", "order-closed")},
		}},
	}
}

func (w *world) process(saga reaction.Saga[order]) *reaction.Process {
	w.t.Helper()
	p, err := reaction.NewProcess(w.store, w.views, saga, w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// answer answers the last command of a stream.
func (w *world) answer(stream, typ, data string) {
	w.t.Helper()
	all := w.stream(stream)
	if len(all) == 0 {
		w.t.Fatalf("%s has no command to answer", stream)
	}
	w.append(stream, reaction.Reply(&all[len(all)-1], typ, []byte(data)))
}

func (w *world) place(id string) {
	w.append("order-"+id, annals.Event{Type: "order-placed", Data: []byte(`{"amount":5}`), Correlation: "req-" + id})
}

// begun is a world in which order 7 has been placed and waits for its payment.
func begun(t *testing.T) (*world, *reaction.Process, func() error) {
	w := newWorld(t)
	w.place("7")
	p := w.process(orderSaga())
	stop := w.start(p)
	w.settle(p)
	return w, p, stop
}

func (w *world) wantPhase(p *reaction.Process, id string, want reaction.Phase) reaction.Progress {
	w.t.Helper()
	pr, err := p.Progress(w.t.Context(), id)
	if err != nil || pr.Phase != want {
		w.t.Fatalf("saga %s: %+v, %v, want it %s; its stream holds %s", id, pr, err, want, w.types("saga-order/"+id))
	}
	return pr
}

func TestSagaCompletes(t *testing.T) {
	w, p, _ := begun(t)
	c := w.stream("payment-7")[0]
	want := map[string]string{reaction.AttributeSaga: "saga-order/7", reaction.AttributeStep: "payment", reaction.AttributeAttempt: "1"}
	for name, value := range want {
		if c.Attributes[name] != value {
			t.Errorf("attribute %s of the command is %q, want %q", name, c.Attributes[name], value)
		}
	}
	if c.Correlation != "req-7" || c.Causation != "saga-order/7@2" || c.Source != "saga/order" || string(c.Data) != `{"amount":5}` {
		t.Errorf("the command is %+v", c)
	}
	w.answer("payment-7", "payment-received", `{}`)
	w.settle(p)
	if c := w.stream("shipping-7")[0]; string(c.Data) != `{"amount":5,"payment":"payment-7"}` {
		t.Errorf("the second command does not know what the first answer said: %s", c.Data)
	}
	w.answer("shipping-7", "order-shipped", `{}`)
	w.settle(p)
	w.wantTypes("saga-order/7", "saga-started step-started step-completed step-started timeout-set step-completed step-started step-completed saga-completed")
	w.wantTypes("order-7", "order-placed order-closed")
	pr := w.wantPhase(p, "7", reaction.Completed)
	if strings.Join(pr.Completed, " ") != "payment shipping closing" || pr.Version != 9 || string(pr.State) != `{"amount":5,"payment":"payment-7"}` {
		t.Errorf("progress %+v", pr)
	}
	for _, e := range w.stream("saga-order/7") {
		if e.Correlation != "req-7" || e.Causation == "" || e.Source != "saga/order" {
			t.Errorf("of the saga: %+v", e)
		}
	}
}

func TestSagaCompensatesInReverse(t *testing.T) {
	w, p, _ := begun(t)
	w.answer("payment-7", "payment-received", `{}`)
	w.settle(p)
	w.answer("shipping-7", "shipping-refused", `{"error":"no such street"}`)
	w.settle(p)
	w.wantTypes("payment-7", "payment-requested payment-received refund-requested")
	w.wantPhase(p, "7", reaction.Compensating)
	w.answer("payment-7", "payment-refunded", `{}`)
	w.settle(p)
	w.wantTypes("saga-order/7", "saga-started step-started step-completed step-started timeout-set step-failed compensation-started compensation-completed saga-compensated")
	if failed := w.stream("saga-order/7")[5]; !strings.Contains(string(failed.Data), `"error":"no such street"`) {
		t.Errorf("the failed step says %s", failed.Data)
	}
	w.wantPhase(p, "7", reaction.Compensated)
	w.wantTypes("order-7", "order-placed")
}

func TestIssueThatFailsFailsItsStep(t *testing.T) {
	saga := orderSaga()
	saga.Steps[2].Do.Issue = func(context.Context, *reaction.Command[order]) error { return reaction.Fail("closed on Sundays") }
	w := newWorld(t)
	p := w.process(saga)
	w.place("7")
	w.start(p)
	w.settle(p)
	w.answer("payment-7", "payment-received", `{}`)
	w.settle(p)
	w.answer("shipping-7", "order-shipped", `{}`)
	w.settle(p)
	w.wantTypes("shipping-7", "shipping-requested order-shipped return-requested")
	w.answer("payment-7", "payment-refunded", `{}`)
	w.settle(p)
	pr := w.wantPhase(p, "7", reaction.Compensated)
	if strings.Join(pr.Compensated, " ") != "payment shipping" {
		t.Errorf("progress %+v", pr)
	}
}

// A failure that does not say which attempt it answers comes again, after a crash,
// when the next attempt is under way.
func TestFailureThatComesAgainCountsOnce(t *testing.T) {
	w := newWorld(t)
	saga := orderSaga()
	saga.Steps[0].Do.Attempts, saga.Steps[0].Do.Backoff = 2, func(int) time.Duration { return 0 }
	crash, crashing := errors.New("crash"), false
	opts := w.options()
	opts.Consumer.At = func(s consumer.Step) error {
		if crashing && s == consumer.StepHandled {
			return crash
		}
		return nil
	}
	p, err := reaction.NewProcess(w.store, w.views, saga, opts)
	if err != nil {
		t.Fatal(err)
	}
	w.place("7")
	stop := w.start(p)
	w.settle(p)
	_ = stop()
	w.append("payment-7", event("payment-declined", `{}`))
	crashing = true
	if p, err = reaction.NewProcess(w.store, w.views, saga, opts); err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context()); !errors.Is(err, crash) {
		t.Fatalf("Run returned %v", err)
	}
	w.wantTypes("saga-order/7", "saga-started step-started step-failed step-started")
	w.faulty.before = func(events []annals.Event) {
		if events[0].Type == reaction.StepFailed {
			t.Error("the failure is decided on again")
		}
	}
	p = w.process(saga)
	w.start(p)
	w.settle(p)
	w.wantTypes("saga-order/7", "saga-started step-started step-failed step-started")
	w.wantTypes("payment-7", "payment-requested payment-declined payment-requested")
	if parked := w.parked(p); len(parked) > 0 {
		t.Fatalf("parked %+v", parked)
	}
}

// What is done is not issued again when everything is read from the start.
func TestSagasOnAViewStoreMadeAnew(t *testing.T) {
	w, p, stop := begun(t)
	w.answer("payment-7", "payment-received", `{}`)
	w.settle(p)
	w.answer("shipping-7", "order-shipped", `{}`)
	w.settle(p)
	w.wantPhase(p, "7", reaction.Completed)
	_ = stop()
	if err := w.views.Close(); err != nil {
		t.Fatal(err)
	}
	w.views = pebbleview.Memory()
	saga, before := orderSaga(), w.end()
	for i := range saga.Steps {
		saga.Steps[i].Do.Issue = func(_ context.Context, c *reaction.Command[order]) error {
			t.Errorf("step %s is issued again", c.Step)
			return nil
		}
	}
	p = w.process(saga)
	w.start(p)
	w.settle(p)
	if w.end() != before {
		t.Errorf("%d events were appended", w.end()-before)
	}
}

// A command that can't be issued holds up its own saga only, and goes on when it
// is retried.
func TestSagaThatIsParked(t *testing.T) {
	broken := true
	saga := orderSaga()
	request := saga.Steps[0].Do.Issue
	saga.Steps[0].Do.Issue = func(ctx context.Context, c *reaction.Command[order]) error {
		if broken && c.ID == "7" {
			return consumer.Permanent(errors.New("no such account"))
		}
		return request(ctx, c)
	}
	w := newWorld(t)
	p := w.process(saga)
	w.place("7")
	w.place("8")
	stop := w.start(p)
	w.settle(p)
	w.wantTypes("payment-7", "")
	w.wantTypes("payment-8", "payment-requested")
	if parked := w.parked(p); len(parked) != 1 || parked[0].Stream != "saga-order/7" || !strings.Contains(parked[0].Error, "no such account") {
		t.Fatalf("parked %+v", parked)
	}
	_ = stop()
	broken = false
	if _, err := consumer.NewControl(w.store, w.views, p.Name(), nil).Retry(t.Context()); err != nil {
		t.Fatal(err)
	}
	p = w.process(saga)
	w.start(p)
	w.place("9")
	w.settle(p)
	w.wantTypes("payment-7", "payment-requested")
}

func TestEventsThatAreNoConcernOfASaga(t *testing.T) {
	w, p, _ := begun(t)
	w.place("7")                                                       // once more
	w.append("payment-8", event("payment-received", `{}`))             // no such saga
	w.append("payments", event("payment-received", `{}`))              // of no saga
	w.append("saga-other/7", event("step-started", `{"step":"none"}`)) // another's
	w.settle(p)
	w.wantTypes("saga-order/7", "saga-started step-started")
	w.wantTypes("saga-order/8", "")
	if parked := w.parked(p); len(parked) > 0 {
		t.Fatalf("parked %+v", parked)
	}
	saga := orderSaga()
	saga.Name, saga.ID = "blank", func(*annals.Event) string { return "a b" }
	q := w.process(saga)
	w.start(q)
	w.settle(q)
	if parked := w.parked(q); len(parked) == 0 || !strings.Contains(parked[0].Error, "saga's id is not fit") {
		t.Fatalf("parked %+v", parked)
	}
}

func TestResumeOfAFailedSaga(t *testing.T) {
	w, p, _ := begun(t)
	w.answer("payment-7", "payment-received", `{}`)
	w.settle(p)
	w.answer("shipping-7", "shipping-refused", `{}`)
	w.settle(p)
	if err := p.Resume(t.Context(), "7", "too early"); !errors.Is(err, annals.ErrInvalid) {
		t.Fatalf("resuming a saga that works: %v", err)
	}
	w.answer("payment-7", "refund-refused", `{"reason":"account closed"}`)
	w.passUntil("saga-order/7", reaction.CompensationFailed)
	for len(w.stream("payment-7")) < 5 { // the second attempt is asked for behind a pause
		w.moment()
		w.clock.pass(time.Second)
	}
	w.answer("payment-7", "refund-refused", `{"reason":"account closed"}`)
	w.settle(p)
	w.wantPhase(p, "7", reaction.Failed)
	if err := p.Resume(t.Context(), "7", "account opened again"); err != nil {
		t.Fatal(err)
	}
	w.settle(p)
	w.answer("payment-7", "payment-refunded", `{}`)
	w.settle(p)
	w.wantPhase(p, "7", reaction.Compensated)
	w.wantTypes("payment-7", "payment-requested payment-received refund-requested refund-refused refund-requested refund-refused refund-requested payment-refunded")
	if err := p.Resume(t.Context(), "8", "who?"); !errors.Is(err, annals.ErrNotFound) {
		t.Fatalf("resuming no saga: %v", err)
	}
}

func TestCommandLeavesItsSagasStreamAlone(t *testing.T) {
	var got error
	saga := orderSaga()
	saga.Steps[0].Do.Issue = func(ctx context.Context, c *reaction.Command[order]) error {
		_, got = c.Append(ctx, c.Saga, annals.Any, annals.Event{Type: "note"})
		return nil
	}
	w := newWorld(t)
	p := w.process(saga)
	w.place("7")
	w.start(p)
	w.settle(p)
	if !errors.Is(got, annals.ErrInvalid) {
		t.Fatalf("got %v", got)
	}
}

func TestDefinitionIsChecked(t *testing.T) {
	w := newWorld(t)
	_, err := reaction.NewProcess(w.store, w.views, reaction.Saga[order]{
		Name: "order", Starts: []string{"a"},
		Steps: []reaction.Step[order]{
			{Name: "one", Do: reaction.Action[order]{Success: []string{"a"}}},
			{Name: "one", Do: reaction.Action[order]{Issue: command("x", "x"), Failure: []string{"b"}, Timeout: -1}},
		},
	}, nil)
	var invalid *annals.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v", err)
	}
	var fields []string
	for _, v := range invalid.Violations {
		fields = append(fields, v.Field)
	}
	want := "ID Steps[0].Do.Issue Steps[0].Do Steps[0].Do.Success Steps[1].Name Steps[1].Do.Success Steps[1].Do.Timeout Steps[1].Do.Timeout"
	if got := strings.Join(fields, " "); got != want {
		t.Fatalf("named are %s\nwant %s", got, want)
	}
	saga := orderSaga()
	saga.Name = "a/b"
	if _, err := reaction.NewProcess(w.store, w.views, saga, nil); !errors.Is(err, annals.ErrInvalid) {
		t.Fatalf("a name with a slash: %v", err)
	}
}
