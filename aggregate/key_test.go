package aggregate_test

import (
	"fmt"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/aggregate"
	"github.com/eb901187/annals/storetest"
)

// never is a decision that must not be asked for.
func never(t *testing.T) func(Account) ([]Event, error) {
	return func(Account) ([]Event, error) {
		t.Error("a command that is stored was decided again")
		return nil, errNotCovered
	}
}

func policies() map[string]*aggregate.Options[Account] {
	return map[string]*aggregate.Options[Account]{
		"no snapshots": nil, "a snapshot every time": snapshots(aggregate.Every(1)), "a snapshot every 7": snapshots(aggregate.Every(7)),
	}
}

func TestRepeatedCommandReturnsItsFirstResult(t *testing.T) {
	for name, opts := range policies() {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, memory(t))
			r := aggregate.NewRepository(s, accounts(t, opts), strict(t, 0))
			mustExecute(t, r, "7", deposit(100), nil)
			two := func(Account) ([]Event, error) { return []Event{Withdrawn{60}, Withdrawn{1}}, nil }
			first := mustExecute(t, r, "7", two, keyed("pay"))
			for i := range 20 {
				again := mustExecute(t, r, "7", never(t), keyed("pay"))
				want := first
				want.Replayed = true
				if again != want {
					t.Fatalf("after %d further commands: first %+v, then %+v", i, first, again)
				}
				// The state moves on, so that the command would fail or do something else.
				mustExecute(t, r, "7", withdraw(1), nil)
			}
			if at := mustLoad(t, r, "7"); at.State.Balance != 19 || at.Version != 23 {
				t.Fatalf("got %+v", at)
			}
		})
	}
}

func TestKeysAreTheirAggregatesOwn(t *testing.T) {
	r, _ := newBank(t)
	for i := range 3 {
		if c := mustExecute(t, r, fmt.Sprint(i), deposit(1), keyed("k")); c.Replayed || c.Version != 1 {
			t.Fatalf("got %+v", c)
		}
	}
	// Keys that begin alike, or like the number behind a key, are others.
	for i, key := range []string{"k:0", "k:", "k:0:0", "kk", "K", ":0", "0"} {
		if c := mustExecute(t, r, "1", deposit(1), keyed("%s", key)); c.Replayed || c.Version != int64(i+2) {
			t.Fatalf("key %q: got %+v", key, c)
		}
	}
}

// Behind a snapshot the events of a command are not read. The store still knows
// their ids.
func TestKeyIsFoundFarBehindASnapshot(t *testing.T) {
	s := newStore(t, memory(t))
	r := aggregate.NewRepository(s, accounts(t, snapshots(aggregate.Every(500))), strict(t, 0))
	first := mustExecute(t, r, "7", deposit(5), keyed("early"))
	many := func(Account) ([]Event, error) {
		events := make([]Event, 700)
		for i := range events {
			events[i] = Deposited{Amount: 1}
		}
		return events, nil
	}
	for range 3 {
		mustExecute(t, r, "7", many, nil)
	}
	end, err := s.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again := mustExecute(t, r, "7", never(t), keyed("early"))
	if !again.Replayed || again.Version != first.Version || again.State != first.State {
		t.Fatalf("first %+v, again %+v", first, again)
	}
	if c := mustExecute(t, r, "7", see("new"), keyed("late")); c.Replayed || c.State.Balance != 2105 {
		t.Fatalf("got %+v", c)
	}
	if now, err := s.End(t.Context()); err != nil || now != end+1 {
		t.Fatalf("asking for keys appended something: the log ends at %d, %v, before at %d", now, err, end)
	}
}

// The same command runs twice at once, and the second wins while the first
// decides.
func TestSameCommandElsewhereWins(t *testing.T) {
	for name, opts := range policies() {
		for _, same := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " same decision ", same), func(t *testing.T) {
				s := newStore(t, memory(t))
				r := aggregate.NewRepository(s, accounts(t, opts), strict(t, 0))
				mustExecute(t, r, "7", deposit(100), nil)
				var first aggregate.Result[Account]
				calls := 0
				second := mustExecute(t, r, "7", func(a Account) ([]Event, error) {
					if calls++; calls == 1 {
						first = mustExecute(t, r, "7", withdraw(10), keyed("k"))
					}
					if same {
						return withdraw(10)(a)
					}
					return withdraw(20)(a)
				}, keyed("k"))
				first.Replayed = true
				if second != first || calls != 1 {
					t.Fatalf("first %+v, second %+v after %d calls", first, second, calls)
				}
				if n := len(storetest.Collect(t, s.Stream(t.Context(), "account-7", nil))); n != 2 {
					t.Fatalf("the stream has %d events", n)
				}
			})
		}
	}
}

// An id of the form that keys make, under which something else was stored.
func TestForeignEventWithAKeysIDIsAnError(t *testing.T) {
	r, s := newBank(t)
	mustExecute(t, r, "7", deposit(1), nil)
	_, err := s.Append(t.Context(), "account-7", annals.Any, annals.Event{ID: "key:k:1", Type: "money-deposited"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Execute(t.Context(), "7", func(Account) ([]Event, error) { return []Event{Opened{}, Opened{}}, nil }, keyed("k"))
	wantError(t, err, annals.ErrIDReused)
	if at := mustLoad(t, r, "7"); at.Version != 2 {
		t.Fatalf("got %+v", at)
	}
}

func TestLostAnswersWithoutAKeyAreNoReplays(t *testing.T) {
	f := &storetest.Faulty{Driver: memory(t)}
	r := aggregate.NewRepository(newStore(t, f), accounts(t, nil), nil)
	f.FailAppends(storetest.LostReply)
	if c := mustExecute(t, r, "7", deposit(1), nil); c.Replayed || c.Version != 1 {
		t.Fatalf("got %+v", c)
	}
}

func TestUnknownOutcomeIsSettledByTheSameKey(t *testing.T) {
	for name, opts := range policies() {
		for _, lost := range []storetest.Fault{storetest.LostReply, storetest.LostRequest} {
			t.Run(fmt.Sprint(name, lost), func(t *testing.T) {
				f := &storetest.Faulty{Driver: memory(t)}
				r := aggregate.NewRepository(newStore(t, f), accounts(t, opts), nil)
				mustExecute(t, r, "7", deposit(100), nil)
				mustLoad(t, r, "7")
				failing := func(a Account) ([]Event, error) {
					f.FailAppends(lost, storetest.LostRequest, storetest.LostRequest)
					f.FailReads(storetest.Refused, storetest.Refused)
					return withdraw(60)(a)
				}
				_, err := r.Execute(t.Context(), "7", failing, keyed("k"))
				wantError(t, err, annals.ErrUnknownOutcome)
				f.FailReads()
				c := mustExecute(t, r, "7", withdraw(60), keyed("k"))
				if c.Replayed != (lost == storetest.LostReply) || c.State.Balance != 40 || c.Version != 2 {
					t.Fatalf("got %+v", c)
				}
			})
		}
	}
}
