package reaction_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/reaction"
	"github.com/eb901187/annals/view/pebbleview"
)

// benchWorld has stores in a directory, with n events of type order-placed.
func benchWorld(b *testing.B, n int) (*annals.Store, *pebbleview.Store) {
	b.Helper()
	store, err := embedded.Open(b.TempDir(), &embedded.Options{Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	views := pebbleview.Memory()
	b.Cleanup(func() {
		store.Close()
		views.Close()
	})
	for i := range n {
		if _, err := store.Append(b.Context(), fmt.Sprint("order-", i), annals.NoStream, annals.Event{Type: "order-placed", Data: []byte(`{"amount":5}`)}); err != nil {
			b.Fatal(err)
		}
	}
	return store, views
}

// One event in, one synced append out, for each iteration.
func BenchmarkReaction(b *testing.B) {
	store, views := benchWorld(b, b.N)
	r, err := reaction.New(store, views, "bench", orders, func(ctx context.Context, t *reaction.Turn) error {
		_, err := t.Append(ctx, "mail-"+t.Stream, annals.Any, annals.Event{Type: "mail-requested", Data: t.Data})
		return err
	}, nil)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	b.ResetTimer()
	go func() { ended <- r.Run(ctx) }()
	if err := r.WaitFor(ctx, int64(b.N)); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	cancel()
	<-ended
}

// One saga for each iteration, of three steps that nobody answers: seven synced
// appends.
func BenchmarkSaga(b *testing.B) {
	store, views := benchWorld(b, b.N)
	saga := orderSaga()
	for i := range saga.Steps {
		saga.Steps[i].Do.Success, saga.Steps[i].Do.Failure, saga.Steps[i].Do.Keep, saga.Steps[i].Do.Timeout = nil, nil, nil, 0
	}
	p, err := reaction.NewProcess(store, views, saga, nil)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	b.ResetTimer()
	go func() { ended <- p.Run(ctx) }()
	for _, err := range store.Follow(ctx, annals.Query{Types: []string{reaction.SagaCompleted}, Limit: b.N}) {
		if err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	cancel()
	<-ended
}
