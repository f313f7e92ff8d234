package sink_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/tracking"
	"github.com/eb901187/annals/tracking/sink"
)

func Example() {
	dir, err := os.MkdirTemp("", "sink")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := embedded.Open(dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	to := sink.ToStore(store)
	event := annals.Event{ID: "1", Stream: "req-1", Correlation: "req-1", Type: tracking.RequestType, Source: "Gateway", Data: []byte(`{"Name":"Microservice A"}`)}
	for range 2 { // a delivery that is repeated is stored once
		if err := to.Deliver(context.Background(), []annals.Event{event}); err != nil {
			log.Fatal(err)
		}
	}
	end, err := store.End(context.Background())
	fmt.Println(end, err)
	// Output: 1 <nil>
}
