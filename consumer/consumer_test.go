package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/storetest"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/pebbleview"
)

// A world is an event store, a view store and a clock that moves by hand.
type world struct {
	t     *testing.T
	store *annals.Store
	views view.Store
	name  string // of the consumer

	mu  sync.Mutex
	now time.Time
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, name: "test", now: storetest.Epoch}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	store, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem(), Logger: quiet, Store: &annals.Options{Clock: w.clock}})
	if err != nil {
		t.Fatal(err)
	}
	w.store, w.views = store, pebbleview.Memory()
	t.Cleanup(func() {
		if err := errors.Join(w.store.Close(), w.views.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) append(stream string, types ...string) int64 {
	w.t.Helper()
	var last int64
	for _, typ := range types {
		c, err := w.store.Append(w.t.Context(), stream, annals.Any, annals.Event{Type: typ, Data: []byte(`{"n":1}`)})
		if err != nil {
			w.t.Fatal(err)
		}
		last = c.Position
	}
	return last
}

// options are quick and quiet, and pauses take no time.
func (w *world) options() *consumer.Options {
	return &consumer.Options{
		Poll: 2 * time.Millisecond, Clock: w.clock, Attempts: 3,
		Sleep:  func(ctx context.Context, d time.Duration) { w.pass(d) },
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// A recorder is a Handler that writes down what it handled.
type recorder struct {
	mu   sync.Mutex
	seen []string
	fail func(m *consumer.Message) error
}

func (r *recorder) handle(_ context.Context, m *consumer.Message) error {
	if r.fail != nil {
		if err := r.fail(m); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, fmt.Sprintf("%s@%d", m.Stream, m.Version))
	return nil
}

func (r *recorder) events() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

// start runs a consumer until the test ends or stop is called, which returns what
// Run returned.
func (w *world) start(q annals.Query, h consumer.Handler, opts *consumer.Options) (r *consumer.Runner, stop func() error) {
	w.t.Helper()
	r, err := consumer.New(w.store, w.views, w.name, q, h, opts)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	w.t.Cleanup(func() { _ = stop() })
	return r, stop
}

func (w *world) control() *consumer.Control {
	return consumer.NewControl(w.store, w.views, w.name, w.options())
}

func wait(t *testing.T, r *consumer.Runner, position int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := r.WaitFor(ctx, position); err != nil {
		t.Fatalf("waiting for position %d, being at %d: %v", position, r.Position(), err)
	}
}

// until asks again and again, and fails the test after half a minute.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
		runtime.Gosched()
	}
}

func (w *world) parked() []consumer.Parked {
	w.t.Helper()
	var all []consumer.Parked
	for p, err := range w.control().Parked(w.t.Context()) {
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestEveryEventIsHandledOnceInOrderAlsoAfterARestart(t *testing.T) {
	w := newWorld(t)
	var rec recorder
	w.append("a", "x", "x")
	r, stop := w.start(annals.Query{}, consumer.Each(rec.handle), w.options())
	last := w.append("b", "x", "x")
	wait(t, r, last)
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
	last = w.append("a", "x")
	r, _ = w.start(annals.Query{}, consumer.Each(rec.handle), w.options())
	wait(t, r, last)
	equal(t, "handled", rec.events(), []string{"a@1", "a@2", "b@1", "b@2", "a@3"})
}

func TestEventsThatDoNotMatchAndAnnalsOwnArePassedOver(t *testing.T) {
	w := newWorld(t)
	var rec recorder
	w.append("a", "yes", "no")
	w.append(annals.OwnPrefix+"snapshots/a", "yes")
	last := w.append("b", "yes", "no", "no")
	r, _ := w.start(annals.Query{Types: []string{"yes"}}, consumer.Each(rec.handle), w.options())
	wait(t, r, last)
	equal(t, "handled", rec.events(), []string{"a@1", "b@1"})
	// The checkpoint follows although nothing was handled.
	last = w.append("b", "no")
	wait(t, r, last)
	w.pass(2 * time.Second)
	until(t, "the checkpoint is written", func() bool {
		at, err := w.control().Position(t.Context())
		return err == nil && at == last
	})
}

func TestAFailingEventIsTriedAgainThenParkedWithItsStream(t *testing.T) {
	w := newWorld(t)
	tries := 0
	rec := recorder{fail: func(m *consumer.Message) error {
		if m.Stream == "bad" && m.Version == 2 && !m.Edited {
			if m.Attempt > 0 {
				tries = max(tries, m.Attempt)
			}
			return errors.New("no such account")
		}
		return nil
	}}
	w.append("bad", "x", "x")
	w.append("good", "x")
	last := w.append("bad", "x")
	r, _ := w.start(annals.Query{}, consumer.Each(rec.handle), w.options())
	wait(t, r, last)
	w.append("bad", "x")
	last = w.append("good", "x")
	wait(t, r, last)

	handled := rec.events()
	for _, e := range []string{"bad@1", "good@1", "good@2"} {
		if !slices.Contains(handled, e) {
			t.Errorf("%s was not handled: %v", e, handled)
		}
	}
	if slices.Contains(handled, "bad@3") || slices.Contains(handled, "bad@4") {
		t.Errorf("events overtook a parked one of their stream: %v", handled)
	}
	if tries != 3 {
		t.Errorf("%d tries, want 3", tries)
	}
	parked := w.parked()
	if len(parked) != 3 || parked[0].Version != 2 || parked[0].Waiting || parked[0].Error != "no such account" || parked[0].Attempts != 3 ||
		!parked[1].Waiting || !parked[2].Waiting {
		t.Fatalf("parked: %+v", parked)
	}
	status, err := r.Status(t.Context())
	if err != nil || status.Parked != 3 || status.State != consumer.Idle || status.Lag != 0 {
		t.Errorf("status %+v, %v", status, err)
	}

	ctx := t.Context()
	if _, err := w.control().Retry(ctx, parked[1].Position); !errors.Is(err, annals.ErrInvalid) {
		t.Errorf("a waiting event can't be retried before the one that it waits for: %v", err)
	}
	if _, err := w.control().Retry(ctx); err != nil {
		t.Fatal(err)
	}
	r.Wake()
	until(t, "it failed again", func() bool { p := w.parked(); return len(p) == 3 && p[0].Attempts == 6 && !p[0].Retry })
	if err := w.control().Edit(ctx, parked[0].Position, []byte(`{"n":2`), "typo"); !errors.Is(err, annals.ErrInvalidJSON) {
		t.Errorf("editing with broken JSON: %v", err)
	}
	if err := w.control().Edit(ctx, parked[0].Position, []byte(`{"n":2}`), " "); !errors.Is(err, annals.ErrInvalid) {
		t.Errorf("editing without a reason: %v", err)
	}
	if err := w.control().Edit(ctx, parked[0].Position, []byte(`{"n":2}`), "typo"); err != nil {
		t.Fatal(err)
	}
	r.Wake()
	until(t, "nothing is parked", func() bool { return len(w.parked()) == 0 })
	w.append("bad", "x")
	wait(t, r, w.append("good", "x"))
	equal(t, "events of the stream", only(rec.events(), "bad"), []string{"bad@1", "bad@2", "bad@3", "bad@4", "bad@5"})
}

// only keeps the events of a stream, the first time that each was handled.
func only(events []string, stream string) []string {
	var kept []string
	for _, e := range events {
		if strings.HasPrefix(e, stream+"@") && !slices.Contains(kept, e) {
			kept = append(kept, e)
		}
	}
	return kept
}

func TestADroppedEventIsPassedOverInEveryGeneration(t *testing.T) {
	w := newWorld(t)
	w.name = "test@1"
	bad := consumer.Permanent(errors.New("never"))
	rec := recorder{fail: func(m *consumer.Message) error {
		if m.Type == "bad" {
			return bad
		}
		return nil
	}}
	w.append("a", "x", "bad")
	last := w.append("a", "x")
	r, stop := w.start(annals.Query{}, consumer.Each(rec.handle), w.options())
	wait(t, r, last)
	parked := w.parked()
	if len(parked) != 2 || parked[0].Attempts != 1 {
		t.Fatalf("a permanent error is tried once: %+v", parked)
	}
	if err := w.control().Drop(t.Context(), parked[0].Position, ""); !errors.Is(err, annals.ErrInvalid) {
		t.Errorf("dropping without a reason: %v", err)
	}
	if err := w.control().Drop(t.Context(), 99, "gone"); !errors.Is(err, annals.ErrNotFound) {
		t.Errorf("dropping what is not parked: %v", err)
	}
	if err := w.control().Drop(t.Context(), parked[0].Position, "written by a broken client"); err != nil {
		t.Fatal(err)
	}
	until(t, "nothing is parked", func() bool { return len(w.parked()) == 0 })
	_ = stop()

	again := recorder{fail: rec.fail}
	next, err := consumer.New(w.store, w.views, "test@2", annals.Query{}, consumer.Each(again.handle), w.options())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- next.Run(ctx) }()
	wait(t, next, last)
	cancel()
	<-ended
	equal(t, "another generation", only(again.events(), "a"), []string{"a@1", "a@3"})
}

func TestAPanicParksItsEventWithTheStack(t *testing.T) {
	w := newWorld(t)
	rec := recorder{fail: func(m *consumer.Message) error {
		if m.Type == "bad" {
			var none []int
			_ = none[m.Version]
		}
		return nil
	}}
	w.append("a", "bad")
	last := w.append("b", "x")
	r, _ := w.start(annals.Query{}, consumer.Each(rec.handle), w.options())
	wait(t, r, last)
	parked := w.parked()
	if len(parked) != 1 || !strings.Contains(parked[0].Error, "index out of range") || !strings.Contains(parked[0].Stack, "consumer_test.go") {
		t.Errorf("parked: %+v", parked)
	}
	equal(t, "others", rec.events(), []string{"b@1"})
}

func TestPauseAndResume(t *testing.T) {
	w := newWorld(t)
	var rec recorder
	r, _ := w.start(annals.Query{}, consumer.Each(rec.handle), w.options())
	wait(t, r, w.append("a", "x"))
	if err := w.control().Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Wake()
	last := w.append("a", "x")
	until(t, "it is paused", func() bool { s, err := r.Status(t.Context()); return err == nil && s.State == consumer.Paused })
	if err := w.control().Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	wait(t, r, last)
	// A pause that comes between the work and its commit lets it be done again.
	equal(t, "handled", only(rec.events(), "a"), []string{"a@1", "a@2"})
	if err := consumer.NewControl(w.store, w.views, "nobody", nil).Pause(t.Context()); !errors.Is(err, annals.ErrNotFound) {
		t.Errorf("pausing an unknown consumer: %v", err)
	}
}

// A slow first runner is overtaken; what it did is not committed twice, and it
// takes over again once the other is gone.
func TestASecondRunnerIsFencedAndTakesOver(t *testing.T) {
	w := newWorld(t)
	view1, view2 := &counter{views: w.views}, &counter{views: w.views}
	r1, stop1 := w.start(annals.Query{}, view1, w.options())
	r2, stop2 := w.start(annals.Query{}, view2, w.options())
	for i := range 50 {
		last := w.append(fmt.Sprintf("s%d", i%5), "x")
		wait(t, r1, last)
		wait(t, r2, last)
	}
	_ = stop1()
	last := w.append("s0", "x")
	wait(t, r2, last)
	_ = stop2()
	for i := range 5 {
		key := fmt.Sprintf("s%d", i)
		want := "10"
		if i == 0 {
			want = "11"
		}
		found, err := w.views.Get(t.Context(), "counts", key)
		if err != nil || string(found[key].Data) != want {
			t.Errorf("%s was counted %s times, want %s (%v)", key, found[key].Data, want, err)
		}
	}
}

// A counter counts the events of each stream in documents.
type counter struct{ views view.Store }

func (c *counter) Handle(ctx context.Context, batch []consumer.Message) (view.Change, error) {
	counts := map[string]int{}
	var change view.Change
	for i := range batch {
		key := batch[i].Stream
		if _, ok := counts[key]; !ok {
			found, err := c.views.Get(ctx, "counts", key)
			if err != nil {
				return change, err
			}
			n := 0
			if doc, ok := found[key]; ok {
				if _, err := fmt.Sscan(string(doc.Data), &n); err != nil {
					return change, err
				}
			}
			counts[key] = n
		}
		counts[key]++
	}
	for key, n := range counts {
		change.Put = append(change.Put, view.Put{Space: "counts", Document: view.Document{Key: key, Data: fmt.Append(nil, n)}})
	}
	return change, nil
}

func (*counter) Forget() {}

func TestWhileAStoreIsAwayNothingIsParked(t *testing.T) {
	w := newWorld(t)
	away := 4
	rec := recorder{fail: func(m *consumer.Message) error {
		if away > 0 {
			away--
			return fmt.Errorf("appending: %w", annals.ErrUnavailable)
		}
		return nil
	}}
	last := w.append("a", "x", "x")
	r, _ := w.start(annals.Query{}, consumer.Each(rec.handle), w.options())
	wait(t, r, last)
	if p := w.parked(); len(p) != 0 {
		t.Errorf("parked: %+v", p)
	}
	equal(t, "handled", only(rec.events(), "a"), []string{"a@1", "a@2"})
}

func TestAConsumerThatStandsStillIsStalled(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	entered := make(chan struct{}, 1)
	h := consumer.Each(func(context.Context, *consumer.Message) error {
		entered <- struct{}{}
		<-release
		return nil
	})
	r, _ := w.start(annals.Query{}, h, w.options())
	wait(t, r, 0)
	w.append("a", "x")
	<-entered
	w.pass(time.Minute)
	s, err := r.Status(t.Context())
	if err != nil || s.State != consumer.Stalled || s.Lag != 1 || s.Seconds != 60 {
		t.Errorf("status %+v, %v", s, err)
	}
	if s, err = w.control().Status(t.Context()); err != nil || s.State != consumer.Stalled || s.Seconds != 60 {
		t.Errorf("status as others see it %+v, %v", s, err)
	}
	close(release)
	wait(t, r, 1)
	until(t, "it is idle", func() bool {
		s, err := r.Status(t.Context())
		return err == nil && s.State == consumer.Idle && s.Seconds == 0
	})
}

func TestNamesAndQueriesThatCanNotBeConsumed(t *testing.T) {
	w := newWorld(t)
	h := consumer.Each(func(context.Context, *consumer.Message) error { return nil })
	for _, name := range []string{"", "a b", "annals.x", strings.Repeat("x", 101), "ä"} {
		if _, err := consumer.New(w.store, w.views, name, annals.Query{}, h, nil); !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	for _, q := range []annals.Query{{Until: 3}, {Limit: 1}, {Backward: true}} {
		if _, err := consumer.New(w.store, w.views, "x", q, h, nil); !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("query %+v: %v", q, err)
		}
	}
}
