package consumer_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/view"
)

// resting brings a Runner to rest behind another one, which has parked an event
// and ended; sleep is the resting one's.
func resting(t *testing.T, sleep func(context.Context, time.Duration)) (*world, *consumer.Runner) {
	w := newWorld(t)
	gate, in := make(chan struct{}), make(chan struct{}, 10)
	w.append("a", "x")
	opts := w.options()
	if sleep != nil {
		opts.Sleep = sleep
	}
	slow, _ := w.start(annals.Query{}, consumer.Each(func(context.Context, *consumer.Message) error {
		in <- struct{}{}
		<-gate
		return nil
	}), opts)
	<-in
	var broken atomic.Bool
	broken.Store(true)
	w.allParked(&broken, 1)
	close(gate)
	until(t, "the slow one rests", func() bool {
		s, err := slow.Status(t.Context())
		return err == nil && s.State == consumer.Standby
	})
	return w, slow
}

func TestARestingRunnerTakesOverARetry(t *testing.T) {
	w, _ := resting(t, nil)
	w.retry()
	w.untilNothingIsParked()
}

func TestARestingRunnerOfAPausedConsumerRests(t *testing.T) {
	var slept atomic.Int64
	w, r := resting(t, func(context.Context, time.Duration) { slept.Add(1) })
	if err := w.control().Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.retry()
	from := slept.Load()
	until(t, "it has looked often", func() bool { return slept.Load() > from+50 })
	if p := w.parked(); len(p) != 1 {
		t.Errorf("a retry was made while the consumer is paused: %v", p)
	}
	if err := w.control().Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Wake()
	w.untilNothingIsParked()
}

func TestAWakeReachesARestingRunner(t *testing.T) {
	w, r := resting(t, func(ctx context.Context, _ time.Duration) { <-ctx.Done() })
	w.retry()
	until(t, "the retry is made", func() bool { r.Wake(); return len(w.parked()) == 0 })
}

// meddled is a view.Store in which an operator comes before every commit.
type meddled struct {
	view.Store
	meddle  func()
	commits atomic.Int64
}

func (m *meddled) Commit(ctx context.Context, change view.Change) error {
	m.commits.Add(1)
	m.meddle()
	return m.Store.Commit(ctx, change)
}

func TestARunnerThatIsInterruptedAgainAndAgainPauses(t *testing.T) {
	w := newWorld(t)
	r, stop := w.start(annals.Query{}, consumer.Each(func(context.Context, *consumer.Message) error { return nil }), w.options())
	wait(t, r, w.append("a", "x"))
	_ = stop()
	w.append("a", "x")
	var pauses atomic.Int64
	opts := w.options()
	opts.Sleep = func(context.Context, time.Duration) { pauses.Add(1) }
	views := &meddled{Store: w.views, meddle: func() {
		if err := w.control().Resume(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	}}
	_, stop = w.startOver(views, consumer.Each(func(context.Context, *consumer.Message) error { return nil }), opts)
	until(t, "it has been interrupted often", func() bool { return views.commits.Load() > 20 })
	_ = stop()
	if pauses.Load() < views.commits.Load()-4 {
		t.Errorf("%d pauses in %d sessions that came to nothing", pauses.Load(), views.commits.Load())
	}
}

func TestARunnerOfARemovedConsumerThatMustBeKnownEnds(t *testing.T) {
	w := newWorld(t)
	opts := w.options()
	opts.Known = true
	h := &counter{views: w.views}
	if err := w.runToEnd(h, opts); !errors.Is(err, annals.ErrNotFound) {
		t.Errorf("a Runner of an unknown consumer ended with %v", err)
	}
	var change view.Change
	if err := consumer.Create(&change, w.name); err != nil {
		t.Fatal(err)
	}
	if err := w.views.Commit(t.Context(), change); err != nil {
		t.Fatal(err)
	}
	r, err := consumer.New(w.store, w.views, w.name, annals.Query{}, h, opts)
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() { result <- r.Run(t.Context()) }()
	wait(t, r, w.append("a", "x", "x"))
	if err := consumer.Remove(t.Context(), w.views, w.name); err != nil {
		t.Fatal(err)
	}
	w.append("a", "x")
	if err := <-result; !errors.Is(err, annals.ErrNotFound) {
		t.Errorf("Run ended with %v", err)
	}
	names, err := consumer.Names(t.Context(), w.views)
	if err != nil || len(names) > 0 {
		t.Errorf("after Remove there are %v, %v", names, err)
	}
	if found, err := w.views.Get(t.Context(), "counts", "a"); err != nil || string(found["a"].Data) != "2" {
		t.Errorf("a was counted %s times, %v", found["a"].Data, err)
	}
}
