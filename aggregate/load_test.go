package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/aggregate"
)

// A bending driver changes what reads of streams yield.
type bending struct {
	annals.Driver
	// bend returns what is yielded in place of the n-th event of a read, from 0;
	// false leaves it out.
	bend func(n int, e annals.Event) (annals.Event, error, bool)
}

func (b *bending) Stream(ctx context.Context, stream string, from, to int64, backward bool) iter.Seq2[annals.Event, error] {
	seq := b.Driver.Stream(ctx, stream, from, to, backward)
	if b.bend == nil {
		return seq
	}
	return func(yield func(annals.Event, error) bool) {
		n := 0
		for e, err := range seq {
			keep := true
			if err == nil {
				e, err, keep = b.bend(n, e)
			}
			n++
			if keep && !yield(e, err) || err != nil {
				return
			}
		}
	}
}

var errCut = errors.New("cut off")

func TestInterruptedReadIsAnErrorAndNoShorterState(t *testing.T) {
	for name, opts := range policies() {
		t.Run(name, func(t *testing.T) {
			b := &bending{Driver: memory(t)}
			r := aggregate.NewRepository(newStore(t, b), accounts(t, opts), &aggregate.RepositoryOptions{
				SnapshotFailed: func(context.Context, string, error) {},
			})
			for range 10 {
				mustExecute(t, r, "7", deposit(1), nil)
			}
			for cut := range 10 {
				b.bend = func(n int, e annals.Event) (annals.Event, error, bool) {
					if n == cut {
						return annals.Event{}, errCut, true
					}
					return e, nil, true
				}
				at, err := r.Load(t.Context(), "7")
				// Where there is a snapshot, fewer events than that are read.
				if err == nil && at.State.Balance != 10 || err != nil && !errors.Is(err, errCut) || err == nil && opts == nil {
					t.Fatalf("cut at %d: %+v, %v", cut, at, err)
				}
				if _, err := r.Execute(t.Context(), "7", withdraw(11), nil); !errors.Is(err, errCut) && err != errNotCovered {
					t.Fatalf("cut at %d: %v", cut, err)
				}
			}
		})
	}
}

func TestMissingOrMisplacedVersionIsAnError(t *testing.T) {
	b := &bending{Driver: memory(t)}
	r := aggregate.NewRepository(newStore(t, b), accounts(t, nil), nil)
	for range 5 {
		mustExecute(t, r, "7", deposit(1), nil)
	}
	for name, bend := range map[string]func(n int, e annals.Event) (annals.Event, error, bool){
		"first":  func(n int, e annals.Event) (annals.Event, error, bool) { return e, nil, n != 0 },
		"middle": func(n int, e annals.Event) (annals.Event, error, bool) { return e, nil, n != 2 },
		"twice": func(n int, e annals.Event) (annals.Event, error, bool) {
			if n == 3 {
				e.Version--
			}
			return e, nil, true
		},
	} {
		b.bend = bend
		_, err := r.Load(t.Context(), "7")
		if !errors.Is(err, annals.ErrDamaged) || !strings.Contains(err.Error(), "account-7") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnknownEventIsAnErrorThatNamesIt(t *testing.T) {
	r, s := newBank(t)
	mustExecute(t, r, "7", deposit(1), nil)
	if _, err := s.Append(t.Context(), "account-7", 1, annals.Event{Type: "account-frozen"}); err != nil {
		t.Fatal(err)
	}
	_, err := r.Load(t.Context(), "7")
	if err == nil || annals.CodeOf(err) != annals.CodeInternal || !strings.Contains(err.Error(), "account-frozen at account-7@2") {
		t.Fatalf("got %v", err)
	}
	if _, err := r.Execute(t.Context(), "7", never(t), nil); err == nil {
		t.Fatal("a command was decided on a state that can't be known")
	}
}

func TestLoadAt(t *testing.T) {
	for name, opts := range policies() {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, memory(t))
			r := aggregate.NewRepository(s, accounts(t, opts), strict(t, 0))
			for range 20 {
				mustExecute(t, r, "7", deposit(1), nil)
			}
			for version := range int64(21) {
				at, err := r.LoadAt(t.Context(), "7", version)
				if err != nil || at.State.Balance != version || at.Version != version || at.Stream != "account-7" {
					t.Fatalf("at %d: %+v, %v", version, at, err)
				}
			}
			_, err := r.LoadAt(t.Context(), "7", 21)
			wantError(t, err, annals.ErrNotFound)
			_, err = r.LoadAt(t.Context(), "7", -1)
			wantError(t, err, annals.ErrInvalid)
			_, err = r.LoadAt(t.Context(), "", 1)
			wantError(t, err, annals.ErrInvalid)
		})
	}
}

func TestAggregateWithoutEventsHasItsInitialState(t *testing.T) {
	opts := &aggregate.Options[Account]{Initial: func() Account { return Account{Balance: 5} }}
	r := aggregate.NewRepository(newStore(t, memory(t)), accounts(t, opts), nil)
	if at := mustLoad(t, r, "none"); at.State.Balance != 5 || at.Version != 0 || at.Position != 0 {
		t.Fatalf("got %+v", at)
	}
	if c := mustExecute(t, r, "none", withdraw(5), nil); c.Version != 1 {
		t.Fatalf("got %+v", c)
	}
	_, err := r.Load(t.Context(), "a//b")
	wantError(t, err, annals.ErrInvalid)
}

// What many other streams hold changes nothing, also where names begin alike.
func TestAggregatesDoNotSeeEachOther(t *testing.T) {
	r, _ := newBank(t)
	for i, id := range []string{"7", "77", "7-7", "7/7", "7.", "A", "a"} {
		for range i + 1 {
			mustExecute(t, r, id, deposit(1), nil)
		}
	}
	for i, id := range []string{"7", "77", "7-7", "7/7", "7.", "A", "a"} {
		if at := mustLoad(t, r, id); at.State.Balance != int64(i+1) || at.Stream != fmt.Sprint("account-", id) {
			t.Fatalf("%s: %+v", id, at)
		}
	}
}
