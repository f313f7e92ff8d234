package fold

import (
	"strings"
	"testing"

	"github.com/eb901187/annals"
)

// A restored state is taken up by the rules whose state it is, and by no others.
func TestRestoredStates(t *testing.T) {
	for name, c := range map[string]struct{ rules, data, want string }{
		"of this fold":                       {"name: orders\nfold: {a: '{}'}", `{"fold":"orders","state":{"b":2.50}}`, `{"b":2.50}`},
		"of this fold, none":                 {"name: orders\nfold: {a: '{}'}", `{"fold":"orders","state":null}`, `null`},
		"of another fold":                    {"name: orders\nfold: {a: '{}'}", `{"fold":"other","state":{"b":2}}`, `{"x":1}`},
		"of another fold, by *":              {"name: orders\nfold: {'*': '{}'}", `{"fold":"other","state":{"b":2}}`, `{"x":1}`},
		"by *":                               {"name: orders\nfold: {'*': '{}'}", `{"fold":"orders","state":{"b":2}}`, `{"b":2}`},
		"the latest state, not by a fold":    {"name: orders\nfold: {a: '{}'}", `{"state":{"b":2}}`, `{"x":1}`},
		"the latest state by a merge":        {"name: orders\nfold: merge-patch\nquery: {prefix: order-}", `{"state":{"b":2}}`, `{"b":2}`},
		"the latest state, some types":       {"name: orders\nfold: merge-patch\nquery: {types: [a]}", `{"state":{"b":2}}`, `{"x":1}`},
		"the latest state, some sources":     {"name: orders\nfold: merge-patch\nquery: {sources: [shop]}", `{"state":{"b":2}}`, `{"x":1}`},
		"the latest state, one request":      {"name: orders\nfold: merge-patch\nquery: {correlation: r}", `{"state":{"b":2}}`, `{"x":1}`},
		"the latest state, with delete":      {"name: orders\nfold: merge-patch\ndelete: [gone]", `{"state":{"b":2}}`, `{"x":1}`},
		"a merge by its name":                {"name: orders\nfold: merge-patch\nquery: {types: [a]}", `{"fold":"orders","state":{"b":2}}`, `{"b":2}`},
		"a fold of the type":                 {"name: orders\nfold: {" + StateRestored + ": '{own: $event.data.state.b}'}", `{"fold":"orders","state":{"b":2}}`, `{"own":2}`},
		"a type that deletes":                {"name: orders\nfold: {a: '{}'}\ndelete: [" + StateRestored + "]", `{"fold":"orders","state":{"b":2}}`, `null`},
		"documents that are not of a stream": {"name: orders\nkey: .data.customer\nfold: {'*': '{}'}", `{"fold":"orders","state":{"b":2}}`, `{"x":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			r := rulesOf(t, c.rules)
			e := event(StateRestored, c.data)
			out, op, err := r.Apply(mustDecode(t, `{"x":1}`), e, nil)
			if err != nil || mustEncode(t, out) != c.want || (op == Keep) != (c.want == `{"x":1}`) {
				t.Errorf("%s, op %d, %v; want %s", mustEncode(t, out), op, err, c.want)
			}
			keys, err := r.Keys(e)
			if err != nil || (len(keys) == 0) != (op == Keep) {
				t.Errorf("keys %q, %v", keys, err)
			}
		})
	}
	r := MergePatchRules()
	for data, want := range map[string]string{`{"state":{"b":{"c":null}}}`: `{"b":{"c":null}}`, `{"state":null}`: `null`, `{"fold":"state","state":null}`: `{"x":1}`} {
		out, _, err := r.Apply(mustDecode(t, `{"x":1}`), event(StateRestored, data), nil)
		if err != nil || mustEncode(t, out) != want {
			t.Errorf("the latest state by %s: %s, %v; want %s", data, mustEncode(t, out), err, want)
		}
	}
	if out, op, err := r.Apply(nil, event(StateRestored, `{"state":null}`), nil); out != nil || op != Keep || err != nil {
		t.Errorf("no state of none: %v, op %d, %v", out, op, err)
	}
}

func TestRestoredData(t *testing.T) {
	for want, state := range map[string]any{`{"fold":"orders","state":{"a":1}}`: map[string]any{"a": 1}, `{"fold":"orders","state":null}`: nil} {
		data, err := RestoredData("orders", state)
		if err != nil || string(data) != want {
			t.Fatalf("%s, %v; want %s", data, err, want)
		}
		name, got, err := Restored(event(StateRestored, want))
		if err != nil || name != "orders" || mustEncode(t, got) != mustEncode(t, state) {
			t.Errorf("%q %v %v", name, got, err)
		}
	}
	for data, why := range map[string]string{
		``: "it has no state", `{}`: "it has no state", `[]`: "it has no state", `{"state":[1]}`: "its state is array [1]", `{"state":{},"fold":1}`: "its fold is number 1",
	} {
		e := event(StateRestored, data)
		_, _, err := Restored(e)
		want := "annals: the data of event order-7@3 can't restore a state: " + why + ` (data must be {"fold": the name of a definition, or left out, "state": an object or null})`
		if err == nil || err.Error() != want || annals.CodeOf(err) != annals.CodeInvalid {
			t.Errorf("%s: %v", data, err)
		}
		if _, op, err := rulesOf(t, "fold: {a: '{}'}").Apply(nil, e, nil); err == nil || op != Keep {
			t.Errorf("%s was applied, op %d, %v", data, op, err)
		}
		if _, err := MergePatchRules().Keys(e); err == nil {
			t.Errorf("%s has keys", data)
		}
	}
}

// A query that names as many types as it may stays as it is.
func TestRestoredStatesAreAmongTheTypesIfThereIsRoom(t *testing.T) {
	for n, has := range map[int]bool{99: true, 100: false} {
		for _, text := range []string{"fold: merge-patch\nquery: {types: [" + many(n) + "]}", "fold: {" + strings.ReplaceAll(many(n), ", ", ": '{}', ") + ": '{}'}"} {
			d, err := Parse("a.yaml", []byte(text))
			if err != nil || len(d.Query.Types) != 100 || (d.Query.Types[99] == StateRestored) != has {
				t.Errorf("%d types: %v, %v", n, d, err)
			}
		}
	}
	d, err := Parse("a.yaml", []byte("key: .source\nfold: {a: '{}'}"))
	if err != nil || len(d.Query.Types) != 1 {
		t.Errorf("documents that are not of a stream read %v, %v", d, err)
	}
}
