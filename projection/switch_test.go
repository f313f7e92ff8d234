package projection

import (
	"errors"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
)

// Which events are parked counts, not how many.
func TestSwitchWithOtherParkedEvents(t *testing.T) {
	store, views := newStore(t), newViews(t)
	p := func(revision, bad string) *Projection {
		return Documents("p", revision, annals.Query{}, ByStream, func(doc *int, m *consumer.Message) error {
			if m.Stream == bad {
				return consumer.Permanent(errors.New("bad"))
			}
			*doc++
			return nil
		})
	}
	s, _ := open(t, store, views, quick(), p("1", "a"))
	move(t, store, "a", 1)
	last := move(t, store, "b", 1)
	caughtUp(t, s, "p", 1, last)
	_ = s.Define(p("2", "b"))
	n, err := s.Rebuild(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	caughtUp(t, s, "p", n, last)
	if _, err := s.Switch(t.Context(), "p", 0, false); err == nil {
		t.Errorf("switched to a generation that holds a parked event that the live one has not: b is %q", get(t, s, "p", "b", nil))
	}
}

// Whoever says which generation is to go live gets that one or none.
func TestSwitchIsToTheGenerationThatWasDecidedOn(t *testing.T) {
	store, views := newStore(t), newViews(t)
	s, _ := open(t, store, views, quick(), accounts("1", 1))
	last := move(t, store, "account-1", 5)
	caughtUp(t, s, "accounts", 1, last)
	build := func(version string, want int) {
		t.Helper()
		if err := s.Define(accounts(version, 1)); err != nil {
			t.Fatal(err)
		}
		if n, err := s.Rebuild(t.Context(), "accounts"); err != nil || n != want {
			t.Fatal(n, err)
		}
		caughtUp(t, s, "accounts", want, last)
	}
	build("2", 2)
	plan, err := s.PlanSwitch(t.Context(), "accounts", 2, false)
	if err != nil || plan.NextLive() != 2 {
		t.Fatal(plan, err)
	}
	build("3", 3)
	for _, force := range []bool{false, true} {
		if _, err := s.PlanSwitch(t.Context(), "accounts", 2, force); !errors.Is(err, annals.ErrConflict) {
			t.Errorf("a plan for a generation that has gone: %v", err)
		}
		if _, err := s.Switch(t.Context(), "accounts", 2, force); !errors.Is(err, annals.ErrConflict) || !strings.Contains(err.Error(), "generation 3") {
			t.Errorf("a switch to a generation that has gone: %v", err)
		}
	}
	if info, err := s.Show(t.Context(), "accounts"); err != nil || info.Live != 1 {
		t.Fatalf("%+v, %v", info, err)
	}
	if n, err := s.Switch(t.Context(), "accounts", 3, false); err != nil || n != 3 {
		t.Fatal(n, err)
	}
	if plan, err := s.PlanRollback(t.Context(), "accounts", false); err != nil || plan.NextLive() != 1 {
		t.Fatal(plan, err)
	}
}

// However often a view is rebuilt, its list of generations stays short, and what is left
// are the newest.
func TestRebuildsDeleteOldGenerations(t *testing.T) {
	store, views := newStore(t), newViews(t)
	s, _ := open(t, store, views, quick(), accounts("1", 1))
	last := move(t, store, "account-1", 5)
	caughtUp(t, s, "accounts", 1, last)
	for want := 2; want <= 20; want++ {
		if n, err := s.Rebuild(t.Context(), "accounts"); err != nil || n != want {
			t.Fatal(n, err)
		}
		caughtUp(t, s, "accounts", want, last)
		if _, err := s.Switch(t.Context(), "accounts", want, false); err != nil {
			t.Fatal(err)
		}
	}
	info, err := s.Show(t.Context(), "accounts")
	if err != nil || info.Live != 20 || info.Previous != 19 || len(info.Generations) > 2+9 || info.Generations[0].Number != 20-len(info.Generations)+1 {
		t.Fatalf("%+v, %v", info, err)
	}
	if _, err := s.Rollback(t.Context(), "accounts", false); err != nil {
		t.Fatal(err)
	}
}
