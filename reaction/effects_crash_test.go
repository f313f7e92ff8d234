package reaction_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals/effect"
)

// crashes plants a crash at the nth time that each of steps comes, in turn.
type crashes struct {
	mu    sync.Mutex
	steps []effect.Step
	after int // steps of that kind to let pass first
	must  bool
}

func (c *crashes) at(s effect.Step) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.steps) == 0 || c.steps[0] != s {
		return nil
	}
	if c.after > 0 {
		c.after--
		return nil
	}
	c.steps = c.steps[1:]
	return errCrash
}

// Whatever step a process dies at, each approved correction is sent once, and
// nothing else.
func TestCrashesInRepairsAndCorrections(t *testing.T) {
	steps := append(effect.Steps(), effect.RepairSteps()...)
	var plans [][]effect.Step
	for _, one := range steps {
		plans = append(plans, []effect.Step{one})
		for _, two := range steps {
			plans = append(plans, []effect.Step{one, two})
		}
	}
	for _, plan := range plans {
		for after := range 2 {
			t.Run(fmt.Sprint(plan, " after ", after), func(t *testing.T) {
				t.Parallel()
				must := len(plan) == 1 && after == 0 && slices.Contains(effect.RepairSteps(), plan[0])
				crashIn(t, &crashes{steps: plan, after: after, must: must})
			})
		}
	}
}

func crashIn(t *testing.T, planted *crashes) {
	w, b := newWorld(t), newBank(t)
	want := w.mistaken(b, 7)
	if _, err := effect.RequestRepair(t.Context(), w.store, "cashier", effect.RepairOptions{From: 1}); err != nil {
		t.Fatal(err)
	}
	lives := 0
	tend := func() {
		for {
			lives++
			c := w.newCashier(b, "life "+strconv.Itoa(lives), right, planted.at)
			err := c.Tend(t.Context())
			if err == nil {
				return
			}
			if !errors.Is(err, errCrash) || lives > 10 {
				t.Fatal(err)
			}
			w.clock.pass(time.Minute)
		}
	}
	before := b.called()
	tend()
	if b.called() != before {
		t.Fatalf("the repair has made %d calls", b.called()-before)
	}
	w.approveAll()
	tend()
	for _, f := range w.findings() {
		if f.State != effect.Corrected {
			t.Errorf("%s, call %s for %s, is %s: %s", f.ID, f.Call, f.Event, f.State, f.Error)
		}
	}
	if found := w.findings(); len(found) != 3 {
		t.Errorf("found %d differences", len(found))
	}
	if got := b.books(); !slices.Equal(got, want) {
		t.Fatalf("the bank holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if _, err := effect.RequestRepair(t.Context(), w.store, "cashier", effect.RepairOptions{From: 1}); err != nil {
		t.Fatal(err)
	}
	calls := b.called()
	tend()
	if n := len(w.findings()); n != 3 || b.called() != calls {
		t.Fatalf("%d differences and %d calls after a second repair", n, b.called()-calls)
	}
	if planted.must && len(planted.steps) > 0 {
		t.Fatalf("no crash at %s", planted.steps[0])
	}
}
