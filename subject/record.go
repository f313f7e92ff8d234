package subject

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/eb901187/annals"
)

// A State is where a subject's key is in its life.
type State string

// The states, in the order in which a key goes through them.
const (
	// None: there has never been a key.
	None State = ""
	// Active: data is sealed and opened.
	Active State = "active"
	// Fenced: the key is there, and nobody may use it any more.
	Fenced State = "fenced"
	// Destroyed: the key is gone for ever, and no other is made.
	Destroyed State = "destroyed"
)

// A Record is what a Shelf keeps for a subject.
type Record struct {
	Subject string `json:"subject"`
	State   State  `json:"state"`
	// Edition counts the changes of the record, from 1.
	Edition int64 `json:"edition"`
	// Wrapped is the key as the Wrapper made it; nil once it is destroyed, and where
	// there was none when the subject was fenced.
	Wrapped []byte `json:"wrapped,omitempty"`
	// Fingerprint tells keys apart and says nothing about them: 16 hexadecimal digits,
	// kept when the key is destroyed. Empty where there never was a key.
	Fingerprint string `json:"fingerprint,omitempty"`
	// Created, Fenced and Destroyed are when it came to each State; zero if it has not.
	Created   time.Time `json:"created,omitzero"`
	Fenced    time.Time `json:"fenced,omitzero"`
	Destroyed time.Time `json:"destroyed,omitzero"`
}

// Encode is r as Shelves keep it, in JSON.
func (r Record) Encode() ([]byte, error) { return json.Marshal(r) }

// DecodeRecord reads what Encode made of the record of subject, found at place.
// Error: annals.ErrDamaged.
func DecodeRecord(place, subject string, text []byte) (Record, error) {
	var r Record
	err := json.Unmarshal(text, &r)
	switch {
	case err != nil:
	case subject != "" && r.Subject != subject:
		err = fmt.Errorf("it is that of %.80q", r.Subject)
	case r.Subject == "" || r.Edition < 1 || !slices.Contains([]State{Active, Fenced, Destroyed}, r.State),
		r.State == Active && len(r.Wrapped) == 0, r.State == Destroyed && len(r.Wrapped) > 0:
		err = fmt.Errorf("edition %d in state %.20q can't be", r.Edition, r.State)
	}
	if err != nil {
		return Record{}, &annals.Error{
			Code: annals.CodeDamaged, Err: err, Message: "the record of a subject's key in " + place + " can't be read",
			Hint: "put back a copy of it; without its key the subject's data stays sealed",
		}
	}
	return r, nil
}

// A Shelf keeps Records. It is safe for concurrent use, also by several processes.
type Shelf interface {
	// Get returns the record of subject as the last Put of any process left it; one
	// in state None if there is none.
	Get(ctx context.Context, subject string) (Record, error)
	// Put stores r, durably when it returns, if r.Edition is one more than that of
	// the stored record, which counts as 0 where there is none. Errors:
	// annals.ErrConflict where it is not; annals.ErrUnknownOutcome where r may or may
	// not have been stored.
	Put(ctx context.Context, r Record) error
	// List yields all records in any order, and ends after its first error.
	List(ctx context.Context) iter.Seq2[Record, error]
	// Place names the Shelf in messages.
	Place() string
	// Close releases it.
	Close() error
}

// Overtaken is the error of a Put whose edition does not follow that of the stored
// record.
func Overtaken(place string, r Record) error {
	return &annals.Error{
		Code: annals.CodeConflict, Message: fmt.Sprintf("the record of a subject's key in %s was changed meanwhile: it can't become edition %d", place, r.Edition),
		Hint: "try again",
	}
}

// CheckName reports what is wrong with the name of a subject: 1 to
// annals.MaxAttributeBytes of UTF-8 without control characters, and without a space at
// either end, which would make another subject of what looks the same. Error:
// *annals.InvalidError.
func CheckName(name string) error {
	switch {
	case name == "":
		return annals.Invalid("subject", "must not be empty")
	case len(name) > annals.MaxAttributeBytes:
		return annals.Invalid("subject", "is %d bytes long, the limit is %d", len(name), annals.MaxAttributeBytes)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return annals.Invalid("subject", "must be UTF-8 without control characters")
	case strings.TrimSpace(name) != name:
		return annals.Invalid("subject", "must not start or end in a space")
	}
	return nil
}

// memory is a Shelf of this process.
type memory struct {
	mu      sync.Mutex
	records map[string]Record
}

// MemoryShelf makes a Shelf that is gone with the process, for tests and examples.
func MemoryShelf() Shelf { return &memory{records: map[string]Record{}} }

func (m *memory) Place() string { return "memory" }
func (m *memory) Close() error  { return nil }

func (m *memory) Get(ctx context.Context, subject string) (Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.records[subject], ctx.Err()
}

func (m *memory) Put(ctx context.Context, r Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records[r.Subject].Edition != r.Edition-1 {
		return Overtaken(m.Place(), r)
	}
	m.records[r.Subject] = r
	return nil
}

func (m *memory) List(context.Context) iter.Seq2[Record, error] {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Record, 0, len(m.records))
	for _, r := range m.records {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Record) int { return cmp.Compare(a.Subject, b.Subject) })
	return func(yield func(Record, error) bool) {
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
	}
}
