package sqltest

import (
	"database/sql"
	"fmt"
	"sync"
	"testing"

	_ "github.com/go-sql-driver/mysql" // registers the driver mysql
)

var mariaDB = sync.OnceValues(func() (*server, error) {
	p := program{
		name: "MariaDB",
		files: map[string][]string{
			"install":  {"mariadb-install-db"},
			"mariadbd": {"mariadbd", "/usr/sbin/mariadbd"},
		},
		users: []string{"mysql"},
		serve: `"$install" --no-defaults --datadir="$dir/data" --auth-root-authentication-method=normal --skip-test-db >&2 &&
			exec "$mariadbd" --no-defaults --datadir="$dir/data" --tmpdir="$dir" --socket="$dir/socket" \
			--bind-address=127.0.0.1 --port="$port" --skip-name-resolve --skip-log-bin \
			--innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 --innodb-buffer-pool-size=64M \
			--innodb-log-file-size=64M --max-connections=200`,
		stop:  "KILL",
		ready: "ready for connections",
		taken: "Address already in use",
	}
	s, err := p.start()
	if err != nil {
		return nil, err
	}
	s.admin, err = sql.Open("mysql", s.mariaDBSource(""))
	return s, err
})

func (s *server) mariaDBSource(database string) string {
	return fmt.Sprintf("root@tcp(127.0.0.1:%s)/%s", s.port, database)
}

func (s *server) mariaDBDatabase(t testing.TB) string {
	t.Helper()
	return s.database(t, "DROP DATABASE %s")
}

func startedMariaDB(t testing.TB) *server {
	t.Helper()
	s, err := mariaDB()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// MariaDBURL makes an empty MariaDB database for this test alone and returns its
// URL, mysql://…, with the name of a user who may do everything. It fails the
// test where the server is not installed or can't start.
func MariaDBURL(t testing.TB) string {
	t.Helper()
	s := startedMariaDB(t)
	return fmt.Sprintf("mysql://root@127.0.0.1:%s/%s", s.port, s.mariaDBDatabase(t))
}

// MariaDB makes a database as MariaDBURL does and opens it by the driver mysql
// with its defaults. It is closed when the test ends.
func MariaDB(t testing.TB) *sql.DB {
	t.Helper()
	s := startedMariaDB(t)
	return open(t, "mysql", s.mariaDBSource(s.mariaDBDatabase(t)))
}
