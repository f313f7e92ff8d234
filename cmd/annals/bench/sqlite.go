package bench

import (
	"context"
	"database/sql"
	"time"

	_ "modernc.org/sqlite" // the pure-Go driver
)

// sqliteStore is an events table as Go's event-sourcing libraries have it.
type sqliteStore struct{ db *sql.DB }

func openSQLite(name string) (*sqliteStore, error) {
	db, err := sql.Open("sqlite", name+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)")
	if err != nil {
		return nil, err
	}
	// SQLite has one writer; waiting in Go costs less than in its busy handler.
	db.SetMaxOpenConns(1)
	_, err = db.Exec(`CREATE TABLE events (
		position INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, version INTEGER NOT NULL,
		id TEXT NOT NULL, type TEXT NOT NULL, source TEXT NOT NULL, time TEXT NOT NULL, data BLOB NOT NULL,
		UNIQUE (stream, version), UNIQUE (stream, id));
		CREATE INDEX by_type ON events (type, position)`)
	return &sqliteStore{db}, err
}

func (s *sqliteStore) append(ctx context.Context, stream string, version int64, id string, data []byte) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // an error after Commit is sql.ErrTxDone
	var head sql.NullInt64
	if err := tx.QueryRowContext(ctx, `SELECT max(version) FROM events WHERE stream = ?`, stream).Scan(&head); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO events (stream, version, id, type, source, time, data) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		stream, version+1, id, eventType, eventSource, time.Now().Format(time.RFC3339Nano), data); err != nil {
		return err
	}
	return tx.Commit()
}
