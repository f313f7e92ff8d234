package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/view"
)

func nothing(context.Context, *consumer.Message) error { return nil }

// runToEnd returns what Run returns by itself.
func (w *world) runToEnd(h consumer.Handler, opts *consumer.Options) error {
	w.t.Helper()
	r, err := consumer.New(w.store, w.views, w.name, annals.Query{}, h, opts)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
	defer cancel()
	return r.Run(ctx)
}

func TestALogThatEndsBeforeTheCheckpointEndsTheRunner(t *testing.T) {
	w := newWorld(t)
	r, stop := w.start(annals.Query{}, consumer.Each(nothing), w.options())
	wait(t, r, w.append("a", "x", "x", "x"))
	_ = stop()
	restored := newWorld(t)
	restored.views = w.views
	restored.append("a", "x")
	rec := &recorder{}
	err := restored.runToEnd(consumer.Each(rec.handle), restored.options())
	if !errors.Is(err, annals.ErrDamaged) || !strings.Contains(err.Error(), "has handled position 3 but the log ends at 1") {
		t.Errorf("Run returned %v", err)
	}
	equal(t, "handled", rec.events(), nil)
}

// startOther runs another consumer until the test ends.
func (w *world) startOther(name string, h consumer.Handler, opts *consumer.Options) *consumer.Runner {
	w.t.Helper()
	other := &world{t: w.t, store: w.store, views: w.views, name: name}
	r, _ := other.start(annals.Query{}, h, opts)
	return r
}

func TestADecisionReachesAGenerationThatRuns(t *testing.T) {
	w := newWorld(t)
	w.name = "test@1"
	fail := func(m *consumer.Message) error {
		if m.Type == "bad" {
			return consumer.Permanent(errors.New("bad"))
		}
		return nil
	}
	rec := recorder{fail: fail}
	w.append("b", "x")
	last := w.append("a", "bad")
	r, _ := w.start(annals.Query{}, consumer.Each(rec.handle), w.options())
	wait(t, r, last)
	gate, in := make(chan struct{}), make(chan struct{}, 10)
	opts := w.options()
	opts.Batch = 1
	next := w.startOther("test@2", consumer.Each(func(_ context.Context, m *consumer.Message) error {
		if m.Stream == "b" {
			in <- struct{}{}
			<-gate
		}
		return fail(m)
	}), opts)
	<-in
	if err := w.control().Drop(t.Context(), last, "broken"); err != nil {
		t.Fatal(err)
	}
	w.untilNothingIsParked()
	close(gate)
	wait(t, next, last)
	for p, err := range consumer.NewControl(w.store, w.views, "test@2", nil).Parked(t.Context()) {
		t.Errorf("the next generation parked what was dropped before it came there: %+v, %v", p, err)
	}
}

func TestAConsumerAndAProjectionOfOneNameDecideApart(t *testing.T) {
	w := newWorld(t)
	last := w.append("a", "x")
	bad := recorder{fail: func(*consumer.Message) error { return consumer.Permanent(errors.New("the view can't take it")) }}
	wait(t, w.startOther("mail@1", consumer.Each(bad.handle), w.options()), last)
	if err := consumer.NewControl(w.store, w.views, "mail@1", nil).Drop(t.Context(), last, "no use to the view"); err != nil {
		t.Fatal(err)
	}
	var reaction recorder
	wait(t, w.startOther("mail", consumer.Each(reaction.handle), w.options()), last)
	equal(t, "the reaction", reaction.events(), []string{"a@1"})
}

// failing is a view.Store whose next Get, and whose commits of events, fail on demand.
type failing struct {
	view.Store
	get    atomic.Bool
	commit func() error
}

func (f *failing) Get(ctx context.Context, space string, keys ...string) (map[string]view.Document, error) {
	if f.get.CompareAndSwap(true, false) {
		return nil, fmt.Errorf("once: %w", annals.ErrUnavailable)
	}
	return f.Store.Get(ctx, space, keys...)
}

func (f *failing) Commit(ctx context.Context, change view.Change) error {
	if f.commit != nil && len(change.Put) > 1 {
		if err := f.commit(); err != nil {
			return err
		}
	}
	return f.Store.Commit(ctx, change)
}

func TestAnErrorThatIsOverIsNotShown(t *testing.T) {
	w := newWorld(t)
	views := &failing{Store: w.views}
	opts := w.options()
	var met atomic.Bool
	opts.Sleep = func(context.Context, time.Duration) { met.Store(true) }
	r, _ := w.startOver(views, consumer.Each(nothing), opts)
	wait(t, r, w.append("a", "x"))
	views.get.Store(true)
	until(t, "it meets the error", met.Load)
	until(t, "the error is over", func() bool {
		s, err := r.Status(t.Context())
		return err == nil && s.Error == ""
	})
}

func TestWhatIsBlamelessIsShownAndParksNothing(t *testing.T) {
	own := func(f func() error) consumer.Handler {
		return consumer.Each(func(context.Context, *consumer.Message) error { return f() })
	}
	cause := fmt.Errorf("the table is being changed: %w", annals.ErrClosed)
	for name, c := range map[string]struct {
		handler func(f func() error) consumer.Handler
		err     error
	}{
		"of the handler":       {own, consumer.Blameless(cause)},
		"of no known kind":     {own, consumer.Blameless(errors.New("the view is being moved"))},
		"though permanent":     {own, consumer.Permanent(consumer.Blameless(cause))},
		"of work in a commit":  {nil, &view.WorkError{Err: consumer.Blameless(cause)}},
		"of a store elsewhere": {own, fmt.Errorf("sending: %w", annals.ErrUnavailable)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var away atomic.Bool
			away.Store(true)
			f := func() error {
				if away.Load() {
					return c.err
				}
				return nil
			}
			views := &failing{Store: w.views, commit: f}
			var h consumer.Handler = &fitting{fails: func(*consumer.Message) error { return nil }}
			if c.handler != nil {
				h = c.handler(f)
			}
			last := w.append("a", "x")
			opts := w.options()
			var slept atomic.Int64
			opts.Sleep = func(context.Context, time.Duration) { slept.Add(1) }
			r, _ := w.startOver(views, h, opts)
			until(t, "it has tried often", func() bool { return slept.Load() > 20 })
			if s, err := r.Status(t.Context()); err != nil || s.Error != c.err.Error() || s.Parked != 0 {
				t.Errorf("status %+v, %v", s, err)
			}
			away.Store(false)
			wait(t, r, last)
			until(t, "the error is over", func() bool { s, err := r.Status(t.Context()); return err == nil && s.Error == "" })
			if p := w.parked(); len(p) > 0 {
				t.Errorf("parked: %+v", p)
			}
		})
	}
}

// An expecting handler expects a document that is not there, where bad.
type expecting struct{ calls atomic.Int64 }

func (e *expecting) Handle(_ context.Context, batch []consumer.Message) (view.Change, error) {
	e.calls.Add(1)
	for i := range batch {
		if batch[i].Type == "bad" {
			return view.Change{Expect: []view.Expectation{{Key: view.Key{Space: "s", Key: "k"}, Data: []byte("1")}}}, nil
		}
	}
	return view.Change{}, nil
}

func (e *expecting) Forget() {}

func TestAnExpectationOfTheHandlerThatDoesNotHoldIsItsEventsFailure(t *testing.T) {
	w := newWorld(t)
	h := &expecting{}
	w.append("a", "x", "x", "bad")
	last := w.append("b", "x")
	r, _ := w.start(annals.Query{}, h, w.options())
	wait(t, r, last)
	p := w.parked()
	if len(p) != 1 || p[0].Version != 3 || p[0].Attempts != 3 || !strings.Contains(p[0].Error, "changed meanwhile") {
		t.Errorf("parked: %+v", p)
	}
	if n := h.calls.Load(); n > 20 {
		t.Errorf("%d calls", n)
	}
}

func TestAfterTheClockWentBackTheCheckpointIsWrittenAndAPauseIsSeen(t *testing.T) {
	w := newWorld(t)
	opts := w.options()
	opts.Poll = time.Minute
	r, _ := w.start(annals.Query{Types: []string{"yes"}}, consumer.Each(nothing), opts)
	wait(t, r, w.append("a", "yes"))
	w.pass(-time.Hour)
	last := w.append("a", "no")
	wait(t, r, last)
	until(t, "the checkpoint is written", func() bool {
		at, err := w.control().Position(t.Context())
		return err == nil && at == last
	})
	if err := w.control().Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Events come all the time, and the clock stands where it went back to.
	w.pass(-time.Hour)
	at, still := r.Position(), 0
	until(t, "it stands still", func() bool {
		w.append("a", "no")
		if still++; r.Position() != at {
			at, still = r.Position(), 0
		}
		return still > 20
	})
}

func TestEventsThatComeToAnIdleConsumerDoNotMakeItStalled(t *testing.T) {
	w := newWorld(t)
	r, _ := w.start(annals.Query{}, consumer.Each(nothing), w.options())
	wait(t, r, w.append("a", "x"))
	for range 300 {
		w.pass(time.Hour)
		p := w.append("a", "x")
		if s, err := r.Status(t.Context()); err != nil || s.State == consumer.Stalled {
			t.Fatalf("status %+v, %v", s, err)
		}
		wait(t, r, p)
	}
}

// checkpoints is a view.Store that writes down the positions of records.
type checkpoints struct {
	view.Store
	mu   sync.Mutex
	seen []int64
}

func (c *checkpoints) Commit(ctx context.Context, change view.Change) error {
	c.mu.Lock()
	for i := range change.Put {
		c.seen = append(c.seen, change.Put[i].Position)
	}
	c.mu.Unlock()
	return c.Store.Commit(ctx, change)
}

func TestALongScanWithoutAMatchShowsProgress(t *testing.T) {
	w := newWorld(t)
	events := slices.Repeat([]annals.Event{{Type: "no"}}, 1000)
	for range 101 {
		if _, err := w.store.Append(t.Context(), "a", annals.Any, events...); err != nil {
			t.Fatal(err)
		}
	}
	opts := w.options()
	opts.Clock = func() time.Time { w.pass(time.Second); return w.clock() }
	views := &checkpoints{Store: w.views}
	other := &world{t: t, store: w.store, views: views, name: w.name}
	r, _ := other.start(annals.Query{Types: []string{"yes"}}, consumer.Each(nothing), opts)
	wait(t, r, 101_000)
	views.mu.Lock()
	defer views.mu.Unlock()
	if !slices.Contains(views.seen, 100_000) {
		t.Errorf("the checkpoint was written at %v", views.seen)
	}
}
