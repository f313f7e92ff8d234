package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/aggregate"
	"github.com/eb901187/annals/storetest"
)

func TestExecuteReturnsTheNewState(t *testing.T) {
	r, s := newBank(t)
	open := func(Account) ([]Event, error) { return []Event{Opened{"Ada"}, Deposited{Amount: 50}}, nil }
	result := mustExecute(t, r, "7", open, nil)
	if result.State != (Account{Owner: "Ada", Balance: 50, Count: 2}) || result.Stream != "account-7" ||
		result.Version != 2 || result.Count != 2 || result.Position != 2 || result.Replayed {
		t.Fatalf("got %+v", result)
	}
	result = mustExecute(t, r, "7", withdraw(30), nil)
	if at := mustLoad(t, r, "7"); at.State != result.State || at.State.Balance != 20 || at.Version != 3 || at.Position != 3 {
		t.Fatalf("executing gave %+v, loading %+v", result, at)
	}
	for i, e := range storetest.Collect(t, s.Stream(t.Context(), "account-7", nil)) {
		want := []string{`account-opened {"Owner":"Ada"}`, `money-deposited {"Amount":50,"Note":""}`, `money-withdrawn {"Amount":30}`}[i]
		if got := e.Type + " " + string(e.Data); got != want || len(e.Attributes) > 0 || e.ContentType != annals.JSONContentType {
			t.Fatalf("stored %s with %v, want %s", got, e.Attributes, want)
		}
	}
}

func TestDecisionThatFailsOrHasNoEventsAppendsNothing(t *testing.T) {
	r, s := newBank(t)
	mustExecute(t, r, "7", deposit(10), nil)
	if _, err := r.Execute(t.Context(), "7", withdraw(11), keyed("k")); err != errNotCovered {
		t.Fatalf("got %v, want the error of the decision as it is", err)
	}
	nothing := func(Account) ([]Event, error) { return nil, nil }
	result := mustExecute(t, r, "7", nothing, keyed("k"))
	if result.Version != 1 || result.Position != 1 || result.Count != 0 || result.Replayed || result.State.Balance != 10 {
		t.Fatalf("got %+v", result)
	}
	if n := len(storetest.Collect(t, s.Log(t.Context(), annals.Query{}))); n != 1 {
		t.Fatalf("the log has %d events", n)
	}
	// Neither left a trace, so that the key is free.
	if result := mustExecute(t, r, "7", withdraw(10), keyed("k")); result.Replayed || result.State.Balance != 0 {
		t.Fatalf("got %+v", result)
	}
}

// A rival appends while the command decides, so often.
func rivalled(t *testing.T, s *annals.Store, times int, decide func(Account) ([]Event, error)) (wrapped func(Account) ([]Event, error), calls *int) {
	calls = new(int)
	return func(a Account) ([]Event, error) {
		events, err := decide(a)
		if *calls++; *calls <= times {
			if _, err := s.Append(t.Context(), "account-7", annals.Any, annals.Event{Type: "money-deposited", Data: []byte(`{"Amount":1}`)}); err != nil {
				t.Fatal(err)
			}
		}
		return events, err
	}, calls
}

func TestConflictDecidesAgainOnTheNewState(t *testing.T) {
	r, s := newBank(t)
	decide, calls := rivalled(t, s, 4, see("me"))
	result := mustExecute(t, r, "7", decide, nil)
	if *calls != 5 || result.Version != 5 || result.State.Balance != 4 {
		t.Fatalf("%d calls, %+v", *calls, result)
	}
	var last annals.Event
	for _, e := range storetest.Collect(t, s.Stream(t.Context(), "account-7", nil)) {
		last = e
	}
	if string(last.Data) != `{"By":"me","Count":4}` {
		t.Fatalf("stored %s", last.Data)
	}
}

func TestConflictComesBackAfterTheLastAttempt(t *testing.T) {
	_, s := newBank(t)
	for _, attempts := range []int{0, 1, 3} {
		r := aggregate.NewRepository(s, accounts(t, nil), &aggregate.RepositoryOptions{Attempts: attempts})
		before := mustLoad(t, r, "7").Version
		decide, calls := rivalled(t, s, 100, see("me"))
		_, err := r.Execute(t.Context(), "7", decide, nil)
		want := attempts
		if want == 0 {
			want = 5
		}
		var conflict *annals.ConflictError
		if !errors.As(err, &conflict) || *calls != want || conflict.Actual != before+int64(want) {
			t.Fatalf("%d attempts: %d calls, %v", attempts, *calls, err)
		}
		if a := mustLoad(t, r, "7"); a.Version != before+int64(want) || a.State.Last != "" {
			t.Fatalf("the stream holds the command's events: %+v", a)
		}
	}
}

// A decision may fail with a conflict of its own, from another store for example.
func TestConflictThatADecisionReturnsIsNotTriedAgain(t *testing.T) {
	r, _ := newBank(t)
	calls := 0
	_, err := r.Execute(t.Context(), "7", func(Account) ([]Event, error) {
		calls++
		return nil, &annals.ConflictError{Stream: "other"}
	}, nil)
	wantError(t, err, annals.ErrConflict)
	if calls != 1 {
		t.Fatalf("decided %d times", calls)
	}
}

func TestCommandOptionsAreStoredWithEveryEvent(t *testing.T) {
	r, s := newBank(t)
	at := storetest.Epoch.Add(time.Hour)
	opts := &aggregate.CommandOptions{
		IdempotencyKey: "k 1", Correlation: "request-1", Causation: "order-3@2", Source: "shop", Time: at,
		Attributes: map[string]string{"subject": "x"},
	}
	mustExecute(t, r, "7", func(Account) ([]Event, error) { return []Event{Opened{"Ada"}, Deposited{Amount: 1}}, nil }, opts)
	for i, e := range storetest.Collect(t, s.Stream(t.Context(), "account-7", nil)) {
		if e.Correlation != "request-1" || e.Causation != "order-3@2" || e.Source != "shop" || !e.Time.Equal(at) ||
			e.Attributes["subject"] != "x" || len(e.Attributes) != 1 || e.ID != fmt.Sprint("key:k 1:", i) {
			t.Fatalf("stored %+v", e)
		}
	}
}

func TestCommandsThatCantBeStoredAreRefused(t *testing.T) {
	r, s := newBank(t)
	_, err := r.Execute(t.Context(), "7", nil, nil)
	wantError(t, err, annals.ErrInvalid)
	_, err = r.Execute(t.Context(), "", deposit(1), nil)
	wantError(t, err, annals.ErrInvalid)
	_, err = r.Execute(t.Context(), "a b", deposit(1), nil)
	wantError(t, err, annals.ErrInvalid)
	_, err = r.Execute(t.Context(), strings.Repeat("x", 300), deposit(1), nil)
	wantError(t, err, annals.ErrTooLarge)
	for _, key := range []string{strings.Repeat("x", aggregate.MaxKeyBytes+1), "a\nb", "\xff"} {
		_, err = r.Execute(t.Context(), "7", deposit(1), keyed("%s", key))
		wantError(t, err, annals.ErrInvalid)
	}
	_, err = r.Execute(t.Context(), "7", deposit(1), &aggregate.CommandOptions{Attributes: map[string]string{aggregate.VersionAttribute: "2"}})
	wantError(t, err, annals.ErrInvalid)
	_, err = r.Execute(t.Context(), "7", deposit(1), &aggregate.CommandOptions{Causation: "x"})
	wantError(t, err, annals.ErrInvalid)
	for _, bad := range []Event{nil, &Opened{}, Deposited{Note: "\xff"}} {
		_, err = r.Execute(t.Context(), "7", func(Account) ([]Event, error) { return []Event{Opened{}, bad}, nil }, nil)
		if annals.CodeOf(err) != annals.CodeInternal {
			t.Fatalf("%T: %v", bad, err)
		}
	}
	_, err = r.Execute(t.Context(), "7", func(Account) ([]Event, error) { return make([]Event, annals.MaxCommitEvents+1), nil }, nil)
	if err == nil {
		t.Fatal("a commit that is too large was stored")
	}
	if n := len(storetest.Collect(t, s.Log(t.Context(), annals.Query{}))); n != 0 {
		t.Fatalf("%d events are stored", n)
	}
	// The longest key, with characters of several bytes.
	if c := mustExecute(t, r, "7", deposit(1), keyed("%s", strings.Repeat("é", aggregate.MaxKeyBytes/2))); c.Version != 1 {
		t.Fatalf("got %+v", c)
	}
}

func TestCanceledCommandAppendsNothing(t *testing.T) {
	r, _ := newBank(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := r.Execute(ctx, "7", func(Account) ([]Event, error) {
		cancel()
		return []Event{Opened{"Ada"}}, nil
	}, nil)
	wantError(t, err, context.Canceled)
	if at := mustLoad(t, r, "7"); at.Version != 0 {
		t.Fatalf("got %+v", at)
	}
}
