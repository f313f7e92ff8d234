package fold

import (
	"github.com/eb901187/annals"
	"github.com/eb901187/annals/yamlfile"
)

// An Expression is jq over an event and further values, under the rules and limits
// that folds have. It is safe for concurrent use.
type Expression struct {
	program   *program
	variables int
}

// ParseExpressions reads a map from event type to jq, in YAML. In each expression
// . and $event are the event, see Input, and there are the given variables, such
// as "$before". file is its name for messages. The error is an *annals.Error of
// CodeInvalid that says of all that is wrong in which line it is and what to do.
func ParseExpressions(file string, text []byte, variables ...string) (map[string]*Expression, error) {
	p := &parser{reader: reader{file: file}, limits: standardLimits, foldLines: map[string]int{}}
	all := map[string]*Expression{}
	const hint = "write a map from event type to jq"
	if len(text) > MaxFileBytes {
		p.wrong(1, "split the file", "the file is longer than %d bytes", MaxFileBytes)
	} else if root := p.root(text, hint, "put them into one map"); root != nil {
		members := p.members(root, "the file", hint)
		if len(members) == 0 && len(p.problems) == 0 {
			p.wrong(root.Line, hint, "the file is an empty map")
		}
		for _, m := range members {
			if p.eventType(m.name, m.line) {
				all[m.name] = &Expression{p.expression(m.value, "jq of "+m.name, true, p.limits, variables...), len(variables)}
			}
		}
	}
	if len(p.problems) > 0 {
		return nil, yamlfile.Err(file, p.problems)
	}
	return all, nil
}

// Value runs x on e and returns its one output, which Encode can write. values are
// those of the variables, in their order, as Decode returns them; a missing one is
// null. The error is an *annals.Error that names file, line and event; no output
// and several are errors too.
func (x *Expression) Value(e *annals.Event, values ...any) (any, error) {
	input, err := Input(e)
	if err != nil {
		return nil, err
	}
	return x.ValueOf(e, input, values...)
}

// ValueOf is Value for a caller who has made input of e by Input. input is unchanged
// afterwards, and the output may share with it.
func (x *Expression) ValueOf(e *annals.Event, input any, values ...any) (any, error) {
	p := x.program
	given := make([]any, x.variables)
	copy(given, values)
	var out any
	n := 0
	t := p.run(input, e, input, func(v any) (bool, *trouble) {
		if n++; n > 1 {
			return false, &trouble{happened: "returned more than one value", hint: "return one value, such as an array"}
		}
		settledOut, err := settled(v, nil)
		if err != nil {
			return false, &trouble{happened: "made a value that can't be written as JSON", hint: "JSON has no such value: put another in its place", cause: err}
		}
		out = settledOut
		return true, nil
	}, given...)
	if t == nil && n == 0 {
		t = &trouble{happened: "returned nothing", hint: "return one value, such as an empty array"}
	}
	if t != nil {
		return nil, t.at(p, e)
	}
	return out, nil
}
