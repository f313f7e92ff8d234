package reaction_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/reaction"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/pebbleview"
)

// open opens an event store that is gone after the example, and a place for what
// reactions must remember.
func open() (store *annals.Store, views view.Store, done func()) {
	dir, err := os.MkdirTemp("", "annals")
	if err != nil {
		log.Fatal(err)
	}
	if store, err = embedded.Open(dir, nil); err != nil {
		log.Fatal(err)
	}
	views = pebbleview.Memory()
	return store, views, func() {
		store.Close()
		views.Close()
		os.RemoveAll(dir)
	}
}

// A reaction asks for a mail for every order that is placed from now on.
func Example() {
	store, views, done := open()
	defer done()
	confirm := func(ctx context.Context, t *reaction.Turn) error {
		_, err := t.Append(ctx, "mail-"+t.Stream, annals.Any, annals.Event{Type: "mail-requested", Data: t.Data})
		return err
	}
	r, err := reaction.New(store, views, "confirmations", annals.Query{Types: []string{"order-placed"}}, confirm, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(ctx) })

	order, err := store.Append(ctx, "order-7", annals.NoStream, annals.Event{Type: "order-placed", Data: []byte(`{"to":"ann@example.com"}`)})
	if err != nil {
		log.Fatal(err)
	}
	if err := r.WaitFor(ctx, order.Position); err != nil {
		log.Fatal(err)
	}
	for e, err := range store.Stream(ctx, "mail-order-7", nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Type, string(e.Data), "by", e.Source, "because of", e.Causation)
	}
	cancel()
	running.Wait()
	// Output:
	// mail-requested {"to":"ann@example.com"} by reaction/confirmations because of order-7@1
}

// trip is what the saga of ExampleSaga knows.
type trip struct{ Flight string }

// A trip is a flight and a room. There is no room, so the flight is canceled.
func ExampleSaga() {
	store, views, done := open()
	defer done()
	ask := func(service, typ string) func(context.Context, *reaction.Command[trip]) error {
		return func(ctx context.Context, c *reaction.Command[trip]) error {
			_, err := c.Append(ctx, service+"-"+c.ID, annals.Any, annals.Event{Type: typ})
			return err
		}
	}
	saga := reaction.Saga[trip]{
		Name:   "trip",
		ID:     func(e *annals.Event) string { return strings.TrimPrefix(e.Stream, "trip-") },
		Starts: []string{"trip-ordered"},
		Steps: []reaction.Step[trip]{{
			Name: "flight",
			Do: reaction.Action[trip]{
				Issue:   ask("flight", "book-flight"),
				Success: []string{"flight-booked"}, Failure: []string{"flight-full"},
				Keep: func(t *trip, e *annals.Event) error { t.Flight = e.Stream; return nil },
			},
			Undo: reaction.Action[trip]{Issue: ask("flight", "cancel-flight")},
		}, {
			Name: "room",
			Do: reaction.Action[trip]{
				Issue:   ask("room", "book-room"),
				Success: []string{"room-booked"}, Failure: []string{"room-taken"},
				Timeout: time.Hour, Attempts: 1,
			},
		}},
	}
	trips, err := reaction.NewProcess(store, views, saga, nil)
	if err != nil {
		log.Fatal(err)
	}

	// The services that answer are reactions too.
	answers := map[string]string{"book-flight": "flight-booked", "book-room": "room-taken"}
	answer := func(ctx context.Context, t *reaction.Turn) error {
		_, err := t.Append(ctx, t.Stream, annals.Any, reaction.Reply(&t.Event, answers[t.Type], nil))
		return err
	}
	services, err := reaction.New(store, views, "services", annals.Query{Types: []string{"book-flight", "book-room"}}, answer, nil)
	if err != nil {
		log.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = trips.Run(ctx) })
	running.Go(func() { _ = services.Run(ctx) })
	if _, err := store.Append(ctx, "trip-7", annals.NoStream, annals.Event{Type: "trip-ordered"}); err != nil {
		log.Fatal(err)
	}
	for _, err := range store.Follow(ctx, annals.Query{Types: []string{reaction.SagaCompensated}, Limit: 1}) {
		if err != nil {
			log.Fatal(err)
		}
	}
	for e, err := range store.Stream(ctx, "saga-trip/7", nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Version, e.Type, "because of", e.Causation)
	}
	cancel()
	running.Wait()
	// Output:
	// 1 saga-started because of trip-7@1
	// 2 step-started because of trip-7@1
	// 3 step-completed because of flight-7@2
	// 4 step-started because of flight-7@2
	// 5 timeout-set because of flight-7@2
	// 6 step-failed because of room-7@2
	// 7 compensation-started because of room-7@2
	// 8 compensation-completed because of saga-trip/7@7
	// 9 saga-compensated because of saga-trip/7@7
}
