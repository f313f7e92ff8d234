package viewtest_test

import (
	"testing"

	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/pebbleview"
	"github.com/eb901187/annals/view/viewtest"
)

// A package that makes a view.Store has this test.
func Example() {
	testStore := func(t *testing.T) {
		viewtest.Test(t, func(*testing.T) view.Store { return pebbleview.Memory() }, nil)
	}
	_ = testStore
	// Output:
}
