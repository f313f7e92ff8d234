package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/aggregate"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/storetest"
)

// A bank account, the domain of these tests.
type (
	Event interface{ event() }

	Opened    struct{ Owner string }
	Deposited struct {
		Amount int64
		Note   string
	}
	Withdrawn struct{ Amount int64 }

	// Seen holds what its command saw of the state.
	Seen struct {
		By    string
		Count int64
	}

	Account struct {
		Owner   string
		Balance int64
		Count   int64 // of events
		Last    string
	}
)

func (Opened) event()    {}
func (Deposited) event() {}
func (Withdrawn) event() {}
func (Seen) event()      {}

var errNotCovered = errors.New("the balance does not cover it")

func evolve(a Account, e Event) Account {
	a.Count++
	switch e := e.(type) {
	case Opened:
		a.Owner = e.Owner
	case Deposited:
		a.Balance += e.Amount
		a.Last = e.Note
	case Withdrawn:
		a.Balance -= e.Amount
	case Seen:
		a.Last = e.By
	}
	return a
}

func deposit(amount int64) func(Account) ([]Event, error) {
	return func(Account) ([]Event, error) { return []Event{Deposited{Amount: amount}}, nil }
}

func withdraw(amount int64) func(Account) ([]Event, error) {
	return func(a Account) ([]Event, error) {
		if a.Balance < amount {
			return nil, errNotCovered
		}
		return []Event{Withdrawn{amount}}, nil
	}
}

func see(by string) func(Account) ([]Event, error) {
	return func(a Account) ([]Event, error) { return []Event{Seen{by, a.Count}}, nil }
}

func bank() aggregate.Schema[Event] {
	return aggregate.Schema[Event]{Events: []aggregate.Variant[Event]{
		aggregate.Event[Event, Opened]("account-opened", 1),
		aggregate.Event[Event, Deposited]("money-deposited", 1),
		aggregate.Event[Event, Withdrawn]("money-withdrawn", 1),
		aggregate.Event[Event, Seen]("seen", 1),
	}}
}

func accounts(t testing.TB, opts *aggregate.Options[Account]) *aggregate.Type[Account, Event] {
	t.Helper()
	typ, err := aggregate.New("account", bank(), evolve, opts)
	if err != nil {
		t.Fatal(err)
	}
	return typ
}

// snapshots lets every command write one that the policy names.
func snapshots(policy aggregate.SnapshotPolicy) *aggregate.Options[Account] {
	return &aggregate.Options[Account]{SnapshotVersion: 1, Snapshot: policy}
}

// memory is a driver without a disk.
func memory(t testing.TB) annals.Driver {
	t.Helper()
	d, err := embedded.OpenDriver("store", &embedded.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// newStore makes a store that the test closes.
func newStore(t testing.TB, d annals.Driver) *annals.Store {
	t.Helper()
	s := annals.New(d, &annals.Options{
		Clock: func() time.Time { return storetest.Epoch }, Pause: func(context.Context, int) {},
	})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return s
}

// strict fails the test where a snapshot fails.
func strict(t testing.TB, attempts int) *aggregate.RepositoryOptions {
	return &aggregate.RepositoryOptions{Attempts: attempts, SnapshotFailed: func(_ context.Context, stream string, err error) {
		t.Errorf("snapshot of %s: %v", stream, err)
	}}
}

type bankRepository = aggregate.Repository[Account, Event]

func newBank(t testing.TB) (*bankRepository, *annals.Store) {
	s := newStore(t, memory(t))
	return aggregate.NewRepository(s, accounts(t, nil), nil), s
}

func mustExecute(t testing.TB, r *bankRepository, id string, decide func(Account) ([]Event, error), opts *aggregate.CommandOptions) aggregate.Result[Account] {
	t.Helper()
	result, err := r.Execute(t.Context(), id, decide, opts)
	if err != nil {
		t.Fatalf("executing on %s: %v", id, err)
	}
	return result
}

func mustLoad(t testing.TB, r *bankRepository, id string) aggregate.Loaded[Account] {
	t.Helper()
	at, err := r.Load(t.Context(), id)
	if err != nil {
		t.Fatalf("loading %s: %v", id, err)
	}
	return at
}

func wantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func keyed(format string, args ...any) *aggregate.CommandOptions {
	return &aggregate.CommandOptions{IdempotencyKey: fmt.Sprintf(format, args...)}
}
