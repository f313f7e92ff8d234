package playback_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/playback"
)

// Orders are played back to a stream of the same store, for a subscriber that comes later.
func Example() {
	dir, err := os.MkdirTemp("", "annals-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	store, err := embedded.Open(filepath.Join(dir, "store"), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	ctx := context.Background()
	for _, stream := range []string{"order-1", "basket-1", "order-2"} {
		if _, err := store.Append(ctx, stream, annals.Any, annals.Event{ID: "1", Type: "placed"}); err != nil {
			log.Fatal(err)
		}
	}

	orders := playback.Selection{Streams: []string{"order-*"}}
	run, err := playback.Start(ctx, store, orders, playback.ToStream("orders"), &playback.Options{ID: "april"})
	if err != nil {
		log.Fatal(err)
	}
	done, err := run.Run(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(done.State, done.Count, "events up to", done.Position)
	for e, err := range store.Stream(ctx, playback.StreamPrefix+"orders", nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Version, e.ID, e.Attributes[playback.AttributeOf])
	}
	// Output:
	// finished 2 events up to 3
	// 1 april:1 order-1@1
	// 2 april:3 order-2@1
}
