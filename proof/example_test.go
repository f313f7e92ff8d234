package proof_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/proof"
)

// An auditor who kept a root is shown that an event is in the log, and that a later
// root is of the same log.
func Example() {
	clock := func() time.Time { return time.Date(2020, 5, 1, 20, 0, 0, 0, time.UTC) }
	store, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem(), Store: &annals.Options{Clock: clock}})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	ctx := context.Background()
	for _, id := range []string{"a", "b", "c"} {
		if _, err := store.Append(ctx, "order-7", annals.Any, annals.Event{ID: id, Type: "order-changed"}); err != nil {
			log.Fatal(err)
		}
	}
	tree := proof.NewTree(store, nil)
	kept, err := tree.Root(ctx, 2) // what the auditor wrote down
	if err != nil {
		log.Fatal(err)
	}
	included, err := tree.Inclusion(ctx, 1, kept.Size)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(included.Event.ID, "is in it:", included.Check(kept) == nil)
	extended, err := tree.Extension(ctx, kept.Size, 3)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("the log of", extended.Root.Size, "begins with it:", extended.Check(kept) == nil)
	included.Event.ID = "z"
	fmt.Println("z is in it:", included.Check(kept) == nil)
	// Output:
	// a is in it: true
	// the log of 3 begins with it: true
	// z is in it: false
}
