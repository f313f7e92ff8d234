package fold

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/itchyny/gojq"
	"pgregory.net/rapid"

	"github.com/eb901187/annals"
)

// folds meet every part of the language that the package rewrites or walks.
var folds = []string{
	`{total: $event.data.n, status: "placed", tags: ["a", "b", {c: [1, [2]]}], none: {}, empty: []}`,
	`.n = (.n // 0) + ($event.data.n | numbers // 1)`,
	`.n += ($event.data.n | numbers) | .log = ((.log // []) + [$event.version])[-3:]`,
	`.p = (.p // 1) * ($event.data.n | numbers // 2)`,
	`.q = ((.q // 1.5) | . *= ($event.data.n | numbers // 2))`,
	`{m: ((.m // {a: {b: 1}}) * {a: {c: $event.data.n}})}`,
	`.text = ("ab" * ($event.data.small // 1))`,
	`.by[$event.type] += 1`,
	`.by |= ((. // {}) | del(.[$event.data.key | strings // "x"]))`,
	`.list[$event.data.small // 0] = $event.data`,
	`.list |= (. // [] | map(select(. != null)) | .[:3])`,
	`.list[1:2] = [$event.data.n, "x"]`,
	`del(.list[0], .by, .m.a.b)`,
	`.. |= (numbers |= . / 2 // empty)`,
	`(.list // [])[] as [$a, {n: $b}] ?// $a | {a: $a, b: $b}`,
	`reduce ($event.data.items // [])[] as $x (. // {}; .sum = (.sum // 0) + ($x | numbers // 0))`,
	`. as $old | {old: ($old | tojson | length), event: $event}`,
	`if (.n // 0) > 10 then empty else .n = (.n // 0) + 1 end`,
	`{path: [paths], slice: [path(.a[1:2])], keys: (. // {} | keys)}`,
	`setpath(["a", "b", ($event.data.small // 0)]; {x: 1}) | del(.a.b[1])`,
	`{"k\($event.data.key)": @base64 "\($event.data.n)", "c": @json "x"}`,
	`label $out | foreach (1, 2, 3) as $i (0; . + $i; if . > 2 then {f: .}, break $out else empty end)`,
	`try error({at: $event.time}) catch {caught: .}`,
	`def f(g; $h): g + $h; {f: f(1; 2), g: [limit(3; repeat("x"))], h: ([3, 1, 2] | sort_by(-.))}`,
	`{d: ("2020-05-01" | strptime("%Y-%m-%d") | mktime), t: ($event.time | length), when: now}`,
	`to_entries | map(select(.key != "old")) | from_entries`,
	`.nested.deep.er |= (. // {} | .n += 1 | .list += [{v: $event.data.n}] | .list[-2:] |= .)`,
	`.s = ((.s // "") + ($event.data.key | tostring))[-5:]`,
	`{min: ([.min, $event.data.n] | map(numbers) | min), g: ([{k: 1, v: 2}, {k: 1, v: 3}] | group_by(.k))}`,
	`null`, `empty`, `{}, {}`, `.x.y = error("no")`, `{x: nan}`, `{x: -infinite}`, `.n |= empty`, `{a: 1} | .[] |= empty`,
}

// direct evaluates a fold as gojq does by itself, on the document as it is stored.
func direct(t *rapid.T, src string, stored []byte, e *annals.Event) (out []byte, op Op, failed bool) {
	q, err := gojq.Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	module := loader{fmt.Sprintf("def now: %d.25;", e.Time.Unix())}
	code, err := gojq.Compile(q, gojq.WithVariables([]string{"$event"}), gojq.WithModuleLoader(module))
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	var doc any
	if stored != nil {
		doc = must(Decode(stored))
	}
	outputs := code.Run(doc, must(Input(e)))
	first, any := outputs.Next()
	if !any {
		return stored, Keep, false
	}
	_, more := outputs.Next()
	if _, object := first.(map[string]interface{}); !object || more {
		return stored, Keep, true
	}
	if out, err = Encode(first); err != nil {
		return stored, Keep, true
	}
	return out, Put, false
}

type loader struct{ module string }

func (l loader) LoadInitModules() ([]*gojq.Query, error) {
	q, err := gojq.Parse(l.module)
	return []*gojq.Query{q}, err
}

func drawNumber(t *rapid.T, label string) json.RawMessage {
	return json.RawMessage(rapid.SampledFrom([]string{
		"0", "1", "-1", "7", "40", "0.1", "2.50", "1e3", "1E-7", "-0", "9007199254740993", "9223372036854775807", "18446744073709551617", "1e20", "123456789.123456789", "1e308",
	}).Draw(t, label))
}

func randomEvent(t *rapid.T, eventType string, version int64) *annals.Event {
	data := map[string]any{}
	if rapid.Bool().Draw(t, "has n") {
		data["n"] = drawNumber(t, "n")
	}
	if rapid.Bool().Draw(t, "has small") {
		data["small"] = rapid.IntRange(-2, 6).Draw(t, "small")
	}
	if rapid.Bool().Draw(t, "has key") {
		data["key"] = rapid.SampledFrom([]any{"x", "a", "é\u2028", "", nil, 3, []any{1}}).Draw(t, "key")
	}
	if rapid.Bool().Draw(t, "has items") {
		items := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			items = append(items, drawNumber(t, "item"))
		}
		data["items"] = items
	}
	e := event(eventType, string(must(json.Marshal(data))))
	e.Version = version
	return e
}

// A document folded in memory, with what the package rewrites and keeps, is the
// one that gojq by itself makes of the stored document, event by event. Nothing
// that Apply was given changes.
func TestApplyIsDirectEvaluation(t *testing.T) {
	rules := make(map[string]*Rules, len(folds))
	for _, src := range folds {
		p, complaints := compile("fold", src, false, standardLimits)
		if complaints != nil {
			t.Fatalf("%s: %v", src, complaints)
		}
		rules[src] = &Rules{others: p}
	}
	rapid.Check(t, func(t *rapid.T) {
		var doc any
		var stored []byte
		for version := range rapid.IntRange(1, 12).Draw(t, "events") {
			src := rapid.SampledFrom(folds).Draw(t, "fold")
			e := randomEvent(t, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "type"), int64(version+1))
			want, wantOp, fails := direct(t, src, stored, e)
			input := must(rules[src].Input(e))
			before, inputBefore := must(Encode(doc)), must(Encode(input))
			out, op, err := rules[src].Apply(doc, e, input)
			if (err != nil) != fails || op != wantOp {
				t.Fatalf("%s on %s by %s: op %d, %v; directly op %d, %s", src, before, e.Data, op, err, wantOp, want)
			}
			if got := must(Encode(doc)); string(got) != string(before) {
				t.Fatalf("%s changed the document from %s to %s", src, before, got)
			}
			if got := must(Encode(input)); string(got) != string(inputBefore) {
				t.Fatalf("%s changed the event from %s to %s", src, inputBefore, got)
			}
			if op == Put {
				if got := must(Encode(out)); string(got) != string(want) {
					t.Fatalf("%s on %s by %s makes\n%s, directly\n%s", src, before, e.Data, got, want)
				}
				doc, stored = out, want
			}
		}
	})
}

// Merging in memory is merging what is stored.
func TestMergePatchOfRandomLogs(t *testing.T) {
	r := MergePatchRules()
	rapid.Check(t, func(t *rapid.T) {
		var doc any
		want := map[string]any{}
		for version := range rapid.IntRange(1, 8).Draw(t, "events") {
			e := randomEvent(t, "a", int64(version+1))
			out, _, err := r.Apply(doc, e, nil)
			if err != nil {
				t.Fatal(err)
			}
			for key, member := range must(dataOf(e)).(map[string]any) {
				if want[key] = member; member == nil {
					delete(want, key)
				}
			}
			if doc = out; string(must(Encode(doc))) != string(must(Encode(want))) {
				t.Fatalf("%s, want %s", must(Encode(doc)), must(Encode(want)))
			}
		}
	})
}

// The * of the package is jq's.
func TestMultiply(t *testing.T) {
	values := []any{
		nil, true, 0, 1, -1, 7, -(1 << 63), 1<<63 - 1, 1 << 32, 3037000500, 0.5, -2.5, 1e300, "ab", "", map[string]any{"a": map[string]any{"b": 1}}, map[string]any{"a": map[string]any{"c": 2}}, []any{1},
		json.Number("1.50"), json.Number("1e400"), json.Number("18446744073709551617"), json.Number("-0"),
	}
	for _, l := range values {
		for _, r := range values {
			got := multiply(l, r)
			want, _ := plainProduct.Run([]any{l, r}).Next()
			_, fails := got.(error)
			if _, should := want.(error); fails != should || !fails && fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%v * %v is %v (%T), want %v (%T)", l, r, got, got, want, want)
			}
		}
	}
}

// Rules serve several goroutines, and what stands in a fold does not get into the
// documents of two of them: run this with -race.
func TestRulesServeSeveralGoroutines(t *testing.T) {
	r := rulesOf(t, `
fold:
  a: 'if .c then del(.c.gone, .c.list[7], .p[0][1].gone) else {c: {gone: 1, list: [{x: 1}], kept: {y: [1]}}, p: [path(.a[1:2])]} end'
  b: '.c.list |= (. // [{x: {y: 1}}] | map(select(.z != 1))) | {c: .c, p: .p, d: ([{a: 1}] | del(.[0].b))}'
`)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			var doc any
			for i := range 300 {
				var err error
				if doc, _, err = r.Apply(doc, event([]string{"a", "b"}[i%2], "{}"), nil); err != nil {
					t.Error(err)
					return
				}
				if _, err := Encode(doc); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
}
