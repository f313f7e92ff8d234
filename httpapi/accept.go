package httpapi

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"net/http"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/ingest"
)

// An Acceptor takes messages to be stored later by somebody else, such as a stream does.
// It is safe for concurrent use.
type Acceptor interface {
	// Check reports why an event that a store would take can't be accepted.
	Check(e *annals.Event) error
	// Accept returns when all events are kept durably. With an error it says what
	// became of each: one of Accepted, NotAccepted and Unknown.
	Accept(ctx context.Context, events []annals.Event) ([]ingest.Status, error)
}

// What becomes of a message that is given to an Acceptor.
const (
	Accepted    ingest.Status = "accepted"
	NotAccepted ingest.Status = "not_accepted"
	Unknown     ingest.Status = "unknown" // it may have been accepted
)

// acceptedIngest is the answer to an ingest whose messages are stored later.
type acceptedIngest struct {
	Messages int      `json:"messages"`
	IDs      []string `json:"ids"` // in the order of the messages
}

// accept checks all messages before it hands on any: they are accepted together, or
// refused together with what is wrong with each.
func (s *server) accept(w http.ResponseWriter, r *request, items iter.Seq2[ingest.Item, error]) error {
	events, results, err := s.checked(items)
	if err != nil {
		return err
	}
	if len(results) == 0 {
		return annals.Invalid("body", "holds no message")
	}
	if refused := firstRefused(results); refused != nil {
		return &refusedIngest{refused, results}
	}
	statuses, err := s.opts.Accept.Accept(r.Context(), events)
	if err != nil {
		return unaccepted(results, statuses, err)
	}
	answer := acceptedIngest{Messages: len(events)}
	for i := range events {
		answer.IDs = append(answer.IDs, events[i].ID)
	}
	writeJSON(w, http.StatusAccepted, mediaJSON, answer)
	return nil
}

// maxRefusedMessages is of how many messages an answer says why they are refused.
const maxRefusedMessages = 100

// checked decodes all messages, with a result for each, up to the one with which too
// many are refused. Those without an id get one; a
// time is left to whoever stores them, so that a repetition is the same message.
func (s *server) checked(items iter.Seq2[ingest.Item, error]) (events []annals.Event, results []ingestResult, err error) {
	refused := 0
	for item, err := range items {
		if err != nil {
			return nil, nil, err
		}
		e, err := s.acceptable(&item)
		result := ingestResult{Number: item.Number, Status: NotAccepted, ID: e.ID}
		if err != nil {
			result = newIngestResult(ingest.Result{Number: item.Number, Status: ingest.Refused, ID: e.ID, Err: err})
		}
		events, results = append(events, e), append(results, result)
		if err != nil {
			refused++
		}
		if refused == maxRefusedMessages {
			break
		}
	}
	return events, results, nil
}

func (s *server) acceptable(item *ingest.Item) (annals.Event, error) {
	if item.Err != nil {
		return annals.Event{}, item.Err
	}
	m, err := ingest.Decode(item.Text)
	e := m.Event
	if err != nil {
		return e, err
	}
	if err := annals.CheckAppend(m.Stream, e); err != nil {
		return e, err
	}
	e.Stream, e.Version, e.Position = m.Stream, 0, 0
	if e.ID == "" {
		e.ID = s.opts.NewID()
	}
	if e.Source == "" {
		e.Source = defaultSource
	}
	return e, s.opts.Accept.Check(&e)
}

// defaultSource is what a store takes for a message that names no source: on its way a
// CloudEvent must have one.
const defaultSource = "annals"

func newMessageID() string { return strings.ToLower(rand.Text()) }

// firstRefused is the error of an ingest of which nothing is accepted; nil if all may be.
func firstRefused(results []ingestResult) error {
	var first *ingestResult
	refused := 0
	for i := range results {
		if results[i].err == nil {
			continue
		}
		if refused++; first == nil {
			first = &results[i]
		}
	}
	switch {
	case first == nil || len(results) == 1:
		return results[0].err
	case refused == maxRefusedMessages:
		return fmt.Errorf("no message was accepted, because of message %d: %w (%d are refused, and those behind message %d were not looked at)",
			first.Number, first.err, refused, results[len(results)-1].Number)
	}
	return fmt.Errorf("no message was accepted, because of message %d: %w", first.Number, first.err)
}

// unaccepted is the error of an ingest of which some was not accepted, or may not have
// been. It is the server's: so no cause of its own gives it another code.
func unaccepted(results []ingestResult, statuses []ingest.Status, cause error) error {
	counts := map[ingest.Status]int{}
	for i := range results {
		results[i].Status = statuses[i]
		counts[statuses[i]]++
	}
	code := annals.CodeUnavailable
	message := fmt.Sprintf("%d of %d messages were accepted", counts[Accepted], len(results))
	if n := counts[Unknown]; n > 0 {
		code = annals.CodeUnknownOutcome
		message += fmt.Sprintf(", and %d more may have been", n)
	}
	return &refusedIngest{&annals.Error{
		Code: code, Err: cause, Message: message,
		Hint: "send the others again, with the ids of this answer: what arrives twice is stored once",
	}, results}
}
