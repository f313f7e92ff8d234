package dynamo_test

import (
	"context"
	"fmt"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
)

// What annals init makes.
func ExampleAddress_Plan() {
	address, err := dynamo.ParseAddress("dynamodb://orders?region=eu-central-1&bucket=orders-log")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, part := range address.Plan() {
		fmt.Printf("%s: %s\n", part.Resource, part.Setting)
	}
	// Output:
	// table orders-events: keys stream (S), version (N); on-demand; stream of new images; deletion protection
	// table orders-events: point-in-time recovery
	// table orders-log: keys key (S), at (N); on-demand; stream of keys; deletion protection
	// table orders-log: point-in-time recovery
	// table orders-log: time to live by until
	// table orders-views: keys space (S), key (S); on-demand; deletion protection
	// table orders-views: point-in-time recovery
	// table orders-views: the mark of layout 1
	// bucket orders-log: in the tables' region; encrypted
	// bucket orders-log: no public access
	// bucket orders-log: lifecycle: orders/pending/ is removed after 30 days, parts of uploads after 7
	// table orders-log: the mark of layout 1
}

// An append, what it cost, and its position once a sequencer has come to it.
func ExampleMetered() {
	address, err := dynamo.ParseAddress("dynamodb://orders?region=eu-central-1&bucket=orders-log")
	if err != nil {
		fmt.Println(err)
		return
	}
	store, err := dynamo.Open(context.Background(), address, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, meter := dynamo.Metered(context.Background())
	commit, err := store.Append(ctx, "order-7", annals.NoStream, annals.Event{Type: "order-placed", Data: []byte(`{"total":12.5}`)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.1f WRU, %.1f RRU\n", meter.Cost().Writes, meter.Cost().Reads)
	if commit, err = store.Wait(ctx, commit); err == nil {
		fmt.Println(commit.Position)
	}
}
