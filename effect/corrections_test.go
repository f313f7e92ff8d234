package effect_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
)

// tend is a round by a process that asks what now says.
func (p *past) tend(t *testing.T, g *effect.Gateway) []effect.Finding {
	t.Helper()
	if err := g.Ledger("billing").Tend(t.Context(), p.of(true)); err != nil {
		t.Fatal(err)
	}
	return p.findings(t)
}

func (p *past) findings(t *testing.T) []effect.Finding {
	t.Helper()
	all, err := effect.Differences(t.Context(), p.store, "billing")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A till undoes and makes charges, and remembers them; it may be out of order.
type till struct {
	done   []string
	broken bool
}

func (o *till) correct(ctx context.Context, d *effect.Difference) (*effect.Response, error) {
	say := func(what string) error {
		_, err := effect.Do(ctx, "till", what, func(context.Context, string) (string, error) {
			if o.broken && strings.HasPrefix(what, "charge") {
				return "", effect.NotSent(errors.New("out of order"))
			}
			o.done = append(o.done, what)
			return "done", nil
		})
		return err
	}
	if err := say("refund " + asked(d.Was.Past())); err != nil || d.Now == nil {
		return nil, err
	}
	return nil, say("charge " + asked(d.Now))
}

func asked(r *effect.Request) string {
	return fmt.Sprint(r.Data) + r.Text
}

// What went out before a correction failed counts for the one that supersedes it.
func TestWhatAFailedCorrectionHasSentIsNotSentAgainForCodeThatHasChangedAgain(t *testing.T) {
	now := "2"
	p, _ := charged(t, 1, always("1"), func(int) string { return now })
	o := &till{broken: true}
	g := newGateway(t, p.store, &effect.Options{Corrections: map[string]effect.Correction{"billing": o.correct}})
	found := p.repair(t, g)
	if err := effect.Approve(t.Context(), p.store, found[0].ID); err != nil {
		t.Fatal(err)
	}
	if all := p.tend(t, g); all[0].State != effect.Uncorrected {
		t.Fatalf("%+v", all)
	}
	o.broken, now = false, "3"
	found = p.repair(t, g)
	if len(found) != 1 {
		t.Fatalf("%+v", found)
	}
	if err := effect.Approve(t.Context(), p.store, found[0].ID); err != nil {
		t.Fatal(err)
	}
	if all := p.tend(t, g); all[1].State != effect.Corrected {
		t.Fatalf("%+v", all)
	}
	if want := []string{"refund 1", "charge 3"}; !slices.Equal(o.done, want) {
		t.Fatalf("%q", o.done)
	}
}

// Code that asks as it did then must not hide that half of a correction was sent.
func TestACorrectionThatHasBegunIsFinishedBeforeItIsSuperseded(t *testing.T) {
	now := "2"
	p, _ := charged(t, 1, always("1"), func(int) string { return now })
	o := &till{}
	crash := true
	g := newGateway(t, p.store, &effect.Options{
		Corrections: map[string]effect.Correction{"billing": o.correct},
		At: func(s effect.Step) error {
			if crash && s == effect.StepCorrectionSent {
				crash = false
				return errors.New("crash")
			}
			return nil
		},
	})
	found := p.repair(t, g)
	if err := effect.Approve(t.Context(), p.store, found[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := g.Ledger("billing").Tend(t.Context(), p.of(true)); err == nil {
		t.Fatal("no crash")
	}
	now = "1"
	p.repair(t, g) // which finishes it
	p.repair(t, g)
	all := p.findings(t)
	if len(all) != 2 || all[0].State != effect.Corrected || all[1].State != effect.Open || asked(all[1].Was.Past()) != "2" {
		t.Fatalf("%+v; done %q", all, o.done)
	}
	if want := []string{"refund 1", "charge 2"}; !slices.Equal(o.done, want) {
		t.Fatalf("%q", o.done)
	}
}

// As when another process was about to write down what differs while the correction
// was sent.
func TestADifferenceThatIsOutOfDateIsNotCorrected(t *testing.T) {
	p, _ := charged(t, 1, always("1"), always("2"))
	o := &till{}
	g := newGateway(t, p.store, &effect.Options{Corrections: map[string]effect.Correction{"billing": o.correct}})
	found := p.repair(t, g)
	if err := effect.Approve(t.Context(), p.store, found[0].ID); err != nil {
		t.Fatal(err)
	}
	p.tend(t, g)
	data := strings.NewReplacer("EVENT", found[0].Event).Replace(
		`{"difference":{"handler":"billing","event":"EVENT","position":"2","call":"charge","was":{"status":"answered","request":{"data":"1","size":3}},"now":{"data":"3","size":3}}}`)
	c, err := p.store.Append(t.Context(), effect.RepairStream("billing"), annals.Any, annals.Event{Type: effect.DifferenceFound, Data: []byte(data)})
	if err != nil {
		t.Fatal(err)
	}
	if err := effect.Approve(t.Context(), p.store, fmt.Sprintf("billing@%d", c.Version)); err != nil {
		t.Fatal(err)
	}
	all := p.tend(t, g)
	if f := all[1]; f.State != effect.Uncorrected || !strings.Contains(f.Error, "is not what it was") {
		t.Fatalf("%s: %s", f.State, f.Error)
	}
	if want := []string{"refund 1", "charge 2"}; !slices.Equal(o.done, want) {
		t.Fatalf("%q", o.done)
	}
}

// One event of the ledger has no room for any number of them.
func TestVeryManyDifferencesAreApprovedAtOnce(t *testing.T) {
	store := openStore(t)
	g := newGateway(t, store, nil)
	if _, err := g.Began(t.Context(), "billing", 0); err != nil {
		t.Fatal(err)
	}
	const n = 20_000
	ids, batch := []string{}, []annals.Event{}
	for i := 1; i <= n; i++ {
		data := fmt.Sprintf(`{"difference":{"handler":"billing","event":"order@%d","position":"1","call":"0","was":null,"now":{"text":"x"}}}`, i)
		batch, ids = append(batch, annals.Event{Type: effect.DifferenceFound, Data: []byte(data)}), append(ids, fmt.Sprintf("billing@%d", i))
		if len(batch) == annals.MaxCommitEvents {
			if _, err := store.Append(t.Context(), effect.RepairStream("billing"), annals.Any, batch...); err != nil {
				t.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	if err := effect.Approve(t.Context(), store, ids...); err != nil {
		t.Fatal(err)
	}
	approvals := 0
	for e, err := range store.Stream(t.Context(), effect.RepairStream("billing"), &annals.StreamOptions{From: n + 1}) {
		if err != nil || e.Type != effect.DifferencesApproved {
			t.Fatal(e.Type, err)
		}
		approvals++
	}
	all, err := effect.Differences(t.Context(), store, "billing")
	if err != nil || approvals != 2 || slices.ContainsFunc(all, func(f effect.Finding) bool { return f.State != effect.Approved }) {
		t.Fatal(approvals, err)
	}
}

// They are more than one commit holds.
func TestManyDifferencesOfOneEvent(t *testing.T) {
	p := &past{store: openStore(t)}
	g := newGateway(t, p.store, nil)
	if _, err := g.Began(t.Context(), "billing", 0); err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("x", 100<<10)
	p.asks = func(ctx context.Context, _ *annals.Event) error {
		for i := range 60 {
			_, err := effect.Do(ctx, fmt.Sprintf("c%d", i), large, func(context.Context, string) (string, error) { return "ok", nil })
			if err != nil && !errors.Is(err, effect.ErrSuppressed) {
				return err
			}
		}
		return nil
	}
	p.events = []*annals.Event{place(t, p.store, "order-1")}
	if found := p.repair(t, g); len(found) != 60 {
		t.Fatalf("%d", len(found))
	}
}

func TestWhatWasRejectedIsAnsweredAsThen(t *testing.T) {
	p, g := charged(t, 2, always("1"), always("2"))
	found := p.repair(t, g)
	if err := effect.Reject(t.Context(), p.store, "so be it", found[0].ID); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []effect.Mode{effect.Replay, effect.Live} {
		for i, e := range p.events {
			answer := ""
			err := g.Handle(t.Context(), effect.Handling{Handler: "billing", Event: e, Mode: mode}, func(ctx context.Context) (err error) {
				answer, err = effect.Do(ctx, "charge", "2", func(context.Context, string) (string, error) { return "sent", nil })
				return err
			})
			want := []string{"ok", ""}[i]
			if answer != want || (err != nil) != (i == 1 && mode == effect.Live) {
				t.Errorf("mode %d, event %d: %q, %v", mode, i, answer, err)
			}
		}
	}
}
