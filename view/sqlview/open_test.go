package sqlview_test

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/sqltest"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/sqlview"
	"github.com/eb901187/annals/view/sqlview/connect"
)

func TestDocumentsOutliveTheStore(t *testing.T) {
	onEach(t, func(t *testing.T, address string) {
		if err := open(t, address).Commit(t.Context(), view.Change{Put: puts("a", "1", `1`)}); err != nil {
			t.Fatal(err)
		}
		if got := data(t, open(t, address), "a", "1"); got != `1` {
			t.Fatalf("got %q", got)
		}
	})
}

func TestAnotherLayoutIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, address string) {
		execute(t, open(t, address).DB(), "UPDATE annals_documents_format SET layout = 2")
		_, err := connect.Open(t.Context(), address)
		if !errors.Is(err, annals.ErrInvalid) || !strings.Contains(err.Error(), "has layout 2, and this version of Annals reads layout 1") ||
			!strings.Contains(err.Error(), "projection rebuild") {
			t.Fatalf("error %v", err)
		}
	})
}

func TestManyThatMakeTheTablesAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, address string) {
		tables := open(t, address)
		if tables.Dialect() == sqlview.PostgreSQL {
			setDefault(t, tables, "default_transaction_isolation", "serializable")
		}
		stores := make([]*sqlview.Store, 16)
		for i := range stores {
			stores[i] = open(t, address) // connected, so that all are there at once
		}
		for range 5 {
			execute(t, tables.DB(), "DROP TABLE annals_documents", "DROP TABLE annals_documents_format")
			var opening sync.WaitGroup
			start := make(chan struct{})
			for _, s := range stores {
				opening.Go(func() {
					<-start
					if _, err := sqlview.New(t.Context(), s.DB(), s.Dialect()); err != nil {
						t.Error(err)
					}
				})
			}
			close(start)
			opening.Wait()
			if err := tables.Commit(t.Context(), view.Change{Put: puts("a", "1", `1`)}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A process may end between the statements that make the tables.
func TestTablesThatWereMadeInPartAreCompleted(t *testing.T) {
	onEach(t, func(t *testing.T, address string) {
		s := open(t, address)
		for _, missing := range []string{"DELETE FROM annals_documents_format", "DROP TABLE annals_documents_format"} {
			execute(t, s.DB(), missing)
			if err := open(t, address).Commit(t.Context(), view.Change{Put: puts("a", "1", `1`)}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestADatabaseOfAnotherEncodingIsRefused(t *testing.T) {
	t.Run("PostgreSQL", func(t *testing.T) {
		address := sqltest.PostgresURL(t)
		db := openSQL(t, "pgx", address)
		execute(t, db, "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'")
		t.Cleanup(func() {
			if _, err := db.Exec("DROP DATABASE latin WITH (FORCE)"); err != nil {
				t.Error(err)
			}
		})
		host, _, _ := strings.Cut(strings.TrimPrefix(address, "postgres://"), "/")
		_, err := connect.Open(t.Context(), "postgres://"+host+"/latin?sslmode=disable")
		wantEncodingError(t, err, "LATIN1")
	})
	t.Run("SQLite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "wide.db")
		execute(t, openSQL(t, "sqlite", path), "PRAGMA encoding = 'UTF-16'; CREATE TABLE t (n integer)")
		_, err := connect.Open(t.Context(), "sqlite:"+path)
		wantEncodingError(t, err, "UTF-16")
	})
}

func wantEncodingError(t *testing.T, err error, encoding string) {
	t.Helper()
	if !errors.Is(err, annals.ErrInvalid) || !strings.Contains(err.Error(), encoding) || !strings.Contains(err.Error(), "make another database") {
		t.Fatalf("error %v", err)
	}
}

// A program may run as a user who may not make tables, once they are there.
func TestRights(t *testing.T) {
	address := sqltest.PostgresURL(t)
	db := openSQL(t, "pgx", address)
	execute(t, db, "CREATE ROLE app LOGIN")
	t.Cleanup(func() {
		if _, err := db.Exec("DROP OWNED BY app; DROP ROLE app"); err != nil {
			t.Error(err)
		}
	})
	app := strings.Replace(address, "annals@", "app@", 1)
	if _, err := connect.Open(t.Context(), app); annals.CodeOf(err) != annals.CodeForbidden || !strings.Contains(err.Error(), "once CREATE") {
		t.Fatalf("error %v", err)
	}
	open(t, address)
	execute(t, db, "GRANT SELECT, INSERT, UPDATE, DELETE ON annals_documents, annals_documents_format TO app")
	s := open(t, app)
	if err := s.Commit(t.Context(), view.Change{Expect: expect("a", "1", nil), Put: puts("a", "1", `1`)}); err != nil {
		t.Fatal(err)
	}
}

func TestNewLeavesTheDatabaseToTheProgram(t *testing.T) {
	db := openSQL(t, "sqlite", filepath.Join(t.TempDir(), "own.db"))
	s, err := sqlview.New(t.Context(), db, sqlview.SQLite)
	if err != nil || s.DB() != db || s.Dialect() != sqlview.SQLite {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, db, "SELECT 1")
	if _, err := sqlview.Adopt(t.Context(), db, 4); !errors.Is(err, annals.ErrInvalid) || !strings.Contains(err.Error(), "Dialect(4)") {
		t.Fatalf("error %v", err)
	}
	if err := db.Ping(); err == nil {
		t.Fatal("an Adopt that failed left the database open")
	}
}
