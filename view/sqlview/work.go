package sqlview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// work runs a change's Work. A savepoint shows whether the transaction is still
// the same behind it: what follows would otherwise be written without the
// expectations, and one by one.
func (s *Store) work(ctx context.Context, tx *transaction, work func(context.Context, *sql.Tx) error) error {
	if _, err := tx.ExecContext(ctx, "SAVEPOINT annals_work"); err != nil {
		return s.failed(ctx, "beginning the work of a change", err)
	}
	if err := work(ctx, tx.Tx); err != nil {
		return s.workFailed(ctx, tx, err)
	}
	_, err := tx.ExecContext(ctx, "RELEASE SAVEPOINT annals_work")
	if err == nil {
		return nil
	}
	if code, answered := s.dialect.code(err); ctx.Err() == nil && (answered && code == annals.CodeInternal || errors.Is(err, sql.ErrTxDone)) {
		return &view.WorkError{Err: &annals.Error{
			Code: annals.CodeInvalid, Err: err, Message: "the work of a change has ended its transaction, or went on after a statement of it had failed",
			Hint: "return the errors of statements, leave COMMIT and ROLLBACK to the store, and change no schema there on MySQL, which would commit",
		}}
	}
	return s.failed(ctx, "ending the work of a change", err)
}

// workFailed tells the database's failures, after which the same change may
// succeed, from those of the work itself.
func (s *Store) workFailed(ctx context.Context, tx *transaction, err error) error {
	const doing = "the work of a change"
	code, answered := s.dialect.code(err)
	switch {
	case ctx.Err() != nil:
		return s.failed(ctx, doing, err)
	case answered && (code == annals.CodeUnavailable || code == annals.CodeNoSpace):
		return s.failed(ctx, doing, err)
	case answered:
		return &view.WorkError{Err: err}
	}
	// The error may be the connection's or anything else's: ask the connection.
	_, lost := tx.ExecContext(ctx, "SELECT 1")
	if _, answered := s.dialect.code(lost); lost == nil || answered || errors.Is(lost, sql.ErrTxDone) {
		return &view.WorkError{Err: err}
	}
	return s.failed(ctx, doing, fmt.Errorf("%w; the work itself ended in: %v", lost, err))
}
