package fold

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

var located = regexp.MustCompile(`^annals: f\.yaml(:[1-9][0-9]*: |( has [0-9]+ problems: (?s:.*)\n  f\.yaml:[1-9][0-9]*: ))`)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"fold: merge-patch", "name: orders\nquery: {types: [a], sources: [b], correlation: c, prefix: d}\nkey: .data.id, .stream\nfold:\n  a: |\n    .x |= . + 1 | .y[1:2] = [1]\n  '*': '{n: (now * 2)}'\ndelete: [gone]",
		"fold: &a {b: *a}", "fold: {a: '{x: env}', a: '\"\\(1'}", "? [a]\n: b", "fold: {a: 'import \"x\" as $x; .'}", "%YAML 1.1\n---\nfold: !!str merge-patch", "<<: {fold: merge-patch}", "fold: {a: 'def f(g; $h): g; label $l | reduce .[] as [$x, {a: $y}] (0; f(.; 1)) | try error catch ., break $l'}",
		"\xef\xbb\xbffold: merge-patch", "fold: {a: 'del(.a) | .b *= 2 | {a: [1,{b:2}]} * .'}", "fold:\r\n  a: |2\r\n     {}", "fold: {a: '.. |= empty'}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := parse("f.yaml", text, quick)
		if err != nil {
			var own *annals.Error
			if !errors.As(err, &own) || own.Code != annals.CodeInvalid || !located.MatchString(err.Error()) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		again, err := parse("f.yaml", text, quick)
		if err != nil || again.Fingerprint != d.Fingerprint {
			t.Fatalf("%q is not always the same: %v", text, err)
		}
		for _, eventType := range append(d.Query.Types, "other") {
			e := sample(eventType)
			if eventType == StateRestored {
				e.Data = []byte(`{"state":null}`)
			}
			if _, _, err := d.Rules.Apply(map[string]any{"a": []any{1, "x"}}, &e, nil); err != nil && !strings.HasPrefix(err.Error(), "annals: f.yaml:") {
				t.Fatalf("%q: %v", text, err)
			}
		}
	})
}

// Whatever the expression, gojq neither panics nor changes what it was given, and
// the text without comments and layout, which the fingerprint is made of, means
// the same.
func FuzzExpression(f *testing.F) {
	for _, src := range folds {
		f.Add(src)
	}
	for _, seed := range []string{
		". as {a: $x, \"b\\($x)\": [$y]} | $x - -$y", "-(1) | - . | -.a[0]", "..|.a?//1", "\"a\\(1 + 2)b\" * 3", ".a[1:][:-1] = [1]", "def f: def g: 3; g; f", ". .a .b", "@csv \"\\([1])\"",
		"if . then 1 end # c", "[.[]?] | sort_by(.a) | unique | transpose", "1 as $x | 2 as $y | [$x, $y, $event.id]", "reduce .[] as [$a] ?// $a (0; . + $a)", "{a: 1 | 2, (\"b\", \"c\"): 3, @base64 \"x\": 4, $event}", ".a |= empty | to_entries", "limit(3; repeat(1))", "try error(\"x\") catch .", "1.50e3 + .1", "ltrimstr(\"a\") | test(\"(?<x>a)\"; \"g\")", "input", "$__now", "now",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, src string) {
		short := limits{20_000, time.Second, time.Now}
		p, complaints := compile("fold", src, false, short)
		if complaints != nil {
			return
		}
		again, complaints := compile("fold", p.text, false, short)
		if complaints != nil || again.text != p.text {
			t.Fatalf("%q is written as %q, which is not the same: %v", src, p.text, complaints)
		}
		doc, e := mustDecode(t, `{"a":[1,{"b":[2.5]},"x"],"b":{"c":null},"n":9007199254740993}`), event("a", `{"n":2,"list":["a"]}`)
		before := mustEncode(t, doc)
		outputs := func(p *program) (all []any, happened string, cut bool) {
			input, err := fields{all: true}.value(e)
			if err != nil {
				t.Fatal(err)
			}
			trouble := p.run(doc, e, input, func(out any) (bool, *trouble) {
				settledOut, err := settled(out, nil)
				all = append(all, settledOut)
				return err == nil && len(all) < 20, nil
			})
			if trouble != nil {
				if happened = trouble.happened; trouble.cause != nil {
					happened += trouble.cause.Error()
				}
			}
			return all, happened, trouble != nil && trouble.kind == endless
		}
		one, oneHappened, cut := outputs(p)
		if cut {
			return
		}
		other, otherHappened, cut := outputs(again)
		if !cut && (mustEncode(t, one) != mustEncode(t, other) || oneHappened != otherHappened) {
			t.Fatalf("%q gives %s, %s; written as %q it gives %s, %s", src, mustEncode(t, one), oneHappened, p.text, mustEncode(t, other), otherHappened)
		}
		if strings.Contains(oneHappened, "panicked") {
			t.Fatalf("%q: %s", src, oneHappened)
		}
		if got := mustEncode(t, doc); got != before {
			t.Fatalf("%q changed %s to %s", src, before, got)
		}
	})
}
