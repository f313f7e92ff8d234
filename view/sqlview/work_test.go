package sqlview_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/sqltest"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/sqlview"
)

func statement(text string) func(context.Context, *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, text)
		return err
	}
}

// wantWorkError wants a change with this Work refused for it, and nothing kept.
func wantWorkError(t *testing.T, s *sqlview.Store, work func(context.Context, *sql.Tx) error) error {
	t.Helper()
	err := s.Commit(t.Context(), view.Change{
		Expect: expect("consumer", "at", nil), Put: puts("consumer", "at", `1`, "other", `1`), Work: work,
	})
	var failed *view.WorkError
	if !errors.As(err, &failed) {
		t.Fatalf("error %v, want one of the work", err)
	}
	for d, err := range s.Scan(t.Context(), "consumer", view.Range{}) {
		t.Fatalf("there is document %q, error %v", d.Key, err)
	}
	return err
}

// What follows Work must not be written outside of the transaction whose
// expectations were checked.
func TestWorkThatEndsItsTransactionIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, address string) {
		s := open(t, address)
		ending := map[string]func(context.Context, *sql.Tx) error{
			"COMMIT":      statement("COMMIT"),
			"ROLLBACK":    statement("ROLLBACK"),
			"tx.Commit":   func(_ context.Context, tx *sql.Tx) error { return tx.Commit() },
			"tx.Rollback": func(_ context.Context, tx *sql.Tx) error { return tx.Rollback() },
		}
		if s.Dialect() == sqlview.MySQL {
			ending["schema"] = statement("CREATE TABLE made_by_work (n integer)")
		}
		for name, work := range ending {
			t.Run(name, func(t *testing.T) {
				if err := wantWorkError(t, s, work); !errors.Is(err, annals.ErrInvalid) || !strings.Contains(err.Error(), "ended its transaction") {
					t.Fatalf("error %v", err)
				}
			})
		}
		// What such work has left behind stands in nobody's way.
		c := view.Change{Expect: expect("consumer", "at", nil), Put: puts("consumer", "at", `1`)}
		if err := s.Commit(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if got := data(t, s, "consumer", "at"); got != `1` {
			t.Fatalf("got %q", got)
		}
	})
}

func TestWorkThatGoesOnAfterAFailureIsRefused(t *testing.T) {
	s := open(t, sqltest.PostgresURL(t))
	err := wantWorkError(t, s, func(ctx context.Context, tx *sql.Tx) error {
		_ = statement("INSERT INTO missing VALUES (1)")(ctx, tx)
		return nil
	})
	if !errors.Is(err, annals.ErrInvalid) || !strings.Contains(err.Error(), "had failed") {
		t.Fatalf("error %v", err)
	}
}

func TestAStatementOfWorkThatFailsIsAFailureOfTheWork(t *testing.T) {
	onEach(t, func(t *testing.T, address string) {
		s := open(t, address)
		err := wantWorkError(t, s, statement("INSERT INTO missing VALUES (1)"))
		if annals.CodeOf(err) != annals.CodeInternal || !strings.Contains(err.Error(), "missing") {
			t.Fatalf("error %v", err)
		}
	})
}

func TestWorkThatPanicsLeavesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, address string) {
		s := open(t, address)
		func() {
			defer func() {
				if recover() != "work" {
					t.Error("the panic did not come through")
				}
			}()
			_ = s.Commit(t.Context(), view.Change{Put: puts("a", "1", `1`), Work: func(context.Context, *sql.Tx) error { panic("work") }})
		}()
		if err := s.Commit(t.Context(), view.Change{Expect: expect("a", "1", nil), Put: puts("a", "1", `2`)}); err != nil {
			t.Fatal(err)
		}
	})
}

// A constraint may be checked only when the transaction commits.
func TestAConstraintThatWorkBreaksIsAFailureOfTheWork(t *testing.T) {
	for name, make := range map[string][]string{
		"SQLite":     {"CREATE TABLE parent (n integer PRIMARY KEY)", "CREATE TABLE child (n integer REFERENCES parent (n) DEFERRABLE INITIALLY DEFERRED)"},
		"PostgreSQL": {"CREATE TABLE parent (n integer PRIMARY KEY)", "CREATE TABLE child (n integer REFERENCES parent (n) DEFERRABLE INITIALLY DEFERRED)"},
		"MariaDB":    {"CREATE TABLE parent (n integer PRIMARY KEY)", "CREATE TABLE child (n integer, FOREIGN KEY (n) REFERENCES parent (n))"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, addresses[name](t))
			execute(t, s.DB(), make...)
			if s.Dialect() == sqlview.SQLite {
				s.DB().SetMaxOpenConns(1) // the setting is of one connection
				execute(t, s.DB(), "PRAGMA foreign_keys = ON")
			}
			wantWorkError(t, s, statement("INSERT INTO child VALUES (1)"))
		})
	}
}

// A context that ends during Work ends the change as one that nobody works on.
func TestAContextThatEndsDuringWork(t *testing.T) {
	onEach(t, func(t *testing.T, address string) {
		s := open(t, address)
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Commit(ctx, view.Change{Put: puts("a", "1", `1`), Work: func(ctx context.Context, tx *sql.Tx) error {
			cancel()
			return statement("SELECT 1")(ctx, tx)
		}})
		var failed *view.WorkError
		if !errors.Is(err, context.Canceled) || errors.As(err, &failed) {
			t.Fatalf("error %v", err)
		}
		if got := data(t, s, "a", "1"); got != "" {
			t.Fatalf("got %q", got)
		}
	})
}

// Durable reaches the transaction that Work is in, and no other.
func TestDurable(t *testing.T) {
	for name, c := range map[string]struct {
		setting, query  string
		durable, others string
	}{
		"SQLite":     {"", "PRAGMA synchronous", "3", "1"},
		"PostgreSQL": {"synchronous_commit", "SHOW synchronous_commit", "on", "off"},
	} {
		t.Run(name, func(t *testing.T) {
			address := addresses[name](t)
			if c.setting != "" {
				setDefault(t, open(t, address), c.setting, c.others)
			}
			s := open(t, address)
			s.DB().SetMaxOpenConns(1)
			for _, durable := range []bool{false, true, false} {
				var got string
				err := s.Commit(t.Context(), view.Change{Durable: durable, Work: func(ctx context.Context, tx *sql.Tx) error {
					return tx.QueryRowContext(ctx, c.query).Scan(&got)
				}})
				want := c.others
				if durable {
					want = c.durable
				}
				if err != nil || got != want {
					t.Fatalf("durable %t: %s, %v", durable, got, err)
				}
			}
		})
	}
}

// setDefault changes a setting of a PostgreSQL database for connections to come.
func setDefault(t *testing.T, s *sqlview.Store, setting, value string) {
	t.Helper()
	execute(t, s.DB(), "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET "+setting+" = "+value+"', current_database()); END $$")
}
