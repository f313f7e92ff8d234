package view_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strconv"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/pebbleview"
)

// A document and the checkpoint that it came from change together, and only if
// the checkpoint is still the one that the work began at.
func ExampleStore() {
	var views view.Store = pebbleview.Memory()
	defer views.Close()
	ctx := context.Background()

	checkpoint := view.Key{Space: "consumers", Key: "totals"}
	total := func(sum float64, from []byte, at int64) error {
		return views.Commit(ctx, view.Change{
			Expect: []view.Expectation{{Key: checkpoint, Data: from}},
			Put: []view.Put{
				{Space: "totals@1", Document: view.Document{Key: "customer-3", Data: fmt.Appendf(nil, `{"sum":%g}`, sum), Position: at}},
				{Space: checkpoint.Space, Document: view.Document{Key: checkpoint.Key, Data: strconv.AppendInt(nil, at, 10)}},
			},
		})
	}
	if err := total(12.5, nil, 1); err != nil {
		log.Fatal(err)
	}
	if err := total(15.5, []byte("1"), 2); err != nil {
		log.Fatal(err)
	}
	err := total(99, []byte("1"), 2) // another runner that began at the same place
	fmt.Println(errors.Is(err, annals.ErrConflict), err)

	documents, err := views.Get(ctx, "totals@1", "customer-3")
	fmt.Println(string(documents["customer-3"].Data), err)
	// Output:
	// true annals: document "totals" of consumers was changed meanwhile (read it again and decide anew)
	// {"sum":15.5} <nil>
}
