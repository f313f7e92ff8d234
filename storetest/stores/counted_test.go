package stores_test

import (
	"errors"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
	"github.com/eb901187/annals/storetest/stores"
)

// What a Counted driver counts and fails is what is read through it, and nothing that
// goes past it.
func TestCounted(t *testing.T) {
	below := stores.Memory(t, nil)
	driver := &storetest.Counted{Driver: storetest.AsDriver{Store: below}}
	store := annals.New(driver, nil)
	if _, err := store.Append(t.Context(), "s", annals.Any, annals.Event{Type: "a"}, annals.Event{Type: "b"}); err != nil {
		t.Fatal(err)
	}
	read := func(s *annals.Store) (n int, failed error) {
		for _, err := range s.Log(t.Context(), annals.Query{}) {
			if err != nil {
				return n, err
			}
			n++
		}
		for _, err := range s.Stream(t.Context(), "s", nil) {
			if err != nil {
				return n, err
			}
			n++
		}
		_, err := s.End(t.Context())
		return n, err
	}
	if n, err := read(store); n != 4 || err != nil || driver.Read() != 4 {
		t.Fatalf("%d events, %d counted, %v", n, driver.Read(), err)
	}
	gone := errors.New("gone")
	driver.FailReads(gone)
	if _, err := read(store); !errors.Is(err, gone) {
		t.Fatalf("reads give %v", err)
	}
	if _, err := store.End(t.Context()); !errors.Is(err, gone) {
		t.Fatalf("the end gives %v", err)
	}
	if n, err := read(below); n != 4 || err != nil || driver.Read() != 4 {
		t.Fatalf("past it: %d events, %d counted, %v", n, driver.Read(), err)
	}
	driver.FailReads(nil)
	if n, err := read(store); n != 4 || err != nil {
		t.Fatalf("afterwards: %d events, %v", n, err)
	}
}
