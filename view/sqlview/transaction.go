package sqlview

import (
	"context"
	"database/sql"
)

// A transaction is one that writes.
type transaction struct {
	*sql.Tx
	end func() // rolls back what was not committed
}

// readCommitted has a statement that waited for others see what they did.
var readCommitted = &sql.TxOptions{Isolation: sql.LevelReadCommitted}

// transact begins a transaction. Nobody else writes to a database of SQLite until
// it ends.
func (s *Store) transact(ctx context.Context, durable bool) (*transaction, error) {
	if s.dialect == SQLite {
		return s.transactAlone(ctx, durable)
	}
	tx, err := s.db.BeginTx(ctx, readCommitted)
	if err != nil {
		return nil, err
	}
	t := &transaction{tx, func() { _ = tx.Rollback() }} // a connection that can't even do this is dropped
	if durable && s.dialect == PostgreSQL {
		_, err = tx.ExecContext(ctx, "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'")
	}
	if err != nil {
		t.end()
		return nil, err
	}
	return t, nil
}

func (s *Store) transactAlone(ctx context.Context, durable bool) (_ *transaction, err error) {
	leave, err := s.queue(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		leave()
		return nil, err
	}
	restore := func() {}
	t := &transaction{end: func() {
		restore()
		_ = conn.Close() // gives it back
		leave()
	}}
	if durable {
		restore, err = syncAll(ctx, conn)
	}
	if err == nil {
		t.Tx, err = conn.BeginTx(ctx, nil)
	}
	if err != nil {
		t.end()
		return nil, err
	}
	giveBack := t.end
	t.end = func() {
		_ = t.Rollback() // there is nothing left to roll back where SQLite has done so itself
		giveBack()
	}
	// The first statement takes the right to write. A transaction that began by
	// reading can't get it once another has written.
	if _, err := t.ExecContext(ctx, "DELETE FROM annals_documents WHERE space = ''"); err != nil {
		t.end()
		return nil, err
	}
	return t, nil
}

// syncAll has SQLite sync every commit of a connection until restore is called.
func syncAll(ctx context.Context, conn *sql.Conn) (restore func(), err error) {
	const extra = 3 // syncs the directory too, where there is no write-ahead log
	var before int
	if err := conn.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&before); err != nil || before == extra {
		return func() {}, err
	}
	set := func(level int) error {
		_, err := conn.ExecContext(context.WithoutCancel(ctx), pragmaSynchronous[level])
		return err
	}
	return func() { _ = set(before) }, set(extra) // syncing more than was asked for is harmless
}

// pragmaSynchronous are the statements by level: a PRAGMA takes no arguments.
var pragmaSynchronous = []string{"PRAGMA synchronous = 0", "PRAGMA synchronous = 1", "PRAGMA synchronous = 2", "PRAGMA synchronous = 3"}

// queue waits until nobody else of this process writes to SQLite.
func (s *Store) queue(ctx context.Context) (leave func(), err error) {
	if s.dialect != SQLite {
		return func() {}, nil
	}
	select {
	case s.writing <- struct{}{}:
		return func() { <-s.writing }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
