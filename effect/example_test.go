package effect_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/embedded"
)

// A handler charges a customer. The event comes twice; the card is charged once.
func ExampleGateway() {
	charges := 0
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		charges++
		fmt.Fprintf(w, `{"charge":%d}`, charges)
	}))
	defer provider.Close()

	store, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem()})
	if err != nil {
		panic(err)
	}
	defer store.Close()
	gateway, err := effect.New(store, nil)
	if err != nil {
		panic(err)
	}
	client := &http.Client{Transport: &effect.Transport{}}
	charge := func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, provider.URL+"/charges", strings.NewReader(`{"amount":12}`))
		if err != nil {
			return err
		}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		fmt.Println("the provider said", answer.Status)
		return nil
	}

	ctx := context.Background()
	commit, err := store.Append(ctx, "order-7", annals.NoStream, annals.Event{Type: "order-placed"})
	if err != nil {
		panic(err)
	}
	event := &annals.Event{Stream: commit.Stream, Version: commit.Version, Position: commit.Position}
	for range 2 {
		if err := gateway.Handle(ctx, effect.Handling{Handler: "billing", Event: event}, charge); err != nil {
			panic(err)
		}
	}
	entries, err := effect.Journal(ctx, store, "billing", "order-7@1")
	if err != nil {
		panic(err)
	}
	fmt.Println(charges, "charge;", entries[0].Request.Method, entries[0].Status, entries[0].Response.Data)
	// Output:
	// the provider said 200 OK
	// the provider said 200 OK
	// 1 charge; POST answered map[charge:1]
}
