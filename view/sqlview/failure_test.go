package sqlview_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/sqltest"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/sqlview"
	"github.com/eb901187/annals/view/sqlview/connect"
)

// failPostgres has the server refuse the document "bad" with a code, so many times:
// at once, or when the transaction commits.
func failPostgres(t *testing.T, s *sqlview.Store, state, trigger, tries string) {
	t.Helper()
	execute(t, s.DB(), "CREATE SEQUENCE tries",
		`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.doc_key = 'bad' AND nextval('tries') <= `+tries+` THEN RAISE EXCEPTION 'planted' USING ERRCODE = '`+state+`'; END IF;
			RETURN NEW; END $$`,
		"CREATE "+trigger+" FOR EACH ROW EXECUTE FUNCTION fail()")
}

const (
	atOnce = "TRIGGER fail BEFORE INSERT OR UPDATE ON annals_documents"
	atEnd  = "CONSTRAINT TRIGGER fail AFTER INSERT OR UPDATE ON annals_documents DEFERRABLE INITIALLY DEFERRED"
	always = "1000000"
)

// failMariaDB does the same, at once. It counts in a table without transactions.
func failMariaDB(t *testing.T, s *sqlview.Store, number, tries string) {
	t.Helper()
	execute(t, s.DB(), "CREATE TABLE tries (n integer) ENGINE=MyISAM", "INSERT INTO tries VALUES (0)",
		`CREATE TRIGGER fail BEFORE INSERT ON annals_documents FOR EACH ROW BEGIN
			IF NEW.doc_key = 'bad' THEN
				UPDATE tries SET n = n + 1;
				IF (SELECT n FROM tries) <= `+tries+` THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = `+number+`, MESSAGE_TEXT = 'planted'; END IF;
			END IF; END`)
}

// wantFailure wants a change refused with an error of that code, which keeps what
// the database said, and nothing changed.
func wantFailure(t *testing.T, s *sqlview.Store, want annals.Code) {
	t.Helper()
	err := s.Commit(t.Context(), view.Change{Put: puts("a", "1", `1`, "bad", `1`)})
	if got := annals.CodeOf(err); got != want || !strings.Contains(err.Error(), "planted") {
		t.Fatalf("error %v of code %s, want code %s", err, got, want)
	}
	var failure *annals.Error
	if !errors.As(err, &failure) || failure.Hint == "" || failure.Err == nil && want != annals.CodeConflict {
		t.Fatalf("error %#v lacks a hint or its cause", err)
	}
	if got := data(t, s, "a", "1"); got != "" {
		t.Fatalf("got %q", got)
	}
}

func TestFailuresOfPostgreSQL(t *testing.T) {
	for _, c := range []struct {
		name, state, trigger string
		want                 annals.Code
	}{
		{"a full disk", "53100", atOnce, annals.CodeNoSpace},
		{"too many connections", "53300", atOnce, annals.CodeUnavailable},
		{"a read-only server", "25006", atOnce, annals.CodeUnavailable},
		{"a deadlock that recurs", "40P01", atOnce, annals.CodeUnavailable},
		{"a statement's time", "57014", atOnce, annals.CodeUnavailable},
		{"missing rights", "42501", atOnce, annals.CodeForbidden},
		{"damage", "XX001", atOnce, annals.CodeDamaged},
		{"a rule of somebody's", "P0001", atOnce, annals.CodeInternal},
		{"a rule of somebody's, when it commits", "P0001", atEnd, annals.CodeInternal},
		{"a serialization failure that recurs, when it commits", "40001", atEnd, annals.CodeUnavailable},
		{"a full disk, when it commits", "53100", atEnd, annals.CodeUnknownOutcome},
		{"shutdown, when it commits", "57P01", atEnd, annals.CodeUnknownOutcome},
		{"an outcome unknown to itself", "40003", atEnd, annals.CodeUnknownOutcome},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, sqltest.PostgresURL(t))
			failPostgres(t, s, c.state, c.trigger, always)
			wantFailure(t, s, c.want)
		})
	}
}

func TestFailuresOfMariaDB(t *testing.T) {
	for _, c := range []struct {
		name, number string
		want         annals.Code
	}{
		{"a full disk", "1021", annals.CodeNoSpace},
		{"a full table", "1114", annals.CodeNoSpace},
		{"too long a wait for a lock", "1205", annals.CodeUnavailable},
		{"a deadlock that recurs", "1213", annals.CodeUnavailable},
		{"a read-only server", "1290", annals.CodeUnavailable},
		{"a statement's time", "1969", annals.CodeUnavailable},
		{"missing rights", "1142", annals.CodeForbidden},
		{"a rule of somebody's", "1644", annals.CodeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, sqltest.MariaDBURL(t))
			failMariaDB(t, s, c.number, always)
			wantFailure(t, s, c.want)
		})
	}
}

// A transaction that the server gave up for another is made again, but not its
// Work.
func TestDeadlocksAreTriedAgain(t *testing.T) {
	for name, plant := range map[string]func(t *testing.T, s *sqlview.Store){
		"PostgreSQL":                  func(t *testing.T, s *sqlview.Store) { failPostgres(t, s, "40P01", atOnce, "3") },
		"PostgreSQL while it commits": func(t *testing.T, s *sqlview.Store) { failPostgres(t, s, "40001", atEnd, "3") },
		"MariaDB":                     func(t *testing.T, s *sqlview.Store) { failMariaDB(t, s, "1213", "3") },
	} {
		t.Run(name, func(t *testing.T) {
			name, _, _ := strings.Cut(name, " ")
			s := open(t, addresses[name](t))
			plant(t, s)
			c := view.Change{Put: puts("a", "1", `1`, "bad", `1`)}
			works := 0
			c.Work = func(context.Context, *sql.Tx) error { works++; return nil }
			err := s.Commit(t.Context(), c)
			var failed *view.WorkError
			if !errors.Is(err, annals.ErrUnavailable) || errors.As(err, &failed) || works != 1 {
				t.Fatalf("error %v, and work ran %d times", err, works)
			}
			c.Work = nil
			if err := s.Commit(t.Context(), c); err != nil || data(t, s, "a", "bad") != `1` {
				t.Fatal(err)
			}
		})
	}
}

// A deadlock of a statement of Work is not the fault of the work.
func TestADeadlockInsideWork(t *testing.T) {
	for name, fail := range map[string]string{
		"PostgreSQL": "DO $$ BEGIN RAISE EXCEPTION 'planted' USING ERRCODE = '40P01'; END $$",
		"MariaDB":    "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'planted'",
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, addresses[name](t))
			err := s.Commit(t.Context(), view.Change{Work: statement(fail)})
			var failed *view.WorkError
			if !errors.Is(err, annals.ErrUnavailable) || errors.As(err, &failed) || !strings.Contains(err.Error(), "planted") {
				t.Fatalf("error %v", err)
			}
		})
	}
}

func TestFailuresOfSQLite(t *testing.T) {
	t.Run("a full disk", func(t *testing.T) {
		s := open(t, addresses["SQLite"](t))
		s.DB().SetMaxOpenConns(1) // the limit is of one connection
		execute(t, s.DB(), "PRAGMA max_page_count = 20")
		large := `"` + strings.Repeat("x", 200_000) + `"`
		err := s.Commit(t.Context(), view.Change{Put: puts("a", "0", `1`, "1", large)})
		if !errors.Is(err, annals.ErrNoSpace) || data(t, s, "a", "0") != "" {
			t.Fatalf("error %v", err)
		}
		if err := s.Commit(t.Context(), view.Change{Put: puts("a", "0", `1`)}); err != nil {
			t.Fatalf("once less is written: %v", err)
		}
	})
	t.Run("another process that writes for long", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "own.db")
		s, err := sqlview.New(t.Context(), openSQL(t, "sqlite", "file:"+path), sqlview.SQLite)
		if err != nil {
			t.Fatal(err)
		}
		execute(t, openSQL(t, "sqlite", "file:"+path), "BEGIN IMMEDIATE")
		if err := s.Commit(t.Context(), view.Change{Put: puts("a", "1", `1`)}); !errors.Is(err, annals.ErrUnavailable) {
			t.Fatalf("error %v", err)
		}
	})
	t.Run("not a database", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "notes.txt")
		if err := os.WriteFile(path, []byte(strings.Repeat("Buy milk. ", 100)), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := connect.Open(t.Context(), "sqlite:"+path)
		if !errors.Is(err, annals.ErrDamaged) || !strings.Contains(err.Error(), "notes.txt") {
			t.Fatalf("error %v", err)
		}
	})
}
