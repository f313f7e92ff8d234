// Package stores opens stores for tests of what is built on them. Each is new, and
// is closed when its test ends.
package stores

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/embedded"
)

// Memory opens an embedded store that has no disk; opts may be nil.
func Memory(t testing.TB, opts *annals.Options) *annals.Store {
	t.Helper()
	store, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler), Store: opts})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closing(t, store) })
	return store
}

// DynamoDB makes and opens the tables called name at endpoint (see package awstest),
// with a worker that numbers the log: some time after each append.
func DynamoDB(t testing.TB, endpoint, name string) *annals.Store {
	t.Helper()
	address := dynamo.Address{Name: name, Region: "us-east-1", Endpoint: endpoint}
	if err := dynamo.Init(t.Context(), address, nil, func(dynamo.Part) {}); err != nil {
		t.Fatal(err)
	}
	driver, err := dynamo.OpenDriver(t.Context(), address, &dynamo.Options{Poll: 2 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	// The test's own context ends before its cleanups.
	ctx, cancel := context.WithCancel(context.Background())
	var worker sync.WaitGroup
	worker.Go(func() {
		if err := dynamo.NewWorker(driver).Run(ctx); err != nil {
			t.Errorf("the worker ended: %v", err)
		}
	})
	store := annals.New(driver, nil)
	t.Cleanup(func() {
		cancel()
		worker.Wait()
		closing(t, store)
	})
	return store
}

func closing(t testing.TB, store *annals.Store) {
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}
