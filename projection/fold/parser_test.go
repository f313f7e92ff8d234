package fold

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

// quick are limits for tests whose folds loop.
var quick = limits{20_000, time.Minute, time.Now}

const pure = " (a fold may depend on the document and the event only, so that a rebuild makes the same: take it from one of them)"
const wholeObject = " (return the whole new document, or empty to leave it as it is)"
const atMost = " (take 1 to 60 of a-z, 0-9, - and _)"

func TestRefusals(t *testing.T) {
	for text, want := range map[string]string{
		// YAML
		"":                                    "orders.yaml:1: the file is empty (give at least fold; the documentation has an example)",
		"# nothing\n":                         "orders.yaml:1: the file is empty (give at least fold; the documentation has an example)",
		"a: [":                                "orders.yaml:1: did not find expected node content (mend the YAML; quote texts that hold : or #, or begin with { [ & * ! | > % @)",
		"fold: {*: '{}'}":                     "orders.yaml:1: did not find expected alphabetic or numeric character (mend the YAML; quote texts that hold : or #, or begin with { [ & * ! | > % @)",
		"fold: merge-patch\n---\na":           "orders.yaml:2: a second document begins (put each projection into a file of its own)",
		"- fold":                              "orders.yaml:1: a projection must be a map, it is a list (give at least fold; the documentation has an example)",
		"\n7":                                 "orders.yaml:2: a projection must be a map, it is the number 7 (give at least fold; the documentation has an example)",
		"name: a\nfold: merge-patch\nname: b": `orders.yaml:3: key "name" stands here and in line 1 (leave one of them)`,
		"fold: merge-patch\n1: x":             "orders.yaml:2: a key of a projection must be a text, it is the number 1 (put it in quotes)",

		// keys and kinds
		"fold: merge-patch\nkeys: .id":                             `orders.yaml:2: unknown key "keys" (did you mean "key"?)`,
		"fold: merge-patch\nzebra: .id":                            `orders.yaml:2: unknown key "zebra" (known are name, query, key, fold, delete)`,
		"\nname: x":                                                "orders.yaml:2: fold is missing (write fold: merge-patch, or a map from event type to jq)",
		"name: Orders\nfold: merge-patch":                          `orders.yaml:1: "Orders" can't be the name of a projection` + atMost,
		"name: ''\nfold: merge-patch":                              `orders.yaml:1: "" can't be the name of a projection` + atMost,
		"name: 2024\nfold: merge-patch":                            "orders.yaml:1: name must be a text, it is the number 2024 (put it in quotes)",
		"name: " + strings.Repeat("a", 61) + "\nfold: merge-patch": `orders.yaml:1: "` + strings.Repeat("a", 61) + `" can't be the name of a projection` + atMost,
		"fold: merge":                                              `orders.yaml:1: fold must be merge-patch or a map, not the text "merge" (write fold: merge-patch, or a map from event type to jq)`,
		"fold: [a]":                                                "orders.yaml:1: fold must be a map, it is a list (write fold: merge-patch, or a map from event type to jq)",
		"fold: {}":                                                 "orders.yaml:1: fold is an empty map (write fold: merge-patch, or a map from event type to jq)",
		"fold:\n":                                                  "orders.yaml:1: fold must be a map, it is nothing (write fold: merge-patch, or a map from event type to jq)",
		"fold:\n  a: {x: 1}":                                       "orders.yaml:2: fold of a must be a text, it is a map (put the jq in quotes)",
		"fold:\n  a: true":                                         "orders.yaml:2: fold of a must be a text, it is a boolean (put the jq in quotes)",
		"fold: merge-patch\nkey: 2020-05-01":                       "orders.yaml:2: key must be a text, it is a date (put the jq in quotes)",
		"fold: merge-patch\nkey: !x a":                             "orders.yaml:2: key must be a text, it is of the type !x (put the jq in quotes)",
		"fold: {a: '{}', a b: '{}'}":                               `orders.yaml:1: event type "a b" must not hold ' ' (take a type that events have)`,
		"fold: {'': '{}'}":                                         `orders.yaml:1: event type "" must not be empty (take a type that events have)`,

		// query and delete
		"fold: merge-patch\nquery: [a]":                            "orders.yaml:2: query must be a map, it is a list (write query: {types: [order-placed]})",
		"fold: merge-patch\nquery: {source: [a]}":                  `orders.yaml:2: unknown key "source" of query (did you mean "sources"?)`,
		"fold: merge-patch\nquery: {types: order}":                 "orders.yaml:2: types must be a list, it is a text (write it as [one, another])",
		"fold: merge-patch\nquery: {types: []}":                    "orders.yaml:2: types is an empty list (name one, or leave the key out)",
		"fold: merge-patch\nquery: {types: [a, 1]}":                "orders.yaml:2: an element of types must be a text, it is the number 1 (put it in quotes)",
		"fold: merge-patch\nquery: {types: [a,\n a]}":              `orders.yaml:3: "a" stands in types here and in line 2 (leave one of them)`,
		"fold: merge-patch\nquery: {types: [a b]}":                 `orders.yaml:2: "a b" in types must not hold ' ' (take a name that events have)`,
		"fold: merge-patch\nquery: {sources: ['a,b']}":             `orders.yaml:2: "a,b" in sources must not hold ',' (take a name that events have)`,
		"fold: merge-patch\nquery: {prefix: a b}":                  `orders.yaml:2: prefix "a b" must not hold ' ' (take one that events have)`,
		"fold: merge-patch\nquery: {correlation: ''}":              "orders.yaml:2: correlation is empty (leave the key out to read all)",
		"fold: merge-patch\nquery: {after: 5}":                     `orders.yaml:2: unknown key "after" of query (known are types, sources, correlation, prefix)`,
		"fold: merge-patch\nquery: {types: [" + many(101) + "]}":   "orders.yaml:2: types names 101, the limit is 100 (leave the key out to read all)",
		"query: {types: [order-paid]}\nfold:\n  order-payed: '{}'": `orders.yaml:3: event type "order-payed" is not among the types of query: it would never be read (did you mean "order-paid"?)`,
		"query: {types: [a]}\nfold: merge-patch\ndelete: [gone]":   `orders.yaml:3: event type "gone" is not among the types of query: it would never be read (add it to types, or leave types out)`,
		"fold: {a: '{}'}\ndelete: a":                               "orders.yaml:2: delete must be a list, it is a text (write it as [one, another])",
		"fold: {a: '{}'}\ndelete: [a]":                             `orders.yaml:2: event type "a" stands in fold and in delete: here and in line 1 (leave one of them)`,
		"fold: {a: '{}'}\ndelete: ['*']":                           `orders.yaml:2: event type "*" must not hold '*' (take a type that events have)`,

		// jq that can't be compiled
		"fold: {a: '{x: 1'}":                                                "orders.yaml:1: fold of a is not jq: unexpected EOF, at character 6 (something is missing at its end)",
		"fold: {a: '{x: 1 2}'}":                                             `orders.yaml:1: fold of a is not jq: unexpected token "2", at character 7 (mend the jq there)`,
		"fold:\n  a: |\n    {x: 1,\n     y: 1 2}\n":                         `orders.yaml:4: fold of a is not jq: unexpected token "2", at character 7 (mend the jq there)`,
		"fold:\n  a: >\n    {x: 1,\n     y: 1 2}\n":                         `orders.yaml:2: fold of a is not jq: unexpected token "2", at character 7 of its line 2 (mend the jq there)`,
		"fold: {a: ''}":                                                     `orders.yaml:1: fold of a is not jq: missing query (try ".") (mend the jq)`,
		"fold: {a: '# nothing'}":                                            `orders.yaml:1: fold of a is not jq: missing query (try ".") (mend the jq)`,
		"fold: {a: '{x: (\"é\" | ascii_down)}'}":                            `orders.yaml:1: fold of a calls ascii_down/0, which jq has not got, at character 12 (write it yourself with def, or see the jq manual for what there is)`,
		"fold: {a: '{x: (.x | ascii_downcas)}'}":                            `orders.yaml:1: fold of a calls ascii_downcas/0, which jq has not got, at character 11 (did you mean "ascii_downcase"?)`,
		"fold: {a: '{x: \"$evnt\", y: $evnt.data}'}":                        `orders.yaml:1: fold of a uses $evnt, which is not defined, at character 17 (did you mean "$event"?)`,
		"fold: {a: '{x: $document}'}":                                       `orders.yaml:1: fold of a uses $document, which is not defined, at character 5 (there is $event, and . is the document)`,
		"fold: merge-patch\nkey: $ARGS.x":                                   `orders.yaml:2: key uses $ARGS, which is not defined, at character 1 (there is $event, and . is the event too)`,
		"fold: {a: 'break $out'}":                                           `orders.yaml:1: fold of a is not jq: label not defined: $out (mend the jq)`,
		"fold: {a: '{} # " + strings.Repeat("x", maxExpressionBytes) + "'}": "orders.yaml:1: fold of a is 32773 bytes long, the limit is 32768 (split the projection)",

		// jq that depends on more than document and event
		"fold: {a: '{x: input}'}":                     "orders.yaml:1: fold of a uses input, at character 5" + pure,
		"fold: {a: '{x: [inputs]}'}":                  "orders.yaml:1: fold of a uses inputs, at character 6" + pure,
		"fold: {a: '{x: input_filename}'}":            "orders.yaml:1: fold of a uses input_filename, at character 5" + pure,
		"fold: {a: '{x: input_line_number}'}":         "orders.yaml:1: fold of a uses input_line_number, at character 5" + pure,
		"fold: {a: '{x: env.HOME}'}":                  "orders.yaml:1: fold of a uses env, at character 5" + pure,
		"fold: {a: '{x: $ENV.HOME}'}":                 "orders.yaml:1: fold of a uses $ENV, at character 5" + pure,
		"fold: {a: '{$ENV}'}":                         "orders.yaml:1: fold of a uses $ENV, at character 2" + pure,
		"fold: {a: '{x: get_search_list}'}":           "orders.yaml:1: fold of a uses get_search_list, at character 5" + pure,
		"fold: {a: '\"m\" | modulemeta'}":             "orders.yaml:1: fold of a uses modulemeta, at character 7" + pure,
		"fold: {a: 'builtins'}":                       "orders.yaml:1: fold of a uses builtins, at character 1 (they change with the version of jq: leave it out)",
		"fold: {a: '{x: (1 | localtime)}'}":           "orders.yaml:1: fold of a uses localtime, at character 10 (it depends on the time zone of the machine: use gmtime)",
		"fold: {a: '{x: (1 | strflocaltime(\"\"))}'}": "orders.yaml:1: fold of a uses strflocaltime, at character 10 (it depends on the time zone of the machine: use strftime, which is in UTC)",
		"fold: {a: '. | debug'}":                      "orders.yaml:1: fold of a uses debug, at character 5 (a fold has nowhere to write to: leave it out)",
		"fold: {a: 'debug(.)'}":                       "orders.yaml:1: fold of a uses debug, at character 1 (a fold has nowhere to write to: leave it out)",
		"fold: {a: 'stderr'}":                         "orders.yaml:1: fold of a uses stderr, at character 1 (a fold has nowhere to write to: leave it out)",
		"fold: {a: 'halt'}":                           "orders.yaml:1: fold of a uses halt, at character 1 (use empty to leave the document as it is, or error to park the event)",
		"fold: {a: 'halt_error(1)'}":                  "orders.yaml:1: fold of a uses halt_error, at character 1 (use error to park the event)",
		"fold: {a: 'import \"m\" as m; {}'}":          "orders.yaml:1: fold of a uses import, at character 1 (a fold stands alone: write the functions that it needs into it with def)",
		"fold: {a: 'include \"m\"; {}'}":              "orders.yaml:1: fold of a uses include, at character 1 (a fold stands alone: write the functions that it needs into it with def)",
		"fold: {a: 'module {}; {}'}":                  "orders.yaml:1: fold of a uses module, at character 1 (a fold stands alone: write the functions that it needs into it with def)",
		"fold: {a: '{x: $__loc__}'}":                  "orders.yaml:1: fold of a uses the variable $__loc__, at character 5 (names that start with $__ are taken: use another)",
		"fold: {a: '1 as $__prog_args | {}'}":         "orders.yaml:1: fold of a gives $__prog_args another value, at character 6 (use another name)",
		"fold: {a: '. as $event | {}'}":               "orders.yaml:1: fold of a gives $event another value, at character 6 (use another name)",
		"fold: {a: 'def f($event): .; {}'}":           "orders.yaml:1: fold of a gives $event another value, at character 7 (use another name)",
		"fold: {a: '{x: $event.dta}'}":                `orders.yaml:1: fold of a uses $event.dta, which an event has not got, at character 5 (did you mean "data"?)`,
		"fold: merge-patch\nkey: .dat.id":             `orders.yaml:2: key uses .dat, which an event has not got, at character 1 (did you mean "data"?)`,

		// jq that gives what is no document, or does not end
		"fold: {a: 'null'}":                             "orders.yaml:1: fold of a returned null, not an object, tried on the document null and data {}" + wholeObject,
		"fold: {a: '$event.data'}":                      "",
		"fold: {a: '.total'}":                           "orders.yaml:1: fold of a returned null, not an object, tried on the document null and data {}" + wholeObject,
		"fold: {a: 'if . then 7 else {} end'}":          "orders.yaml:1: fold of a returned number 7, not an object, tried on the document {} and data {}" + wholeObject,
		"fold: {a: '[1, \"a\"]'}":                       `orders.yaml:1: fold of a returned array [1,"a"], not an object, tried on the document null and data {}` + wholeObject,
		"fold: {'*': '\"placed\"'}":                     `orders.yaml:1: fold of * returned string "placed", not an object, tried on the document null and data {}` + wholeObject,
		"fold: {a: '{}, {}'}":                           "orders.yaml:1: fold of a returned more than one value, not one object, tried on the document null and data {}" + wholeObject,
		"fold:\n  a: |\n    def f: f; f":                "orders.yaml:3: fold of a did not end within 20000 steps, tried on the document null and data {} (see that each repeat, range and recursion comes to an end)",
		"fold: {a: '[range(infinite)]'}":                "orders.yaml:1: fold of a did not end within 20000 steps, tried on the document null and data {} (see that each repeat, range and recursion comes to an end)",
		"fold: {a: '[repeat(1)]'}":                      "orders.yaml:1: fold of a did not end within 20000 steps, tried on the document null and data {} (see that each repeat, range and recursion comes to an end)",
		"fold: merge-patch\nkey: repeat(empty)":         "orders.yaml:2: key did not end within 20000 steps, tried on an event with data {} (see that each repeat, range and recursion comes to an end)",
		"fold: merge-patch\nkey: .version":              "orders.yaml:2: key returned number 1, not a string, tried on an event with data {} (give the name of a document, or empty for events that belong to none)",
		"fold: merge-patch\nkey: range(200) | tostring": "orders.yaml:2: key names more than 98 documents, tried on an event with data {} (fold what one event touches into fewer documents)",
		"fold: {a: '.x.y.z'}":                           "orders.yaml:1: fold of a returned null, not an object, tried on the document null and data {}" + wholeObject,
		"fold: {a: 'error(\"only later\")'}":            "",
		"fold: {a: '{x: nan}'}":                         "",
	} {
		_, err := parse("orders.yaml", []byte(text), quick)
		if want == "" {
			if err != nil {
				t.Errorf("%q was refused: %v", text, err)
			}
			continue
		}
		if err == nil || err.Error() != "annals: "+want {
			t.Errorf("%q:\n got %v\nwant annals: %s", text, err, want)
		}
		if code := annals.CodeOf(err); code != annals.CodeInvalid {
			t.Errorf("%q: the code is %s", text, code)
		}
	}
}

// many are n types as YAML lists them.
func many(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = "t" + strings.Repeat("x", i)
	}
	return strings.Join(names, ", ")
}

func TestAllProblemsOfAFileAreListedByLine(t *testing.T) {
	_, err := Parse("dir/orders.yaml", []byte("nme: x\nfold: {a: '{x: env, y: input}', b: nope}\nquery: {prefix: 7}\n"))
	want := `annals: dir/orders.yaml has 5 problems: ` + `
  dir/orders.yaml:1: unknown key "nme" (did you mean "name"?)
  dir/orders.yaml:2: fold of a uses env, at character 5` + pure + `
  dir/orders.yaml:2: fold of a uses input, at character 13` + pure + `
  dir/orders.yaml:2: fold of b calls nope/0, which jq has not got, at character 1 (write it yourself with def, or see the jq manual for what there is)
  dir/orders.yaml:3: prefix must be a text, it is the number 7 (put it in quotes)`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestAFileThatIsTooLargeIsRefused(t *testing.T) {
	_, err := Parse("orders.yaml", append([]byte("fold: merge-patch\n#"), make([]byte, MaxFileBytes)...))
	if want := "annals: orders.yaml:1: the file is longer than 1048576 bytes (split the projection)"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestNamesThatAFoldDefinesItselfAreItsOwn(t *testing.T) {
	for _, src := range []string{
		"def env: {a: 1}; env", "def f: def now: {}; now; f", "def f(input): input; f({})", "def f($debug): {a: debug}; f(1)",
		"{env: 1, input: .debug?}", `{"a": "env input $ENV"} # debug`, "def debug: .; def g: debug; {} | g",
	} {
		if _, complaints := compile("fold", src, false, quick); complaints != nil {
			t.Errorf("%s: %v", src, complaints)
		}
	}
	for src, word := range map[string]string{
		"def env(f): f; env": "env", "(def now: 1; 2) | {a: input}": "input", "def f: env; def env: 1; f": "env",
		`{"a": "\(env)"}`: "env", "{(env): 1}": "env", ". as {a: $x, (env): $y} | {}": "env", "reduce env as $x (.; .)": "env",
		"foreach .[] as $x (0; debug; .)": "debug", "try halt catch .": "halt", "try . catch stderr": "stderr", ".[env]": "env",
		".[:env]": "env", ".a[input:]": "input", "if env then 1 elif input then 2 else 3 end": "env", "label $x | debug": "debug",
		"-env": "env", "@json \"\\(env)\"": "env", "[.[] |= env]": "env", "$event.data[env]": "env", "{a: [{b: (1 | localtime)}]}": "localtime",
		`. as {"a\(env)": $x} | .`: "env", ".\"\\(env)\"": "env", "path(env)": "env", "env as [$x] ?// $x | .": "env",
	} {
		_, complaints := compile("fold", src, false, quick)
		if len(complaints) == 0 || complaints[0].word != word {
			t.Errorf("%s: %v, want %s refused", src, complaints, word)
		}
	}
}

func TestLocate(t *testing.T) {
	for _, c := range []struct {
		src, word string
		want      int
	}{
		{"env", "env", 0}, {".env | env", "env", 7}, {`"env" | env`, "env", 8}, {`"\(env)"`, "env", 3}, {`"\"\(1 + ("\(env)"))"`, "env", 13},
		{"# env\nenv", "env", 6}, {"# env", "env", -1}, {"environ(env)", "env", 8}, {"$env | env", "env", 7}, {"$event.dta.id", "$event.dta", 0},
		{"$event.data | $event.dat", "$event.dat", 14}, {`"`, "env", -1}, {`"\`, "env", -1}, {")env", "env", 1},
	} {
		if got := locate(c.src, c.word); got != c.want {
			t.Errorf("%s in %s: %d, want %d", c.word, c.src, got, c.want)
		}
	}
}

func TestDefinition(t *testing.T) {
	d, err := Parse("views/order_totals.yml", []byte("query: {sources: [shop], correlation: r-1, prefix: order-}\nfold:\n  order-placed: '{}'\n  order-paid: .paid = true\ndelete: [order-removed]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d.Name != "order_totals" || d.File != "views/order_totals.yml" || !strings.HasPrefix(string(d.Text), "query:") {
		t.Errorf("name %q, file %q, text %q", d.Name, d.File, d.Text)
	}
	q := d.Query
	if !slices.Equal(q.Types, []string{"order-paid", "order-placed", "order-removed", StateRestored}) || !slices.Equal(q.Sources, []string{"shop"}) || q.Correlation != "r-1" || q.Prefix != "order-" {
		t.Errorf("query %+v", q)
	}
	for _, text := range []string{"fold: merge-patch", "fold: {'*': '{}'}", "fold: {" + strings.ReplaceAll(many(101), ", ", ": '{}', ") + ": '{}'}"} {
		if d, err := Parse("a.yaml", []byte(text)); err != nil || len(d.Query.Types) > 0 {
			t.Errorf("%.40s reads %v, %v; want every type", text, d, err)
		}
	}
}

func TestAliasesStandForTheirText(t *testing.T) {
	d, err := Parse("a.yaml", []byte("fold:\n  a: &same '{n: ((.n // 0) + 1)}'\n  b: *same\n"))
	if err != nil {
		t.Fatal(err)
	}
	out, op, err := d.Rules.Apply(map[string]any{"n": 1}, &annals.Event{Type: "b"}, nil)
	if err != nil || op != Put || mustEncode(t, out) != `{"n":2}` {
		t.Errorf("%v %v %v", out, op, err)
	}
}

func TestFingerprint(t *testing.T) {
	of := func(text string) string {
		t.Helper()
		d, err := Parse("a.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return d.Fingerprint
	}
	base := "query: {types: [a, b, gone], prefix: x}\nfold:\n  a: '{x: 1}'\n  b: '{y: $event.data.y}'\ndelete: [gone]\n"
	for _, same := range []string{
		"# a comment\ndelete:\n- gone\nfold: {b: '{y:$event.data.y}', a: \"{x:1} # comment\"}\nquery:\n  prefix: \"x\"\n  types: [gone, b, a]\nname: other\nkey: ' .stream '\n",
		"query: {prefix: x}\nfold:\n  a: |\n    {\n      x: 1\n    }\n  b: '{y: $event.data.y}'\ndelete: [gone]\n",
	} {
		if of(same) != of(base) {
			t.Errorf("the same meaning has another fingerprint:\n%s", same)
		}
	}
	seen := map[string]string{of(base): base}
	for _, other := range []string{
		strings.Replace(base, "x: 1", "x: 2", 1), strings.Replace(base, "prefix: x", "prefix: y", 1), strings.Replace(base, "delete: [gone]\n", "", 1),
		strings.Replace(base, "prefix: x", "prefix: x, sources: [s]", 1), strings.Replace(base, "prefix: x", "correlation: x", 1),
		strings.Replace(base, "types: [a, b, gone]", "types: [a, b, gone, "+StateRestored+"]", 1),
		base + "key: .source", base + "key: .id", "fold: merge-patch", "fold: merge-patch\nkey: .source", "fold: {'*': '{x: 1}'}", "fold: {a: '{x: 1}'}", "fold: {b: '{x: 1}'}",
	} {
		if before, taken := seen[of(other)]; taken {
			t.Errorf("another meaning has the same fingerprint:\n%s\n%s", before, other)
		}
		seen[of(other)] = other
	}
	if got := of("fold: merge-patch"); got != "ba0595972c9b282d" {
		t.Errorf("the fingerprint of fold: merge-patch is %s: views of earlier versions would have to be built again", got)
	}
	if got := of("fold: {a: '{x: 1}'}"); got != "c82c03026ab18cb7" {
		t.Errorf("the fingerprint of a fold of a is %s: views of earlier versions would have to be built again", got)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("b.yml", "fold: merge-patch")
	write("a.yaml", "name: first\nfold: merge-patch")
	write(".a.yaml", "not read")
	write("README.md", "not read")
	if err := os.MkdirAll(filepath.Join(dir, "sub.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	all, err := Load(dir)
	if err != nil || len(all) != 2 || all[0].Name != "first" || all[1].Name != "b" {
		t.Fatalf("%v, %v", all, err)
	}

	write("c.yaml", "name: b\nfold: merge-patch")
	write("d.yaml", "fold: nothing")
	_, err = Load(dir)
	b, c, d := filepath.Join(dir, "b.yml"), filepath.Join(dir, "c.yaml"), filepath.Join(dir, "d.yaml")
	want := "annals: " + b + " and " + c + ` both define a projection "b" (give one of them another name)` + "\nannals: " + d +
		`:1: fold must be merge-patch or a map, not the text "nothing" (write fold: merge-patch, or a map from event type to jq)`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestLoadOfWhatCanNotBeRead(t *testing.T) {
	dir := t.TempDir()
	var own *annals.Error
	if _, err := Load(filepath.Join(dir, "none")); !errors.As(err, &own) || own.Code != annals.CodeNotFound {
		t.Errorf("a missing directory: %v", err)
	}
	broken := filepath.Join(dir, "broken.yaml")
	if err := os.Symlink(filepath.Join(dir, "none"), broken); err != nil {
		t.Fatal(err)
	}
	_, err := Load(dir)
	if !errors.As(err, &own) || own.Code != annals.CodeInvalid || !strings.HasPrefix(err.Error(), "annals: "+broken+" can't be read: ") || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that can't be read: %v", err)
	}
}
