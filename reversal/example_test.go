package reversal_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/reversal"
)

// open opens a store in memory with the events of an order.
func open(ctx context.Context) *annals.Store {
	store, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range []annals.Event{
		{Type: "order-placed", Data: []byte(`{"status":"placed","total":12.50}`)},
		{Type: "order-paid", Data: []byte(`{"status":"paid","paid":12.50}`)},
		{Type: "order-sent", Data: []byte(`{"status":"sent"}`)},
	} {
		if _, err := store.Append(ctx, "order-7", annals.Any, e); err != nil {
			log.Fatal(err)
		}
	}
	return store
}

// The payment is taken back; what was written later stays.
func Example() {
	ctx := context.Background()
	store := open(ctx)
	defer store.Close()

	plan, err := reversal.NewPlan(ctx, store, reversal.Target{Stream: "order-7", Version: 2}, &reversal.Options{Reason: "the payment was for order-8"})
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range plan.Streams {
		fmt.Printf("%s → %s by %s\n", s.Before, s.After, s.Reversed[0].Way)
		for _, e := range s.Events {
			fmt.Printf("%s@%d %s %s\n", e.Stream, e.Version, e.Type, e.Data)
		}
	}
	if _, err := reversal.Apply(ctx, store, plan); err != nil {
		log.Fatal(err)
	}
	// Output:
	// {"paid":12.50,"status":"sent","total":12.50} → {"status":"sent","total":12.50} by merge-patch
	// order-7@4 annals.event-reversed {"paid":null}
}

// An aggregate, whose events are no patches, declares what undoes them.
func ExampleInverse() {
	ctx := context.Background()
	store := open(ctx)
	defer store.Close()

	refund := func(_ context.Context, before json.RawMessage, e *annals.Event) ([]annals.Event, error) {
		var paid struct {
			Paid json.Number `json:"paid"`
		}
		if err := json.Unmarshal(e.Data, &paid); err != nil {
			return nil, err
		}
		data, err := json.Marshal(map[string]any{"refunded": paid.Paid, "status": "refunded"})
		return []annals.Event{{Type: "order-refunded", Data: data}}, err
	}
	plan, err := reversal.NewPlan(ctx, store, reversal.Target{Stream: "order-7", Version: 2}, &reversal.Options{
		Inverses: map[string]reversal.Inverse{"order-paid": refund},
	})
	if err != nil {
		log.Fatal(err)
	}
	e := plan.Streams[0].Events[0]
	fmt.Println(e.Type, string(e.Data), e.Attributes[reversal.AttributeReverses])
	// Output: order-refunded {"refunded":12.50,"status":"refunded"} order-7@2
}
