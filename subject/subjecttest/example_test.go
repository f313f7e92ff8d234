package subjecttest_test

import (
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/subject/subjecttest"
)

// A test of a driver opens its store with keys of its own, which no erasure waits for.
func Example() {
	testStore := func(t *testing.T, driver annals.Driver) {
		store := annals.New(driver, &annals.Options{Sealer: subjecttest.Keyring(t)})
		defer store.Close()
	}
	_ = testStore
}
