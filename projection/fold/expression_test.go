package fold

import (
	"errors"
	"strings"
	"testing"

	"github.com/eb901187/annals"
)

func TestExpressions(t *testing.T) {
	all, err := ParseExpressions("inverses.yaml", []byte(`
paid: '{type: "refunded", data: {amount: .data.amount, was: $before.paid, at: $event.version}}'
nothing: empty
two: .id, .type
long: 'repeat(empty)'
nan: '{x: nan}'
fails: error("no")
`), "$before")
	if err != nil || len(all) != 6 {
		t.Fatal(all, err)
	}
	out, err := all["paid"].Value(event("paid", `{"amount":9.90}`), mustDecode(t, `{"paid":9007199254740993}`))
	if want := `{"data":{"amount":9.90,"at":3,"was":9007199254740993},"type":"refunded"}`; err != nil || mustEncode(t, out) != want {
		t.Errorf("%s, %v; want %s", mustEncode(t, out), err, want)
	}
	if out, err = all["paid"].Value(event("paid", `{"amount":1}`)); err != nil || !strings.Contains(mustEncode(t, out), `"was":null`) {
		t.Errorf("without a value: %s, %v", mustEncode(t, out), err)
	}
	for name, want := range map[string]string{
		"nothing": "annals: inverses.yaml:3: jq of nothing returned nothing, at event order-7@3 (return one value, such as an empty array)",
		"two":     "annals: inverses.yaml:4: jq of two returned more than one value, at event order-7@3 (return one value, such as an array)",
		"long":    "annals: inverses.yaml:5: jq of long did not end within 5000000 steps, at event order-7@3 (see that each repeat, range and recursion comes to an end)",
		"nan":     "annals: inverses.yaml:6: jq of nan made a value that can't be written as JSON, at event order-7@3: .x is NaN, which JSON can't hold (JSON has no such value: put another in its place)",
		"fails":   "annals: inverses.yaml:7: jq of fails failed, at event order-7@3: error: no (mend the expression, or the event)",
	} {
		if _, err := all[name].Value(event(name, "{}"), nil); err == nil || err.Error() != want || annals.CodeOf(err) != annals.CodeInvalid {
			t.Errorf("%s:\n got %v\nwant %s", name, err, want)
		}
	}
	if _, err := all["paid"].Value(event("paid", "nope")); !errors.Is(err, annals.ErrInvalidJSON) {
		t.Errorf("data that is no JSON: %v", err)
	}
}

func TestExpressionRefusals(t *testing.T) {
	for text, want := range map[string]string{
		"":                  "f.yaml:1: the file is empty (write a map from event type to jq)",
		"{}":                "f.yaml:1: the file is an empty map (write a map from event type to jq)",
		"[a]":               "f.yaml:1: the file must be a map, it is a list (write a map from event type to jq)",
		"a b: .":            `f.yaml:1: event type "a b" must not hold ' ' (take a type that events have)`,
		"a: 1":              "f.yaml:1: jq of a must be a text, it is the number 1 (put the jq in quotes)",
		"a: '{'":            "f.yaml:1: jq of a is not jq: unexpected EOF, at character 2 (something is missing at its end)",
		"a: $befor":         `f.yaml:1: jq of a uses $befor, which is not defined, at character 1 (did you mean "$before"?)`,
		"a: $something":     "f.yaml:1: jq of a uses $something, which is not defined, at character 1 (there is $event, $before, and . is the event too)",
		"a: env":            "f.yaml:1: jq of a uses env, at character 1" + pure,
		"a: .dta.x":         `f.yaml:1: jq of a uses .dta, which an event has not got, at character 1 (did you mean "data"?)`,
		"a: .\nb: [":        "f.yaml:2: did not find expected node content (mend the YAML; quote texts that hold : or #, or begin with { [ & * ! | > % @)",
		"a: .\na: .":        `f.yaml:2: key "a" stands here and in line 1 (leave one of them)`,
		"a: .\n---\nb: .\n": "f.yaml:2: a second document begins (put them into one map)",
	} {
		all, err := ParseExpressions("f.yaml", []byte(text), "$before")
		if err == nil || err.Error() != "annals: "+want || annals.CodeOf(err) != annals.CodeInvalid {
			t.Errorf("%q: %v\n got %v\nwant annals: %s", text, all, err, want)
		}
	}
	if _, err := ParseExpressions("f.yaml", make([]byte, MaxFileBytes+1)); err == nil || !strings.Contains(err.Error(), "longer than 1048576 bytes") {
		t.Errorf("a large file: %v", err)
	}
}
