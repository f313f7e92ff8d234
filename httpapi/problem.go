package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/eb901187/annals"
)

// Problem is an error as a response (RFC 9457). Type is urn:annals:problem: and
// the code. Versions are strings.
type Problem struct {
	Type       string             `json:"type"`
	Title      string             `json:"title"`
	Status     int                `json:"status"`
	Detail     string             `json:"detail"`
	Code       annals.Code        `json:"code"`
	Retryable  bool               `json:"retryable"`
	Hint       string             `json:"hint,omitempty"`
	Violations []annals.Violation `json:"violations,omitempty"`
	// Of a conflict, with Stream.
	Expected string `json:"expected,omitempty"`
	Actual   string `json:"actual,omitempty"`
	// Of an id that is taken, with Stream.
	Stream  string `json:"stream,omitempty"`
	ID      string `json:"id,omitempty"`
	Version string `json:"version,omitempty"`
	// Of an ingest that was refused or broken off: what became of each message.
	Results []ingestResult `json:"results,omitempty"`
}

// ProblemType starts the type of every problem; its code follows.
const ProblemType = "urn:annals:problem:"

// NewProblem describes err.
func NewProblem(err error) Problem {
	info := annals.CodeOf(err).Info()
	p := Problem{
		Type: ProblemType + string(info.Code), Title: info.Title, Status: info.Status,
		Detail: strings.TrimPrefix(err.Error(), "annals: "), Code: info.Code, Retryable: info.Retryable,
	}
	var known *annals.Error
	if errors.As(err, &known) && known.Hint != "" {
		p.Hint = known.Hint
		p.Detail = strings.Replace(p.Detail, " ("+known.Hint+")", "", 1)
	}
	if p.Hint == "" {
		p.Hint = info.Hint
	}
	var invalid *annals.InvalidError
	if errors.As(err, &invalid) {
		p.Violations = invalid.Violations
	}
	var conflict *annals.ConflictError
	if errors.As(err, &conflict) {
		p.Stream, p.Expected, p.Actual = conflict.Stream, number(conflict.Expected), number(conflict.Actual)
	}
	var duplicate *annals.DuplicateError
	if errors.As(err, &duplicate) {
		p.Stream, p.ID, p.Version = duplicate.Stream, duplicate.ID, number(duplicate.Version)
	}
	return p
}

// Err is the error that the problem was made of, as far as a problem tells.
func (p *Problem) Err() error {
	parse := func(s string) int64 {
		n, _ := strconv.ParseInt(s, 10, 64) // a server of another version may leave it out
		return n
	}
	switch p.Code {
	case annals.CodeConflict:
		if p.Stream == "" {
			break // not one of appending
		}
		return &annals.ConflictError{Stream: p.Stream, Expected: parse(p.Expected), Actual: parse(p.Actual)}
	case annals.CodeIDReused:
		return &annals.DuplicateError{Stream: p.Stream, ID: p.ID, Version: parse(p.Version)}
	case annals.CodeCanceled:
		return context.Canceled
	}
	if len(p.Violations) > 0 {
		return &annals.InvalidError{Code: p.Code, Violations: p.Violations}
	}
	return &annals.Error{Code: p.Code, Message: p.Detail, Hint: p.Hint}
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func (s *server) fail(w http.ResponseWriter, r *request, p Problem) {
	switch {
	case p.Code == annals.CodeOverloaded: // told by the metrics: each in the log would be more to do
		s.shedding.Do(func() {
			s.opts.Logger.Warn("requests are refused, as there is more to do than the limits allow", "first", p.Detail)
		})
	case p.Status >= http.StatusInternalServerError:
		s.opts.Logger.Error("request failed", "method", r.Method, "path", r.URL.Path, "code", p.Code, "error", p.Detail)
	}
	if p.Status == http.StatusRequestTimeout || p.Code == annals.CodeTooLarge {
		w.Header().Set("Connection", "close") // the rest of the body is not read
	}
	writeJSON(w, p.Status, mediaProblem, p)
}

func writeJSON(w http.ResponseWriter, status int, media string, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // every v here is made of strings and numbers
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)+1))
	w.WriteHeader(status)
	// A client that is gone can't be told.
	_, _ = w.Write(append(text, '\n'))
}
