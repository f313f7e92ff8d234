package pebbleview

import (
	"testing"

	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/viewtest"
)

func TestStoreContract(t *testing.T) {
	viewtest.Test(t, func(t *testing.T) view.Store { return mustOpen(t, t.TempDir(), nil) }, nil)
}

func TestStoreContractInMemory(t *testing.T) {
	viewtest.Test(t, func(t *testing.T) view.Store { return Memory() }, nil)
}

func mustOpen(t testing.TB, dir string, opts *Options) *Store {
	t.Helper()
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
