package subject_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/subject"
)

// another is a Keyring by another master key than newKeyring's.
func another(t *testing.T, shelf subject.Shelf, c *clock) *subject.Keyring {
	t.Helper()
	k, err := subject.New(shelf, localWrapper(t, 2), c.options())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func wantCopied(t *testing.T, from, to *subject.Keyring, want subject.Copied) {
	t.Helper()
	if got, err := from.Copy(t.Context(), to); err != nil || got != want {
		t.Fatalf("copied %+v, %v; want %+v", got, err, want)
	}
}

func TestCopiedKeysOpenTheSame(t *testing.T) {
	c := newClock()
	from, fromShelf, toShelf := subject.MemoryShelf(), subject.MemoryShelf(), subject.MemoryShelf()
	for name, shelves := range map[string][2]subject.Shelf{"another place": {fromShelf, toShelf}, "the same place": {from, from}} {
		t.Run(name, func(t *testing.T) {
			k := newKeyring(t, shelves[0], c.options())
			var sealed []annals.Event
			for i := range 40 {
				sealed = append(sealed, seal(t, k, event(fmt.Sprint("p", i), "1", fmt.Sprint(i))))
			}
			erased := sealed[:4]
			for i, e := range erased {
				end := k.Fence
				if i%2 == 0 {
					end = k.Destroy
				}
				if _, err := end(t.Context(), e.Subject()); err != nil {
					t.Fatal(err)
				}
			}
			want := subject.Copied{Keys: 36, Ended: 4}
			if shelves[0] == shelves[1] {
				want = subject.Copied{Keys: 36, Unchanged: 4}
			}
			wantCopied(t, k, another(t, shelves[1], c), want)
			to := another(t, shelves[1], c)
			for i, e := range sealed[4:] {
				wantOpen(t, to, e, fmt.Sprint(i+4))
				if again := seal(t, to, event(e.Subject(), "1", fmt.Sprint(i+4))); !slices.Equal(again.Data, e.Data) {
					t.Fatal("the copied key seals in another way")
				}
			}
			for _, e := range erased {
				wantErased(t, to, e)
				if r, err := to.Record(t.Context(), e.Subject()); err != nil || r.State == subject.Destroyed && r.Wrapped != nil || r.Fingerprint == "" {
					t.Fatalf("%+v, %v", r, err)
				}
			}
			wantCopied(t, newKeyring(t, shelves[0], c.options()), another(t, shelves[1], c), subject.Copied{Unchanged: 40})
		})
	}
}

// The key of a subject that is fenced is copied nowhere, and a fence in one place holds in
// the other, whichever it was.
func TestCopyKeepsFences(t *testing.T) {
	c := newClock()
	from, toShelf := newKeyring(t, subject.MemoryShelf(), c.options()), subject.MemoryShelf()
	late, early := seal(t, from, event("late", "1", `1`)), seal(t, from, event("early", "1", `1`))
	to := another(t, toShelf, c)
	if _, err := to.Destroy(t.Context(), "early"); err != nil {
		t.Fatal(err)
	}
	wantCopied(t, from, to, subject.Copied{Keys: 1, Unchanged: 1})
	wantOpen(t, to, late, `1`)
	if _, err := from.Fence(t.Context(), "late"); err != nil {
		t.Fatal(err)
	}
	wantCopied(t, from, to, subject.Copied{Ended: 1, Unchanged: 1})
	for _, e := range []annals.Event{late, early} {
		wantErased(t, another(t, toShelf, c), e)
		if r, err := toShelf.Get(t.Context(), e.Subject()); err != nil || r.Wrapped != nil {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	if _, err := from.Destroy(t.Context(), "late"); err != nil {
		t.Fatal(err)
	}
	wantCopied(t, from, to, subject.Copied{Ended: 1, Unchanged: 1})
}

func TestCopyRefusesAnotherKey(t *testing.T) {
	c := newClock()
	shelf, other := subject.MemoryShelf(), subject.MemoryShelf()
	from, to := newKeyring(t, shelf, c.options()), another(t, other, c)
	seal(t, from, event("p1", "1", `1`))
	kept := seal(t, to, event("p1", "1", `1`))
	if _, err := from.Copy(t.Context(), to); !errors.Is(err, annals.ErrConflict) {
		t.Fatalf("two keys of one subject: %v", err)
	}
	wantOpen(t, another(t, other, c), kept, `1`)
	// A master key that is not theirs copies nothing.
	if _, err := another(t, shelf, c).Copy(t.Context(), newKeyring(t, subject.MemoryShelf(), c.options())); !errors.Is(err, annals.ErrDamaged) {
		t.Fatalf("by another master key: %v", err)
	}
}

func TestCopyWhoseOutcomesAreUnknown(t *testing.T) {
	for _, effect := range []bool{false, true} {
		c, shelf := newClock(), &uncertain{subject.MemoryShelf(), effect, 2}
		from := newKeyring(t, subject.MemoryShelf(), c.options())
		e := seal(t, from, event("p1", "1", `1`))
		wantCopied(t, from, another(t, shelf, c), subject.Copied{Keys: 1})
		wantOpen(t, another(t, shelf, c), e, `1`)
	}
}
