package sqlview

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/eb901187/annals"
)

// layout is the version of what the tables hold.
const layout = 1

const rebuild = "drop the tables annals_documents and annals_documents_format, after which annals projection rebuild --all builds the views again"

// tables are the statements that make what is missing, the mark of the layout
// last, so that where it stands the rest stands too.
func (d Dialect) tables() []string {
	text, data, end, ignore := `text COLLATE "C"`, "text", ")", " ON CONFLICT (id) DO NOTHING"
	space, key := text, text
	switch d {
	case SQLite:
		space, key = "text", "text"
	case MySQL:
		space, key, data, end, ignore = "varbinary(200)", "varbinary(512)", "mediumblob", ") ENGINE=InnoDB", " ON DUPLICATE KEY UPDATE layout = layout"
	}
	return []string{
		"CREATE TABLE IF NOT EXISTS annals_documents (space " + space + " NOT NULL, doc_key " + key +
			" NOT NULL, position bigint NOT NULL, data " + data + " NOT NULL, PRIMARY KEY (space, doc_key)" + end,
		"CREATE TABLE IF NOT EXISTS annals_documents_format (id integer NOT NULL PRIMARY KEY, layout integer NOT NULL)",
		fmt.Sprintf("INSERT INTO annals_documents_format (id, layout) VALUES (1, %d)%s", layout, ignore),
	}
}

// prepare makes the tables where they are missing and checks their layout. It
// looks first: a program may have the right to use tables, but not to make them.
func (s *Store) prepare(ctx context.Context) error {
	if err := s.checkEncoding(ctx); err != nil {
		return err
	}
	got, err := s.storedLayout(ctx)
	if err != nil {
		if err := s.makeTables(ctx); err != nil {
			return s.failed(ctx, "making the tables", err)
		}
		if got, err = s.storedLayout(ctx); err != nil {
			return s.failed(ctx, "reading the layout of the tables", err)
		}
	}
	if got != layout {
		return &annals.Error{
			Code:    annals.CodeInvalid,
			Message: fmt.Sprintf("the table annals_documents of the %v database has layout %d, and this version of Annals reads layout %d", s.dialect, got, layout),
			Hint:    "use the version of Annals that wrote it; or " + rebuild,
		}
	}
	return nil
}

func (s *Store) storedLayout(ctx context.Context) (got int, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT layout FROM annals_documents_format WHERE id = 1").Scan(&got)
	return got, err
}

// makeTables may run in several processes at once. PostgreSQL's IF NOT EXISTS
// fails where two make the same table, so there they take turns.
func (s *Store) makeTables(ctx context.Context) error {
	if s.dialect != PostgreSQL {
		return runAll(ctx, s.db, s.dialect.tables())
	}
	tx, err := s.db.BeginTx(ctx, readCommitted)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // says only that it was committed
	if err := runAll(ctx, tx, append([]string{"SELECT pg_advisory_xact_lock(hashtext('annals_documents'))"}, s.dialect.tables()...)); err != nil {
		return err
	}
	return tx.Commit()
}

// An executor is a *sql.DB or a *sql.Tx.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func runAll(ctx context.Context, db executor, statements []string) error {
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// checkEncoding refuses a database that keeps text other than as UTF-8: it would
// order keys by other bytes, or could not hold them all.
func (s *Store) checkEncoding(ctx context.Context) error {
	query := map[Dialect]string{SQLite: "PRAGMA encoding", PostgreSQL: "SHOW server_encoding"}[s.dialect]
	if query == "" {
		return nil // keys and data are bytes there
	}
	var encoding string
	if err := s.db.QueryRowContext(ctx, query).Scan(&encoding); err != nil {
		return s.failed(ctx, "asking for the encoding", err)
	}
	if encoding != "UTF8" && encoding != "UTF-8" {
		return &annals.Error{
			Code: annals.CodeInvalid, Message: fmt.Sprintf("the %v database keeps text as %s, and views need UTF-8", s.dialect, encoding),
			Hint: "make another database with the encoding UTF-8 and name that",
		}
	}
	return nil
}
