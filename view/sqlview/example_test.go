package sqlview_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/sqlview"
)

// A row of the program's own table and a document change together, if the
// document is still the one that was expected.
func Example() {
	dir, err := os.MkdirTemp("", "sqlview")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := sql.Open("sqlite", filepath.Join(dir, "shop.db")+"?_busy_timeout=10000&_journal_mode=WAL")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	ctx := context.Background()
	if _, err := db.ExecContext(ctx, "CREATE TABLE orders (id TEXT PRIMARY KEY, total REAL)"); err != nil {
		log.Fatal(err)
	}
	views, err := sqlview.New(ctx, db, sqlview.SQLite)
	if err != nil {
		log.Fatal(err)
	}
	defer views.Close()

	change := view.Change{
		Expect: []view.Expectation{{Key: view.Key{Space: "consumer/orders", Key: "checkpoint"}}}, // not there yet
		Put:    []view.Put{{Space: "consumer/orders", Document: view.Document{Key: "checkpoint", Data: []byte(`{"position":"1"}`)}}},
		Work: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "INSERT INTO orders VALUES (?, ?)", "order-7", 12.5)
			return err
		},
	}
	fmt.Println("first:", views.Commit(ctx, change))
	fmt.Println("second:", views.Commit(ctx, change))

	var orders int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM orders").Scan(&orders); err != nil {
		log.Fatal(err)
	}
	fmt.Println("orders:", orders)
	// Output:
	// first: <nil>
	// second: annals: document "checkpoint" of consumer/orders was changed meanwhile (read it again and decide anew)
	// orders: 1
}
