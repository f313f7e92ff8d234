package reversal_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/projection/fold"
	"github.com/eb901187/annals/reversal"
)

// count is a fold in Go.
func count(state any, e *annals.Event) (any, error) {
	if e.Type == reversal.EventReversed || e.Type == reversal.StateRestored {
		return nil, errors.New("the fold was given " + e.Type)
	}
	doc, _ := state.(map[string]any)
	n, _ := doc["n"].(int)
	return map[string]any{"n": n + 1, "last": e.Type}, nil
}

func TestAFoldInGo(t *testing.T) {
	w := newWorld(t)
	opts := &reversal.Options{Fold: &reversal.Fold{Name: "counts", Apply: count}}
	w.add(t, "s", "a {}", "b {}", "c {}")
	for i, want := range []string{`{"last":"b","n":2}`, `{"last":"c","n":3}`} {
		plan := w.reverse(t, at("s", int64(3+i)), opts)
		s := &plan.Streams[0]
		if string(s.After) != want || s.Events[0].Type != reversal.StateRestored || s.Reversed[0].Way != reversal.Replay {
			t.Fatalf("after %s: %+v", s.After, s)
		}
		name, state, err := fold.Restored(&w.events(t, "s")[3+i])
		if err != nil || name != "counts" || encoded(t, state) != want {
			t.Errorf("%s, %v, %v", name, state, err)
		}
	}
	w.add(t, "s", reversal.StateRestored+` {"fold":"other","state":null}`, "d {}")
	if s := w.plan(t, at("s", 1), opts).Streams[0]; string(s.Before) != `{"last":"d","n":4}` || string(s.After) != `{"last":"d","n":3}` {
		t.Errorf("%s → %s", s.Before, s.After)
	}
	bad, err := w.Append(t.Context(), "s", annals.Any, annals.Event{Type: reversal.StateRestored, Data: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reversal.NewPlan(t.Context(), w.Store, at("s", bad.Version), opts); err == nil || !strings.Contains(err.Error(), "the state of s can't be folded: annals: the data of event s@8 can't restore a state") {
		t.Error(err)
	}
}

// A file that merges every event of a stream has the same state as without a fold,
// so that its reversals say so.
func TestAFoldThatMerges(t *testing.T) {
	d, err := fold.Parse("latest.yaml", []byte("fold: merge-patch"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.add(t, "s", `a {"x":1}`, `b {"x":2}`)
	w.add(t, "other", `a {"x":1}`)
	opts := &reversal.Options{Fold: reversal.FoldBy(d)}
	w.reverse(t, at("s", 2), opts)
	w.reverse(t, at("other", 1), opts)
	if got := w.state(t, "s", nil) + w.state(t, "other", nil) + w.state(t, "other", d.Rules); got != `{"x":1}nullnull` {
		t.Error(got)
	}
}

// A plan can be kept as JSON, and be applied from there.
func TestPlanIsJSON(t *testing.T) {
	w := newWorld(t)
	w.add(t, "s", `a {"x":1.50}`)
	plan := w.plan(t, at("s", 1), &reversal.Options{ID: "rev-1", Reason: "why"})
	text, err := json.Marshal(plan)
	want := `{"id":"rev-1","reason":"why","streams":[{"stream":"s","version":"1","reversed":[{"version":"1","id":"` + plan.Streams[0].Reversed[0].ID + `","type":"a","way":"replay"}],` +
		`"before":{"x":1.50},"after":null,"events":[{"specversion":"1.0","id":"` + plan.Streams[0].Events[0].ID + `","type":"annals.state-restored","source":"shop","stream":"s","version":"2",` +
		`"correlation":"r-1","causation":"s@1","reason":"why","reversal":"rev-1","reversalway":"replay","reverses":"s@1","datacontenttype":"application/json","data":{"state":null}}]}],"passed":[]}`
	if err != nil || string(text) != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, text, want)
	}
	var back reversal.Plan
	if err := json.Unmarshal(text, &back); err != nil || !back.Within(plan) {
		t.Fatalf("%+v, %v", back, err)
	}
	for _, p := range []*reversal.Plan{&back, plan} {
		if commits, err := reversal.Apply(t.Context(), w.Store, p); err != nil || commits[0].Replayed != (p == plan) {
			t.Errorf("%+v, %v", commits, err)
		}
	}
}
