package projection

import (
	"testing"

	"github.com/eb901187/annals"
)

// What tests outside of the package share with those inside.
var (
	NewStore = newStore
	Closing  = closing
	Quiet    = quiet
)

// Running is a Set that runs until the test ends, with views in memory.
func Running(t testing.TB, store *annals.Store, projections ...*Projection) *Set {
	s, _ := open(t, store, newViews(t), quick(), projections...)
	return s
}
