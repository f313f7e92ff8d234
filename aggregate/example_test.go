package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/eb901187/annals/aggregate"
	"github.com/eb901187/annals/embedded"
)

// The events of a cart.
type (
	CartEvent interface{ cartEvent() }

	ItemAdded struct {
		Item  string `json:"item"`
		Count int    `json:"count"`
	}
	CheckedOut struct{}
)

func (ItemAdded) cartEvent()  {}
func (CheckedOut) cartEvent() {}

// Cart is the state that commands decide by.
type Cart struct {
	Items      int
	CheckedOut bool
}

// carts says how carts are stored: the names are for ever, the Go types are not.
var carts = aggregate.Must(aggregate.New("cart", aggregate.Schema[CartEvent]{
	Events: []aggregate.Variant[CartEvent]{
		aggregate.Event[CartEvent, ItemAdded]("item-added", 1),
		aggregate.Event[CartEvent, CheckedOut]("cart-checked-out", 1),
	},
}, func(c Cart, e CartEvent) Cart {
	switch e := e.(type) {
	case ItemAdded:
		c.Items += e.Count
	case CheckedOut:
		c.CheckedOut = true
	}
	return c
}, &aggregate.Options[Cart]{SnapshotVersion: 1, Snapshot: aggregate.Every(100)}))

var errCheckedOut = errors.New("the cart is checked out")

// AddItem is a command.
func AddItem(item string, count int) func(Cart) ([]CartEvent, error) {
	return func(c Cart) ([]CartEvent, error) {
		if c.CheckedOut {
			return nil, errCheckedOut
		}
		return []CartEvent{ItemAdded{item, count}}, nil
	}
}

// CheckOut is a command that has nothing to do the second time.
func CheckOut(c Cart) ([]CartEvent, error) {
	if c.CheckedOut {
		return nil, nil
	}
	return []CartEvent{CheckedOut{}}, nil
}

func Example() {
	dir, err := os.MkdirTemp("", "annals")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := embedded.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	ctx := context.Background()
	repository := aggregate.NewRepository(store, carts, nil)

	// The request has an id, so that a client that saw no answer can repeat it.
	request := &aggregate.CommandOptions{IdempotencyKey: "request-1", Correlation: "request-1"}
	added, err := repository.Execute(ctx, "7", AddItem("pen", 3), request)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("items", added.State.Items, "version", added.Version)

	if _, err := repository.Execute(ctx, "7", CheckOut, nil); err != nil {
		log.Fatal(err)
	}
	_, err = repository.Execute(ctx, "7", AddItem("ink", 1), nil)
	fmt.Println(err)

	again, err := repository.Execute(ctx, "7", AddItem("pen", 3), request)
	fmt.Println("items", again.State.Items, "version", again.Version, "replayed", again.Replayed, err)

	now, err := repository.Load(ctx, "7")
	fmt.Println("items", now.State.Items, "version", now.Version, "checked out", now.State.CheckedOut, err)
	// Output:
	// items 3 version 1
	// the cart is checked out
	// items 3 version 1 replayed true <nil>
	// items 3 version 2 checked out true <nil>
}
