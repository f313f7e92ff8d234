package console

import (
	"fmt"
	"strings"
	"testing"
)

func diffText(lines []diffLine) string {
	var b strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&b, "%-3s %s\n", line.Op, line.Text)
	}
	return b.String()
}

func TestDiffJSON(t *testing.T) {
	for name, c := range map[string]struct{ a, b, want string }{
		"the same, in another order": {`{"a":1,"b":2}`, `{ "b": 2, "a": 1 }`, "    …\n"},
		"a member": {`{"a":1,"b":2.50,"c":3}`, `{"a":1,"b":"<b>","c":3,"d":12345678901234567890}`,
			"    {\n      \"a\": 1,\ndel   \"b\": 2.50,\ndel   \"c\": 3\nins   \"b\": \"<b>\",\nins   \"c\": 3,\nins   \"d\": 12345678901234567890\n    }\n"},
		"nothing before":  {"", `{"a":1}`, "ins {\nins   \"a\": 1\nins }\n"},
		"nothing after":   {`1`, "", "del 1\n"},
		"no JSON":         {"x\ny", "x\nz", "    x\ndel y\nins z\n"},
		"not UTF-8":       {"\xff", "\xfe", "    …\n"},
		"far from change": {`[1,2,3,4,5,6,7,8,9]`, `[1,2,3,4,5,6,7,8,10]`, "    …\n      6,\n      7,\n      8,\ndel   9\nins   10\n    ]\n"},
	} {
		side := func(s string) []byte {
			if s == "" {
				return nil
			}
			return []byte(s)
		}
		if got := diffText(diffJSON(side(c.a), side(c.b))); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, c.want)
		}
	}
}

// What is compared is bounded, whatever the documents are.
func TestDiffJSONOfLargeDocuments(t *testing.T) {
	var a, b strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&a, "%d\n", i)
		fmt.Fprintf(&b, "%d\n", -i-1)
	}
	lines := diffJSON([]byte(a.String()), []byte(b.String()))
	size := 0
	for _, line := range lines {
		size += len(line.Text)
	}
	if size > 2*maxDiffBytes+200 || !strings.Contains(diffText(lines), "the rest is not shown") {
		t.Errorf("%d bytes in %d lines are shown", size, len(lines))
	}
}

func TestShellQuote(t *testing.T) {
	for word, want := range map[string]string{
		"": "''", "orders@1": "orders@1", "a b": "'a b'", "it's": `'it'\''s'`, "$(rm)": "'$(rm)'", "http://h:1/v1?a=b&c": "'http://h:1/v1?a=b&c'", "ü": "'ü'", "a\nb": "'a\nb'", "~x": "'~x'",
		"dir/a.yaml": "dir/a.yaml", "*": "'*'", "#": "'#'", "-": "-",
	} {
		if got := shellQuote(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
	c := &console{opts: Options{StoreName: "my store", APIAddress: "http://127.0.0.1:4000"}}
	if got := c.curl("PUT", "/v1/a?b=c", "--data", "{}"); got != `curl -X PUT --data '{}' 'http://127.0.0.1:4000/v1/a?b=c'` {
		t.Error(got)
	}
	c.opts.Authenticator = everybody
	if got := c.curl("GET", "/v1/a"); got != `curl http://127.0.0.1:4000/v1/a -H "Authorization: Bearer $ANNALS_TOKEN"` {
		t.Errorf("with a token: %s", got)
	}
	if got := c.cli("log"); got != `annals log --store 'my store'` {
		t.Error(got)
	}
}
