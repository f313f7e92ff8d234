package consumer_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
)

// catchUp makes a Runner catch up, and fails the test where that does not end.
func (w *world) catchUp(h consumer.Handler, opts *consumer.Options) *consumer.Runner {
	w.t.Helper()
	r, err := consumer.New(w.store, w.views, w.name, annals.Query{}, h, opts)
	if err != nil {
		w.t.Fatal(err)
	}
	w.catchUpAgain(r)
	return r
}

func (w *world) catchUpAgain(r *consumer.Runner) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	if err := r.CatchUp(ctx); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) position() int64 {
	w.t.Helper()
	at, err := w.control().Position(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return at
}

func TestCatchUpEndsAtTheEndOfTheLog(t *testing.T) {
	w := newWorld(t)
	rec := &recorder{}
	r := w.catchUp(consumer.Each(rec.handle), w.options())
	if end := w.append("a", "x", "x"); len(rec.events()) != 0 || end != 2 {
		t.Fatalf("an empty log gave %v", rec.events())
	}
	w.catchUpAgain(r)
	w.append(annals.OwnPrefix+"b", "x") // passed over, and noted
	w.catchUpAgain(r)
	if got := rec.events(); !slices.Equal(got, []string{"a@1", "a@2"}) || w.position() != 3 {
		t.Errorf("handled %v up to %d", got, w.position())
	}
}

// What is appended while a batch is handled belongs to the same call.
func TestCatchUpLooksAgainAfterItsLastCommit(t *testing.T) {
	w := newWorld(t)
	w.append("a", "x")
	rec := &recorder{}
	opts := w.options()
	late := 3
	opts.At = func(step consumer.Step) error {
		if step == consumer.StepCommitted && late > 0 {
			late--
			w.append("b", "x")
		}
		return nil
	}
	w.catchUp(consumer.Each(rec.handle), opts)
	if got := rec.events(); !slices.Equal(got, []string{"a@1", "b@1", "b@2", "b@3"}) {
		t.Errorf("handled %v", got)
	}
}

func TestCatchUpDoesNotWaitForWhatStands(t *testing.T) {
	w := newWorld(t)
	w.append("a", "bad", "x")
	w.append("b", "x")
	broken := true
	rec := &recorder{fail: func(m *consumer.Message) error {
		if broken && m.Type == "bad" {
			return errors.New("planted")
		}
		return nil
	}}
	r := w.catchUp(consumer.Each(rec.handle), w.options())
	if got := rec.events(); !slices.Equal(got, []string{"b@1"}) || len(w.parked()) != 2 || w.position() != 3 {
		t.Fatalf("handled %v, parked %d, up to %d", got, len(w.parked()), w.position())
	}
	broken = false
	w.catchUpAgain(r)
	if len(w.parked()) != 2 {
		t.Fatal("what was parked was tried although nobody asked")
	}
	w.retry()
	w.catchUpAgain(r)
	if got := rec.events(); !slices.Equal(got, []string{"b@1", "a@1", "a@2"}) || len(w.parked()) != 0 {
		t.Fatalf("handled %v, parked %d", got, len(w.parked()))
	}
	if err := w.control().Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.append("c", "x")
	w.catchUpAgain(r)
	if got := rec.events(); len(got) != 3 {
		t.Errorf("a paused consumer handled %v", got)
	}
}

// Of two Runners one works; the other one is done once it has seen the first move,
// which looks at the log after that, and takes over if it does not move.
func TestCatchUpLeavesTheWorkToAnother(t *testing.T) {
	w := newWorld(t)
	w.append("a", "x")
	gate, in := make(chan struct{}), make(chan struct{}, 10)
	slow, stop := w.start(annals.Query{}, consumer.Each(func(context.Context, *consumer.Message) error {
		in <- struct{}{}
		<-gate
		return nil
	}), w.options())
	<-in
	rec := &recorder{}
	opts := w.options()
	first := true
	opts.At = func(step consumer.Step) error {
		if step == consumer.StepHandled && first {
			first = false
			close(gate) // the slow one commits before this one does
			wait(t, slow, 1)
			w.append("b", "x")
		}
		return nil
	}
	w.catchUp(consumer.Each(rec.handle), opts)
	wait(t, slow, 2)
	_ = stop()
	if got := rec.events(); got[0] != "a@1" || w.position() != 2 {
		t.Errorf("handled %v up to %d", got, w.position())
	}
}

func TestCatchUpTakesOverFromOneThatIsGone(t *testing.T) {
	w := newWorld(t)
	w.append("a", "x")
	rec, gone := &recorder{}, errors.New("planted")
	opts := w.options()
	handled := false
	opts.At = func(step consumer.Step) error {
		if step != consumer.StepHandled || handled {
			return nil
		}
		handled = true
		// Another one commits, and its process ends before it looks at the log again.
		dying := w.options()
		dying.At = func(step consumer.Step) error {
			if step == consumer.StepCommitted {
				return gone
			}
			return nil
		}
		if err := w.runToEnd(consumer.Each((&recorder{}).handle), dying); !errors.Is(err, gone) {
			t.Errorf("the other one ended with %v", err)
		}
		w.append("b", "x")
		return nil
	}
	w.catchUp(consumer.Each(rec.handle), opts)
	if got := rec.events(); !slices.Equal(got, []string{"a@1", "b@1"}) || w.position() != 2 {
		t.Errorf("handled %v up to %d", got, w.position())
	}
}
