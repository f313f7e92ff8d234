package console_test

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
)

// repair handles all events again by code that asks for another amount.
func (b *billed) repair(amount int) {
	b.t.Helper()
	if _, err := effect.RequestRepair(b.t.Context(), b.store, "billing", effect.RepairOptions{From: 1, Reason: "tax was left out " + odd}); err != nil {
		b.t.Fatal(err)
	}
	past := &effect.Past{
		Reached: func(context.Context) (int64, error) { return b.events[len(b.events)-1].Position, nil },
		Events: func(_ context.Context, from, to int64) iter.Seq2[*consumer.Message, error] {
			return func(yield func(*consumer.Message, error) bool) {
				for _, e := range b.events {
					if from <= e.Position && e.Position <= to && !yield(&consumer.Message{Event: *e}, nil) {
						return
					}
				}
			}
		},
		Handle: func(_ context.Context, m *consumer.Message, _ *effect.RepairTurn) error {
			var i int
			if _, err := fmt.Sscanf(m.Stream, "order-%d", &i); err != nil {
				return err
			}
			return asks(m.Context(), i, nil, amount)
		},
	}
	if err := b.gateway.Ledger("billing").Tend(b.t.Context(), past); err != nil {
		b.t.Fatal(err)
	}
}

func (b *billed) states() string {
	b.t.Helper()
	found, err := effect.Differences(b.t.Context(), b.store, "billing")
	if err != nil {
		b.t.Fatal(err)
	}
	var states []string
	for _, f := range found {
		states = append(states, string(f.State))
	}
	return strings.Join(states, " ")
}

func (b *billed) ids() (ids []string) {
	b.t.Helper()
	found, err := effect.Differences(b.t.Context(), b.store, "billing")
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range found {
		ids = append(ids, f.ID)
	}
	return ids
}

func TestRepairsAreDecided(t *testing.T) {
	const approve, reject = "repairs/billing/approve", "repairs/billing/reject"
	b := bill(t, nil, nil, nil, nil)
	b.sees("repairs/billing", http.StatusOK, "Nobody has asked for a repair of billing.", "No outside call differs")
	b.repair(15)
	b.sees("repairs", http.StatusOK, "billing", `href="/console/repairs/billing"`, ">4<", "repaired")
	page := b.sees("repairs/billing", http.StatusOK, "tax was left out "+odd, `"amount": 12`, `"amount": 15`, oddScript, `-     "amount": 12`, `+     "amount": 15`, "all 4 that are open", `href="/console/event/order-0?version=1"`)
	b.lacks(page, "<script>alert", "<img", "hunter2")
	ids := b.ids()

	form := b.form(page, approve)
	if status, answer := b.send(approve, b.form(page, approve), "id", ids[0], "which", "selected", "confirm", "bill"); status != http.StatusBadRequest {
		t.Fatalf("%d\n%s", status, answer)
	}
	if status, _ := b.send(approve, b.form(page, approve), "which", "selected", "confirm", "billing"); status != http.StatusBadRequest {
		t.Errorf("nothing ticked: %d", status)
	}
	if status, _ := b.send(approve, b.form(page, approve), "id", "other@3", "which", "selected", "confirm", "billing"); status != http.StatusBadRequest {
		t.Errorf("another handler's: %d", status)
	}
	if b.states() != "open open open open" {
		t.Fatal(b.states())
	}
	status, answer := b.send(approve, form, "id", ids[0], "which", "selected", "confirm", "billing")
	if status != http.StatusOK || b.states() != "approved open open open" {
		t.Fatalf("%d, %s\n%s", status, b.states(), answer)
	}
	b.holds(answer, "the difference "+ids[0]+" is approved")
	if a := b.noted(); a.What != "effect.approve" || a.Target != "billing" || a.Error != "" {
		t.Errorf("%+v", a)
	}
	if status, answer = b.send(approve, form); status != http.StatusConflict { // sent twice
		t.Fatalf("%d\n%s", status, answer)
	}
	b.holds(answer, "is approved already")

	page = b.sees("repairs/billing", http.StatusOK, "all 3 that are open")
	b.lacks(page, ids[0]+"</label>")
	if status, _ := b.send(reject, b.form(page, reject), "id", ids[1], "which", "selected"); status != http.StatusBadRequest {
		t.Errorf("without a reason: %d", status)
	}
	if status, answer := b.send(reject, b.form(page, reject), "id", ids[1], "id", ids[2], "which", "selected", "reason", "they agreed"); status != http.StatusOK || b.states() != "approved rejected rejected open" {
		t.Fatalf("%d, %s\n%s", status, b.states(), answer)
	}
	// All that were open when the page was made are two more than there are.
	if status, answer := b.send(approve, b.form(page, approve), "which", "all", "confirm", "billing"); status != http.StatusConflict {
		t.Fatalf("%d\n%s", status, answer)
	}
	page = b.sees("repairs/billing", http.StatusOK)
	if status, answer := b.send(approve, b.form(page, approve), "which", "all", "confirm", "billing"); status != http.StatusOK || b.states() != "approved rejected rejected approved" {
		t.Fatalf("%d, %s\n%s", status, b.states(), answer)
	}
	b.sees("repairs/billing", http.StatusOK, "No outside call differs that somebody has to decide about.")
	b.sees("repairs/billing?all=1", http.StatusOK, "they agreed", "approved", "rejected")
	b.lacks(b.sees("repairs/billing?all=1", http.StatusOK), "all 0 that are open")
}

func TestFindingsComeInPages(t *testing.T) {
	b := bill(t, make([]error, 30)...)
	b.repair(15)
	page := b.sees("repairs/billing", http.StatusOK, "order-0@1", "order-24@1")
	b.lacks(page, "order-25@1")
	page = b.sees(regexp1(t, `href="([^"]*)" rel="next"`, page), http.StatusOK, "order-25@1", "order-29@1", "First")
	b.lacks(page, "order-24@1")
	b.sees("repairs/billing?from=9999999999", http.StatusOK, "No outside call differs")
}

// Calls that were never made, or would not be made any more, have one side.
func TestFindingsWithOneSide(t *testing.T) {
	b := bill(t, nil)
	commit := b.append("order-1", annals.Event{Type: "placed", Data: []byte(`{}`)})
	b.events = append(b.events, &annals.Event{Stream: "order-1", Version: 1, Position: commit.Position, Type: "placed", Data: []byte(`{}`)})
	b.repair(12)
	b.sees("repairs/billing", http.StatusOK, "order-1@1", "no call")
}
