package sqlview

import (
	"context"

	"github.com/eb901187/annals/view"
)

var _ view.Scrubber = (*Store)(nil)

// Scrub implements view.Scrubber for the tables of documents; tables of a program's own
// are dropped whole with their generation. What a database's own logs and backups hold
// stays there until they are given up.
func (s *Store) Scrub(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	leave, err := s.queue(ctx)
	if err != nil {
		return err
	}
	defer leave()
	statements := map[Dialect][]string{
		SQLite:     {"VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"},
		PostgreSQL: {"VACUUM FULL annals_documents"},
		MySQL:      {"OPTIMIZE TABLE annals_documents"},
	}[s.dialect]
	for _, statement := range statements {
		// Some answer with rows, which have to be read to the end.
		rows, err := s.db.QueryContext(ctx, statement)
		if err == nil {
			for rows.Next() {
			}
			err = rows.Err()
			if closed := rows.Close(); err == nil {
				err = closed
			}
		}
		if err != nil {
			return s.failed(ctx, "scrubbing", err)
		}
	}
	return nil
}
