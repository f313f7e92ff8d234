package sqlview

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// failed gives an error of the database its code.
func (s *Store) failed(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case s.closed.Load():
		return &annals.Error{Code: annals.CodeClosed, Message: doing + ": the store was closed meanwhile", Hint: "open the store again", Err: err}
	}
	var ours interface{ ErrorCode() annals.Code }
	if errors.As(err, &ours) {
		return err
	}
	code, _ := s.dialect.code(err)
	if code == annals.CodeTimeout {
		code = annals.CodeUnavailable
	}
	return &annals.Error{Code: code, Message: fmt.Sprintf("%s in the %v database failed", doing, s.dialect), Hint: hints[code], Err: err}
}

var hints = map[annals.Code]string{
	annals.CodeUnavailable: "try again; see that the database is up, takes connections, may be written to and is not overloaded",
	annals.CodeNoSpace:     "free some space for the database and try again; nothing was changed",
	annals.CodeForbidden:   "see to the user's password, and to its rights: views need SELECT, INSERT, UPDATE and DELETE on annals_documents, and once CREATE",
	annals.CodeNotFound:    "make the database, or name another",
	annals.CodeDamaged:     "restore the database from a backup; or " + rebuild,
	annals.CodeTooLarge:    "raise max_allowed_packet of the server to 4 MiB at least",
	annals.CodeInternal:    "see the cause",
}

// committed says what became of a transaction by the error of its COMMIT.
func (s *Store) committed(ctx context.Context, err error, worked bool) error {
	switch {
	case err == nil:
		return nil
	case s.dialect.undone(err) && worked && s.dialect.violated(err):
		return &view.WorkError{Err: err} // a constraint that is checked at the end
	case s.dialect.undone(err):
		return s.failed(ctx, "committing a change", err)
	}
	return &annals.Error{
		Code: annals.CodeUnknownOutcome, Err: err,
		Message: fmt.Sprintf("unknown whether a change was committed: the %v database did not say", s.dialect),
		Hint:    "read the documents again and see which of them were changed",
	}
}

// code is what kind of failure err is, and whether the database itself has said
// so. An error that no server has sent is the connection's.
func (d Dialect) code(err error) (code annals.Code, answered bool) {
	switch d {
	case PostgreSQL:
		if state, ok := sqlState(err); ok {
			return postgresCode(state), true
		}
	case MySQL:
		if number, message, ok := mysqlError(err); ok {
			return mysqlCode(number, message), true
		}
	default:
		if result, ok := sqliteResult(err); ok {
			return sqliteCode(result), true
		}
		return annals.CodeInternal, false
	}
	return annals.CodeUnavailable, false
}

// deadlock says that the database undid a transaction so that others could go on;
// tried again, it may succeed.
func (d Dialect) deadlock(err error) bool {
	switch d {
	case PostgreSQL:
		state, _ := sqlState(err)
		return state == "40001" || state == "40P01"
	case MySQL:
		number, _, _ := mysqlError(err)
		return number == 1213 || number == 1020
	}
	return false // there is one writer
}

// undone says of the error of a COMMIT that certainly nothing was changed.
func (d Dialect) undone(err error) bool {
	switch d {
	case PostgreSQL:
		state, ok := sqlState(err)
		// Connection trouble, shutdown, a full or broken disk: the server may have
		// come past the point at which the commit holds.
		return ok && state != "40003" && !strings.Contains(" 08 53 57 58 XX ", " "+class(state)+" ")
	case MySQL:
		return d.deadlock(err)
	}
	result, ok := sqliteResult(err)
	return ok && result&0xff != sqliteIOErr || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// violated says of the error of a COMMIT that a constraint forbade it.
func (d Dialect) violated(err error) bool {
	switch d {
	case PostgreSQL:
		state, _ := sqlState(err)
		return class(state) == "23"
	case MySQL:
		return false // it checks none that late
	}
	result, _ := sqliteResult(err)
	return result&0xff == sqliteConstraint
}
