package fold

import (
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

func rulesOf(t testing.TB, text string) *Rules {
	t.Helper()
	d, err := Parse("orders.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d.Rules
}

// event is one of stream order-7 at version 3.
func event(eventType, data string) *annals.Event {
	return &annals.Event{
		ID: "e-1", Type: eventType, Source: "shop", Time: time.Date(2024, 2, 29, 12, 30, 1, 250_000_000, time.FixedZone("", 3600)),
		ContentType: annals.JSONContentType, Data: []byte(data), Stream: "order-7", Version: 3, Position: 9007199254740993,
	}
}

func TestInputIsAllOfAnEvent(t *testing.T) {
	e := event("a", `{"n":9007199254740993,"big":0.10}`)
	v, err := Input(e)
	want := `{"attributes":{},"causation":null,"contentType":"application/json","correlation":null,"data":{"big":0.10,"n":9007199254740993},"id":"e-1",` +
		`"position":9007199254740993,"source":"shop","stream":"order-7","time":"2024-02-29T11:30:01.25Z","type":"a","version":3}`
	if err != nil || mustEncode(t, v) != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, mustEncode(t, v), want)
	}
	e.Correlation, e.Causation, e.Attributes = "r-1", "order-6@2", map[string]string{"subject": "s"}
	e.ContentType, e.Data = "text/plain", []byte("hé")
	v, err = Input(e)
	want = `{"attributes":{"subject":"s"},"causation":"order-6@2","contentType":"text/plain","correlation":"r-1","data":null,"data_base64":"aMOp","id":"e-1",` +
		`"position":9007199254740993,"source":"shop","stream":"order-7","time":"2024-02-29T11:30:01.25Z","type":"a","version":3}`
	if err != nil || mustEncode(t, v) != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, mustEncode(t, v), want)
	}
	e.ContentType, e.Data = "application/x+json; charset=utf-8", nil
	if v, err = Input(e); err != nil || v.(map[string]any)["data"] != nil {
		t.Errorf("no data: %v, %v", v, err)
	}
	e.Data = []byte("nope")
	_, err = Input(e)
	if want := "annals: the data of event order-7@3 is not JSON: invalid character 'o' in literal null (expecting 'u')"; err == nil || err.Error() != want || !errors.Is(err, annals.ErrInvalidJSON) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestKeys(t *testing.T) {
	for key, want := range map[string][]string{
		".stream": {"order-7"}, ".data.customer": {"c-1"}, ".data.from, .data.to": {"a", "b"}, ".data.from, .data.from": {"a"},
		"empty": nil, ".data.missing // empty": nil, `"\(.source)/\(.type)"`: {"shop/placed"}, "$event.data.tags[]": {"x", "y"},
		".source": {"shop"}, ".time": {"2024-02-29T11:30:01.25Z"}, ".contentType": {"application/json"}, ".data.deep.id": {"d\u00e9\n"}, ".data.tags | .[0]": {"x"},
		`.time[:7]`: {"2024-02"}, ".data.index[.source]": {"by-source"}, "now | todate": {"2024-02-29T11:30:01Z"},
	} {
		r := rulesOf(t, "fold: merge-patch\nkey: '"+key+"'")
		e := event("placed", `{"customer":"c-1","from":"a","to":"b","tags":["x","y","x"],"index":{"shop":"by-source"},"deep":{"other":1,"id":"d\u00e9\n"}}`)
		got, err := r.Keys(e)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("key %s gives %q, %v; want %q", key, got, err, want)
		}
		if r.key != nil && r.key.path != nil { // by jq, and not by the short way
			got, trouble := r.key.keys(e, must(Input(e)))
			if trouble != nil || !slices.Equal(got, want) {
				t.Errorf("key %s gives %q in jq, %v; want %q", key, got, trouble, want)
			}
		}
	}
}

func TestAKeyInDataThatIsNotThere(t *testing.T) {
	r := rulesOf(t, "fold: merge-patch\nkey: .data.customer.id")
	plain := event("a", `{"customer":{"id":"c-1"}}`)
	plain.ContentType = "text/plain"
	for _, e := range []*annals.Event{plain, event("a", ""), event("a", "null"), event("a", `"customer"`), event("a", `{"customer":{}}`), event("a", `{"customer":"id"}`), event("a", `[{"customer":1}]`)} {
		if keys, err := r.Keys(e); err == nil || !strings.HasPrefix(err.Error(), "annals: orders.yaml:2: key ") {
			t.Errorf("%s: %q, %v", e.Data, keys, err)
		}
	}
}

func TestKeyErrors(t *testing.T) {
	for key, want := range map[string]string{
		".data.n":                      "annals: orders.yaml:2: key returned number 5, not a string, at event order-7@3 (give the name of a document, or empty for events that belong to none)",
		".data.none":                   "annals: orders.yaml:2: key returned null, not a string, at event order-7@3 (give the name of a document, or empty for events that belong to none)",
		"range(.data.many) | tostring": "annals: orders.yaml:2: key names more than 98 documents, at event order-7@3 (fold what one event touches into fewer documents)",
		".data.n[]?, .data.n.x":        `annals: orders.yaml:2: key failed, at event order-7@3: expected an object but got: number (5) (mend the expression, or the event)`,
		"if .data.n then repeat(empty) else empty end": "annals: orders.yaml:2: key did not end within 5000000 steps, at event order-7@3 (see that each repeat, range and recursion comes to an end)",
	} {
		_, err := rulesOf(t, "fold: merge-patch\nkey: "+key).Keys(event("a", `{"n":5,"many":101}`))
		if err == nil || err.Error() != want || annals.CodeOf(err) != annals.CodeInvalid {
			t.Errorf("key %s: got %v\nwant %s", key, err, want)
		}
	}
}

const shop = `
key: .stream
fold:
  placed: '{total: $event.data.total, status: "placed"}'
  paid: 'if . == null then empty else .paid += $event.data.amount | .at = now end'
  noted: |
    .notes = ((.notes // []) + [$event.data.note])
  "*": '.seen[$event.type] += 1'
delete: [removed]
`

func TestApply(t *testing.T) {
	r := rulesOf(t, shop)
	for _, c := range []struct {
		doc, eventType, data, want string
		op                         Op
	}{
		{`null`, "placed", `{"total":9.90}`, `{"status":"placed","total":9.90}`, Put},
		{`{"x":1}`, "placed", `{}`, `{"status":"placed","total":null}`, Put},
		{`null`, "paid", `{"amount":1}`, `null`, Keep},
		{`{"paid":9007199254740992}`, "paid", `{"amount":1}`, `{"at":1709206201.25,"paid":9007199254740993}`, Put},
		{`{"paid":0.1}`, "paid", `{"amount":0.2}`, `{"at":1709206201.25,"paid":0.30000000000000004}`, Put},
		{`null`, "noted", `{"note":"a"}`, `{"notes":["a"]}`, Put},
		{`{"notes":["a"]}`, "noted", `{"note":{"b":[]}}`, `{"notes":["a",{"b":[]}]}`, Put},
		{`{"seen":{"x":1}}`, "y", `{}`, `{"seen":{"x":1,"y":1}}`, Put},
		{`{"x":1}`, "removed", `{}`, `null`, Delete},
		{`null`, "removed", `{}`, `null`, Keep},
	} {
		doc, e := mustDecode(t, c.doc), event(c.eventType, c.data)
		input, err := r.Input(e)
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range []any{input, nil, must(Input(e))} {
			out, op, err := r.Apply(doc, e, in)
			if err != nil || op != c.op || mustEncode(t, out) != c.want {
				t.Errorf("%s %s on %s: %s, op %d, %v; want %s, op %d", c.eventType, c.data, c.doc, mustEncode(t, out), op, err, c.want, c.op)
			}
		}
		if got := mustEncode(t, doc); got != mustEncode(t, mustDecode(t, c.doc)) {
			t.Errorf("%s changed %s to %s", c.eventType, c.doc, got)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestApplyErrors(t *testing.T) {
	const mend, json = " (mend the expression, or the event)", " (JSON has no such value: have the fold put another in its place)"
	for src, want := range map[string]string{
		"if .kept then $event.data.none else {} end":          "returned null, not an object, at event order-7@3" + wholeObject,
		"if $event.data.n then [1] else {} end":               "returned array [1], not an object, at event order-7@3" + wholeObject,
		"{}, ($event.data | select(.n))":                      "returned more than one value, not one object, at event order-7@3" + wholeObject,
		".x = ($event.data.n | keys)":                         "failed, at event order-7@3: keys cannot be applied to: number (5)" + mend,
		`if $event.data.n then error("too late") else {} end`: "failed, at event order-7@3: error: too late" + mend,
		`if $event.data.n then error({a: 1}) else {} end`:     `failed, at event order-7@3: error: {"a":1}` + mend,
		"{x: [$event.data.n / 0]}":                            "failed, at event order-7@3: cannot divide number (5) by: number (0)" + mend,
		"{x: [($event.data.huge * 10)]}":                      "made a document that can't be written as JSON, at event order-7@3: .x[0] is +Inf, which JSON can't hold" + json,
		"{x: nan}":                                            "made a document that can't be written as JSON, at event order-7@3: .x is NaN, which JSON can't hold" + json,
		`{x: ("/w==" | @base64d)}`:                            `made a document that can't be written as JSON, at event order-7@3: .x is a string that is not UTF-8: "\xff"` + json,
		"reduce range($event.data.deep) as $i (.; {a: .})":    "made a document that can't be written as JSON, at event order-7@3: " + strings.Repeat(".a", 100) + " is nested deeper than 128 levels" + json,
		"if $event.data.n then [range(infinite)] else {} end": "did not end within 5000000 steps, at event order-7@3 (see that each repeat, range and recursion comes to an end)",
		"if $event.data.n then try repeat(1) catch {} else {} end | {a: .} | select(.a == {})": "did not end within 5000000 steps, at event order-7@3 (see that each repeat, range and recursion comes to an end)",
		".list[$event.data.index // 0] = 1":                                                    "failed, at event order-7@3: array index 536870911 is too large: the limit is 1048576" + mend,
		`setpath(["list", $event.data.index // 0]; 1)`:                                         "failed, at event order-7@3: array index 536870911 is too large: the limit is 1048576" + mend,
		".list[($event.data.index // 0)] |= 1":                                                 "failed, at event order-7@3: array index 536870911 is too large: the limit is 1048576" + mend,
		`.x = "ab" * ($event.data.index // 1)`:                                                 `failed, at event order-7@3: "ab" * 536870911 is too long a string: the limit is 1048576 bytes` + mend,
		`{x: "ab"} | .x *= ($event.data.index // 1)`:                                           `failed, at event order-7@3: "ab" * 536870911 is too long a string: the limit is 1048576 bytes` + mend,
		`{x: ("1 PST" | strptime("%s %Z"))}`:                                                   "failed, at event order-7@3: strptime can't read %Z: what the name of a zone means depends on the machine" + mend,
	} {
		r := rulesOf(t, "fold:\n  a: '"+src+"'")
		doc := mustDecode(t, `{"kept":[1]}`)
		out, op, err := r.Apply(doc, event("a", `{"n":5,"huge":1e308,"deep":129,"index":536870911}`), nil)
		if err == nil || err.Error() != "annals: orders.yaml:2: fold of a "+want || annals.CodeOf(err) != annals.CodeInvalid {
			t.Errorf("%s:\n got %v\nwant annals: orders.yaml:2: fold of a %s", src, err, want)
		}
		if op != Keep || mustEncode(t, out) != `{"kept":[1]}` {
			t.Errorf("%s: %v, op %d after an error", src, out, op)
		}
	}
	if _, _, err := rulesOf(t, "fold: merge-patch").Apply(nil, event("a", "nope"), nil); !errors.Is(err, annals.ErrInvalidJSON) {
		t.Errorf("data that is no JSON: %v", err)
	}
}

// A fold whose steps are long is cut off by time; another try may have more luck.
func TestApplyIsCutOffByTime(t *testing.T) {
	now := time.Unix(0, 0)
	slow := limits{1_000_000, 5 * time.Second, func() time.Time { now = now.Add(time.Second); return now }}
	d, err := parse("orders.yaml", []byte("fold:\n  a: 'if $event.data.n then [range(1e9)] else {} end'"), slow)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = d.Rules.Apply(nil, event("a", `{"n":1}`), nil)
	want := "annals: orders.yaml:2: fold of a did not end within 5s, at event order-7@3 (see that it does less for one event)"
	if err == nil || err.Error() != want || annals.CodeOf(err) != annals.CodeTimeout {
		t.Errorf("got %v (%s), want %s", err, annals.CodeOf(err), want)
	}
}

func TestApplySurvivesADocumentThatIsNone(t *testing.T) {
	_, _, err := rulesOf(t, "fold: {a: '.x += 1'}").Apply(struct{}{}, event("a", "{}"), nil)
	if err == nil || !strings.HasPrefix(err.Error(), "annals: orders.yaml:1: fold of a failed, at event order-7@3: gojq panicked: ") {
		t.Errorf("got %v", err)
	}
}

func TestMergePatchRules(t *testing.T) {
	r := MergePatchRules()
	if keys, err := r.Keys(event("a", "{}")); err != nil || !slices.Equal(keys, []string{"order-7"}) {
		t.Errorf("keys %q, %v", keys, err)
	}
	for _, c := range []struct {
		doc, data, want string
		op              Op
	}{
		{`null`, `{"a":1,"b":null}`, `{"a":1}`, Put}, {`{"a":1}`, `{"a":null,"b":{"c":2}}`, `{"b":{"c":2}}`, Put}, {`{"a":1}`, `{}`, `{"a":1}`, Put},
		{`{"a":1}`, `[1]`, `{"a":1}`, Keep}, {`{"a":1}`, `null`, `{"a":1}`, Keep}, {`{"a":1}`, `"x"`, `{"a":1}`, Keep}, {`{"a":1}`, ``, `{"a":1}`, Keep}, {`null`, ``, `null`, Keep},
	} {
		out, op, err := r.Apply(mustDecode(t, c.doc), event("a", c.data), nil)
		if err != nil || op != c.op || mustEncode(t, out) != c.want {
			t.Errorf("%s by %s: %s, op %d, %v; want %s, op %d", c.doc, c.data, mustEncode(t, out), op, err, c.want, c.op)
		}
	}
	text := event("a", "plain")
	text.ContentType = "text/plain"
	if _, op, err := r.Apply(nil, text, nil); op != Keep || err != nil {
		t.Errorf("data that is not JSON: op %d, %v", op, err)
	}
}

func TestAnnalsOwnEventsFoldOnlyWhereAskedFor(t *testing.T) {
	own := event("a", `{"a":1}`)
	own.Stream = annals.OwnPrefix + "snapshots/order-7"
	for text, want := range map[string]int{"": 0, "fold: merge-patch": 0, "fold: merge-patch\nquery: {prefix: annals.}": 1, "fold: {a: '{}'}\nquery: {prefix: annals.snapshots/}": 1} {
		r := MergePatchRules()
		if text != "" {
			r = rulesOf(t, text)
		}
		keys, err := r.Keys(own)
		_, op, applyErr := r.Apply(nil, own, nil)
		if err != nil || applyErr != nil || len(keys) != want || int(op) != want {
			t.Errorf("%q: keys %q, op %d, %v, %v", text, keys, op, err, applyErr)
		}
	}
}

func sequence(err error, events ...*annals.Event) iter.Seq2[annals.Event, error] {
	return func(yield func(annals.Event, error) bool) {
		for _, e := range events {
			if !yield(*e, nil) {
				return
			}
		}
		if err != nil {
			yield(annals.Event{}, err)
		}
	}
}

func TestState(t *testing.T) {
	r := rulesOf(t, "query: {sources: [shop]}\nkey: $event.data.for // $event.stream\nfold: {a: '.n += 1', b: '{n: error(\"no\")}'}\ndelete: [gone]")
	numbered := func(version int64, eventType, data string) *annals.Event {
		e := event(eventType, data)
		e.Version, e.Position, e.Time = version, 0, time.Unix(version, 0)
		return e
	}
	other := numbered(3, "a", "{}")
	other.Source = "elsewhere"
	all := []*annals.Event{numbered(1, "a", "{}"), numbered(2, "a", `{"for":"order-8"}`), other, numbered(4, "a", "{}"), numbered(5, "c", "{}"), numbered(6, "gone", "{}"), numbered(7, "a", "{}"), numbered(8, "b", "{}")}
	for upTo, want := range []string{"null", `{"n":1}`, `{"n":1}`, `{"n":1}`, `{"n":2}`, `{"n":2}`, "null", `{"n":1}`} {
		doc, version, at, err := State(sequence(nil, all[:upTo]...), r, "order-7")
		if err != nil || mustEncode(t, doc) != want || version != int64(upTo) || upTo > 0 && !at.Equal(time.Unix(version, 0)) {
			t.Errorf("as of version %d: %s at version %d, %v, %v; want %s", upTo, mustEncode(t, doc), version, at, err, want)
		}
	}
	doc, version, _, err := State(sequence(nil, all...), r, "order-7")
	if err == nil || !strings.Contains(err.Error(), "fold of b failed, at event order-7@8: error: no") || version != 7 || mustEncode(t, doc) != `{"n":1}` {
		t.Errorf("an event that fails: %v, version %d, %v", doc, version, err)
	}
	doc, version, _, err = State(sequence(annals.ErrClosed, all[:2]...), r, "order-8")
	if err != annals.ErrClosed || version != 2 || mustEncode(t, doc) != `{"n":1}` {
		t.Errorf("an interrupted read: %v, version %d, %v", doc, version, err)
	}
}
