package reaction_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/reaction"
)

// A biller appends invoices, and tells the bank.
func (w *world) newBiller(b *bank, decide func(stream string, total int) []annals.Event) *reaction.Reaction {
	w.t.Helper()
	gateway, err := effect.New(w.store, &effect.Options{Clock: w.clock.Now, Logger: quiet})
	if err != nil {
		w.t.Fatal(err)
	}
	opts := w.options()
	opts.Effects = gateway
	r, err := reaction.New(w.store, w.views, "cashier", annals.Query{Types: []string{"ordered"}}, func(ctx context.Context, t *reaction.Turn) error {
		var o bill
		if err := json.Unmarshal(t.Data, &o); err != nil {
			return err
		}
		if events := decide(t.Stream, o.Total); len(events) > 0 {
			commit, err := t.Append(ctx, "invoices", annals.Any, events...)
			if err != nil || commit.Version == 0 || commit.Count != len(events) {
				return fmt.Errorf("appended %+v: %w", commit, err)
			}
		}
		return b.post(ctx, "/charge", t.Stream)
	}, opts)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := gateway.Began(w.t.Context(), "cashier", 0); err != nil {
		w.t.Fatal(err)
	}
	return r
}

func invoice(total int) annals.Event { return event("invoiced", fmt.Sprintf(`{"total":%d}`, total)) }

func TestARepairFindsAppendsThatDifferAndAppendsNothingUnasked(t *testing.T) {
	w, b := newWorld(t), newBank(t)
	r := w.newBiller(b, func(stream string, total int) []annals.Event {
		switch stream {
		case "order-2":
			return []annals.Event{invoice(total + 1)}
		case "order-3":
			return nil
		}
		return []annals.Event{invoice(total)}
	})
	stop := w.start(r)
	for number := 1; number <= 3; number++ {
		w.order(number, 10*number)
	}
	w.settle(r)
	_ = stop()
	calls, invoices := b.called(), len(w.stream("invoices"))

	fixed := w.newBiller(b, func(_ string, total int) []annals.Event { return []annals.Event{invoice(total)} })
	found, err := fixed.Repair(t.Context(), effect.RepairOptions{From: 1})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		was := "nothing"
		if f.Was != nil {
			was = dataOf(t, f.Was.Past())
		}
		got = append(got, fmt.Sprintf("%s %s: was %s now %s", f.Event, f.Append, was, dataOf(t, f.Now)))
	}
	want := []string{`order-2@1 invoices: was {"total":21} now {"total":20}`, `order-3@1 invoices: was nothing now {"total":30}`}
	if !slices.Equal(got, want) {
		t.Fatalf("found %q", got)
	}
	if n := len(w.stream("invoices")); n != invoices || b.called() != calls {
		t.Fatalf("a repair has appended %d events and made %d calls", n-invoices, b.called()-calls)
	}
	w.approveAll()
	done, err := fixed.Correct(t.Context())
	if err != nil || len(done) != 2 {
		t.Fatalf("%v, %v", done, err)
	}
	if f := done[0]; f.State != effect.Uncorrected || !strings.Contains(f.Error, "no correction function for cashier") {
		t.Errorf("an append that stands was corrected: %+v", f)
	}
	if f := done[1]; f.State != effect.Corrected {
		t.Errorf("%s: %s", f.State, f.Error)
	}
	all := w.stream("invoices")
	if last := all[len(all)-1]; len(all) != invoices+1 || string(last.Data) != `{"total":30}` || last.Causation != "order-3@1" || b.called() != calls {
		t.Fatalf("%d events, the last of them %+v, %d calls", len(all), last, b.called()-calls)
	}
	if again, err := fixed.Repair(t.Context(), effect.RepairOptions{From: 1}); err != nil || len(again) != 0 {
		t.Fatalf("found again: %+v, %v", again, err)
	}
}

// dataOf is the data of the one event that an append asks for.
func dataOf(t *testing.T, r *effect.Request) string {
	t.Helper()
	text, err := json.Marshal(r.Data)
	if err != nil {
		t.Fatal(err)
	}
	var events []struct{ Data json.RawMessage }
	if err := json.Unmarshal(text, &events); err != nil || len(events) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	return string(events[0].Data)
}

func TestWithoutACorrectionFunctionOnlyWhatWasMissingIsSent(t *testing.T) {
	w, b := newWorld(t), newBank(t)
	w.mistaken(b, 10)
	gateway, err := effect.New(w.store, &effect.Options{Clock: w.clock.Now, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	c := w.newCashier(b, "after", right, nil)
	opts := w.options()
	opts.Effects = gateway
	plain, err := reaction.New(w.store, w.views, "cashier", annals.Query{Types: []string{"ordered"}}, func(ctx context.Context, turn *reaction.Turn) error {
		var o bill
		if err := json.Unmarshal(turn.Data, &o); err != nil {
			return err
		}
		return b.post(ctx, "/charge", charge{turn.Stream, o.Total})
	}, opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Repair(t.Context(), effect.RepairOptions{From: 1}); err != nil {
		t.Fatal(err)
	}
	w.approveAll()
	before := b.called()
	done, err := plain.Correct(t.Context())
	if err != nil || len(done) != 3 || b.called() != before+1 {
		t.Fatalf("%+v, %v, %d calls", done, err, b.called()-before)
	}
	for _, f := range done {
		if missing := f.Event == "order-7@1"; missing != (f.State == effect.Corrected) || !missing && !strings.Contains(f.Error, "no correction function for cashier") {
			t.Errorf("%s is %s: %s", f.Event, f.State, f.Error)
		}
	}
	// With one, they can be approved again.
	w.approveAll()
	if done, err := c.Correct(t.Context()); err != nil || len(done) != 2 || done[0].State != effect.Corrected || done[1].State != effect.Corrected {
		t.Fatalf("%+v, %v", done, err)
	}
}

func TestWhatTheCodeNoLongerWantsIsSupersededNotSent(t *testing.T) {
	w, b := newWorld(t), newBank(t)
	w.mistaken(b, 10)
	if _, err := w.newCashier(b, "after", right, nil).Repair(t.Context(), effect.RepairOptions{From: 1}); err != nil {
		t.Fatal(err)
	}
	w.approveAll()
	before := b.called()
	// The fix was wrong too: order 7 is to be charged 1, the rest as it was.
	other := func(number, total int) []int {
		if number == 7 {
			return []int{1}
		}
		return wrong(number, total)
	}
	c := w.newCashier(b, "later", other, nil)
	found, err := c.Repair(t.Context(), effect.RepairOptions{From: 1})
	if err != nil || len(found) != 1 || found[0].Event != "order-7@1" {
		t.Fatalf("%+v, %v", found, err)
	}
	if done, err := c.Correct(t.Context()); err != nil || len(done) != 0 || b.called() != before {
		t.Fatalf("sent %+v, %v, %d calls", done, err, b.called()-before)
	}
	for _, f := range w.findings()[:3] {
		if f.State != effect.Superseded {
			t.Errorf("%s is %s", f.ID, f.State)
		}
	}
}

func TestWhatWasSupersededIsFoundAgainOnceTheCodeWantsItAgain(t *testing.T) {
	w, b := newWorld(t), newBank(t)
	w.mistaken(b, 10)
	for i, code := range []func(int, int) []int{right, wrong, right, right} {
		found, err := w.newCashier(b, "a process", code, nil).Repair(t.Context(), effect.RepairOptions{From: 1})
		if want := []int{3, 0, 3, 0}[i]; err != nil || len(found) != want {
			t.Fatalf("repair %d finds %d, %v", i, len(found), err)
		}
	}
	w.approveAll()
	if done, err := w.newCashier(b, "a process", right, nil).Correct(t.Context()); err != nil || len(done) != 3 {
		t.Fatalf("%+v, %v", done, err)
	}
}

// An approval holds for the very request that was shown.
func TestAnApprovedCallIsNotSentAsAnotherOne(t *testing.T) {
	w, b := newWorld(t), newBank(t)
	w.mistaken(b, 7)
	found, err := w.newCashier(b, "after", right, nil).Repair(t.Context(), effect.RepairOptions{From: 1})
	if err != nil || len(found) != 3 || found[2].Event != "order-7@1" {
		t.Fatalf("%+v, %v", found, err)
	}
	if err := effect.Approve(t.Context(), w.store, found[2].ID); err != nil {
		t.Fatal(err)
	}
	before := b.called()
	c := w.newCashier(b, "later", func(int, int) []int { return []int{1_000_000} }, nil)
	done, err := c.Correct(t.Context())
	if err != nil || len(done) != 1 || done[0].State != effect.Superseded || b.called() != before {
		t.Fatalf("%+v, %v, %d calls", done, err, b.called()-before)
	}
	if all := w.findings(); len(all) != 4 || all[3].State != effect.Open {
		t.Fatalf("%+v", all)
	}
}

func TestTwoProcessesSendEachCorrectionOnce(t *testing.T) {
	w, b := newWorld(t), newBank(t)
	want := w.mistaken(b, 20)
	w.start(w.newCashier(b, "one", right, nil))
	w.start(w.newCashier(b, "two", right, nil))
	if _, err := effect.RequestRepair(t.Context(), w.store, "cashier", effect.RepairOptions{From: 1}); err != nil {
		t.Fatal(err)
	}
	w.until("six differences are found", func() bool { return len(w.findings()) == 6 })
	w.approveAll()
	w.until("all is corrected", func() bool {
		return !slices.ContainsFunc(w.findings(), func(f effect.Finding) bool { return f.State != effect.Corrected })
	})
	if got := b.books(); !slices.Equal(got, want) || len(w.findings()) != 6 {
		t.Fatalf("the bank holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWhatTheCodeFailsAtEndsARepair(t *testing.T) {
	w, b := newWorld(t), newBank(t)
	w.mistaken(b, 7)
	c := w.newCashier(b, "after", func(number, _ int) []int {
		if number == 4 {
			panic("no such order")
		}
		return nil
	}, nil)
	_, err := c.Repair(t.Context(), effect.RepairOptions{From: 4})
	if err == nil || !strings.Contains(err.Error(), "event order-4@1 at position") || !strings.Contains(err.Error(), "no such order") {
		t.Fatal(err)
	}
	all, err := effect.Repairs(t.Context(), w.store, "cashier")
	if err != nil || len(all) != 1 || all[0].State != effect.Broken || !strings.Contains(all[0].Error, "order-4@1") {
		t.Fatalf("%+v, %v", all, err)
	}
}

// What a saga's step asks of the outside is asked once; sagas are not repaired.
func TestSagasMakeOutsideCallsOnce(t *testing.T) {
	w, b := newWorld(t), newBank(t)
	gateway, err := effect.New(w.store, &effect.Options{Clock: w.clock.Now, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	opts := w.options()
	opts.Effects = gateway
	saga := reaction.Saga[struct{}]{
		Name: "shop", ID: func(e *annals.Event) string { return e.Stream }, Starts: []string{"ordered"},
		Steps: []reaction.Step[struct{}]{{Name: "pay", Do: reaction.Action[struct{}]{
			Issue: func(ctx context.Context, c *reaction.Command[struct{}]) error {
				if err := b.post(ctx, "/charge", c.ID); err != nil {
					return err
				}
				if b.called() == 1 {
					return errCrash // it is issued again
				}
				return nil
			},
		}}},
	}
	p, err := reaction.NewProcess(w.store, w.views, saga, opts)
	if err != nil {
		t.Fatal(err)
	}
	w.start(p)
	w.until("the reaction has begun", func() bool {
		_, err := effect.Repairs(t.Context(), w.store, p.Name())
		return err == nil
	})
	w.order(1, 1)
	w.order(2, 1)
	w.settle(p)
	if got := b.books(); !slices.Equal(got, []string{`charge "order-1"`, `charge "order-2"`}) || b.called() != 2 {
		t.Fatalf("%q in %d calls", got, b.called())
	}
	if _, err := effect.RequestRepair(t.Context(), w.store, p.Name(), effect.RepairOptions{From: 1}); err != nil {
		t.Fatal(err)
	}
	w.until("the repair is refused", func() bool {
		all, err := effect.Repairs(t.Context(), w.store, p.Name())
		return err == nil && all[0].State == effect.Broken && strings.Contains(all[0].Error, "runs sagas")
	})
}

// An append that was approved, and that today's code does not make any more, was not made.
func TestAnAppendThatTheCodeNoLongerMakesIsNotCalledCorrected(t *testing.T) {
	w, b := newWorld(t), newBank(t)
	nothing := func(string, int) []annals.Event { return nil }
	before := w.newBiller(b, nothing)
	stop := w.start(before)
	w.order(1, 10)
	w.settle(before)
	_ = stop()
	some := w.newBiller(b, func(_ string, total int) []annals.Event { return []annals.Event{invoice(total)} })
	if found, err := some.Repair(t.Context(), effect.RepairOptions{From: 1}); err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	w.approveAll()
	done, err := w.newBiller(b, nothing).Correct(t.Context())
	if err != nil || len(done) != 1 || done[0].State == effect.Corrected {
		t.Fatalf("%+v, %v, %d appended", done, err, len(w.stream("invoices")))
	}
}

// A saga's own events come after those that start it: they must not make calls for
// what happened before there was a saga.
func TestANewSagaMakesNoCallForWhatHappenedBefore(t *testing.T) {
	w, b := newWorld(t), newBank(t)
	w.order(1, 1)
	gateway, err := effect.New(w.store, &effect.Options{Clock: w.clock.Now, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	opts := w.options()
	opts.Effects = gateway
	saga := reaction.Saga[struct{}]{
		Name: "shop", ID: func(e *annals.Event) string { return e.Stream }, Starts: []string{"ordered"},
		Steps: []reaction.Step[struct{}]{{Name: "pay", Do: reaction.Action[struct{}]{
			Issue: func(ctx context.Context, c *reaction.Command[struct{}]) error { return b.post(ctx, "/charge", c.ID) },
		}}},
	}
	p, err := reaction.NewProcess(w.store, w.views, saga, opts)
	if err != nil {
		t.Fatal(err)
	}
	w.start(p)
	w.until("the reaction has begun", func() bool {
		_, err := effect.Repairs(t.Context(), w.store, p.Name())
		return err == nil
	})
	w.order(2, 1)
	w.settle(p)
	if got := b.books(); !slices.Equal(got, []string{`charge "order-2"`}) {
		t.Fatalf("the bank holds %q", got)
	}
}
