package stores_test

import (
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/storetest/stores"
)

// What holds on one store holds on the other.
func Example() {
	place := func(t *testing.T, store *annals.Store) {
		if _, err := store.Append(t.Context(), "order-7", annals.NoStream, annals.Event{Type: "order-placed"}); err != nil {
			t.Error(err)
		}
	}
	testOrders := func(t *testing.T) {
		place(t, stores.Memory(t, nil))
		place(t, stores.DynamoDB(t, awstest.DynamoDB(t), "orders"))
	}
	_ = testOrders
}
