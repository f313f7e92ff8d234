// Command saga runs two orders through payment and shipping on a store in a
// temporary directory. One is shipped; the other can't be, so that its payment is
// refunded and it is canceled. It prints what each saga's stream holds.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/reaction"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/pebbleview"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// An Order is what a saga knows about the order that it is for.
type Order struct {
	Amount  int    `json:"amount"`
	Address string `json:"address"`
	Receipt string `json:"receipt,omitempty"`
}

// issue is the command of a type, sent to the stream service-ID.
func issue(service, typ string) func(context.Context, *reaction.Command[Order]) error {
	return func(ctx context.Context, c *reaction.Command[Order]) error {
		data, err := json.Marshal(c.State)
		if err != nil {
			return err
		}
		_, err = c.Append(ctx, service+"-"+c.ID, annals.Any, annals.Event{Type: typ, Data: data})
		return err
	}
}

var orders = reaction.Saga[Order]{
	Name:   "order",
	ID:     func(e *annals.Event) string { return strings.TrimPrefix(e.Stream, "order-") },
	Starts: []string{"order-placed"},
	Start:  func(o *Order, e *annals.Event) error { return json.Unmarshal(e.Data, o) },
	Steps: []reaction.Step[Order]{{
		Name: "order",
		Do:   reaction.Action[Order]{Issue: issue("order", "order-accepted")},
		Undo: reaction.Action[Order]{Issue: issue("order", "order-canceled")},
	}, {
		Name: "payment",
		Do: reaction.Action[Order]{
			Issue:   issue("payment", "payment-requested"),
			Success: []string{"payment-received"}, Failure: []string{"payment-declined"},
			Keep: func(o *Order, e *annals.Event) error {
				o.Receipt = fmt.Sprintf("%s@%d", e.Stream, e.Version)
				return nil
			},
			Timeout: 10 * time.Minute,
		},
		Undo: reaction.Action[Order]{Issue: issue("payment", "refund-requested"), Success: []string{"payment-refunded"}},
	}, {
		Name: "shipping",
		Do: reaction.Action[Order]{
			Issue:   issue("shipping", "shipping-requested"),
			Success: []string{"order-shipped"}, Failure: []string{"shipping-refused"},
			Timeout: 24 * time.Hour,
		},
	}},
}

// serve answers commands as the services for payment and shipping would.
func serve(ctx context.Context, t *reaction.Turn) error {
	answer := func(typ, data string) error {
		_, err := t.Append(ctx, t.Stream, annals.Any, reaction.Reply(&t.Event, typ, []byte(data)))
		return err
	}
	var order Order
	if err := json.Unmarshal(t.Data, &order); err != nil {
		return consumer.Permanent(err)
	}
	switch {
	case t.Type == "payment-requested":
		return answer("payment-received", `{}`)
	case t.Type == "refund-requested":
		return answer("payment-refunded", `{}`)
	case order.Address == "":
		return answer("shipping-refused", `{"error":"there is no address"}`)
	}
	return answer("order-shipped", `{}`)
}

// clock stands still, so that the output is the same each time and a test can
// check it.
func clock() time.Time { return time.Date(2020, 5, 1, 20, 0, 0, 0, time.UTC) }

func run(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "annals")
	if err != nil {
		return err
	}
	store, err := embedded.Open(dir, &embedded.Options{Store: &annals.Options{Clock: clock}})
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	views := pebbleview.Memory()
	defer func() { err = errors.Join(err, views.Close(), store.Close(), os.RemoveAll(dir)) }()
	if err := process(ctx, store, views); err != nil {
		return err
	}
	for _, stream := range []string{"saga-order/1", "saga-order/2"} {
		if err := show(ctx, out, store, stream); err != nil {
			return err
		}
	}
	return nil
}

// process places two orders and lets sagas and services work until both have
// ended.
func process(ctx context.Context, store *annals.Store, views view.Store) error {
	opts := &reaction.Options{Consumer: &consumer.Options{Clock: clock}}
	sagas, err := reaction.NewProcess(store, views, orders, opts)
	if err != nil {
		return err
	}
	commands := annals.Query{Types: []string{"payment-requested", "refund-requested", "shipping-requested"}}
	services, err := reaction.New(store, views, "services", commands, serve, opts)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel(nil)
	running.Go(func() { cancel(sagas.Run(ctx)) })
	running.Go(func() { cancel(services.Run(ctx)) })
	for id, order := range []Order{{Amount: 30, Address: "Main Street 1"}, {Amount: 12}} {
		data, err := json.Marshal(order)
		if err != nil {
			return err
		}
		placed := annals.Event{ID: "1", Type: "order-placed", Data: data}
		if _, err := store.Append(ctx, "order-"+strconv.Itoa(id+1), annals.NoStream, placed); err != nil {
			return err
		}
	}
	ends := annals.Query{Types: []string{reaction.SagaCompleted, reaction.SagaCompensated}, Limit: 2}
	for _, err := range store.Follow(ctx, ends) {
		if err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
	}
	return nil
}

// show prints a saga's stream as a table.
func show(ctx context.Context, out io.Writer, store *annals.Store, stream string) error {
	fmt.Fprintf(out, "%s\n", stream)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for e, err := range store.Stream(ctx, stream, nil) {
		if err != nil {
			return err
		}
		var d struct{ Step, Error string }
		if err := json.Unmarshal(e.Data, &d); err != nil {
			return err
		}
		row := strings.TrimRight(fmt.Sprintf("%3d\t%s\t%s\t%s\t%s", e.Version, e.Type, e.Causation, d.Step, d.Error), "\t")
		fmt.Fprintln(table, row)
	}
	return table.Flush()
}
