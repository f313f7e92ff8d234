package effect_test

import (
	"context"
	"log/slog"
	"net"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/storetest/stores"
)

// overHTTP is a store that a server has open.
func overHTTP(t *testing.T) *annals.Store {
	ctx, cancel := context.WithCancel(context.Background())
	server := httptest.NewUnstartedServer(httpapi.New(openStore(t), &httpapi.Options{Logger: slog.New(slog.DiscardHandler)}))
	server.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	server.Start()
	store, err := client.Open(server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
		cancel()
		server.Close()
	})
	return store
}

// onDynamoDB is a store whose log is numbered some time after the append.
func onDynamoDB(t *testing.T) *annals.Store { return stores.DynamoDB(t, awstest.DynamoDB(t), "test") }

// A crash and all that follows, over every kind of store.
func TestStores(t *testing.T) {
	for name, open := range map[string]func(*testing.T) *annals.Store{"server": overHTTP, "DynamoDB": onDynamoDB} {
		t.Run(name, func(t *testing.T) {
			const orders = 3
			s := newShop(t, open(t), orders, true)
			crash, _ := crashAfter(7)
			s.run(t, crash)
			s.run(t, func(effect.Step) error { return nil })
			deadline := time.Now().Add(time.Minute)
			for err := s.check(orders); err != nil; err = s.check(orders) { // the log may come later
				if time.Now().After(deadline) {
					t.Fatal(err)
				}
				runtime.Gosched()
			}
		})
	}
}
