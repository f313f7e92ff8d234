package embedded_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
)

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
	commit, err := store.Append(ctx, "order-7", annals.NoStream,
		annals.Event{Type: "order-placed", Data: []byte(`{"total":12.5}`)},
		annals.Event{Type: "order-paid"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("version", commit.Version)

	_, err = store.Append(ctx, "order-7", 1, annals.Event{Type: "order-canceled"})
	fmt.Println(err)

	for event, err := range store.Stream(ctx, "order-7", nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Version, event.Type, string(event.Data))
	}
	// Output:
	// version 2
	// annals: conflict on stream "order-7": expected version 1, it is at version 2
	// 1 order-placed {"total":12.5}
	// 2 order-paid
}
