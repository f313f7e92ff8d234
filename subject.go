package annals

import (
	"bytes"
	"context"
	"iter"
)

// SubjectAttribute is the attribute of an event that names its data subject: the one
// person or account that its data is about. The name is stored as it is and never
// erased, so that it has to be a pseudonym, such as an account's number.
const SubjectAttribute = "datasubject"

// Content types of events that name a data subject.
const (
	// SealedContentType is that of data that is sealed with its subject's key. Data of
	// this type is read where a store was opened without keys; it is appended as it
	// is, by copies of a log, and where there are keys only if they open it.
	SealedContentType = "application/vnd.annals.sealed"
	// ErasedContentType is that of an event whose subject was erased. It has no data,
	// and its own content type is gone too. Copies of a log append it, for any subject.
	ErasedContentType = "application/vnd.annals.erased"
)

// Subject is the data subject that e names, empty if it names none.
func (e *Event) Subject() string {
	if len(e.Attributes) == 0 {
		return ""
	}
	return e.Attributes[SubjectAttribute]
}

// Erased reports whether e's data is gone because its subject was erased.
func (e *Event) Erased() bool { return e.ContentType == ErasedContentType }

// A Sealer keeps the data of events that name a data subject readable only as long as
// that subject's key exists. It is safe for concurrent use. Package subject has one.
type Sealer interface {
	// Seal replaces the data of an event of stream by its sealed form, of at most
	// MaxSealBytes more, and its content type by SealedContentType. It makes the same
	// of the same event each time, so that appending again is recognized. The event
	// has its id. It does not change the bytes that Data had. Error: one of CodeErased
	// where the subject is erased or about to be.
	Seal(ctx context.Context, stream string, e *Event) error
	// Open undoes Seal on an event that was read, which has its Stream. Where the
	// subject's key is destroyed or about to be, it leaves an event of
	// ErasedContentType without data. What is not what Seal made is an error that
	// matches ErrDamaged. It does not change the bytes that Data had.
	Open(ctx context.Context, e *Event) error
}

// A RemoteDriver is a Driver over a server, which seals what names a subject itself.
type RemoteDriver interface{ Remote() }

// Seals reports whether s seals and opens the data of events that name a data subject,
// and so takes them: it has keys. One over a server does not know and says no.
func (s *Store) Seals() bool { return s.opts.Sealer != nil }

// Erasable reports whether what s reads may become unreadable, by the erasure of a data
// subject, while the log stays as it is: it has keys, or is over a server, which may. What
// was read is then not to be kept as something that never changes.
func (s *Store) Erasable() bool {
	_, remote := s.driver.(RemoteDriver)
	return remote || s.Seals()
}

// seal seals those of events, which are valid, that name a data subject.
func (s *Store) seal(ctx context.Context, stream string, events []Event) error {
	for i := range events {
		e := &events[i]
		if e.Subject() == "" || e.Erased() {
			continue
		}
		if err := s.sealOne(ctx, stream, e); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) sealOne(ctx context.Context, stream string, e *Event) error {
	_, remote := s.driver.(RemoteDriver)
	sealed := e.ContentType == SealedContentType
	switch {
	case remote && s.opts.Sealer == nil:
		return nil
	case remote:
		return &Error{Code: CodeUsage, Message: "a store over a server was opened with keys of data subjects", Hint: "leave Options.Sealer out: the server has the keys"}
	case s.opts.Sealer == nil && sealed:
		return nil
	case s.opts.Sealer == nil:
		return &Error{
			Code:    CodeUsage,
			Message: "event " + e.ID + " for stream " + stream + " names a data subject, and the store was opened without keys to seal its data with; nothing was stored",
			Hint:    "open the store with the keys of its subjects: --keys or ANNALS_KEYS, Options.Sealer in Go; annals keys new makes some",
		}
	case !sealed:
		return s.opts.Sealer.Seal(ctx, stream, e)
	}
	return s.sealedHere(ctx, stream, e)
}

// sealedHere refuses what nobody could open once it is stored.
func (s *Store) sealedHere(ctx context.Context, stream string, e *Event) error {
	opened := *e
	opened.Stream = stream
	err := s.opts.Sealer.Open(ctx, &opened)
	switch {
	case CodeOf(err) == CodeDamaged:
		return Invalid("data", "of event %s for stream %s is not sealed by the key of its subject for this stream, id and type: %v", e.ID, stream, err)
	case err != nil:
		return err
	case opened.Erased():
		return ErasedSubject(stream, e)
	}
	again := opened
	if err := s.opts.Sealer.Seal(ctx, stream, &again); err != nil {
		return err
	}
	if !bytes.Equal(again.Data, e.Data) {
		return Invalid("data", "of event %s for stream %s is not sealed as this store seals it", e.ID, stream)
	}
	return nil
}

// ErasedSubject is the error of CodeErased with which a Sealer refuses e, for stream.
func ErasedSubject(stream string, e *Event) error {
	return &Error{
		Code:    CodeErased,
		Message: "the data subject of event " + e.ID + " for stream " + stream + " is erased; nothing was stored",
		Hint:    "nothing can be stored for this subject any more; somebody who comes back needs a new pseudonym",
	}
}

// opened opens the events of seq that are sealed, where s has keys.
func (s *Store) opened(ctx context.Context, seq iter.Seq2[Event, error]) iter.Seq2[Event, error] {
	if s.opts.Sealer == nil {
		return seq
	}
	return func(yield func(Event, error) bool) {
		for e, err := range seq {
			if err == nil && e.ContentType == SealedContentType {
				if err = s.opts.Sealer.Open(ctx, &e); err != nil {
					e = Event{}
				}
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}
