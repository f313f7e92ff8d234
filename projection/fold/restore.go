package fold

import (
	"errors"
	"fmt"

	"github.com/eb901187/annals"
)

// StateRestored is the type of the event that says outright what the state of its
// stream is, as package reversal appends it: data holds the document under state,
// null for none, and under fold the name of the definition whose document it is.
//
// Rules that name no fold for the type put that document in the place of the one
// that there is, or delete it, where fold is their name and their key is the
// stream's name. Without fold it is the latest state: for MergePatchRules, and for
// definitions that merge every event of a stream as those do. For all other rules
// the event changes nothing, "*" or not: the state of one fold says nothing about
// the documents of another.
const StateRestored = "annals.state-restored"

const hintRestored = "data must be {\"fold\": the name of a definition, or left out, \"state\": an object or null}"

// RestoredData is the data of an event of the type StateRestored: state is a
// document or nil, fold the name of a definition, empty for the latest state. The
// error is that of Encode.
func RestoredData(fold string, state any) ([]byte, error) {
	data := map[string]any{"state": state}
	if fold != "" {
		data["fold"] = fold
	}
	return Encode(data)
}

// Restored reads what RestoredData wrote. The error is an *annals.Error of
// CodeInvalid that names e.
func Restored(e *annals.Event) (fold string, state any, err error) {
	data, err := dataOf(e)
	if err != nil {
		return "", nil, err
	}
	members, _ := data.(map[string]any)
	state, known := members["state"]
	_, object := state.(map[string]any)
	name, named := members["fold"]
	fold, text := name.(string)
	switch {
	case !known:
		err = errors.New("it has no state")
	case state != nil && !object:
		err = errors.New("its state is " + described(state))
	case named && !text:
		err = errors.New("its fold is " + described(name))
	}
	if err != nil {
		return "", nil, &annals.Error{
			Code: annals.CodeInvalid, Message: fmt.Sprintf("the data of event %s can't restore a state", nameOf(e)), Hint: hintRestored, Err: err,
		}
	}
	return fold, state, nil
}

// restoring reports that e restores a state and that r leaves it to this package
// what to make of that.
func (r *Rules) restoring(e *annals.Event) bool {
	return e.Type == StateRestored && r.folds[StateRestored] == nil && !r.remove[StateRestored]
}

// restores returns the state that e restores; false if it is none of r's.
func (r *Rules) restores(e *annals.Event) (state any, mine bool, err error) {
	if r.key != nil {
		return nil, false, nil
	}
	fold, state, err := Restored(e)
	if err != nil {
		return nil, false, err
	}
	if fold == "" {
		return state, r.latest(), nil
	}
	return state, fold == r.name, nil
}

// latest reports that r makes of a stream what MergePatchRules make of it.
func (r *Rules) latest() bool {
	q := &r.query
	return r.merge && r.key == nil && len(r.remove) == 0 && len(q.Types) == 0 && len(q.Sources) == 0 && q.Correlation == ""
}

// restore is Apply for an event that restores a state.
func (r *Rules) restore(doc any, e *annals.Event) (any, Op, error) {
	state, mine, err := r.restores(e)
	switch {
	case err != nil || !mine:
		return doc, Keep, err
	case state != nil:
		return state, Put, nil
	case doc != nil:
		return nil, Delete, nil
	}
	return nil, Keep, nil
}
