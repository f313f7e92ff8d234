package proof

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/eb901187/annals"
)

// A Kind says what a Proof shows.
type Kind string

// The kinds of proofs.
const (
	Inclusion Kind = "inclusion" // an event is in the log
	Extension Kind = "extension" // a log begins with an older one
)

// MaxProofBytes is more than any Proof has as JSON.
const MaxProofBytes = 4 << 20

// proofFormat stands in each proof, so that another format can be told from it.
const proofFormat = "annals proof 1"

// A Proof shows that an event is in the log of a root, or that the log of a root begins
// with that of an older one. It shows nothing before Check.
//
// As JSON it is one object: format ("annals proof 1"), kind, root (SIZE:HASH) and
// hashes, from the leaf up; an inclusion has event, commit and index, an extension has
// from. The event is a CloudEvent whose data, as it is stored, is always data_base64, so
// that nothing that lays JSON out again changes a byte of it.
type Proof struct {
	Kind Kind
	// Root is that of the log that the proof is about.
	Root Root
	// Hashes are the nodes of the tree that are needed besides, from the leaf up.
	Hashes []annals.Hash

	// Event is the event of an Inclusion as it is stored, with its stream, version
	// and position.
	Event annals.Event
	// Index is Event's number in its commit, from 0.
	Index int
	// Commit is the Hash of the commit that Event is of.
	Commit annals.Hash

	// From is the older root of an Extension.
	From Root
}

// AppendJSON appends p as JSON on one line.
func (p *Proof) AppendJSON(b []byte) []byte {
	b = append(b, `{"format":"`+proofFormat+`","kind":"`...)
	b = append(b, p.Kind...)
	if p.Kind == Extension {
		b = append(b, `","from":"`+p.From.String()...)
	}
	b = append(b, `","root":"`+p.Root.String()+`"`...)
	if p.Kind == Inclusion {
		b = append(b, `,"event":`...)
		b = appendEvent(b, p.Event)
		b = append(b, `,"commit":"`+p.Commit.String()+`","index":`...)
		b = strconv.AppendInt(b, int64(p.Index), 10)
	}
	b = append(b, `,"hashes":[`...)
	for i, h := range p.Hashes {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `"`+h.String()+`"`...)
	}
	return append(b, "]}"...)
}

func appendEvent(b []byte, e annals.Event) []byte {
	data := e.Data
	e.Data = nil
	b = e.AppendJSON(b, true)
	if len(data) > 0 {
		b = append(b[:len(b)-1], `,"data_base64":"`...)
		b = append(base64.StdEncoding.AppendEncode(b, data), `"}`...)
	}
	return b
}

// MarshalJSON is AppendJSON.
func (p Proof) MarshalJSON() ([]byte, error) { return p.AppendJSON(nil), nil }

// UnmarshalJSON is Parse.
func (p *Proof) UnmarshalJSON(text []byte) error {
	parsed, err := Parse(text)
	if err == nil {
		*p = parsed
	}
	return err
}

// Parse reads a Proof from what AppendJSON writes, laid out in any way. It checks the
// form, and not what the proof shows: see Check.
// Errors: *annals.JSONError, *annals.InvalidError.
func Parse(text []byte) (Proof, error) {
	if len(text) > MaxProofBytes {
		return Proof{}, &annals.InvalidError{Code: annals.CodeTooLarge, Violations: []annals.Violation{{Field: "proof", Message: "has more than " + strconv.Itoa(MaxProofBytes) + " bytes"}}}
	}
	if err := annals.CheckEnvelope(text); err != nil {
		return Proof{}, err
	}
	members := map[string][]byte{}
	for name, raw := range annals.JSONMembers(text) {
		members[name] = raw
	}
	if format, _ := annals.JSONString(members["format"]); format != proofFormat {
		return Proof{}, annals.Invalid("format", "must be %q, so this is no proof that this version reads", proofFormat)
	}
	kind, _ := annals.JSONString(members["kind"])
	p := Proof{Kind: Kind(kind)}
	needed := []member{{"format", nil}, {"kind", nil}, {"root", rootInto(&p.Root)}, {"hashes", p.setHashes}}
	switch p.Kind {
	case Inclusion:
		needed = append(needed, member{"event", p.setEvent}, member{"commit", hashInto(&p.Commit)}, member{"index", p.setIndex})
	case Extension:
		needed = append(needed, member{"from", rootInto(&p.From)})
	default:
		return Proof{}, annals.Invalid("kind", "must be inclusion or extension, not %.40q", kind)
	}
	for name := range members {
		if !slices.ContainsFunc(needed, func(m member) bool { return m.name == name }) {
			return Proof{}, annals.Invalid("proof", "has a member %.40q, which no proof of this kind has", name)
		}
	}
	for _, m := range needed {
		if members[m.name] == nil {
			return Proof{}, annals.Invalid(m.name, "must be given")
		}
		if m.set == nil {
			continue
		}
		if err := m.set(members[m.name]); err != nil {
			return Proof{}, err
		}
	}
	return p, nil
}

// member is one of a proof's JSON object, and what takes its value.
type member struct {
	name string
	set  func(raw []byte) error
}

func rootInto(r *Root) func([]byte) error {
	return func(raw []byte) (err error) {
		s, _ := annals.JSONString(raw)
		*r, err = ParseRoot(s)
		return err
	}
}

func hashInto(h *annals.Hash) func([]byte) error {
	return func(raw []byte) (err error) {
		s, _ := annals.JSONString(raw)
		*h, err = annals.ParseHash(s)
		return err
	}
}

func (p *Proof) setHashes(raw []byte) error {
	if len(raw) == 0 || raw[0] != '[' {
		return annals.Invalid("hashes", "must be an array")
	}
	const most = 64 // as no log has more than 2^63 events
	for element := range annals.JSONElements(raw) {
		if len(p.Hashes) == most {
			return annals.Invalid("hashes", "must not be more than %d", most)
		}
		var h annals.Hash
		if err := hashInto(&h)(element); err != nil {
			return err
		}
		p.Hashes = append(p.Hashes, h)
	}
	return nil
}

func (p *Proof) setIndex(raw []byte) (err error) {
	if p.Index, err = strconv.Atoi(string(raw)); err != nil || p.Index < 0 || p.Index >= annals.MaxCommitEvents {
		return annals.Invalid("index", "must be a whole number from 0 to %d", annals.MaxCommitEvents-1)
	}
	return nil
}

func (p *Proof) setEvent(raw []byte) (err error) {
	if p.Event, err = annals.ParseEvent(raw); err != nil {
		return err
	}
	e := &p.Event
	if e.Version <= 0 || e.Position <= 0 {
		return annals.Invalid("event", "must have its version and position")
	}
	if e.Stream == "" || len(e.Stream) > annals.MaxStreamBytes || strings.ContainsFunc(e.Stream, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return annals.Invalid("event", "must have the name of its stream")
	}
	return nil
}
