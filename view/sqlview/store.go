package sqlview

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// maxChange bounds how long a transaction keeps others waiting.
const maxChange = 10_000

// A Store is a view.Store over a database. It runs Change.Work.
type Store struct {
	db      *sql.DB
	dialect Dialect
	owned   bool
	closed  atomic.Bool
	// writing is held by the one who writes to SQLite: waiting in line here is
	// faster and fairer than SQLite's own, which tries now and then.
	writing chan struct{}
}

var _ view.Store = (*Store)(nil)

// New makes a Store in db, which stays the program's: Close leaves it open.
// Tables that are missing are made, by several processes at once if need be. A
// database of SQLite should have a busy timeout and write ahead (journal_mode
// WAL). Errors: annals.ErrInvalid where the tables have another layout or the
// database another encoding than UTF-8; annals.ErrUnavailable where it can't be
// reached; one of code forbidden where it refuses the user.
func New(ctx context.Context, db *sql.DB, dialect Dialect) (*Store, error) {
	if err := dialect.check(); err != nil {
		return nil, err
	}
	s := &Store{db: db, dialect: dialect, writing: make(chan struct{}, 1)}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Adopt is New for a db that nobody else uses: Close closes it, and so does an
// Adopt that fails.
func Adopt(ctx context.Context, db *sql.DB, dialect Dialect) (*Store, error) {
	s, err := New(ctx, db, dialect)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.owned = true
	return s, nil
}

// DB is the database, for what else lies in it.
func (s *Store) DB() *sql.DB { return s.db }

// Dialect is what the database speaks.
func (s *Store) Dialect() Dialect { return s.dialect }

// MaxChange is 10,000.
func (s *Store) MaxChange() int { return maxChange }

// Close releases the store, and the database if it was adopted.
func (s *Store) Close() error {
	if s.closed.Swap(true) || !s.owned {
		return nil
	}
	return s.db.Close()
}

// begin refuses a call to a closed store, and one that is too late.
func (s *Store) begin(ctx context.Context) error {
	if s.closed.Load() {
		return annals.ErrClosed
	}
	return ctx.Err()
}

// Get reads documents by key.
func (s *Store) Get(ctx context.Context, space string, keys ...string) (map[string]view.Document, error) {
	if err := view.CheckKeys(space, keys); err != nil {
		return nil, err
	}
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	documents := make(map[string]view.Document, len(keys))
	for batch := range slices.Chunk(slices.Compact(slices.Sorted(slices.Values(keys))), maxRows) {
		n, arguments := s.dialect.keyArguments(space, batch)
		found, err := s.documents(ctx, "SELECT doc_key, position, data FROM annals_documents"+s.dialect.where(n), arguments...)
		if err != nil {
			return nil, s.failed(ctx, "reading documents of "+space, err)
		}
		for _, d := range found {
			if !d.absent() {
				documents[d.Key] = d.Document
			}
		}
	}
	return documents, nil
}

// A row is a document as it is stored.
type row struct{ view.Document }

// absent says that the row holds a key for a transaction that expects no
// document there. Others see one only where Work has broken its rules.
func (r *row) absent() bool { return len(r.Data) == 0 }

func (s *Store) documents(ctx context.Context, query string, arguments ...any) ([]row, error) {
	rows, err := s.db.QueryContext(ctx, query, arguments...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []row
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.Key, &r.Position, &r.Data); err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, rows.Err()
}
