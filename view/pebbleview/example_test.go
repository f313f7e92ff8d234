package pebbleview_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/pebbleview"
)

func Example() {
	dir, err := os.MkdirTemp("", "annals")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	views, err := pebbleview.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer views.Close()

	ctx := context.Background()
	err = views.Commit(ctx, view.Change{Durable: true, Put: []view.Put{
		{Space: "orders@1", Document: view.Document{Key: "order-7", Data: []byte(`{"total":12.5}`), Position: 1}},
		{Space: "orders@1", Document: view.Document{Key: "order-8", Data: []byte(`{"total":3}`), Position: 2}},
	}})
	if err != nil {
		log.Fatal(err)
	}
	for d, err := range views.Scan(ctx, "orders@1", view.Range{Prefix: "order-"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(d.Key, string(d.Data), d.Position)
	}
	_, err = pebbleview.Open(dir, nil)
	fmt.Println("open twice:", errors.Is(err, annals.ErrInUse))
	// Output:
	// order-7 {"total":12.5} 1
	// order-8 {"total":3} 2
	// open twice: true
}

// A store for tests.
func ExampleMemory() {
	views := pebbleview.Memory()
	defer views.Close()
	documents, err := views.Get(context.Background(), "orders@1", "order-7")
	fmt.Println(len(documents), err)
	// Output: 0 <nil>
}
