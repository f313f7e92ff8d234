package connect

import (
	"context"
	"database/sql"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // registers the driver sqlite

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view/sqlview"
)

// maxConnections is how many connections a Store holds at most.
const maxConnections = 16

// Open opens the views in the database at address, which has one of the forms
// above, and makes their tables if they are missing. It holds up to 16
// connections. Closing the Store closes them. Errors: annals.ErrInvalid where
// address has none of the forms; and those of sqlview.New.
//
// SQLite is opened with a write-ahead log, synchronous NORMAL and a busy timeout
// of 10 seconds. It has to be a file of this machine: each connection to
// :memory: would be a database of its own, so that is refused.
func Open(ctx context.Context, address string) (*sqlview.Store, error) {
	scheme, rest, _ := strings.Cut(address, ":")
	var db *sql.DB
	var dialect sqlview.Dialect
	var err error
	switch scheme {
	case "sqlite":
		dialect = sqlview.SQLite
		db, err = openSQLite(rest)
	case "postgres", "postgresql":
		dialect = sqlview.PostgreSQL
		db, err = openPostgreSQL(address)
	case "mysql", "mariadb":
		dialect = sqlview.MySQL
		db, err = openMySQL(address)
	default:
		err = annals.Invalid("address", "must be sqlite:PATH, postgres://… or mysql://…, not %s", redacted(address))
	}
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(maxConnections)
	db.SetMaxIdleConns(maxConnections)
	db.SetConnMaxIdleTime(time.Minute)
	s, err := sqlview.Adopt(ctx, db, dialect)
	if err != nil && ctx.Err() == nil {
		err = &annals.Error{Code: annals.CodeOf(err), Message: "opening the views in " + redacted(address), Err: err}
	}
	return s, err
}

// redacted is address without its password.
func redacted(address string) string {
	if u, err := url.Parse(address); err == nil {
		return u.Redacted()
	}
	scheme, _, _ := strings.Cut(address, ":")
	return scheme + ":…"
}

func openSQLite(path string) (*sql.DB, error) {
	if path == "" || strings.HasPrefix(path, ":memory:") {
		return nil, annals.Invalid("address", "must name a file behind sqlite:, for example sqlite:views.db; pebbleview.Memory keeps views in memory")
	}
	name := url.URL{Path: filepath.ToSlash(filepath.Clean(path))}
	return sql.Open("sqlite", "file:"+name.EscapedPath()+"?_busy_timeout=10000&_journal_mode=WAL&_synchronous=NORMAL&_txlock=immediate")
}

func openPostgreSQL(address string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, annals.Invalid("address", "must be a URL of PostgreSQL: %v", err)
	}
	return stdlib.OpenDB(*config), nil
}

func openMySQL(address string) (*sql.DB, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, annals.Invalid("address", "must be mysql://user:password@host:port/db, with %%xx for what a URL can't hold")
	}
	name := strings.TrimPrefix(u.Path, "/")
	if u.Hostname() == "" || name == "" {
		return nil, annals.Invalid("address", "must name a host and a database: mysql://user:password@host:port/db")
	}
	config, err := mysql.ParseDSN("/?" + u.RawQuery)
	if err != nil {
		return nil, annals.Invalid("address", "has parameters that Go-MySQL-Driver refuses: %v", err)
	}
	port := u.Port()
	if port == "" {
		port = "3306"
	}
	config.Net, config.Addr, config.DBName = "tcp", net.JoinHostPort(u.Hostname(), port), name
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.InterpolateParams = true    // saves a message for each statement
	config.Logger = &mysql.NopLogger{} // what it would say comes back as errors too
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, annals.Invalid("address", "is refused by Go-MySQL-Driver: %v", err)
	}
	return sql.OpenDB(connector), nil
}
