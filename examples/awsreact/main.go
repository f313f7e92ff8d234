// Awsreact is a bootstrap of one's own: the stock one, and a saga for role react. An
// order that is not paid in time is cancelled.
package main

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/lambda"
	"github.com/eb901187/annals/reaction"
)

// payWithin is how long an order waits for its payment.
const payWithin = time.Minute

func main() { lambda.Main(&lambda.Program{Reactors: reactors}) }

func reactors(_ context.Context, w *lambda.Workplace) ([]lambda.Reactor, error) {
	payment, err := reaction.NewProcess(w.Store, w.Views, saga(payWithin), &reaction.Options{Effects: w.Effects, Consumer: w.Consumer})
	return []lambda.Reactor{payment}, err
}

// order is what a saga knows.
type order struct{ Stream string }

// saga asks for the payment of each order, and cancels the order without it.
func saga(within time.Duration) reaction.Saga[order] {
	return reaction.Saga[order]{
		Name:   "payment",
		ID:     func(e *annals.Event) string { id, _ := strings.CutPrefix(e.Stream, "order-"); return id },
		Starts: []string{"order-placed"},
		Start:  func(o *order, e *annals.Event) error { o.Stream = e.Stream; return nil },
		Steps: []reaction.Step[order]{
			{Name: "hold", Do: note("payment-requested"), Undo: note("order-cancelled")},
			{Name: "pay", Do: reaction.Action[order]{
				Issue:   func(context.Context, *reaction.Command[order]) error { return nil }, // the customer was asked
				Success: []string{"order-paid"}, Timeout: within,
			}},
		},
	}
}

// note appends an event of this type to the order, and has then succeeded.
func note(typ string) reaction.Action[order] {
	return reaction.Action[order]{Issue: func(ctx context.Context, c *reaction.Command[order]) error {
		data, err := json.Marshal(map[string]string{"saga": c.Saga})
		if err != nil {
			return err
		}
		_, err = c.Append(ctx, c.State.Stream, annals.Any, annals.Event{Type: typ, Data: data})
		return err
	}}
}
