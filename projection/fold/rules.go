package fold

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/eb901187/annals"
)

// An Op is what an event does to a document.
type Op int

// The ops.
const (
	Keep   Op = iota // the document stays as it is
	Put              // there is a new document
	Delete           // there is no document any more
)

// MaxKeys is how many documents one event may fold into: with the consumer's
// record and the entry of a parked event they fit into a transaction of DynamoDB.
const MaxKeys = 98

// Rules say how events become documents. They are made by Parse, Load or
// MergePatchRules, do not change, and are safe for concurrent use.
type Rules struct {
	name   string // of the definition; empty for MergePatchRules
	query  annals.Query
	key    *program            // nil for the stream's name
	merge  bool                // a merge patch for every type but those of remove
	folds  map[string]*program // by event type
	others *program            // for every other type; may be nil
	remove map[string]bool     // types that delete the document
	own    bool                // whether events of Annals' own streams fold too
	added  bool                // whether StateRestored is among the query's types unasked
}

// MergePatchRules are those for the latest state of every stream: a document for
// each stream under its name, into which the data of every event is merged by RFC
// 7396. Data that is no JSON object leaves the document as it is, because the RFC
// would put it in the document's place and a document is an object. Events of
// Annals' own streams, see annals.OwnPrefix, fold into nothing.
func MergePatchRules() *Rules { return &Rules{merge: true} }

// program is the fold of an event type, or nil.
func (r *Rules) program(eventType string) *program {
	if p := r.folds[eventType]; p != nil {
		return p
	}
	return r.others
}

// ours reports that e is one of Annals' own events that these rules leave out.
func (r *Rules) ours(e *annals.Event) bool {
	return !r.own && strings.HasPrefix(e.Stream, annals.OwnPrefix)
}

// Keys returns which documents e folds into: at most MaxKeys, in the order in
// which the key expression names them, none twice. What may be a key in a view is
// for the caller to check. An event that is erased belongs to none where the
// expression can't do without its data. The error is an *annals.Error and permanent:
// the same event fails again.
func (r *Rules) Keys(e *annals.Event) ([]string, error) {
	if r.ours(e) {
		return nil, nil
	}
	if r.restoring(e) && e.Erased() {
		return nil, nil
	}
	if r.restoring(e) {
		if _, mine, err := r.restores(e); !mine {
			return nil, err
		}
	}
	if r.key == nil {
		return []string{e.Stream}, nil
	}
	if key, ok := textAt(e, r.key.path); ok {
		return []string{key}, nil
	}
	event, err := r.key.fields.value(e)
	if err != nil {
		return nil, err
	}
	keys, t := r.key.keys(e, event)
	switch {
	case t != nil && e.Erased():
		return nil, nil
	case t != nil:
		return nil, t.at(r.key, e)
	}
	return keys, nil
}

// keys runs p as a key.
func (p *program) keys(e *annals.Event, event any) (keys []string, t *trouble) {
	t = p.run(event, e, event, func(out any) (bool, *trouble) {
		key, ok := out.(string)
		switch {
		case !ok:
			return false, &trouble{kind: wrongOutput, output: out, happened: "returned " + described(out) + ", not a string", hint: "give the name of a document, or empty for events that belong to none"}
		case slices.Contains(keys, key):
			return true, nil
		case len(keys) == MaxKeys:
			return false, &trouble{kind: wrongOutput, output: out, happened: fmt.Sprintf("names more than %d documents", MaxKeys), hint: "fold what one event touches into fewer documents"}
		}
		keys = append(keys, key)
		return true, nil
	})
	return keys, t
}

// Input is what Apply looks at of e: Input in those fields that the fold of its
// type uses. One Input serves all documents of e.
func (r *Rules) Input(e *annals.Event) (any, error) {
	if r.merge && !r.remove[e.Type] {
		return fields{names: dataField}.value(e)
	}
	if p := r.program(e.Type); p != nil {
		return p.fields.value(e)
	}
	return map[string]any{}, nil
}

var dataField = []string{"data"}

// Apply folds e into a document: doc is the present one as Decode or Apply has
// returned it, nil if there is none, and input what Input has returned for e,
// or nil. With Put, out is the new document, which shares what it can with doc
// and input; with Keep it is doc; with Delete, which needs a document, it is nil.
// Both are unchanged when Apply returns, but no other goroutine may read them
// meanwhile: gojq may put back what is there.
//
// An event that is erased changes nothing where its fold fails without the data.
//
// The error is an *annals.Error that names file, line and event. It is permanent,
// the same event fails again, unless its code is CodeTimeout.
func (r *Rules) Apply(doc any, e *annals.Event, input any) (out any, op Op, err error) {
	if r.ours(e) {
		return doc, Keep, nil
	}
	if r.restoring(e) && e.Erased() {
		return doc, Keep, nil
	}
	if r.restoring(e) {
		return r.restore(doc, e)
	}
	if r.remove[e.Type] {
		if doc == nil {
			return nil, Keep, nil
		}
		return nil, Delete, nil
	}
	p := r.program(e.Type)
	if p == nil && !r.merge {
		return doc, Keep, nil
	}
	if input == nil {
		if input, err = r.Input(e); err != nil {
			return doc, Keep, err
		}
	}
	if p == nil {
		return mergeInto(doc, input)
	}
	out, op, t := p.fold(doc, e, input)
	switch {
	case t != nil && e.Erased():
		return doc, Keep, nil
	case t != nil:
		return doc, Keep, t.at(p, e)
	}
	return out, op, nil
}

func mergeInto(doc, input any) (any, Op, error) {
	event, _ := input.(map[string]any)
	if patch, ok := event["data"].(map[string]any); ok {
		return MergePatch(doc, patch), Put, nil
	}
	return doc, Keep, nil
}

const hintObject = "return the whole new document, or empty to leave it as it is"

// fold runs p as a fold and checks that its output is a document.
func (p *program) fold(doc any, e *annals.Event, input any) (out any, op Op, t *trouble) {
	out = doc
	t = p.run(doc, e, input, func(v any) (bool, *trouble) {
		object, ok := v.(map[string]any)
		switch {
		case op == Put:
			return false, &trouble{kind: wrongOutput, happened: "returned more than one value, not one object", hint: hintObject, output: v}
		case !ok:
			return false, &trouble{kind: wrongOutput, happened: "returned " + described(v) + ", not an object", hint: hintObject, output: v}
		}
		out, op = object, Put
		return true, nil
	})
	if t != nil || op == Keep {
		return doc, Keep, t
	}
	out, err := settled(out, doc)
	if err != nil {
		return doc, Keep, &trouble{happened: "made a document that can't be written as JSON", hint: "JSON has no such value: have the fold put another in its place", cause: err}
	}
	return out, Put, nil
}

// State folds events, the beginning of one stream in order of version, into the
// document called key, and returns it as it is then, nil if there is none, with
// the version and time of the last event read. Events that the rules' query
// leaves out change nothing. It ends at the first error, with the state before.
func State(events iter.Seq2[annals.Event, error], r *Rules, key string) (doc any, version int64, t time.Time, err error) {
	for e, err := range events {
		if err != nil {
			return doc, version, t, err
		}
		if doc, err = r.step(doc, &e, key); err != nil {
			return doc, version, t, err
		}
		version, t = e.Version, e.Time
	}
	return doc, version, t, nil
}

func (r *Rules) step(doc any, e *annals.Event, key string) (any, error) {
	numbered := *e
	numbered.Position = max(1, e.Position) // a stream may be read before its log is numbered
	if !r.query.Match(&numbered) {
		return doc, nil
	}
	keys, err := r.Keys(e)
	if err != nil || !slices.Contains(keys, key) {
		return doc, err
	}
	out, _, err := r.Apply(doc, e, nil)
	return out, err
}
