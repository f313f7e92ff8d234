package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

// nowhere is a driver that has nothing.
type nowhere struct{ annals.Driver }

func (nowhere) Append(context.Context, string, int64, []annals.Event) (annals.Commit, error) {
	return annals.Commit{Version: 1, Position: 1, Count: 1}, nil
}

func (nowhere) Stream(context.Context, string, int64, int64, bool) iter.Seq2[annals.Event, error] {
	return func(func(annals.Event, error) bool) {}
}

func Example() {
	faulty := &storetest.Faulty{Driver: nowhere{}}
	store := annals.New(faulty, &annals.Options{Pause: func(context.Context, int) {}})
	faulty.FailAppends(storetest.LostRequest, storetest.LostRequest, storetest.LostRequest)
	_, err := store.Append(context.Background(), "order-7", 0, annals.Event{Type: "order-placed"})
	fmt.Println(errors.Is(err, annals.ErrUnknownOutcome))
	// Output: true
}
