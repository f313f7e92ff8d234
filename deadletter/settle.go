package deadletter

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/eb901187/annals"
)

const (
	// StreamPrefix starts the names of the streams that say what became of dropped
	// letters, each under the id of its letter.
	StreamPrefix = annals.OwnPrefix + "dead-letters/"
	// Dropped is the type of the event of a letter that was dropped.
	Dropped = "dead-letter-dropped"
)

// Retry sends the letters with these ids back to where they came from, and deletes
// each that was sent. It yields every one, with the error for which it is still in
// the queue; an error of a Letter without an id ends it. Those that a queue does not
// show have an error that matches annals.ErrNotFound.
//
// A message goes to its queue or, under its partition key, to its stream. For a
// discarded part of a stream of Kinesis, its records are read and put again, as far
// as the stream still has them. One of a stream of DynamoDB is not sent again:
// annals reindex numbers what the table holds.
func (b *Box) Retry(ctx context.Context, ids []string) iter.Seq2[Letter, error] {
	return b.settle(ctx, ids, b.sendBack)
}

// Drop deletes the letters with these ids once store has an event about each, in
// the stream named by StreamPrefix and the letter's id. It yields them as Retry
// does. The object that holds a letter's body, if there is one, stays.
func (b *Box) Drop(ctx context.Context, store *annals.Store, ids []string, reason string) iter.Seq2[Letter, error] {
	if strings.TrimSpace(reason) == "" {
		return func(yield func(Letter, error) bool) { yield(Letter{}, annals.Invalid("reason", "must be given")) }
	}
	return b.settle(ctx, ids, func(ctx context.Context, l *Letter) error { return b.note(ctx, store, l, reason) })
}

// settle calls act for the letters with these ids and deletes those for which it
// has no error.
func (b *Box) settle(ctx context.Context, ids []string, act func(context.Context, *Letter) error) iter.Seq2[Letter, error] {
	return func(yield func(Letter, error) bool) {
		wanted := map[string]bool{}
		for _, id := range ids {
			wanted[id] = true
		}
		if len(wanted) == 0 {
			return
		}
		stopped := false
		b.each(ctx, acted, maxReceived, func(l Letter, err error) bool {
			if err == nil && !wanted[l.ID] {
				return true
			}
			if err == nil {
				delete(wanted, l.ID)
				err = b.finish(ctx, &l, act)
			}
			stopped = !yield(l, err) || l.ID == ""
			return !stopped && len(wanted) > 0
		})
		for _, id := range slices.Sorted(maps.Keys(wanted)) {
			if stopped || !yield(Letter{ID: id}, b.notShown(id)) {
				return
			}
		}
	}
}

func (b *Box) notShown(id string) error {
	return &annals.Error{
		Code: annals.CodeNotFound, Message: "the queue " + b.Queue() + " does not show the letter " + id,
		Hint: "it is gone, or somebody else has just received it: then try again in some minutes",
	}
}

func (b *Box) finish(ctx context.Context, l *Letter, act func(context.Context, *Letter) error) error {
	if err := act(ctx, l); err != nil {
		return err
	}
	if _, err := b.sqs.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &b.url, ReceiptHandle: &l.receipt}); err != nil {
		return explained("delete the letter "+l.ID+", which is settled, from", "the queue "+b.Queue(), err)
	}
	return nil
}

// A Drop is the data of an event of type Dropped.
type dropped struct {
	Queue       string      `json:"queue"`
	Letter      string      `json:"letter"`
	Kind        Kind        `json:"kind"`
	Reason      string      `json:"reason"` // of who dropped it
	Refusal     string      `json:"refusal,omitempty"`
	Code        annals.Code `json:"code,omitempty"`
	Source      string      `json:"source,omitempty"`
	Place       string      `json:"place,omitempty"`
	Correlation string      `json:"correlation,omitempty"`
	Received    time.Time   `json:"received,omitzero"`
	Bytes       int         `json:"bytes"`
	SHA256      string      `json:"sha256"`
	Object      string      `json:"object,omitempty"`
}

// note appends the event of a letter that is dropped. Where there is one already,
// the letter was dropped by somebody who could not delete it any more.
func (b *Box) note(ctx context.Context, store *annals.Store, l *Letter, reason string) error {
	d := dropped{
		Queue: b.Queue(), Letter: l.ID, Kind: l.Kind, Reason: reason, Refusal: l.Reason, Code: l.Code, Source: l.Source, Place: l.Place,
		Correlation: l.Correlation, Received: l.Time, Bytes: l.Bytes, SHA256: hash([]byte(l.Body)), Object: l.Object,
	}
	if l.Object != "" {
		d.SHA256 = l.Object[strings.LastIndexByte(l.Object, '/')+1:]
	}
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = store.Append(ctx, StreamPrefix+l.ID, annals.NoStream, annals.Event{ID: "dropped", Type: Dropped, Source: "annals dlq", Data: data})
	if errors.Is(err, annals.ErrIDReused) {
		return nil
	}
	return err
}
