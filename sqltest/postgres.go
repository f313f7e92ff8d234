package sqltest

import (
	"database/sql"
	"fmt"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver pgx
)

var postgres = sync.OnceValues(func() (*server, error) {
	p := program{
		name: "PostgreSQL",
		files: map[string][]string{
			"initdb":   {"initdb", "/usr/lib/postgresql/*/bin/initdb"},
			"postgres": {"postgres", "/usr/lib/postgresql/*/bin/postgres"},
		},
		users: []string{"postgres"},
		serve: `"$initdb" -D "$dir/data" -U annals -A trust -E UTF8 --no-locale --no-sync >&2 &&
			exec "$postgres" -D "$dir/data" -p "$port" -k "" -c listen_addresses=127.0.0.1 \
			-c fsync=off -c full_page_writes=off -c shared_buffers=64MB -c max_connections=200 -c deadlock_timeout=20ms`,
		stop:  "QUIT",
		ready: "database system is ready to accept connections",
		taken: "Address already in use",
	}
	s, err := p.start()
	if err != nil {
		return nil, err
	}
	s.admin, err = sql.Open("pgx", s.postgresURL("postgres"))
	return s, err
})

func (s *server) postgresURL(database string) string {
	return fmt.Sprintf("postgres://annals@127.0.0.1:%s/%s?sslmode=disable", s.port, database)
}

// PostgresURL makes an empty PostgreSQL database for this test alone and returns
// its URL, postgres://…, with the name of a user who may do everything. It fails
// the test where the server is not installed or can't start.
func PostgresURL(t testing.TB) string {
	t.Helper()
	s, err := postgres()
	if err != nil {
		t.Fatal(err)
	}
	return s.postgresURL(s.database(t, "DROP DATABASE %s WITH (FORCE)"))
}

// Postgres makes a database as PostgresURL does and opens it by the driver pgx.
// It is closed when the test ends.
func Postgres(t testing.TB) *sql.DB {
	t.Helper()
	return open(t, "pgx", PostgresURL(t))
}
