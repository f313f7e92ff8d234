package client

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/dynamo"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/storetest"
)

// serveDynamoDB serves a store whose log is numbered some time after the append.
func serveDynamoDB(t *testing.T) string {
	address := dynamo.Address{Name: "test", Region: "us-east-1", Endpoint: awstest.DynamoDB(t)}
	if err := dynamo.Init(t.Context(), address, nil, func(dynamo.Part) {}); err != nil {
		t.Fatal(err)
	}
	driver, err := dynamo.OpenDriver(t.Context(), address, &dynamo.Options{Poll: 2 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var worker sync.WaitGroup
	worker.Go(func() {
		if err := dynamo.NewWorker(driver).Run(ctx); err != nil {
			t.Errorf("the worker ended: %v", err)
		}
	})
	store := annals.New(driver, nil)
	server := httptest.NewServer(httpapi.New(store, &httpapi.Options{Logger: slog.New(slog.DiscardHandler)}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		cancel()
		worker.Wait()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.URL
}

func TestContractAgainstAServerOverDynamoDB(t *testing.T) {
	addresses := map[string]string{}
	storetest.Run(t, func(t *testing.T, dir string) annals.Driver {
		if addresses[dir] == "" {
			addresses[dir] = serveDynamoDB(t)
		}
		d, err := OpenDriver(addresses[dir], nil)
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}
