package annals

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// A Code names a kind of failure, the same in the library, in HTTP problems
// and, through CodeInfo.Exit, on the command line. Codes are only ever added.
type Code string

// The codes, in the order in which they came.
const (
	CodeInternal        Code = "internal"
	CodeUsage           Code = "usage"
	CodeConflict        Code = "conflict"
	CodeIDReused        Code = "id_reused"
	CodeNotFound        Code = "not_found"
	CodeInvalid         Code = "invalid"
	CodeInvalidJSON     Code = "invalid_json"
	CodeTooLarge        Code = "too_large"
	CodeUnsupportedType Code = "unsupported_media_type"
	CodeNotAcceptable   Code = "not_acceptable"
	CodeMethod          Code = "method_not_allowed"
	CodeUnavailable     Code = "unavailable"
	CodeClosed          Code = "closed"
	CodeInUse           Code = "in_use"
	CodeNoSpace         Code = "no_space"
	CodeTimeout         Code = "timeout"
	CodeCanceled        Code = "canceled"
	CodeDamaged         Code = "damaged"
	CodeUnknownOutcome  Code = "unknown_outcome"
	CodeForbidden       Code = "forbidden"
	CodeUnauthorized    Code = "unauthorized"
	CodeErased          Code = "erased"
	CodeRateLimited     Code = "rate_limited"
	CodeOverloaded      Code = "overloaded"
)

// CodeInfo says how a code shows at each face of the system.
type CodeInfo struct {
	Code      Code
	Title     string // a short sentence for people
	Status    int    // HTTP status
	Exit      int    // exit code of the command line
	Retryable bool   // whether the same request may succeed later
	Hint      string // what to do where the error itself does not say
}

var codes = []CodeInfo{
	{CodeInternal, "internal error", 500, 1, false, "see the log of the process; annals verify checks the store"},
	{CodeUsage, "wrong usage", 400, 2, false, ""},
	{CodeConflict, "the stream is at another version", 409, 3, false, "read the stream again, decide anew, and append at its version"},
	{CodeIDReused, "the event id is already used in this stream", 409, 3, false, "a new fact needs a new id; to repeat an append, send the same events"},
	{CodeNotFound, "not found", 404, 4, false, ""},
	{CodeInvalid, "invalid input", 400, 5, false, "mend what is named and send it again"},
	{CodeInvalidJSON, "invalid JSON", 400, 5, false, "mend the JSON there, or name another content type"},
	{CodeTooLarge, "too large", 413, 5, false, "send it in smaller parts; docs/library.md lists the limits"},
	{CodeUnsupportedType, "unsupported media type", 415, 5, false, ""},
	{CodeNotAcceptable, "no acceptable media type", 406, 5, false, ""},
	{CodeMethod, "method not allowed", 405, 5, false, ""},
	{CodeUnavailable, "the store is unavailable", 503, 6, true, "try again; see that the store or its server is up"},
	{CodeClosed, "the store is closed", 503, 6, true, "open the store again"},
	{CodeInUse, "the store is in use by another process", 503, 6, true, "stop the process that has it open, or talk to it with --store http://…"},
	{CodeNoSpace, "no space left for the store", 507, 6, true, "free some space and append again"},
	{CodeTimeout, "timed out", 408, 6, true, "try again"},
	{CodeCanceled, "canceled", 499, 6, true, "try again"},
	{CodeDamaged, "the store is damaged", 500, 1, false, "annals verify says what is damaged; the log needs a backup, the index annals reindex"},
	{CodeUnknownOutcome, "unknown whether the events were stored", 504, 7, true, "append the same events with the same ids again"},
	{CodeForbidden, "forbidden", 403, 5, false, ""},
	{CodeUnauthorized, "nobody known", 401, 5, false, "give a token that the server knows"},
	{CodeErased, "the data subject was erased", 410, 5, false, "nothing can be stored for this subject any more"},
	{CodeRateLimited, "too many requests of this token", 429, 6, true, "send fewer, and try again when Retry-After says"},
	{CodeOverloaded, "the server has more to do than it can", 503, 6, true, "nothing was stored; try again when Retry-After says"},
}

// Codes lists every code. The list only grows.
func Codes() []CodeInfo { return append([]CodeInfo(nil), codes...) }

// Info describes c; an unknown code is described as CodeInternal.
func (c Code) Info() CodeInfo {
	for _, info := range codes {
		if info.Code == c {
			return info
		}
	}
	return codes[0]
}

type sentinel Code

func (s sentinel) Error() string   { return "annals: " + Code(s).Info().Title }
func (s sentinel) ErrorCode() Code { return Code(s) }

// What errors.Is finds in the errors of a Store. When appending:
var (
	// ErrConflict: the stream is not at the expected version. See ConflictError.
	ErrConflict error = sentinel(CodeConflict)
	// ErrIDReused: an event id is taken by another event of the stream. See
	// DuplicateError.
	ErrIDReused error = sentinel(CodeIDReused)
	// ErrInvalid: an argument breaks a rule. See InvalidError.
	ErrInvalid error = sentinel(CodeInvalid)
	// ErrInvalidJSON: data or a message is not strict JSON. See JSONError.
	ErrInvalidJSON error = sentinel(CodeInvalidJSON)
	// ErrTooLarge: an argument is over a limit. See InvalidError.
	ErrTooLarge error = sentinel(CodeTooLarge)
	// ErrNoSpace: the disk is full. Nothing was stored; appends work again once
	// there is room.
	ErrNoSpace error = sentinel(CodeNoSpace)
	// ErrUnknownOutcome: the events may or may not be stored, and looking
	// failed too. Appending the same events again is safe.
	ErrUnknownOutcome error = sentinel(CodeUnknownOutcome)
)

// When opening or using a store:
var (
	// ErrInUse: another process has the store open.
	ErrInUse error = sentinel(CodeInUse)
	// ErrDamaged: stored bytes are not what was written. The message names the
	// place; nothing is ever deleted because of it.
	ErrDamaged error = sentinel(CodeDamaged)
	// ErrUnavailable: the store can't be reached now.
	ErrUnavailable error = sentinel(CodeUnavailable)
	// ErrClosed: the Store was closed.
	ErrClosed error = sentinel(CodeClosed)
	// ErrNotFound: what was asked for does not exist.
	ErrNotFound error = sentinel(CodeNotFound)
)

// An Error is a failure with its code, what happened, and what to do next.
// errors.Is matches it with the Err variable of its code, and with its cause.
type Error struct {
	Code    Code
	Message string // what happened, to which stream or file
	Hint    string // what to do next; may be empty
	Err     error  // the cause; may be nil
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("annals: ")
	b.WriteString(e.Message)
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	if e.Hint != "" {
		b.WriteString(" (")
		b.WriteString(e.Hint)
		b.WriteString(")")
	}
	return b.String()
}

func (e *Error) Unwrap() error        { return e.Err }
func (e *Error) Is(target error) bool { return target == error(sentinel(e.Code)) }

// ErrorCode is e.Code, for CodeOf.
func (e *Error) ErrorCode() Code { return e.Code }

// A ConflictError says that the stream was not at the expected version, so that
// nothing was stored. Read the stream again from Actual and decide anew.
type ConflictError struct {
	Stream   string
	Expected int64 // what Append was given
	Actual   int64 // the stream's version; 0 for no stream
}

func (e *ConflictError) Error() string {
	expected := fmt.Sprintf("version %d", e.Expected)
	if e.Expected == NoStream {
		expected = "no stream"
	}
	actual := fmt.Sprintf("it is at version %d", e.Actual)
	if e.Actual == NoStream {
		actual = "there is no such stream"
	}
	return fmt.Sprintf("annals: conflict on stream %q: expected %s, %s", e.Stream, expected, actual)
}

func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// ErrorCode is CodeConflict.
func (e *ConflictError) ErrorCode() Code { return CodeConflict }

// A DuplicateError says that an event id is already in the stream, at Version.
// A Store returns it only where the stored event differs from the one given,
// or where only a part of the events was stored before.
type DuplicateError struct {
	Stream  string
	ID      string
	Version int64 // where the stream holds the id
}

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("annals: stream %q already holds another event or commit with id %q, at version %d", e.Stream, e.ID, e.Version)
}

func (e *DuplicateError) Is(target error) bool { return target == ErrIDReused }

// ErrorCode is CodeIDReused.
func (e *DuplicateError) ErrorCode() Code { return CodeIDReused }

// A Violation is one broken rule: where, and what the rule says.
type Violation struct {
	Field   string `json:"field"`   // for example "events[2].type"
	Message string `json:"message"` // for example "must not be empty"
}

// An InvalidError lists every rule that an argument breaks. It matches
// ErrInvalid, or ErrTooLarge or ErrInvalidJSON by its Code.
type InvalidError struct {
	Code       Code
	Violations []Violation
}

func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Violations))
	for i, v := range e.Violations {
		parts[i] = v.Field + " " + v.Message
	}
	return "annals: invalid: " + strings.Join(parts, "; ")
}

func (e *InvalidError) Is(target error) bool { return target == error(sentinel(e.ErrorCode())) }

// ErrorCode is e.Code, or CodeInvalid where that is empty.
func (e *InvalidError) ErrorCode() Code {
	if e.Code == "" {
		return CodeInvalid
	}
	return e.Code
}

// Invalid makes an InvalidError of one violation.
func Invalid(field, format string, args ...any) error {
	return &InvalidError{Violations: []Violation{{field, fmt.Sprintf(format, args...)}}}
}

// CodeOf finds the code of err: CodeCanceled and CodeTimeout for those of a
// context, CodeInternal for an error of unknown kind, empty for nil.
func CodeOf(err error) Code {
	var coded interface{ ErrorCode() Code }
	switch {
	case err == nil:
		return ""
	case errors.As(err, &coded):
		return coded.ErrorCode()
	case errors.Is(err, context.Canceled):
		return CodeCanceled
	case errors.Is(err, context.DeadlineExceeded):
		return CodeTimeout
	}
	return CodeInternal
}

// IsRefusal reports whether err is the fault of the events or the message that it is
// about, so that trying again would change nothing. A store that is set up wrongly may
// answer CodeInvalid too, and takes everything once that is mended; nor does a conflict
// say anything of events for any version.
func IsRefusal(err error) bool {
	switch CodeOf(err) {
	case CodeInvalid:
		return errors.As(err, new(*InvalidError))
	case CodeInvalidJSON, CodeTooLarge, CodeIDReused, CodeErased:
		return true
	}
	return false
}
