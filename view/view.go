package view

import (
	"context"
	"database/sql"
	"fmt"
	"iter"

	"github.com/eb901187/annals"
)

// Limits of what a Store takes, in bytes.
const (
	MaxSpaceBytes    = 200
	MaxKeyBytes      = 512
	MaxDocumentBytes = 256 << 10
)

// A Document is one JSON text of a space, under its key.
type Document struct {
	Key string
	// Data is JSON, kept and returned byte for byte. A Store does not parse it: it
	// takes 1 to MaxDocumentBytes of UTF-8 without zero bytes.
	Data []byte
	// Position is that of the last event folded into it, or 0.
	Position int64
}

// A Range chooses documents of a space by key. The zero Range is all of them.
type Range struct {
	// Prefix matches the keys that start with it.
	Prefix string
	// After matches the keys behind it; there need not be a document that has it.
	After string
	// Limit is the most documents to read; 0 means all.
	Limit int
}

// A Change is what one Commit makes true, all of it or nothing. No key may
// stand in it twice, but for one that is expected and put or deleted. An empty
// Change is one too, and changes nothing.
type Change struct {
	// Expect are the conditions; if one does not hold, nothing changes.
	Expect []Expectation
	// Put are the documents to write, whether they exist or not.
	Put []Put
	// Delete are the documents to remove, whether they exist or not.
	Delete []Key
	// Work runs inside the transaction, before it commits, on a Store over SQL;
	// every other Store refuses a Change with Work.
	Work func(ctx context.Context, tx *sql.Tx) error
	// Durable asks that the change outlives a power failure once Commit has
	// returned. Without it a store on this machine may lose its last changes
	// together, never some of them.
	Durable bool
}

// A Key names a document.
type Key struct{ Space, Key string }

// A Put writes a document into a space.
type Put struct {
	Space string
	Document
}

// An Expectation is that a document's data equals Data byte for byte, or with
// Data nil, that there is no such document. Its position is not compared.
type Expectation struct {
	Key
	Data []byte
}

// A Scrubber is a Store whose files, or whose database's, go on holding what was deleted
// or replaced. One that is none leaves that to whoever runs the service behind it.
type Scrubber interface {
	// Scrub frees them of it, as far as the file system and the database let it: it
	// writes anew what there is, and may take as long and as much room as that. Others
	// may wait meanwhile. It may be repeated.
	Scrub(ctx context.Context) error
}

// A Store keeps documents. It is safe for concurrent use. What it returns is the
// caller's to keep and to change; what it is given it does not keep. A name, a
// document or a Range that breaks a rule is refused with *annals.InvalidError
// before anything is read or written.
type Store interface {
	// Get returns the documents of space that have one of these keys, by key: any
	// number of keys, of which one may stand there twice. It sees every Commit
	// that had returned, of one that runs meanwhile perhaps a part.
	Get(ctx context.Context, space string, keys ...string) (map[string]Document, error)

	// Scan yields the documents of space that match r in the order of their keys'
	// bytes. It ends after its first error. It sees every Commit that had returned;
	// a document that changes meanwhile shows as before or after. The loop over it
	// may be left early and may call the Store.
	Scan(ctx context.Context, space string, r Range) iter.Seq2[Document, error]

	// Commit makes c true. Errors: one that matches annals.ErrConflict where an
	// expectation does not hold; a *WorkError where c.Work failed; one that
	// matches annals.ErrTooLarge where the Store can't change so much at once;
	// annals.ErrUnknownOutcome where it can't tell whether c was made true;
	// annals.ErrUnavailable where the same Change may succeed later. After any but
	// an unknown outcome nothing has changed.
	Commit(ctx context.Context, c Change) error

	// Drop removes all documents of space. It may take many steps; one that was
	// interrupted is finished by another Drop.
	Drop(ctx context.Context, space string) error

	// MaxChange is how many documents a Change may expect, put and delete
	// together, a key counted once.
	MaxChange() int

	// Close releases the store. Every call that runs or comes later ends in
	// annals.ErrClosed, but Close itself, which may be called again.
	Close() error
}

// A WorkError is what Change.Work returned; nothing was changed.
type WorkError struct{ Err error }

func (e *WorkError) Error() string { return e.Err.Error() }

// Unwrap returns what Change.Work returned.
func (e *WorkError) Unwrap() error { return e.Err }

// Conflict is the error of a Commit whose expectation about k does not hold.
func Conflict(k Key) error {
	return &annals.Error{
		Code: annals.CodeConflict, Message: fmt.Sprintf("document %q of %s was changed meanwhile", k.Key, k.Space),
		Hint: "read it again and decide anew",
	}
}
