package connect_test

import (
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

func TestAddressesThatAreRefused(t *testing.T) {
	for address, want := range map[string]string{
		"":                                 "must be sqlite:PATH, postgres://… or mysql://…",
		"views.db":                         "must be sqlite:PATH, postgres://… or mysql://…, not views.db",
		"oracle://u:secret@h/db":           "not oracle://u:xxxxx@h/db",
		"sqlite:":                          "must name a file",
		"sqlite::memory:":                  "pebbleview.Memory",
		"postgres://u:secret@h:port/db":    "must be a URL of PostgreSQL",
		"mysql://u:sec ret%@h/db":          "%xx",
		"mysql://u:secret@h":               "must name a host and a database",
		"mysql://u:secret@/db":             "must name a host and a database",
		"mysql://u:secret@h/db?timeout=5x": "Go-MySQL-Driver refuses",
	} {
		_, err := connect.Open(t.Context(), address)
		if !errors.Is(err, annals.ErrInvalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sec") {
			t.Errorf("%q: error %v, want %q in it", address, err, want)
		}
	}
}

func TestPathsOfSQLite(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, path := range []string{"views.db", "a b?c=d&e#f%41;g.db", "größe.db", "./x.db", filepath.Join(t.TempDir(), "views.db"), "//" + filepath.Join(t.TempDir(), "views.db")} {
		s, err := connect.Open(t.Context(), "sqlite:"+path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	_, err := connect.Open(t.Context(), "sqlite:missing/views.db")
	if !errors.Is(err, annals.ErrUnavailable) || !strings.Contains(err.Error(), "missing/views.db") {
		t.Errorf("error %v", err)
	}
}

func TestSQLiteIsOpenedAsPromised(t *testing.T) {
	s, err := connect.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "views.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "1", "busy_timeout": "10000"} {
		var got string
		if err := s.DB().QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, %v", pragma, got, err)
		}
	}
}

func TestServers(t *testing.T) {
	for address, dialect := range map[string]sqlview.Dialect{
		sqltest.PostgresURL(t): sqlview.PostgreSQL,
		strings.Replace(sqltest.PostgresURL(t), "postgres:", "postgresql:", 1): sqlview.PostgreSQL,
		sqltest.MariaDBURL(t): sqlview.MySQL,
		strings.Replace(sqltest.MariaDBURL(t), "mysql:", "mariadb:", 1) + "?timeout=10s": sqlview.MySQL,
	} {
		s, err := connect.Open(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		if s.Dialect() != dialect {
			t.Errorf("%s is taken for %v", address, s.Dialect())
		}
		if err := s.Commit(t.Context(), view.Change{Put: []view.Put{{Space: "a", Document: view.Document{Key: "1", Data: []byte(`1`)}}}}); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.DB().Ping(); err == nil {
			t.Error("closing the store left the database open")
		}
	}
}

func TestPasswordsAreSentAndNotShown(t *testing.T) {
	const password, escaped = `p@ss:/?#'"%&é`, "p%40ss%3A%2F%3F%23%27%22%25%26%C3%A9"
	db := sqltest.MariaDB(t)
	quoted := strings.ReplaceAll(password, "'", "''")
	for _, statement := range []string{
		"CREATE USER someone@127.0.0.1 IDENTIFIED BY '" + quoted + "'", "GRANT ALL ON *.* TO someone@127.0.0.1",
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _, _ = db.Exec("DROP USER someone@127.0.0.1") })
	address := sqltest.MariaDBURL(t)
	s, err := connect.Open(t.Context(), strings.Replace(address, "root", "someone:"+escaped, 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = connect.Open(t.Context(), strings.Replace(address, "root", "someone:"+escaped+"x", 1))
	if annals.CodeOf(err) != annals.CodeForbidden || strings.Contains(err.Error(), "p%40ss") || strings.Contains(err.Error(), password) {
		t.Fatalf("error %v", err)
	}
	for _, missing := range []string{address + "_not", strings.Replace(sqltest.PostgresURL(t), "?", "_not?", 1)} {
		if _, err := connect.Open(t.Context(), missing); !errors.Is(err, annals.ErrNotFound) {
			t.Errorf("error %v", err)
		}
	}
}
