package sqltest_test

import (
	"testing"

	"github.com/eb901187/annals/sqltest"
)

// A test has a database to itself and leaves the rest to the package.
func Example() {
	testOrders := func(t *testing.T) {
		db := sqltest.Postgres(t)
		if _, err := db.ExecContext(t.Context(), "CREATE TABLE orders (id text PRIMARY KEY)"); err != nil {
			t.Fatal(err)
		}
	}
	_ = testOrders
	// Output:
}
