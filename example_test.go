package annals_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
)

// A withdrawal decides on what the stream says, and decides again when another
// one came first.
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
	deposit := annals.Event{Type: "deposited", Data: []byte(`100`)}
	if _, err := store.Append(ctx, "account-1", annals.NoStream, deposit); err != nil {
		log.Fatal(err)
	}

	version := int64(0) // as a reader that is not up to date knows it
	for {
		_, err := store.Append(ctx, "account-1", version, annals.Event{Type: "withdrawn", Data: []byte(`30`)})
		var conflict *annals.ConflictError
		if errors.As(err, &conflict) {
			fmt.Println(err)
			version = conflict.Actual
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		break
	}
	for event, err := range store.Log(ctx, annals.Query{Types: []string{"withdrawn"}}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s@%d %s\n", event.Stream, event.Version, event.Data)
	}
	// Output:
	// annals: conflict on stream "account-1": expected no stream, it is at version 1
	// account-1@2 30
}
