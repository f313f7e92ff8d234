package projection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/view"
)

func findingsOf(t testing.TB, store *annals.Store) []effect.Finding {
	t.Helper()
	all, err := effect.Differences(t.Context(), store, "receipts")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// An approved correction is sent once, and nothing else, whichever step fails once.
func TestAProjectionIsRepaired(t *testing.T) {
	for _, step := range append(append(effect.Steps(), effect.RepairSteps()...), "") {
		t.Run("trouble at "+string(step), func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			left := 1
			repairOnce(t, func(s effect.Step) error {
				mu.Lock()
				defer mu.Unlock()
				if s == step && left > 0 {
					left--
					return errors.New("trouble")
				}
				return nil
			})
		})
	}
}

// A mended is a view whose folds asked for the wrong things, and whose code was
// mended since: account-1 got a question mark too much, account-2 nothing.
type mended struct {
	*testing.T
	store *annals.Store
	views view.Store
	o     *outside
	s     *Set
	last  int64
}

func newMended(t *testing.T, trouble func(effect.Step) error) *mended {
	x := &mended{T: t, store: newStore(t), views: newViews(t), o: newOutside(t)}
	correct := func(ctx context.Context, d *effect.Difference) (*effect.Response, error) {
		if d.Was == nil {
			return nil, effect.ErrAsIs
		}
		answer, err := x.o.post(ctx, "/undo", d.Was.Past().Text)
		return &effect.Response{Status: 200, Body: effect.Body{Text: "undone " + answer}}, err
	}
	wrong := receipted(x.o, "1", func(m *consumer.Message) string {
		switch m.Stream {
		case "account-1":
			return m.Cause() + "?"
		case "account-2":
			return ""
		}
		return m.Cause()
	})
	opts := withCalls(t, x.store, nil)
	s, stop := open(t, x.store, x.views, opts, wrong)
	for i := range 9 {
		x.last = move(t, x.store, fmt.Sprintf("account-%d", i%3), 1)
	}
	caughtUp(t, s, "receipts", 1, x.last)
	stop()
	opts.Changed = true
	opts.Effects = newGateway(t, x.store, map[string]effect.Correction{"receipts": correct}, trouble)
	x.s, _ = open(t, x.store, x.views, opts, wrong, receipted(x.o, "2", askAll))
	return x
}

func repairOnce(t *testing.T, trouble func(effect.Step) error) {
	x := newMended(t, trouble)
	x.find()
	x.correct()
	// A second repair finds nothing, and a rebuild needs nobody.
	x.o.server.Close()
	n, err := x.s.Repair(t.Context(), "receipts", effect.RepairOptions{From: 1})
	if err != nil {
		t.Fatal(err)
	}
	caughtUp(t, x.s, "receipts", n, x.last)
	if all := findingsOf(t, x.store); len(all) != 6 {
		t.Fatalf("a second repair found %+v", all[6:])
	}
	if live := documentsOf(t, x.views, "receipts", n-1); !maps.Equal(live, documentsOf(t, x.views, "receipts", n)) {
		t.Fatalf("%v\n%v", live, documentsOf(t, x.views, "receipts", n))
	}
}

// find repairs and sees what is found.
func (x *mended) find() {
	x.Helper()
	before := x.o.called()
	n, err := x.s.Repair(x.Context(), "receipts", effect.RepairOptions{From: 1, Reason: "question marks"})
	if err != nil {
		if !strings.Contains(err.Error(), "the repair receipts@1 is asked for") {
			x.Fatal(err)
		}
		n = 2 // by Run
	}
	caughtUp(x, x.s, "receipts", n, x.last)
	info, err := x.s.Show(x.Context(), "receipts")
	if err != nil || info.Building().Repair == nil || info.Building().Repair.To < 1 {
		x.Fatalf("%+v, %v", info, err)
	}
	eventually(x, "the repair is over", func() bool {
		all, err := effect.Repairs(x.Context(), x.store, "receipts")
		return err == nil && len(all) == 1 && all[0].State == effect.Repaired
	})
	var got []string
	for _, f := range findingsOf(x, x.store) {
		got = append(got, fmt.Sprintf("%s was %t now %t", f.Event, f.Was != nil, f.Now != nil))
	}
	want := []string{
		"account-1@1 was true now true", "account-2@1 was false now true", "account-1@2 was true now true",
		"account-2@2 was false now true", "account-1@3 was true now true", "account-2@3 was false now true",
	}
	if !slices.Equal(got, want) || x.o.called() != before {
		x.Fatalf("found %q, with %d calls", got, x.o.called()-before)
	}
}

// correct approves all and sees what was sent, and what the view shows then.
func (x *mended) correct() {
	x.Helper()
	approveAll(x, x.store)
	eventually(x, "all is corrected", func() bool {
		return !slices.ContainsFunc(findingsOf(x, x.store), func(f effect.Finding) bool { return f.State != effect.Corrected })
	})
	// A call that failed to be journaled is made again, with the same key.
	if n := len(x.o.effects()); n != 6+6 || len(findingsOf(x, x.store)) != 6 {
		x.Fatalf("%d effects: %q", n, x.o.effects())
	}
	info, err := x.s.Show(x.Context(), "receipts")
	if err != nil {
		x.Fatal(err)
	}
	caughtUp(x, x.s, "receipts", info.Building().Number, x.last)
	if _, err := x.s.Switch(x.Context(), "receipts", 0, false); err != nil {
		x.Fatal(err)
	}
	for key, has := range map[string]string{"account-1": "undone", "account-2": `"seen":3`} {
		var doc receipts
		text := get(x, x.s, "receipts", key, nil)
		if err := json.Unmarshal([]byte(text), &doc); err != nil || len(doc.Receipts) != 3 || !strings.Contains(text, has) {
			x.Errorf("%s is %s", key, text)
		}
	}
}

func approveAll(t testing.TB, store *annals.Store) {
	t.Helper()
	var ids []string
	for _, f := range findingsOf(t, store) {
		ids = append(ids, f.ID)
	}
	if err := effect.Approve(t.Context(), store, ids...); err != nil {
		t.Fatal(err)
	}
}

// A view built by code that asks otherwise would lack events unnoticed: they are parked. Once
// somebody has decided that the calls of then stand, they are answered as then.
func TestARebuildParksWhatAsksOtherwiseUnlessThatWasRejected(t *testing.T) {
	x := newMended(t, nil)
	n, err := x.s.Rebuild(t.Context(), "receipts")
	if err != nil {
		t.Fatal(err)
	}
	caughtUp(t, x.s, "receipts", n, x.last)
	if _, err := x.s.Switch(t.Context(), "receipts", 0, false); !errors.Is(err, annals.ErrConflict) {
		t.Fatalf("switched to a view that lacks events: %v", err)
	}
	repaired, err := x.s.Repair(t.Context(), "receipts", effect.RepairOptions{From: 1})
	if err != nil {
		t.Fatal(err)
	}
	caughtUp(t, x.s, "receipts", repaired, x.last)
	as := documentsOf(t, x.views, "receipts", repaired)
	var ids []string
	for _, f := range findingsOf(t, x.store) {
		ids = append(ids, f.ID)
	}
	if err := effect.Reject(t.Context(), x.store, "so be it", ids...); err != nil || len(ids) != 6 {
		t.Fatal(ids, err)
	}
	if err := x.s.Delete(t.Context(), "receipts", repaired); err != nil {
		t.Fatal(err)
	}
	if n, err = x.s.Rebuild(t.Context(), "receipts"); err != nil {
		t.Fatal(err)
	}
	caughtUp(t, x.s, "receipts", n, x.last)
	if got := documentsOf(t, x.views, "receipts", n); !maps.Equal(got, as) {
		t.Fatalf("rebuilt %v\nrepaired %v", got, as)
	}
	if _, err := x.s.Switch(t.Context(), "receipts", 0, false); err != nil {
		t.Fatal(err)
	}
}

// Whoever is slower to begin the generation of a repair leaves alone the one that
// was begun meanwhile.
func TestASlowerProcessLeavesTheGenerationOfARepair(t *testing.T) {
	x := newMended(t, nil)
	seen, err := readGenerations(t.Context(), x.views, "receipts")
	if err != nil {
		t.Fatal(err)
	}
	n, err := x.s.Repair(t.Context(), "receipts", effect.RepairOptions{From: 1})
	if err != nil {
		t.Fatal(err)
	}
	p, err := x.s.defined("receipts")
	if err != nil {
		t.Fatal(err)
	}
	slower := tending{set: x.s, projection: p, ledger: x.s.opts.Effects.Ledger("receipts")}
	of, err := slower.generation(t.Context(), seen, repairing{ID: "receipts@1", From: 1})
	if err != nil || of != nil {
		t.Fatalf("began %+v, %v", of, err)
	}
	g, err := readGenerations(t.Context(), x.views, "receipts")
	if err != nil || g.Building != n {
		t.Fatalf("builds %d, not %d, %v", g.Building, n, err)
	}
}
