package reversal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/projection/fold"
)

// A Fold makes the state of a stream of its events.
type Fold struct {
	// Name stands in the data of StateRestored events, so that other folds pass them
	// over. It must not be empty.
	Name string
	// Apply returns the state after e; state is the one before, nil for none, as
	// fold.Decode returns it. It must not change state, and return an object, as
	// fold.Encode takes it, or nil. It is not called for StateRestored.
	Apply func(state any, e *annals.Event) (any, error)

	native bool // Apply knows StateRestored
}

// FoldBy folds by the rules of a file, for the document that has the stream's
// name.
func FoldBy(d *fold.Definition) *Fold {
	return &Fold{Name: d.Name, native: true, Apply: func(state any, e *annals.Event) (any, error) {
		numbered := *e
		numbered.Position = max(1, e.Position) // a stream may be read before its log is numbered
		if !d.Query.Match(&numbered) {
			return state, nil
		}
		keys, err := d.Rules.Keys(e)
		switch {
		case err != nil || len(keys) == 0:
			return state, err
		case len(keys) > 1 || keys[0] != e.Stream:
			return nil, &annals.Error{
				Code:    annals.CodeInvalid,
				Message: fmt.Sprintf("%s folds %s into the document %q, not into one of the stream's name", d.File, nameOf(e.Stream, e.Version), keys[0]),
				Hint:    "give a fold whose key is .stream, or declare inverses for the events",
			}
		}
		out, _, err := d.Rules.Apply(state, e, nil)
		return out, err
	}}
}

var latestState = func() *Fold {
	rules := fold.MergePatchRules()
	return &Fold{native: true, Apply: func(state any, e *annals.Event) (any, error) {
		out, _, err := rules.Apply(state, e, nil)
		return out, err
	}}
}()

func (f *Fold) step(state any, e *annals.Event) (any, error) {
	if e.Type != StateRestored || f.native {
		return f.Apply(state, e)
	}
	name, restored, err := fold.Restored(e)
	if err != nil || name != f.Name {
		return state, err
	}
	return restored, nil
}

// over folds events into state.
func (f *Fold) over(state any, events []annals.Event) (any, error) {
	for i := range events {
		var err error
		if state, err = f.step(state, &events[i]); err != nil {
			return nil, err
		}
	}
	return state, nil
}

// A document is a state, and the JSON that it is compared by.
type document struct {
	value any
	text  json.RawMessage
}

// documentOf writes state and reads it back, so that equal numbers are equal
// values whatever made them.
func documentOf(state any) (document, error) {
	text, err := fold.Encode(state)
	if err != nil {
		return document{}, err
	}
	value, err := fold.Decode(text)
	return document{value, text}, err
}

func (d document) equal(other document) bool { return bytes.Equal(d.text, other.text) }

// nameOf is an event as people and causations name it.
func nameOf(stream string, version int64) string {
	return stream + "@" + strconv.FormatInt(version, 10)
}
