package reversal_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/reversal"
	"github.com/eb901187/annals/storetest"
)

var everything = reversal.Target{Query: &annals.Query{Types: []string{"wrong"}}}

// several makes streams that each hold an event to be reversed.
func (w *world) several(t testing.TB, n int) {
	t.Helper()
	for i := range n {
		w.add(t, fmt.Sprint("s-", i), `made {"a":1}`, `wrong {"a":2}`, `more {"b":3}`)
	}
}

func (w *world) wantReversed(t testing.TB, n int) {
	t.Helper()
	for i := range n {
		stream := fmt.Sprint("s-", i)
		if got, events := w.state(t, stream, nil), w.events(t, stream); got != `{"a":1,"b":3}` || len(events) != 4 {
			t.Errorf("%s: %s, %d events", stream, got, len(events))
		}
	}
}

// A reversal that breaks off at any append, whatever became of that, is finished
// by planning it again: with its id, or by the same query alone.
func TestCrashAtEachStep(t *testing.T) {
	const streams = 4
	for step := range streams {
		for _, fault := range []storetest.Fault{storetest.LostRequest, storetest.LostReply, storetest.Refused} {
			for _, again := range []*reversal.Options{{ID: "rev-1"}, nil} {
				w := newWorld(t)
				w.several(t, streams)
				plan := w.plan(t, everything, &reversal.Options{ID: "rev-1"})
				faults := make([]storetest.Fault, step+1)
				faults[step] = fault
				w.faults.FailAppends(faults...)
				if fault != storetest.Refused { // nor can the outcome be looked up
					w.faults.FailReads(storetest.Refused)
				}
				commits, err := reversal.Apply(t.Context(), w.Store, plan)
				want := fmt.Sprintf("annals: the reversal rev-1 stopped at stream s-%d, with %d of %d streams done: ", step, step, streams)
				if err == nil || !strings.HasPrefix(err.Error(), want) || len(commits) != step || errors.Is(err, annals.ErrUnknownOutcome) != (fault != storetest.Refused) {
					t.Fatalf("step %d, fault %d: %d commits, %v", step, fault, len(commits), err)
				}
				if rest := w.reverse(t, everything, again); len(rest.Streams)+len(rest.Passed) < streams {
					t.Errorf("step %d, fault %d: %+v", step, fault, rest)
				}
				w.wantReversed(t, streams)
				for range 2 { // the first plan again changes nothing
					if _, err := reversal.Apply(t.Context(), w.Store, plan); again != nil && err != nil {
						t.Error(err)
					}
				}
				w.wantReversed(t, streams)
				if nothing := w.plan(t, everything, again); len(nothing.Streams) != 0 || len(nothing.Passed) == 0 {
					t.Errorf("step %d, fault %d: there is more to do: %+v", step, fault, nothing)
				}
			}
		}
	}
}

func TestApplyingAgainIsAnsweredByTheFirstCommits(t *testing.T) {
	w := newWorld(t)
	w.several(t, 2)
	plan := w.plan(t, everything, nil)
	for i := range 3 {
		commits, err := reversal.Apply(t.Context(), w.Store, plan)
		if err != nil || len(commits) != 2 || commits[0].Replayed != (i > 0) || commits[1].Version != 4 {
			t.Fatalf("%+v, %v", commits, err)
		}
	}
	w.wantReversed(t, 2)
}

// The same named event planned again with the id is nothing to do, and without it
// refused.
func TestRepeatingANamedReversal(t *testing.T) {
	w := newWorld(t)
	w.several(t, 1)
	w.reverse(t, at("s-0", 2), &reversal.Options{ID: "rev-1"})
	plan := w.plan(t, at("s-0", 2), &reversal.Options{ID: "rev-1"})
	if len(plan.Streams) != 0 || len(plan.Passed) != 1 || plan.Passed[0].Why != "this reversal has reversed it, by s-0@4" {
		t.Errorf("%+v", plan)
	}
}

// Somebody appends between plan and apply: nothing is appended, and a second plan
// tells whether the change is still the same.
func TestRaces(t *testing.T) {
	for _, c := range []struct {
		meanwhile string
		same      bool
		want      string
	}{
		{`more {"c":4}`, true, `{"a":1,"b":3,"c":4}`},
		{`more {"a":9}`, false, `{"a":9,"b":3}`},
	} {
		w := newWorld(t)
		w.several(t, 2)
		plan := w.plan(t, everything, &reversal.Options{ID: "rev-1"})
		w.add(t, "s-1", c.meanwhile)
		commits, err := reversal.Apply(t.Context(), w.Store, plan)
		var conflict *annals.ConflictError
		if len(commits) != 1 || !errors.Is(err, annals.ErrConflict) || !errors.As(err, &conflict) || conflict.Actual != 4 ||
			!strings.Contains(err.Error(), "the stream was at version 3 when it was planned, and is at 4") || len(w.events(t, "s-1")) != 4 {
			t.Fatalf("%v, %v", commits, err)
		}
		again := w.plan(t, everything, &reversal.Options{ID: "rev-1"})
		if len(again.Streams) != 1 || again.Within(plan) != c.same || plan.Within(again) || !plan.Within(plan) {
			t.Fatalf("%s: %+v", c.meanwhile, again)
		}
		if _, err := reversal.Apply(t.Context(), w.Store, again); err != nil || w.state(t, "s-1", nil) != c.want {
			t.Errorf("%s, %v", w.state(t, "s-1", nil), err)
		}
	}
}

func TestWithin(t *testing.T) {
	w := newWorld(t)
	w.several(t, 2)
	plan := w.plan(t, everything, nil)
	for name, change := range map[string]func(*reversal.Plan){
		"another stream": func(p *reversal.Plan) { p.Streams[0].Stream = "s-2" },
		"one event more": func(p *reversal.Plan) { p.Streams[0].Events = append(p.Streams[0].Events, annals.Event{}) },
		"no events":      func(p *reversal.Plan) { p.Streams[0].Events = nil },
		"other data":     func(p *reversal.Plan) { p.Streams[0].Events[0].Data = []byte("{}") },
		"another id":     func(p *reversal.Plan) { p.Streams[0].Events[0].ID = "x" },
	} {
		other := *plan
		other.Streams = slices.Clone(plan.Streams)
		other.Streams[0].Events = slices.Clone(plan.Streams[0].Events)
		if !other.Within(plan) {
			t.Fatal("a copy is not the same")
		}
		if change(&other); other.Within(plan) {
			t.Errorf("%s is the same", name)
		}
	}
	part := *plan
	if part.Streams = plan.Streams[1:]; !part.Within(plan) || plan.Within(&part) {
		t.Error("a part is within the whole, and not the other way round")
	}
}

// Of two reversals of one event at once, one wins, and the other is refused.
func TestTwoAtOnce(t *testing.T) {
	w := newWorld(t)
	w.several(t, 1)
	one, other := w.plan(t, at("s-0", 2), nil), w.plan(t, at("s-0", 2), nil)
	if one.ID == other.ID || other.Within(one) {
		t.Fatal("two reversals are the same")
	}
	if _, err := reversal.Apply(t.Context(), w.Store, one); err != nil {
		t.Fatal(err)
	}
	if _, err := reversal.Apply(t.Context(), w.Store, other); !errors.Is(err, annals.ErrConflict) {
		t.Errorf("got %v", err)
	}
	if _, err := reversal.NewPlan(t.Context(), w.Store, at("s-0", 2), &reversal.Options{ID: other.ID}); err == nil || !strings.Contains(err.Error(), "reversed already, by s-0@4") {
		t.Errorf("got %v", err)
	}
}

func TestAServerWorksLikeAStore(t *testing.T) {
	w := newWorld(t)
	w.several(t, 3)
	server := httptest.NewServer(httpapi.New(w.Store, &httpapi.Options{Logger: slog.New(slog.DiscardHandler)}))
	defer server.Close()
	remote, err := client.Open(server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = remote.Close() }()
	plan, err := reversal.NewPlan(t.Context(), remote, everything, &reversal.Options{ID: "rev-1", Reason: "größer, “quoted”"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := reversal.Apply(t.Context(), remote, plan); err != nil {
			t.Fatal(err)
		}
	}
	w.wantReversed(t, 3)
	back, err := reversal.NewPlan(t.Context(), remote, reversal.Target{Reversal: "rev-1"}, nil)
	if err != nil || len(back.Streams) != 3 || string(back.Streams[0].After) != `{"a":2,"b":3}` {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestAnInterruptedReadIsAnError(t *testing.T) {
	w := newWorld(t)
	w.several(t, 2)
	w.faults.FailReads(storetest.None, storetest.Refused)
	if _, err := reversal.NewPlan(t.Context(), w.Store, everything, nil); !errors.Is(err, annals.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	plan := w.plan(t, everything, nil)
	cancel()
	if _, err := reversal.Apply(ctx, w.Store, plan); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
