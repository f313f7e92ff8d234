package sink

import (
	"fmt"

	"github.com/eb901187/annals"
)

// storable leaves out the events that no store takes; refused is about the first of
// them.
func storable(events []annals.Event) (good []annals.Event, refused error) {
	return passing(events, func(e *annals.Event) error { return annals.CheckAppend(e.Stream, *e) })
}

// passing are the events that check lets pass.
func passing(events []annals.Event, check func(*annals.Event) error) (good []annals.Event, refused error) {
	for i := range events {
		if err := check(&events[i]); err == nil {
			good = append(good, events[i])
		} else if refused == nil {
			refused = about(&events[i], err)
		}
	}
	return good, refused
}

// about names the event that err is about.
func about(e *annals.Event, err error) error {
	return fmt.Errorf("event %s of stream %s: %w", e.ID, e.Stream, err)
}

// first is the error of a delivery: what kept events from being delivered that nothing
// is wrong with, else what is wrong with others.
func first(errs ...error) error {
	var refusal error
	for _, err := range errs {
		if err != nil && !annals.IsRefusal(err) {
			return err
		}
		if refusal == nil {
			refusal = err
		}
	}
	return refusal
}

// An unavailable error is one of a place that is no store, or of the way there, that
// may be gone next time. It does not match annals.ErrUnavailable, which is about stores.
type unavailable struct {
	what string
	err  error
}

func (e *unavailable) Error() string { return "annals: " + e.what + ": " + e.err.Error() }
func (e *unavailable) Unwrap() error { return e.err }

// ErrorCode is annals.CodeUnavailable.
func (e *unavailable) ErrorCode() annals.Code { return annals.CodeUnavailable }
