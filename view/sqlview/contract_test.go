package sqlview_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eb901187/annals/sqltest"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/sqlview"
	"github.com/eb901187/annals/view/sqlview/connect"
	"github.com/eb901187/annals/view/viewtest"
)

// addresses make an empty database each and return its URL.
var addresses = map[string]func(testing.TB) string{
	"SQLite":     func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "views.db") },
	"PostgreSQL": sqltest.PostgresURL,
	"MariaDB":    sqltest.MariaDBURL,
}

// onEach runs test on an empty database of each kind.
func onEach(t *testing.T, test func(t *testing.T, address string)) {
	for name, address := range addresses {
		t.Run(name, func(t *testing.T) { test(t, address(t)) })
	}
}

func open(t testing.TB, address string) *sqlview.Store {
	t.Helper()
	s, err := connect.Open(context.Background(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return s
}

func execute(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// withTable makes the table that the contract's Work writes to.
func withTable(t *testing.T, s *sqlview.Store) view.Store {
	execute(t, s.DB(), "CREATE TABLE work (n integer)")
	return s
}

var withWork = &viewtest.Options{Work: true, Table: "work"}

func TestContract(t *testing.T) {
	for name, address := range addresses {
		t.Run(name, func(t *testing.T) {
			viewtest.Test(t, func(t *testing.T) view.Store { return withTable(t, open(t, address(t))) }, withWork)
		})
	}
}

// A program's own database may be set up otherwise than ours.
func TestContractOnAProgramsOwnDatabase(t *testing.T) {
	own := func(dialect sqlview.Dialect, db func(t *testing.T) *sql.DB) func(t *testing.T) {
		return func(t *testing.T) {
			viewtest.Test(t, func(t *testing.T) view.Store {
				s, err := sqlview.New(t.Context(), db(t), dialect)
				if err != nil {
					t.Fatal(err)
				}
				return withTable(t, s)
			}, withWork)
		}
	}
	t.Run("SQLite without write-ahead log and with one connection", own(sqlview.SQLite, func(t *testing.T) *sql.DB {
		db := openSQL(t, "sqlite", "file:"+filepath.Join(t.TempDir(), "own.db"))
		db.SetMaxOpenConns(1)
		return db
	}))
	t.Run("PostgreSQL with another isolation and without prepared statements", own(sqlview.PostgreSQL, func(t *testing.T) *sql.DB {
		return openSQL(t, "pgx", sqltest.PostgresURL(t)+"&default_transaction_isolation=serializable&default_query_exec_mode=simple_protocol")
	}))
	t.Run("MariaDB with prepared statements, found rows and another character set", own(sqlview.MySQL, func(t *testing.T) *sql.DB {
		return openSQL(t, "mysql", mysqlSource(sqltest.MariaDBURL(t))+"?clientFoundRows=true&collation=latin1_swedish_ci&sql_mode=ANSI_QUOTES")
	}))
}

func openSQL(t *testing.T, driver, source string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// mysqlSource makes a URL of sqltest what the driver takes.
func mysqlSource(address string) string {
	user, rest, _ := strings.Cut(strings.TrimPrefix(address, "mysql://"), "@")
	host, name, _ := strings.Cut(rest, "/")
	return user + "@tcp(" + host + ")/" + name
}
