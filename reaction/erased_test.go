package reaction_test

import (
	"context"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/reaction"
	"github.com/eb901187/annals/subject/subjecttest"
)

func erased(typ string) annals.Event {
	return annals.Event{Type: typ, ContentType: annals.ErasedContentType, Attributes: map[string]string{annals.SubjectAttribute: "p1"}}
}

func TestErasedEventsReachNoHandler(t *testing.T) {
	w := newWorld(t)
	w.append("a", erased("x"))
	w.append("a", event("x", `1`))
	seen := ""
	r, err := reaction.New(w.store, w.views, "watch", annals.Query{Prefix: "a"}, func(_ context.Context, t *reaction.Turn) error {
		seen += t.Cause() + " "
		return nil
	}, w.options())
	if err != nil {
		t.Fatal(err)
	}
	stop := w.start(r)
	w.settle(r)
	if err := stop(); seen != "a@2 " {
		t.Fatalf("the handler saw %q, %v", seen, err)
	}
}

// A saga whose history is erased goes no further, and holds up nobody.
func TestErasedSagaStandsStill(t *testing.T) {
	w := newWorld(t)
	for _, typ := range []string{reaction.SagaStarted, reaction.StepStarted, reaction.TimeoutSet} {
		w.append("saga-order/7", erased(typ))
	}
	p := w.process(orderSaga())
	w.start(p)
	w.place("7")
	w.append("payment-7", annals.Event{Type: "payment-taken", Attributes: map[string]string{reaction.AttributeSaga: "saga-order/7"}})
	w.place("8")
	w.settle(p)
	w.wantPhase(p, "7", reaction.Erased)
	w.wantPhase(p, "8", reaction.Running)
	if parked := w.parked(p); len(parked) > 0 {
		t.Fatalf("parked: %+v", parked)
	}
	if err := p.Resume(t.Context(), "7", "why"); err == nil {
		t.Fatal("it was resumed")
	}
	w.wantTypes("saga-order/7", "saga-started step-started timeout-set")
}

// What an answer about a data subject says is sealed for it in the saga's stream, from
// then on, though the event that started the saga named nobody.
func TestSagaNamesTheSubjectOfAnAnswer(t *testing.T) {
	keyring := subjecttest.Keyring(t)
	w := newWorld(t)
	w.store = annals.New(w.faulty, &annals.Options{Clock: w.clock.Now, Sealer: keyring})
	w.place("7")
	saga := orderSaga()
	saga.Steps[0].Do.Keep = func(o *order, e *annals.Event) error { o.Payment = string(e.Data); return nil }
	p := w.process(saga)
	w.start(p)
	w.settle(p)
	answer := reaction.Reply(&w.stream("payment-7")[0], "payment-received", []byte(`"by the secret"`))
	answer.Attributes[annals.SubjectAttribute] = "p1"
	w.append("payment-7", answer)
	w.settle(p)
	w.answer("shipping-7", "order-shipped", `{}`)
	w.settle(p)
	w.wantPhase(p, "7", reaction.Completed)
	for e, err := range annals.New(w.faulty, nil).Stream(t.Context(), "saga-order/7", nil) {
		if err != nil || (e.Version > 2) != (e.Subject() == "p1") || strings.Contains(string(e.Data), "secret") {
			t.Errorf("%s of version %d is stored for %q: %s, %v", e.Type, e.Version, e.Subject(), e.Data, err)
		}
	}
	if _, err := keyring.Fence(t.Context(), "p1"); err != nil {
		t.Fatal(err)
	}
	w.wantPhase(p, "7", reaction.Erased)
}
