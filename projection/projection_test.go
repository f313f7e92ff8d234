package projection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/storetest/stores"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/pebbleview"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func newStore(t testing.TB) *annals.Store { return stores.Memory(t, nil) }

func newViews(t testing.TB) view.Store {
	views := pebbleview.Memory()
	closing(t, views)
	return views
}

func closing(t testing.TB, c io.Closer) {
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

func quick() *Options {
	return &Options{Poll: 5 * time.Millisecond, Consumer: consumer.Options{
		Poll: 5 * time.Millisecond, Logger: quiet(), Backoff: func(int) time.Duration { return time.Microsecond },
	}}
}

type account struct {
	Balance  int     `json:"balance"`
	Versions []int64 `json:"versions"`
}

type moved struct {
	Amount int `json:"amount"`
}

// accounts sums what was moved, times factor; a closed account is deleted.
func accounts(revision string, factor int) *Projection {
	return Documents("accounts", revision, annals.Query{Prefix: "account-"}, ByStream, func(a *account, m *consumer.Message) error {
		if m.Type == "closed" {
			return Delete
		}
		var e moved
		if err := json.Unmarshal(m.Data, &e); err != nil {
			return err
		}
		if e.Amount == 0 {
			return consumer.Permanent(errors.New("nothing was moved"))
		}
		a.Balance += factor * e.Amount
		a.Versions = append(a.Versions, m.Version)
		return nil
	})
}

func move(t testing.TB, store *annals.Store, name string, amount int) int64 {
	t.Helper()
	c, err := store.Append(t.Context(), name, annals.Any, annals.Event{Type: "moved", Data: fmt.Appendf(nil, `{"amount":%d}`, amount)})
	if err != nil {
		t.Fatal(err)
	}
	return c.Position
}

// open opens a Set and runs it until the test ends or stop is called.
func open(t testing.TB, store *annals.Store, views view.Store, opts *Options, projections ...*Projection) (s *Set, stop func()) {
	t.Helper()
	s, err := Open(t.Context(), store, views, projections, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s, keepRunning(t, s)
}

func keepRunning(t testing.TB, s *Set) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

func get(t testing.TB, s *Set, name, key string, opts *ReadOptions) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	doc, _, err := s.Get(ctx, name, key, opts)
	if errors.Is(err, annals.ErrNotFound) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(doc.Data)
}

func caughtUp(t testing.TB, s *Set, name string, n int, position int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if _, _, err := s.waitFor(ctx, name, n, position); err != nil {
		t.Fatal(err)
	}
}

func TestAViewReflectsWhatItIsAskedToWaitFor(t *testing.T) {
	store, views := newStore(t), newViews(t)
	s, _ := open(t, store, views, quick(), accounts("1", 1))
	for i := range 20 {
		at := move(t, store, "account-1", 5)
		want := fmt.Sprintf(`"balance":%d,`, 5*(i+1))
		if got := get(t, s, "accounts", "account-1", &ReadOptions{Wait: at}); !json.Valid([]byte(got)) || got[1:len(want)+1] != want {
			t.Fatalf("after the commit at %d the view has %s", at, got)
		}
	}
	c, err := store.Append(t.Context(), "account-1", annals.Any, annals.Event{Type: "closed"})
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, "accounts", "account-1", &ReadOptions{Wait: c.Position}); got != "" {
		t.Errorf("a deleted document is %s", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, _, err := s.Get(ctx, "accounts", "account-1", &ReadOptions{Wait: c.Position + 1}); annals.CodeOf(err) != annals.CodeTimeout {
		t.Errorf("waiting for a position that never comes: %v", err)
	}
}

func TestAChangedProjectionIsRefusedAndRebuiltBesideTheLiveView(t *testing.T) {
	store, views := newStore(t), newViews(t)
	s, stop := open(t, store, views, quick(), accounts("1", 1))
	last := move(t, store, "account-1", 5)
	caughtUp(t, s, "accounts", 1, last)
	stop()

	_, err := Open(t.Context(), store, views, []*Projection{accounts("2", 10)}, quick())
	if !errors.Is(err, annals.ErrInvalid) {
		t.Fatalf("a changed projection was accepted: %v", err)
	}
	changed := quick()
	changed.Changed = true
	s, stop = open(t, store, views, changed, accounts("2", 10))
	if _, err := s.Switch(t.Context(), "accounts", 0, false); !errors.Is(err, annals.ErrConflict) {
		t.Errorf("switching to nothing: %v", err)
	}
	n, err := s.Rebuild(t.Context(), "accounts")
	if err != nil || n != 2 {
		t.Fatalf("generation %d, %v", n, err)
	}
	if again, err := s.Rebuild(t.Context(), "accounts"); err != nil || again != 2 {
		t.Errorf("a second rebuild began generation %d, %v", again, err)
	}
	caughtUp(t, s, "accounts", 2, last)
	if got := get(t, s, "accounts", "account-1", nil); got != `{"balance":5,"versions":[1]}` {
		t.Errorf("before the switch: %s", got)
	}
	differences, c, err := s.Diff(t.Context(), "accounts", 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for d, err := range differences {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, d.Key)
	}
	if !slices.Equal(keys, []string{"account-1"}) || c.Different != 1 || c.Same != 0 || c.A.Generation != 1 || c.B.Generation != 2 {
		t.Errorf("different: %v, %+v", keys, c)
	}
	if n, err := s.Switch(t.Context(), "accounts", 0, false); err != nil || n != 2 {
		t.Fatalf("switched to %d, %v", n, err)
	}
	if got := get(t, s, "accounts", "account-1", nil); got != `{"balance":50,"versions":[1]}` {
		t.Errorf("after the switch: %s", got)
	}
	if n, err := s.Rollback(t.Context(), "accounts", false); err != nil || n != 1 {
		t.Fatalf("rolled back to %d, %v", n, err)
	}
	if got := get(t, s, "accounts", "account-1", nil); got != `{"balance":5,"versions":[1]}` {
		t.Errorf("after the rollback: %s", got)
	}
	if err := s.Delete(t.Context(), "accounts", 1); !errors.Is(err, annals.ErrConflict) {
		t.Errorf("deleting the live generation: %v", err)
	}
	if err := s.Delete(t.Context(), "accounts", 2); err != nil {
		t.Fatal(err)
	}
	if doc, err := views.Get(t.Context(), "accounts@2", "account-1"); err != nil || len(doc) > 0 {
		t.Errorf("documents of a deleted generation are left: %v, %v", doc, err)
	}
	stop()
}

// While a generation is built and switched to, every read is answered, from one
// generation or the other, and never goes back in time.
func TestReadsGoOnDuringARebuild(t *testing.T) {
	store, views := newStore(t), newViews(t)
	s, _ := open(t, store, views, quick(), accounts("1", 1))
	for range 500 {
		move(t, store, "account-1", 1)
	}
	caughtUp(t, s, "accounts", 1, 500)
	if err := s.Define(accounts("2", 1)); err != nil {
		t.Fatal(err)
	}
	var reads atomic.Int64
	stopReading, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for last := 0; ; reads.Add(1) {
			select {
			case <-stopReading:
				return
			default:
			}
			doc, at, err := s.Get(context.Background(), "accounts", "account-1", nil)
			var a account
			if err == nil {
				err = json.Unmarshal(doc.Data, &a)
			}
			if err != nil || a.Balance < last {
				t.Errorf("read %d: balance %d after %d at %+v, %v", reads.Load(), a.Balance, last, at, err)
				return
			}
			last = a.Balance
		}
	}()
	// On a busy machine the steps would be over before a read.
	readOn := func(when string) {
		t.Helper()
		before := reads.Load()
		until(t, "a read "+when, func() bool { return reads.Load() > before+1 || t.Failed() })
	}
	for round := range 5 {
		if err := s.Define(accounts(fmt.Sprint(round+2), 1)); err != nil {
			t.Fatal(err)
		}
		n, err := s.Rebuild(t.Context(), "accounts")
		if err != nil {
			t.Fatal(err)
		}
		readOn("while it is built")
		last := move(t, store, "account-1", 1)
		caughtUp(t, s, "accounts", n, last)
		if _, err := s.Switch(t.Context(), "accounts", 0, false); err != nil {
			t.Fatal(err)
		}
		readOn("after the switch")
	}
	close(stopReading)
	<-ended
}

func TestAParkedEventDoesNotStopOthersAndHoldsASwitchBack(t *testing.T) {
	store, views := newStore(t), newViews(t)
	s, _ := open(t, store, views, quick(), accounts("1", 1))
	move(t, store, "account-1", 0)
	last := move(t, store, "account-2", 3)
	caughtUp(t, s, "accounts", 1, last)
	if got := get(t, s, "accounts", "account-2", nil); got != `{"balance":3,"versions":[1]}` {
		t.Errorf("another stream has %s", got)
	}
	control := s.control("accounts", 1)
	if err := control.Drop(t.Context(), 1, "a test"); err != nil {
		t.Fatal(err)
	}
	s.Wake("accounts@1")
	for parked := 1; parked > 0; {
		info, err := s.Show(t.Context(), "accounts")
		if err != nil {
			t.Fatal(err)
		}
		parked = info.Generations[0].Status.Parked
	}
	move(t, store, "account-3", 0)
	if err := s.Define(accounts("2", 1)); err != nil {
		t.Fatal(err)
	}
	n, err := s.Rebuild(t.Context(), "accounts")
	if err != nil {
		t.Fatal(err)
	}
	caughtUp(t, s, "accounts", n, 3)
	info, err := s.Show(t.Context(), "accounts")
	if err != nil || info.Building() == nil || info.Building().Status.Parked != 1 {
		t.Errorf("the event dropped once was parked again: %+v, %v", info, err)
	}
}

func TestDefinitionsThatCanNotBe(t *testing.T) {
	store, views := newStore(t), newViews(t)
	fold := func(*account, *consumer.Message) error { return nil }
	for _, p := range []*Projection{
		Documents("", "1", annals.Query{}, ByStream, fold),
		Documents("Upper", "1", annals.Query{}, ByStream, fold),
		Documents("a", "", annals.Query{}, ByStream, fold),
		Documents("a", "1", annals.Query{After: 3}, ByStream, fold),
		SQL("a", "1", annals.Query{}, &SQLView{}),
	} {
		if _, err := Open(t.Context(), store, views, []*Projection{p}, quick()); !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("%q was accepted: %v", p.name, err)
		}
	}
	two := []*Projection{accounts("1", 1), accounts("1", 1)}
	if _, err := Open(t.Context(), store, views, two, quick()); !errors.Is(err, annals.ErrInvalid) {
		t.Errorf("two of one name: %v", err)
	}
}

// until asks again and again, and fails the test after half a minute.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("never came: %s", what)
		}
	}
}
