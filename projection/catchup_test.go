package projection

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
)

// catchUp fails the test where it does not end.
func catchUp(t *testing.T, s *Set) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := s.CatchUp(ctx)
	if ctx.Err() != nil {
		t.Fatal("CatchUp did not end")
	}
	if len(s.running) > 0 {
		t.Error("something goes on")
	}
	return err
}

func TestCatchUp(t *testing.T) {
	store, views := newStore(t), newViews(t)
	s, err := Open(t.Context(), store, views, []*Projection{accounts("1", 1)}, quick())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		move(t, store, "account-1", 5)
		if err := catchUp(t, s); err != nil {
			t.Fatal(err)
		}
		if got := get(t, s, "accounts", "account-1", nil); !strings.Contains(got, `"balance":`+[]string{"5", "10", "15"}[n]) {
			t.Fatalf("the view has %s", got)
		}
	}
	// A generation that was begun meanwhile is built by the next call, and what is
	// parked or paused keeps nobody.
	if _, err := s.Rebuild(t.Context(), "accounts"); err != nil {
		t.Fatal(err)
	}
	at := move(t, store, "account-1", 0)
	if err := catchUp(t, s); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Switch(t.Context(), "accounts", 0, false); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	for _, number := range []int{1, 2} {
		if status, err := s.status(t.Context(), "accounts", number); err != nil || status.Position != at || status.Parked != 1 {
			t.Errorf("generation %d: %+v, %v", number, status, err)
		}
	}
	if err := s.Pause(t.Context(), "accounts"); err != nil {
		t.Fatal(err)
	}
	move(t, store, "account-2", 5)
	if err := catchUp(t, s); err != nil || get(t, s, "accounts", "account-2", nil) != "" {
		t.Errorf("a paused projection folded, %v", err)
	}
}

// One generation that can't go on is named, and the others catch up.
func TestCatchUpNamesWhatCannotGoOn(t *testing.T) {
	store, views := newStore(t), newViews(t)
	opts := quick()
	crash := errors.New("planted")
	var broken atomic.Bool
	broken.Store(true)
	opts.Consumer.At = func(step consumer.Step) error {
		if step == consumer.StepHandled && broken.CompareAndSwap(true, false) {
			return crash
		}
		return nil
	}
	other := Documents("other", "1", annals.Query{Prefix: "account-"}, ByStream, func(a *account, _ *consumer.Message) error { a.Balance++; return nil })
	s, err := Open(t.Context(), store, views, []*Projection{accounts("1", 1), other}, opts)
	if err != nil {
		t.Fatal(err)
	}
	move(t, store, "account-1", 5)
	if err := catchUp(t, s); !errors.Is(err, crash) || !strings.HasPrefix(err.Error(), "projection ") {
		t.Errorf("it says %v", err)
	}
	if first, second := get(t, s, "accounts", "account-1", nil), get(t, s, "other", "account-1", nil); (first == "") == (second == "") {
		t.Errorf("the views have %q and %q, want one of them", first, second)
	}
	if err := catchUp(t, s); err != nil || get(t, s, "accounts", "account-1", nil) == "" || get(t, s, "other", "account-1", nil) == "" {
		t.Errorf("the next call says %v", err)
	}
}

// A view store that is wiped is filled again; a projection that was deleted stays so.
func TestCatchUpAfterAWipe(t *testing.T) {
	store, views := newStore(t), newViews(t)
	s, err := Open(t.Context(), store, views, []*Projection{accounts("1", 1)}, quick())
	if err != nil {
		t.Fatal(err)
	}
	move(t, store, "account-1", 5)
	if err := catchUp(t, s); err != nil {
		t.Fatal(err)
	}
	s.views = newViews(t)
	for range 2 {
		if err := catchUp(t, s); err != nil {
			t.Fatal(err)
		}
		if got := get(t, s, "accounts", "account-1", nil); !strings.Contains(got, `"balance":5`) {
			t.Fatalf("behind the wipe the view has %s", got)
		}
	}
	if err := s.DeleteAll(t.Context(), "accounts"); err != nil {
		t.Fatal(err)
	}
	if err := catchUp(t, s); err != nil {
		t.Fatal(err)
	}
	if info, err := s.Show(t.Context(), "accounts"); err != nil || len(info.Generations) > 0 {
		t.Errorf("what was deleted came back: %+v, %v", info, err)
	}
}
