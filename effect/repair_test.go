package effect_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
)

// A past is events, and code that asks for something for each.
type past struct {
	store  *annals.Store
	events []*annals.Event
	asks   func(ctx context.Context, e *annals.Event) error
}

func (p *past) of(handle bool) *effect.Past {
	all := &effect.Past{
		Reached: func(context.Context) (int64, error) { return p.events[len(p.events)-1].Position, nil },
		Events: func(_ context.Context, from, to int64) iter.Seq2[*consumer.Message, error] {
			return func(yield func(*consumer.Message, error) bool) {
				for _, e := range p.events {
					if from <= e.Position && e.Position <= to && !yield(&consumer.Message{Event: *e}, nil) {
						return
					}
				}
			}
		},
	}
	if handle {
		all.Handle = func(ctx context.Context, m *consumer.Message, _ *effect.RepairTurn) error {
			return p.asks(m.Context(), &m.Event)
		}
	}
	return all
}

// charged makes a past of n events for which a handler has called Do with was, and
// changes what it asks for to now. Empty means no call.
func charged(t *testing.T, n int, was, now func(i int) string) (*past, *effect.Gateway) {
	t.Helper()
	p := &past{store: openStore(t)}
	g := newGateway(t, p.store, nil)
	if _, err := g.Began(t.Context(), "billing", 0); err != nil {
		t.Fatal(err)
	}
	asking := was
	p.asks = func(ctx context.Context, e *annals.Event) error {
		text := asking(slices.IndexFunc(p.events, func(o *annals.Event) bool { return o.Position == e.Position }))
		if text == "" {
			return nil
		}
		_, err := effect.Do(ctx, "charge", text, func(context.Context, string) (string, error) { return "ok", nil })
		return err
	}
	for i := range n {
		e := place(t, p.store, fmt.Sprintf("order-%d", i))
		p.events = append(p.events, e)
		err := g.Handle(t.Context(), effect.Handling{Handler: "billing", Event: e}, func(ctx context.Context) error { return p.asks(ctx, e) })
		if err != nil {
			t.Fatal(err)
		}
	}
	asking = now
	return p, g
}

func (p *past) repair(t *testing.T, g *effect.Gateway) []effect.Finding {
	t.Helper()
	asked, err := effect.RequestRepair(t.Context(), p.store, "billing", effect.RepairOptions{From: 1})
	if err != nil {
		t.Fatal(err)
	}
	ledger := g.Ledger("billing")
	if err := ledger.Tend(t.Context(), p.of(true)); err != nil {
		t.Fatal(err)
	}
	return ledger.Found(asked.ID)
}

func always(s string) func(int) string { return func(int) string { return s } }

func TestRequestsOfRepairsThatMakeNoSenseAreRefused(t *testing.T) {
	p, _ := charged(t, 1, always("1"), always("2"))
	for _, c := range []struct {
		handler string
		opts    effect.RepairOptions
		is      error
		says    string
	}{
		{"nobody", effect.RepairOptions{From: 1}, annals.ErrNotFound, "annals reaction list"},
		{"no/name", effect.RepairOptions{From: 1}, annals.ErrInvalid, "name"},
		{"billing", effect.RepairOptions{}, annals.ErrInvalid, "from must be a position from 1"},
		{"billing", effect.RepairOptions{From: -1}, annals.ErrInvalid, "from must be a position from 1"},
		{"billing", effect.RepairOptions{From: 3, To: 2}, annals.ErrInvalid, "to must not lie before from"},
		{"billing", effect.RepairOptions{From: 1000}, annals.ErrInvalid, "the log ends at"},
	} {
		_, err := effect.RequestRepair(t.Context(), p.store, c.handler, c.opts)
		if !errors.Is(err, c.is) || !strings.Contains(fmt.Sprintf("%+v %s", err, hintOf(err)), c.says) {
			t.Errorf("%s %+v: %v", c.handler, c.opts, err)
		}
	}
	if all, err := effect.Repairs(t.Context(), p.store, "billing"); err != nil || len(all) != 0 {
		t.Fatalf("%v, %v", all, err)
	}
}

func hintOf(err error) string {
	var e *annals.Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}

func TestDecisionsAreCheckedBeforeAnyOfThemIsMade(t *testing.T) {
	p, g := charged(t, 4, always("1"), always("2"))
	found := p.repair(t, g)
	if len(found) != 4 {
		t.Fatalf("%+v", found)
	}
	states := func() (all []effect.FindingState) {
		now, err := effect.Differences(t.Context(), p.store, "billing")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range now {
			all = append(all, f.State)
		}
		return all
	}
	id := func(i int) string { return found[i].ID }
	refused := func(err, is error, says string) {
		t.Helper()
		if !errors.Is(err, is) || !strings.Contains(err.Error(), says) {
			t.Fatalf("%v, want %v and %q", err, is, says)
		}
	}
	refused(effect.Approve(t.Context(), p.store), annals.ErrInvalid, "nothing to do")
	refused(effect.Approve(t.Context(), p.store, id(0), "billing@77"), annals.ErrNotFound, "billing@77")
	refused(effect.Approve(t.Context(), p.store, id(0), "billing"), annals.ErrInvalid, "HANDLER@NUMBER")
	refused(effect.Approve(t.Context(), p.store, id(0), "other@1"), annals.ErrNotFound, "other@1")
	refused(effect.Reject(t.Context(), p.store, " ", id(0)), annals.ErrInvalid, "reason")
	if got := states(); !slices.Equal(got, []effect.FindingState{effect.Open, effect.Open, effect.Open, effect.Open}) {
		t.Fatal(got)
	}
	if err := effect.Approve(t.Context(), p.store, id(0), id(0)); err != nil {
		t.Fatal(err)
	}
	if err := effect.Reject(t.Context(), p.store, "small", id(1)); err != nil {
		t.Fatal(err)
	}
	refused(effect.Approve(t.Context(), p.store, id(2), id(0)), annals.ErrConflict, "approved already: nothing to approve")
	refused(effect.Reject(t.Context(), p.store, "why not", id(2), id(0)), annals.ErrConflict, "approved already: nothing to reject")
	refused(effect.Reject(t.Context(), p.store, "again", id(1)), annals.ErrConflict, "rejected already: nothing to reject")
	if got := states(); !slices.Equal(got, []effect.FindingState{effect.Approved, effect.Rejected, effect.Open, effect.Open}) {
		t.Fatal(got)
	}
	// Who has rejected may think better of it; what was rejected is not found again.
	if again := p.repair(t, g); len(again) != 0 {
		t.Fatalf("%+v", again)
	}
	if err := effect.Approve(t.Context(), p.store, id(1)); err != nil {
		t.Fatal(err)
	}
}

// Bodies that the journal has room for one by one, and the ledger not at once.
func TestDifferencesOfLargeCallsFit(t *testing.T) {
	large := strings.Repeat("x", 600<<10)
	p := &past{store: openStore(t)}
	g := newGateway(t, p.store, &effect.Options{MaxBody: 700 << 10, Corrections: map[string]effect.Correction{
		"billing": func(_ context.Context, d *effect.Difference) (*effect.Response, error) {
			if d.Was.Response == nil || len(fmt.Sprint(d.Was.Response.Data)) < len(large) {
				return nil, errors.New("the answer is not there")
			}
			return nil, nil
		},
	}})
	if _, err := g.Began(t.Context(), "billing", 0); err != nil {
		t.Fatal(err)
	}
	text := "a" + large
	p.asks = func(ctx context.Context, _ *annals.Event) error {
		_, err := effect.Do(ctx, "charge", text, func(context.Context, string) (string, error) { return large, nil })
		return err
	}
	e := place(t, p.store, "order-1")
	p.events = []*annals.Event{e}
	if err := g.Handle(t.Context(), effect.Handling{Handler: "billing", Event: e}, func(ctx context.Context) error { return p.asks(ctx, e) }); err != nil {
		t.Fatal(err)
	}
	text = "b" + large
	found := p.repair(t, g)
	if len(found) != 1 {
		t.Fatalf("%d found", len(found))
	}
	if again := p.repair(t, g); len(again) != 0 {
		t.Fatal("it was found again")
	}
	if err := effect.Approve(t.Context(), p.store, found[0].ID); err != nil {
		t.Fatal(err)
	}
	ledger := g.Ledger("billing")
	if err := ledger.Tend(t.Context(), p.of(true)); err != nil {
		t.Fatal(err)
	}
	if f := ledger.Found(found[0].Repair)[0]; f.State != effect.Corrected {
		t.Fatalf("%s: %s", f.State, f.Error)
	}
}

// A correction in a fork is held back like every call, and does not count as sent.
func TestCorrectionsInAForkAreNotSent(t *testing.T) {
	p, _ := charged(t, 1, always("1"), always("2"))
	o := newOutside(t, nil)
	g := newGateway(t, p.store, &effect.Options{Corrections: map[string]effect.Correction{
		"billing": func(ctx context.Context, _ *effect.Difference) (*effect.Response, error) {
			_, _, err := ask(ctx, once(), http.MethodPost, o.URL, "refund")
			return nil, err
		},
	}})
	found := p.repair(t, g)
	if _, err := p.store.Append(t.Context(), effect.ForkStream, annals.NoStream, annals.Event{Type: "forked"}); err != nil {
		t.Fatal(err)
	}
	if err := effect.Approve(t.Context(), p.store, found[0].ID); err != nil {
		t.Fatal(err)
	}
	ledger := g.Ledger("billing")
	if err := ledger.Tend(t.Context(), p.of(true)); err != nil {
		t.Fatal(err)
	}
	if f := ledger.Found(found[0].Repair)[0]; f.State != effect.Uncorrected || len(o.sent()) != 0 {
		t.Fatalf("%s: %s; sent %v", f.State, f.Error, o.sent())
	}
}

// What a correction function says about a call is what replays are answered.
func TestTheAnswerOfACorrectionIsThatOfLaterReplays(t *testing.T) {
	p, _ := charged(t, 1, always("1"), always("2"))
	g := newGateway(t, p.store, &effect.Options{Corrections: map[string]effect.Correction{
		"billing": func(context.Context, *effect.Difference) (*effect.Response, error) {
			return &effect.Response{Body: effect.Body{Data: "corrected"}}, nil
		},
	}})
	found := p.repair(t, g)
	if err := effect.Approve(t.Context(), p.store, found[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := g.Ledger("billing").Tend(t.Context(), p.of(true)); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []effect.Mode{effect.Live, effect.Replay} {
		h := effect.Handling{Handler: "billing", Event: p.events[0], Mode: mode}
		err := g.Handle(t.Context(), h, func(ctx context.Context) error {
			answer, err := effect.Do(ctx, "charge", "2", func(context.Context, string) (string, error) { return "", errors.New("sent") })
			if answer != "corrected" {
				t.Errorf("in mode %d the answer is %q", mode, answer)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestACorrectionFunctionThatPanicsHasFailed(t *testing.T) {
	p, _ := charged(t, 1, always("1"), always("2"))
	g := newGateway(t, p.store, &effect.Options{Corrections: map[string]effect.Correction{
		"billing": func(context.Context, *effect.Difference) (*effect.Response, error) { panic("oh") },
	}})
	found := p.repair(t, g)
	if err := effect.Approve(t.Context(), p.store, found[0].ID); err != nil {
		t.Fatal(err)
	}
	ledger := g.Ledger("billing")
	if err := ledger.Tend(t.Context(), p.of(true)); err != nil {
		t.Fatal(err)
	}
	if f := ledger.Found(found[0].Repair)[0]; f.State != effect.Uncorrected || !strings.Contains(f.Error, "panicked: oh") {
		t.Fatalf("%s: %s", f.State, f.Error)
	}
}

// Where code can't be run for one event, a missing call is left to whoever can.
func TestAMissingCallIsLeftToWhoCanMakeIt(t *testing.T) {
	p, g := charged(t, 1, always(""), always("2"))
	found := p.repair(t, g)
	if len(found) != 1 || !found[0].Missing() {
		t.Fatalf("%+v", found)
	}
	if err := effect.Approve(t.Context(), p.store, found[0].ID); err != nil {
		t.Fatal(err)
	}
	ledger := g.Ledger("billing")
	if err := ledger.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := ledger.Approved()[0]
	if asIs, err := ledger.Correct(t.Context(), f, p.of(false)); err != nil || !asIs || f.State != effect.Approved {
		t.Fatalf("%t, %v, %s", asIs, err, f.State)
	}
	if err := ledger.NotMade(t.Context(), f); err != nil || f.State != effect.Uncorrected {
		t.Fatalf("%v, %s", err, f.State)
	}
}

func TestHandlersAreListed(t *testing.T) {
	p, g := charged(t, 2, always("1"), always("2"))
	p.repair(t, g)
	if _, err := g.Began(t.Context(), "mailing", -1); err != nil {
		t.Fatal(err)
	}
	var got []string
	for h, err := range effect.Handlers(t.Context(), p.store) {
		if err != nil {
			t.Fatal(err)
		}
		state := effect.RepairState("")
		if h.Repair != nil {
			state = h.Repair.State
		}
		got = append(got, fmt.Sprintf("%s %d %s %d", h.Name, min(h.Began, 1), state, h.Open))
	}
	if !slices.Equal(got, []string{"billing 0 repaired 2", "mailing 1  0"}) {
		t.Fatalf("%q", got)
	}
}

func TestWatchLooksWhenTheLogHasGrown(t *testing.T) {
	store := openStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	rounds, ended := make(chan struct{}), make(chan struct{})
	var slept []time.Duration
	opts := &consumer.Options{Poll: time.Minute, Sleep: func(_ context.Context, d time.Duration) { slept = append(slept, d) }}
	go func() {
		defer close(ended)
		effect.Watch(ctx, store, opts, func(context.Context) (bool, error) {
			rounds <- struct{}{}
			return false, nil
		})
	}()
	<-rounds
	for range 3 {
		place(t, store, "order-1")
		<-rounds
	}
	cancel()
	select {
	case <-rounds:
	case <-ended:
	}
	<-ended
	if len(slept) == 0 || slices.ContainsFunc(slept, func(d time.Duration) bool { return d != time.Minute }) {
		t.Fatalf("slept %v", slept)
	}
}

// A ledger that something else has written into is reported, not guessed at.
func TestADamagedLedgerIsReported(t *testing.T) {
	p, _ := charged(t, 1, always("1"), always("2"))
	if _, err := p.store.Append(t.Context(), effect.RepairStream("billing"), annals.Any, annals.Event{Type: "nonsense", Data: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if _, err := effect.Repairs(t.Context(), p.store, "billing"); !errors.Is(err, annals.ErrDamaged) || !strings.Contains(err.Error(), "annals.repairs/billing@1") {
		t.Fatal(err)
	}
}
