package client_test

import (
	"context"
	"fmt"
	"log"
	"net/http/httptest"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/view/pebbleview"
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

// A program reads what its own append has made of a view.
func ExampleProjections_Document() {
	served, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem()})
	if err != nil {
		log.Fatal(err)
	}
	defer served.Close()
	views := pebbleview.Memory()
	defer views.Close()
	ctx, stop := context.WithCancel(context.Background())
	set, err := projection.Open(ctx, served, views, []*projection.Projection{projection.State()}, nil)
	if err != nil {
		log.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = set.Run(ctx) }) // until stop
	defer running.Wait()
	defer stop()
	server := httptest.NewServer(httpapi.New(served, &httpapi.Options{Projections: set})) // what annals serve --state does
	defer server.Close()

	commit, err := served.Append(ctx, "order-7", annals.NoStream, annals.Event{Type: "order-placed", Data: []byte(`{"total":12.5}`)})
	if err != nil {
		log.Fatal(err)
	}
	projections, err := client.OpenProjections(server.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer projections.Close()
	doc, at, err := projections.Document(ctx, "state", "order-7", &client.ReadOptions{
		ReadOptions: projection.ReadOptions{Wait: commit.Position},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(doc.Data), "as of position", at.Position)
	// Output: {"total":12.5} as of position 1
}
