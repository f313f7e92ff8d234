package reversal

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/projection/fold"
)

const hintEvents = `give {"type": …, "data": …}, where type may be left out for the event's own, or an array of these`

// ParseInverses reads inverses from a map in YAML, from event type to jq. In each .
// and $event are the event as fold.Input gives it, $before and $state the state
// before it, null if there was none. The output is an object of type and data, or
// an array of these; type is the event's own if left out. file is the name for
// messages. The error is an *annals.Error that names the lines.
func ParseInverses(file string, text []byte) (map[string]Inverse, error) {
	all, err := fold.ParseExpressions(file, text, "$before", "$state")
	if err != nil {
		return nil, err
	}
	inverses := map[string]Inverse{}
	for eventType, x := range all {
		inverses[eventType] = func(_ context.Context, before json.RawMessage, e *annals.Event) ([]annals.Event, error) {
			state, err := fold.Decode(before)
			if err != nil {
				return nil, err
			}
			out, err := x.Value(e, state, state)
			if err != nil {
				return nil, err
			}
			events, err := eventsOf(out, e.Type)
			if err != nil {
				return nil, &annals.Error{Code: annals.CodeInvalid, Message: file + ": jq of " + eventType + " returned no events", Hint: hintEvents, Err: err}
			}
			return events, nil
		}
	}
	return inverses, nil
}

// eventsOf makes events of a value of jq, or of the JSON of AttributeReverse.
func eventsOf(v any, ownType string) ([]annals.Event, error) {
	list, several := v.([]any)
	if !several {
		list = []any{v}
	}
	events := make([]annals.Event, 0, len(list))
	for i, one := range list {
		e, err := eventOf(one, ownType)
		if err != nil && several {
			err = fmt.Errorf("element %d: %w", i, err)
		}
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

func eventOf(v any, ownType string) (e annals.Event, err error) {
	members, object := v.(map[string]any)
	if !object {
		return e, fmt.Errorf("%s is no object", short(v))
	}
	e.Type = ownType
	for _, name := range slices.Sorted(maps.Keys(members)) {
		switch member := members[name]; name {
		case "type":
			text, ok := member.(string)
			if !ok {
				return e, fmt.Errorf("type is %s, not a string", short(member))
			}
			e.Type = text
		case "data":
			if e.Data, err = fold.Encode(member); err != nil {
				return e, err
			}
		default:
			return e, fmt.Errorf("member %q is unknown", name)
		}
	}
	return e, nil
}

func short(v any) string {
	text, err := fold.Encode(v)
	if err != nil {
		return "it"
	}
	if len(text) > 60 {
		text = append(text[:60:60], "…"...)
	}
	return strings.ToValidUTF8(string(text), "")
}

// inverse returns what is declared to undo e; false if nothing is. An inverse that
// is declared and bad is an error: no other way takes its place.
func (p *planner) inverse(ctx context.Context, e *annals.Event, before any) (events []annals.Event, declared bool, err error) {
	if declare := p.opts.Inverses[e.Type]; declare != nil {
		state, err := documentOf(before)
		if err != nil {
			return nil, true, err
		}
		given := *e
		given.Attributes, given.Data = maps.Clone(e.Attributes), slices.Clone(e.Data)
		events, err = declare(ctx, state.text, &given)
		if err != nil {
			return nil, true, &annals.Error{
				Code: annals.CodeOf(err), Message: fmt.Sprintf("the inverse of %s (%s) failed", nameOf(e.Stream, e.Version), e.Type), Err: err,
				Hint: "mend the inverse that is declared for " + e.Type,
			}
		}
		return events, true, nil
	}
	text, stored := e.Attributes[AttributeReverse]
	if !stored {
		return nil, false, nil
	}
	err = annals.CheckJSON([]byte(text))
	if err == nil {
		var v any
		if v, err = fold.Decode([]byte(text)); err == nil {
			events, err = eventsOf(v, e.Type)
		}
	}
	if err != nil {
		return nil, true, &annals.Error{
			Code: annals.CodeInvalid, Message: fmt.Sprintf("the attribute %q of %s does not say how to reverse it", AttributeReverse, nameOf(e.Stream, e.Version)), Err: err,
			Hint: "declare an inverse for the type " + e.Type + ", which comes before the attribute",
		}
	}
	return events, true, nil
}
