package client_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"os"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/httpapi"
)

func Example() {
	dir, err := os.MkdirTemp("", "annals")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	served, err := embedded.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer served.Close()
	server := httptest.NewServer(httpapi.New(served, nil)) // what annals serve does
	defer server.Close()

	store, err := client.Open(server.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	ctx := context.Background()
	if _, err := store.Append(ctx, "order-7", annals.NoStream, annals.Event{Type: "order-placed"}); err != nil {
		log.Fatal(err)
	}
	for event, err := range store.Log(ctx, annals.Query{Types: []string{"order-placed"}}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Position, event.Stream, event.Type)
	}
	// Output: 1 order-7 order-placed
}
