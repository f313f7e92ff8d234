package linear_test

import (
	"context"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/robust/linear"
)

// Four clients share a stream; what they were answered is then explained.
func Example() {
	ctx := context.Background()
	store, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	work := &linear.Workload{
		Stream: "account-7", Seed: 1, Clients: 4, Operations: 200, Mistaken: 20, Timeout: time.Minute,
		Store: func(int) *annals.Store { return store },
	}
	history, err := work.Run(ctx).Finish(ctx, store)
	if err != nil {
		fmt.Println(err)
		return
	}
	report := linear.Check([]*linear.History{history}, time.Minute)
	fmt.Println(report.Operations, "operations,", len(report.Illegal), "illegal,", len(report.Undecided), "undecided")
	// Output: 201 operations, 0 illegal, 0 undecided
}
