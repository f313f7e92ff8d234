package main

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/lambda"
	"github.com/eb901187/annals/storetest/stores"
	"github.com/eb901187/annals/view/pebbleview"
)

func TestAnOrderIsPaidOrCancelled(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	store, views := stores.Memory(t, nil), pebbleview.Memory()
	t.Cleanup(func() {
		if err := views.Close(); err != nil {
			t.Error(err)
		}
	})
	all, err := reactors(t.Context(), &lambda.Workplace{Store: store, Views: views, Consumer: &consumer.Options{Clock: clock}})
	if err != nil {
		t.Fatal(err)
	}
	step := func(order, typ string) {
		t.Helper()
		if typ != "" {
			if _, err := store.Append(t.Context(), "order-"+order, annals.Any, annals.Event{Type: typ}); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range all {
			if err := r.CatchUp(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	holds := func(order, want string) {
		t.Helper()
		var got []string
		for e, err := range store.Stream(t.Context(), "order-"+order, nil) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, e.Type)
		}
		if strings.Join(got, " ") != want {
			t.Fatalf("order %s holds %v, want %s", order, got, want)
		}
	}
	step("1", "order-placed")
	step("2", "order-placed")
	step("1", "order-paid")
	holds("1", "order-placed payment-requested order-paid")
	mu.Lock()
	now = now.Add(2 * payWithin)
	mu.Unlock()
	step("", "")
	holds("1", "order-placed payment-requested order-paid")
	holds("2", "order-placed payment-requested order-cancelled")
}
