package projection

import (
	"encoding/json"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/projection/fold"
	"github.com/eb901187/annals/view"
)

// A Projection says which events make a view, and how. It is made by Documents,
// SQL, Parse or Load, and does not change.
type Projection struct {
	name      string
	revision  string
	query     annals.Query
	file      string // where it is defined, for people
	text      []byte // from which Parse makes it again; nil for Go code
	documents func(views view.Store, space string) consumer.Handler
	sql       *SQLView
	rules     *fold.Rules
}

// Name is the projection's name.
func (p *Projection) Name() string { return p.name }

// Revision tells one way of folding from another: a view that was built by
// another revision has to be built again.
func (p *Projection) Revision() string { return p.revision }

// File is where the projection is defined; empty for Go code.
func (p *Projection) File() string { return p.file }

// Rules are the folds of a projection from a file, and those of State; nil for Go
// code.
func (p *Projection) Rules() *fold.Rules { return p.rules }

const maxNameBytes = 60

func checkName(name string) error {
	bad := func(r rune) bool { return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_') }
	if name == "" || len(name) > maxNameBytes || strings.ContainsFunc(name, bad) {
		return annals.Invalid("name", "of a projection must be 1 to %d of a-z, 0-9, - and _", maxNameBytes)
	}
	return nil
}

func (p *Projection) check() error {
	q := p.query
	if err := checkName(p.name); err != nil {
		return err
	}
	if q.After != 0 || q.Until != 0 || q.Limit != 0 || q.Backward {
		return annals.Invalid("query", "of projection %s must not bound positions: a view reflects the whole log", p.name)
	}
	if p.sql != nil {
		if err := p.sql.check(p.name); err != nil {
			return err
		}
	}
	if p.revision == "" {
		return annals.Invalid("revision", "of projection %s must not be empty: it tells one way of folding from the next", p.name)
	}
	return nil
}

// A Fold changes doc by one event. doc is the zero S before the first event of
// its key. What it returns beside nil: Delete to remove the document, Keep if it
// has changed nothing; any other error parks the event. It must depend on doc and
// m alone.
type Fold[S any] func(doc *S, m *consumer.Message) error

type signal string

func (s signal) Error() string { return "projection: " + string(s) }

// What a Fold may return beside nil and errors.
const (
	Delete = signal("the document is to be deleted")
	Keep   = signal("the document stays as it is")
)

// Keys says which documents an event folds into: their keys, none twice. See
// view.CheckKey; at most 98.
type Keys func(e *annals.Event) []string

// ByStream keeps a document for each stream, under its name.
func ByStream(e *annals.Event) []string { return []string{e.Stream} }

// Documents is a projection in Go: for each key, a document of type S, which
// encoding/json writes and reads. revision must change whenever keys, fold or S
// change what the same log makes; q may set what chooses events, but no
// positions.
func Documents[S any](name, revision string, q annals.Query, keys Keys, fold Fold[S]) *Projection {
	return &Projection{name: name, revision: revision, query: q, documents: func(views view.Store, space string) consumer.Handler {
		return newDocuments(views, space, folder[S]{
			keys:   func(e *annals.Event) ([]string, error) { return keys(e), nil },
			decode: func(data []byte) (doc S, err error) { return doc, json.Unmarshal(data, &doc) },
			encode: func(doc S) ([]byte, error) { return json.Marshal(doc) },
			fold: func(doc *S, m *consumer.Message) (op, error) {
				switch err := fold(doc, m); err {
				case nil:
					return put, nil
				case Delete:
					return remove, nil
				case Keep:
					return keep, nil
				default:
					return keep, err
				}
			},
		})
	}}
}
