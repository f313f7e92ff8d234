package annals

import "context"

// SubjectAttribute is the attribute of an event that names its data subject: the one
// person or account that its data is about. The name is stored as it is and never
// erased, so that it has to be a pseudonym, such as an account's number.
const SubjectAttribute = "datasubject"

// Content types of events that name a data subject.
const (
	// SealedContentType is that of data that is sealed with its subject's key. Data of
	// this type is read where a store was opened without keys; it is appended as it is.
	SealedContentType = "application/vnd.annals.sealed"
	// ErasedContentType is that of an event whose subject was erased. It has no data,
	// and its own content type is gone too. It can't be appended.
	ErasedContentType = "application/vnd.annals.erased"
)

// Subject is the data subject that e names, empty if it names none.
func (e *Event) Subject() string { return e.Attributes[SubjectAttribute] }

// Erased reports whether e's data is gone because its subject was erased.
func (e *Event) Erased() bool { return e.ContentType == ErasedContentType }

// A Sealer keeps the data of events that name a data subject readable only as long as
// that subject's key exists. It is safe for concurrent use. Package subject has one.
type Sealer interface {
	// Seal replaces the data of an event of stream by its sealed form, and its
	// content type by SealedContentType. It makes the same of the same event each
	// time, so that appending again is recognized. The event has its id. Error: one of
	// CodeErased where the subject is erased or about to be.
	Seal(ctx context.Context, stream string, e *Event) error
	// Open undoes Seal on an event that was read. Where the subject's key is
	// destroyed, it leaves an event of ErasedContentType without data. What is not
	// what Seal made is an error that matches ErrDamaged.
	Open(ctx context.Context, e *Event) error
}

// A RemoteDriver is a Driver over a server, which seals what names a subject itself.
type RemoteDriver interface{ Remote() }
