package consumer_test

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/view/pebbleview"
)

// A consumer welcomes users, whose events may have come before it ran.
func Example() {
	store, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem()})
	if err != nil {
		panic(err)
	}
	defer store.Close()
	views := pebbleview.Memory()
	defer views.Close()

	ctx, stop := context.WithCancel(context.Background())
	commit, err := store.Append(ctx, "user-7", annals.NoStream, annals.Event{Type: "user-created", Data: []byte(`{"name":"Ada"}`)})
	if err != nil {
		panic(err)
	}

	welcome := consumer.Each(func(ctx context.Context, m *consumer.Message) error {
		fmt.Println("welcome,", m.Stream)
		return nil
	})
	runner, err := consumer.New(store, views, "welcome", annals.Query{Types: []string{"user-created"}}, welcome, nil)
	if err != nil {
		panic(err)
	}
	ended := make(chan error)
	go func() { ended <- runner.Run(ctx) }()

	if err := runner.WaitFor(ctx, commit.Position); err != nil {
		panic(err)
	}
	stop()
	fmt.Println(<-ended)
	// Output:
	// welcome, user-7
	// context canceled
}
