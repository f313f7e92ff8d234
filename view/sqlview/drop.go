package sqlview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/eb901187/annals/view"
)

// dropStep is how many documents one step of a Drop removes.
const dropStep = 1000

// Drop removes a space, 1,000 documents at a time.
func (s *Store) Drop(ctx context.Context, space string) error {
	if err := view.CheckSpace(space); err != nil {
		return err
	}
	for after := ""; ; {
		if err := s.begin(ctx); err != nil {
			return err
		}
		var last string
		err := s.retry(func() (err error) {
			last, err = s.dropSome(ctx, space, after)
			return err
		})
		if err != nil || last == "" {
			return s.failed(ctx, "dropping "+space, err)
		}
		after = last
	}
}

// dropSome removes the next documents behind after and says which was the last,
// or removes all that are left and says "".
func (s *Store) dropSome(ctx context.Context, space, after string) (last string, err error) {
	leave, err := s.queue(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	d := s.dialect
	err = s.db.QueryRowContext(ctx, fmt.Sprintf("SELECT doc_key FROM annals_documents WHERE space = %s AND doc_key > %s ORDER BY doc_key LIMIT 1 OFFSET %d",
		d.Placeholder(1), d.Placeholder(2), dropStep-1), d.text(space), d.text(after)).Scan(&last)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		_, err = s.db.ExecContext(ctx, "DELETE FROM annals_documents WHERE space = "+d.Placeholder(1), d.text(space))
	case err == nil:
		_, err = s.db.ExecContext(ctx, "DELETE FROM annals_documents WHERE space = "+d.Placeholder(1)+" AND doc_key <= "+d.Placeholder(2), d.text(space), d.text(last))
	}
	return last, err
}
