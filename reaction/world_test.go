package reaction_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/reaction"
	"github.com/eb901187/annals/storetest"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/pebbleview"
)

// A clock moves by hand; who sleeps by it wakes as it moves.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	moved chan struct{} // closed at the next move
}

func newClock() *clock { return &clock{now: storetest.Epoch, moved: make(chan struct{})} }

func (c *clock) read() (time.Time, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, c.moved
}

func (c *clock) Now() time.Time {
	now, _ := c.read()
	return now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	close(c.moved)
	c.moved = make(chan struct{})
}

func (c *clock) Sleep(ctx context.Context, d time.Duration) {
	for until := c.Now().Add(d); ; {
		now, moved := c.read()
		if !now.Before(until) {
			return
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return
		}
	}
}

// A hooked driver calls before, if it is set, ahead of each append.
type hooked struct {
	*storetest.Faulty
	before func(events []annals.Event)
}

func (h *hooked) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	if h.before != nil {
		h.before(events)
	}
	return h.Faulty.Append(ctx, stream, expected, events)
}

// A world is an event store on a driver that fails on demand, a view store, and a
// clock.
type world struct {
	t      *testing.T
	clock  *clock
	faulty *hooked
	store  *annals.Store
	views  view.Store
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, clock: newClock(), views: pebbleview.Memory()}
	driver, err := embedded.OpenDriver("store", &embedded.Options{FS: vfs.NewMem(), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	w.faulty = &hooked{Faulty: &storetest.Faulty{Driver: driver}}
	w.store = annals.New(w.faulty, &annals.Options{Clock: w.clock.Now, Pause: func(context.Context, int) {}})
	t.Cleanup(func() {
		if err := errors.Join(w.store.Close(), w.views.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func (w *world) options() *reaction.Options {
	return &reaction.Options{Consumer: &consumer.Options{
		Clock: w.clock.Now, Sleep: w.clock.Sleep, Poll: time.Second, Logger: quiet,
		Backoff: func(int) time.Duration { return 0 },
	}}
}

// append stores one event and returns its position.
func (w *world) append(stream string, e annals.Event) int64 {
	w.t.Helper()
	c, err := w.store.Append(w.t.Context(), stream, annals.Any, e)
	if err != nil {
		w.t.Fatal(err)
	}
	return c.Position
}

func event(typ, data string) annals.Event { return annals.Event{Type: typ, Data: []byte(data)} }

type runner interface {
	Run(context.Context) error
	WaitFor(context.Context, int64) error
	Name() string
}

// start runs r until stop, which returns what Run returned, or until the test's
// end.
func (w *world) start(r runner) (stop func() error) {
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	w.t.Cleanup(func() { _ = stop() })
	return stop
}

// settle waits until all of them have handled everything, also what they append
// themselves meanwhile.
func (w *world) settle(all ...runner) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	for {
		before := w.end()
		for _, r := range all {
			if err := r.WaitFor(ctx, before); err != nil {
				w.t.Fatalf("waiting for %s to reach %d: %v", r.Name(), before, err)
			}
		}
		if w.end() == before {
			return
		}
	}
}

func (w *world) end() int64 {
	w.t.Helper()
	end, err := w.store.End(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return end
}

// stream is what a stream holds.
func (w *world) stream(name string) []annals.Event {
	w.t.Helper()
	return storetest.Collect(w.t, w.store.Stream(w.t.Context(), name, nil))
}

// types are those of a stream's events, for comparing at a glance.
func (w *world) types(stream string) string {
	w.t.Helper()
	var types []string
	for _, e := range w.stream(stream) {
		types = append(types, e.Type)
	}
	return strings.Join(types, " ")
}

func (w *world) wantTypes(stream, want string) {
	w.t.Helper()
	if got := w.types(stream); got != want {
		w.t.Fatalf("%s holds\n%s\nwant\n%s", stream, got, want)
	}
}

func (w *world) parked(r runner) []consumer.Parked {
	w.t.Helper()
	var all []consumer.Parked
	for p, err := range consumer.NewControl(w.store, w.views, r.Name(), nil).Parked(w.t.Context()) {
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// timers are how many wait to fire.
func (w *world) timers() (n int) {
	w.t.Helper()
	for _, err := range w.views.Scan(w.t.Context(), "annals.timers/saga-order", view.Range{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		n++
	}
	return n
}

// passUntil lets time pass, a second for each moment in which nothing is appended,
// until stream holds an event of that type.
func (w *world) passUntil(stream, typ string) {
	w.t.Helper()
	deadline, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	for !strings.Contains(" "+w.types(stream)+" ", " "+typ+" ") {
		if deadline.Err() != nil {
			w.t.Fatalf("%s never came; %s holds %s", typ, stream, w.types(stream))
		}
		w.moment()
		w.clock.pass(time.Second)
	}
}

// moment ends when something is appended, and else soon.
func (w *world) moment() {
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Millisecond)
	defer cancel()
	if _, err := w.store.WaitPast(ctx, w.end()); err != nil && ctx.Err() == nil {
		w.t.Fatal(err)
	}
}
