package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/ingest"
)

// An attack is one append that must be refused. Empty fields take harmless values.
type attack struct {
	name        string
	stream      string
	typ         string
	id          string
	source      string
	correlation string
	causation   string
	expect      string // a version
	data        string // raw
	want        annals.Code
}

var (
	deep = func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	long = func(n int) string { return strings.Repeat("x", n) }
)

func dataAttacks() (all []attack) {
	for name, data := range map[string]string{
		"open object": `{`, "open array": `[`, "open string": `"abc`, "open key": `{"a`, "no value": `{"a":}`, "no colon": `{"a" 1}`, "no comma": `[1 2]`,
		"trailing comma in an object": `{"a":1,}`, "trailing comma in an array": `[1,]`, "leading comma": `[,1]`, "lone comma": `,`,
		"two values": `1 2`, "value and garbage": `{}x`, "closed twice": `{}}`, "mixed brackets": `[}`, "white space only": ` `, "single quotes": `{'a':1}`,
		"key without quotes": `{a:1}`, "number as a key": `{1:2}`, "comment": `{"a":1/*x*/}`, "line comment": "//x\n{}", "word": `nope`, "half of true": `tru`,
		"capital True": `True`, "undefined": `undefined`, "NaN": `NaN`, "Infinity": `Infinity`, "minus Infinity": `-Infinity`, "hexadecimal": `0x10`, "octal": `010`,
		"leading plus": `+1`, "leading point": `.5`, "trailing point": `1.`, "lone minus": `-`, "no exponent": `1e`, "two points": `1.2.3`, "underscores": `1_000`,
		"40 digits": strings.Repeat("9", 40), "40 digits behind the point": "0.1" + strings.Repeat("3", 40), "huge exponent": `1e400`, "huge negative exponent of a sum": `-1e999999999`,
		"400 digits": strings.Repeat("1", 400), "depth 129": deep(129), "depth 10,000": deep(10_000), "depth 10,000 of objects": strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000),
		"depth without an end": strings.Repeat("[", 100_000), "key twice": `{"a":1,"a":2}`, "key twice by escapes": `{"a":1,"\u0061":2}`, "inner key twice": `{"x":[{"b":1,"b":1}]}`,
		"empty key twice": `{"":1,"":2}`, "invalid UTF-8": "\"\xff\"", "overlong slash": "\"\xc0\xaf\"", "half a character": "\"\xe2\x82\"", "UTF-8 surrogate": "\"\xed\xa0\x80\"",
		"lone high surrogate": `"\ud800"`, "lone low surrogate": `"\udc00"`, "surrogates reversed": `"\udc00\ud800"`, "high surrogate and a letter": `"\ud800x"`, "surrogate in a key": `{"\udfff":1}`,
		"unknown escape": `"\x41"`, "short escape": `"\u12"`, "escape at the end": `"\`, "tab in a string": "\"a\tb\"", "newline in a string": "\"a\nb\"", "NUL in a string": "\"a\x00b\"", "NUL behind": "{}\x00",
		"byte order mark": "\xef\xbb\xbf{}", "form feed as space": "\f{}", "no-break space": "\u00a0{}", "vertical tab": "[1\v]",
	} {
		all = append(all, attack{name: "data: " + name, data: data, want: annals.CodeInvalidJSON})
	}
	return append(all,
		attack{name: "data: over 1 MiB", data: `"` + long(annals.MaxDataBytes) + `"`, want: annals.CodeTooLarge},
		attack{name: "data: 3 MiB", data: `"` + long(3<<20) + `"`, want: annals.CodeTooLarge})
}

func nameAttacks() (all []attack) {
	for name, stream := range map[string]string{
		"space": "a b", "dot": ".", "dots": "..", "parent": "../etc/passwd", "parent inside": "a/../b", "dot inside": "a/./b", "absolute": "/etc", "trailing slash": "a/", "empty segment": "a//b",
		"backslash": `a\b`, "NUL": "a\x00b", "newline": "a\nb", "carriage return": "a\rb", "tab": "a\tb", "delete": "a\x7fb", "escape": "a\x1bb", "umlaut": "ä", "emoji": "😀", "right-to-left": "a\u202eb",
		"invalid UTF-8": "a\xffb", "quote": `a"b`, "apostrophe": "a'b", "percent": "a%2fb", "question mark": "a?b", "hash": "a#b", "star": "*", "comma": "a,b", "semicolon": "a;b", "pipe": "a|b",
		"backtick": "a`b", "angle": "<script>", "brace": "{a}", "bracket": "[a]", "caret": "a^b", "bang": "a!b", "ampersand": "a&b", "parenthesis": "a(b)",
	} {
		all = append(all, attack{name: "stream: " + name, stream: stream, want: annals.CodeInvalid})
	}
	for name, typ := range map[string]string{"space": "a b", "NUL": "a\x00", "newline": "a\nb", "umlaut": "ü", "comma": "a,b", "quote": `"`, "invalid UTF-8": "\xff"} {
		all = append(all, attack{name: "type: " + name, typ: typ, want: annals.CodeInvalid})
	}
	for name, id := range map[string]string{"NUL": "a\x00", "newline": "a\nb", "invalid UTF-8": "\xff", "space before": " a", "space behind": "a ", "zero width": "a\u200bb", "right-to-left": "\u202ea"} {
		all = append(all, attack{name: "id: " + name, id: id, want: annals.CodeInvalid})
	}
	for name, s := range map[string]string{"comma": "a,b", "NUL": "a\x00", "newline": "a\r\nb", "invalid UTF-8": "\xc3\x28"} {
		all = append(all, attack{name: "source: " + name, source: s, want: annals.CodeInvalid},
			attack{name: "causation: " + name, causation: s, want: annals.CodeInvalid})
	}
	for name, s := range map[string]string{"NUL": "a\x00", "newline": "a\nb", "invalid UTF-8": "\xff\xfe"} {
		all = append(all, attack{name: "correlation: " + name, correlation: s, want: annals.CodeInvalid})
	}
	for name, s := range map[string]string{"no version": "a", "version 0": "a@0", "negative version": "a@-1", "overflowing version": "a@9223372036854775808", "leading zero": "a@01", "plus": "a@+1", "no stream": "@1", "bad stream": "a b@1", "word": "a@one"} {
		all = append(all, attack{name: "causation: " + name, causation: s, want: annals.CodeInvalid})
	}
	for _, s := range []string{"-1", "-9223372036854775808", "9223372036854775808", "99999999999999999999999999", "1.5", "1e3", "0x1", "one", "", " 1", "+1", "NaN"} {
		all = append(all, attack{name: fmt.Sprintf("expect: %q", s), expect: s + "!", want: annals.CodeInvalid})
	}
	return append(all,
		attack{name: "expect: a version that is not reached", expect: "7!", want: annals.CodeConflict},
		attack{name: "expect: the largest version", expect: "9223372036854775807!", want: annals.CodeConflict},
		attack{name: "stream: too long", stream: long(annals.MaxStreamBytes + 1), want: annals.CodeTooLarge},
		attack{name: "stream: huge", stream: long(20_000), want: annals.CodeTooLarge},
		attack{name: "type: too long", typ: long(annals.MaxTypeBytes + 1), want: annals.CodeTooLarge},
		attack{name: "type: huge", typ: long(1 << 20), want: annals.CodeTooLarge},
		attack{name: "id: too long", id: long(annals.MaxIDBytes + 1), want: annals.CodeTooLarge},
		attack{name: "source: too long", source: long(annals.MaxSourceBytes + 1), want: annals.CodeTooLarge},
		attack{name: "correlation: too long", correlation: long(annals.MaxIDBytes + 1), want: annals.CodeTooLarge},
	)
}

// messageAttacks are whole messages for ingest.
var messageAttacks = map[string]struct {
	text string
	want annals.Code
}{
	"no object": {`7`, annals.CodeInvalid}, "text": {`"hello"`, annals.CodeInvalid}, "null": {`null`, annals.CodeInvalid}, "empty object": {`{}`, annals.CodeInvalid}, "no shape": {`{"a":1}`, annals.CodeInvalid},
	"broken": {`{"requestId":`, annals.CodeInvalidJSON}, "key twice": {`{"requestId":"a","requestId":"b"}`, annals.CodeInvalidJSON}, "invalid UTF-8": {"{\"requestId\":\"\xff\"}", annals.CodeInvalidJSON},
	"tracking: nothing else":    {`{"requestId":"r"}`, annals.CodeInvalid},
	"tracking: number as id":    {`{"id":1,"requestId":"r","timestamp":"2020-05-01T20:00:00Z","type":"T","source":"s"}`, annals.CodeInvalid},
	"tracking: null request":    {`{"id":"1","requestId":null,"timestamp":"2020-05-01T20:00:00Z","type":"T","source":"s"}`, annals.CodeInvalid},
	"tracking: empty request":   {`{"id":"1","requestId":"","timestamp":"2020-05-01T20:00:00Z","type":"T","source":"s"}`, annals.CodeInvalid},
	"tracking: path as request": {`{"id":"1","requestId":"../x","timestamp":"2020-05-01T20:00:00Z","type":"T","source":"s"}`, annals.CodeInvalid},
	"tracking: no time":         {`{"id":"1","requestId":"r","type":"T","source":"s"}`, annals.CodeInvalid},
	"tracking: Unix time":       {`{"id":"1","requestId":"r","timestamp":1588363200,"type":"T","source":"s"}`, annals.CodeInvalid},
	"tracking: 30 February":     {`{"id":"1","requestId":"r","timestamp":"2020-02-30T20:00:00Z","type":"T","source":"s"}`, annals.CodeInvalid},
	"tracking: no zone":         {`{"id":"1","requestId":"r","timestamp":"2020-05-01T20:00:00","type":"T","source":"s"}`, annals.CodeInvalid},
	"tracking: year 0":          {`{"id":"1","requestId":"r","timestamp":"0000-01-01T00:00:00Z","type":"T","source":"s"}`, annals.CodeInvalid},
	"tracking: no type":         {`{"id":"1","requestId":"r","timestamp":"2020-05-01T20:00:00Z","source":"s"}`, annals.CodeInvalid},
	"tracking: text as data":    {`{"id":"1","requestId":"r","timestamp":"2020-05-01T20:00:00Z","type":"T","source":"s","data":"x"}`, annals.CodeInvalid},
	"tracking: misspelled":      {`{"id":"1","requestId":"r","timestamp":"2020-05-01T20:00:00Z","type":"T","source":"s","Data":{}}`, annals.CodeInvalid},
	"tracking: smuggled stream": {`{"id":"1","requestId":"r","timestamp":"2020-05-01T20:00:00Z","type":"T","source":"s","stream":"x"}`, annals.CodeInvalid},
	"command: no type":          {`{"aggregateId":"a","eventData":1}`, annals.CodeInvalid},
	"command: object as id":     {`{"aggregateId":{},"eventType":"T","eventData":1}`, annals.CodeInvalid},
	"command: bad id":           {`{"aggregateId":"a b","eventType":"T","eventData":1}`, annals.CodeInvalid},
	"command: version":          {`{"aggregateId":"a","eventType":"T","eventData":1,"version":1}`, annals.CodeInvalid},
	"CloudEvent: old version":   {`{"specversion":"0.3","id":"1","source":"/s","type":"T","stream":"a"}`, annals.CodeInvalid},
	"CloudEvent: no version":    {`{"specversion":null,"id":"1","source":"/s","type":"T","stream":"a"}`, annals.CodeInvalid},
	"CloudEvent: no stream":     {`{"specversion":"1.0","id":"1","source":"/s","type":"T"}`, annals.CodeInvalid},
	"CloudEvent: data twice":    {`{"specversion":"1.0","id":"1","source":"/s","type":"T","stream":"a","data":1,"data_base64":"AA=="}`, annals.CodeInvalid},
	"CloudEvent: bad base64":    {`{"specversion":"1.0","id":"1","source":"/s","type":"T","stream":"a","data_base64":"%%"}`, annals.CodeInvalid},
	"CloudEvent: no JSON in it": {`{"specversion":"1.0","id":"1","source":"/s","type":"T","stream":"a","data_base64":"ew=="}`, annals.CodeInvalidJSON},
	"CloudEvent: object member": {`{"specversion":"1.0","id":"1","source":"/s","type":"T","stream":"a","x":{}}`, annals.CodeInvalid},
	"CloudEvent: capital name":  {`{"specversion":"1.0","id":"1","source":"/s","type":"T","stream":"a","Xx":"1"}`, annals.CodeInvalid},
	"CloudEvent: long name":     {`{"specversion":"1.0","id":"1","source":"/s","type":"T","stream":"a","` + long(33) + `":"1"}`, annals.CodeInvalid},
	"CloudEvent: negative":      {`{"specversion":"1.0","id":"1","source":"/s","type":"T","stream":"a","version":"-1"}`, annals.CodeInvalid},
	"CloudEvent: overflow":      {`{"specversion":"1.0","id":"1","source":"/s","type":"T","stream":"a","position":"9223372036854775808"}`, annals.CodeInvalid},
	"CloudEvent: media type":    {`{"specversion":"1.0","id":"1","source":"/s","type":"T","stream":"a","datacontenttype":"nonsense","data":"x"}`, annals.CodeInvalid},
	"CloudEvent: 33 attributes": {`{"specversion":"1.0","id":"1","source":"/s","type":"T","stream":"a"` + attributes(33) + `}`, annals.CodeTooLarge},
	"over the limit":            {`{"requestId":"` + long(ingest.MaxMessageBytes) + `"}`, annals.CodeTooLarge},
}

func attributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"x%d":"1"`, i)
	}
	return b.String()
}

// faces are the ways into one store each.
type faces struct {
	library *annals.Store
	server  *httptest.Server
	served  *annals.Store
	dir     string
}

func openFaces(t *testing.T) *faces {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	open := func() *annals.Store {
		s, err := embedded.Open(t.TempDir(), &embedded.Options{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	f := &faces{library: open(), served: open(), dir: filepath.Join(t.TempDir(), "store")}
	f.server = httptest.NewServer(httpapi.New(f.served, &httpapi.Options{Logger: quiet}))
	t.Cleanup(f.server.Close)
	return f
}

// verdict is what a face says, in the terms that all share.
type verdict struct{ status, exit int }

func verdictOf(code annals.Code) verdict { return verdict{code.Info().Status, code.Info().Exit} }

func (f *faces) post(t *testing.T, path, body string, headers ...string) (verdict, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", f.server.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Opaque = strings.TrimPrefix(f.server.URL, "http:") + path // as it is, hostile bytes escaped by the caller
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var p httpapi.Problem
	if err := json.Unmarshal(text, &p); err != nil || p.Status != answer.StatusCode {
		t.Fatalf("%d is no problem: %s", answer.StatusCode, text)
	}
	return verdictOf(p.Code), string(text)
}

func (f *faces) wantEmpty(t *testing.T) {
	t.Helper()
	for name, s := range map[string]*annals.Store{"library": f.library, "server": f.served} {
		if end, err := s.End(t.Context()); err != nil || end != 0 {
			t.Fatalf("the %s's store holds %d events, %v", name, end, err)
		}
	}
	if _, err := os.Stat(f.dir); errors.Is(err, os.ErrNotExist) {
		return // no command came so far as to make a store
	}
	if r, err := embedded.Verify(f.dir, nil); err != nil || r.Events != 0 || len(r.Problems) > 0 {
		t.Fatalf("the command line's store: %+v, %v", r, err)
	}
}

func or(s, harmless string) string {
	if s == "" {
		return harmless
	}
	return s
}

func (a *attack) byLibrary(t *testing.T, f *faces) verdict {
	t.Helper()
	expected := annals.Any
	if a.expect != "" {
		var err error
		if expected, err = parseExpect(strings.TrimSuffix(a.expect, "!")); err != nil {
			return verdictOf(annals.CodeOf(err))
		}
	}
	_, err := f.library.Append(t.Context(), or(a.stream, "s"), expected, annals.Event{
		Type: or(a.typ, "T"), ID: a.id, Source: a.source, Correlation: a.correlation, Causation: a.causation, Data: []byte(a.data),
	})
	return verdictOf(annals.CodeOf(err))
}

// quoted is s as a JSON string with its bytes as they are.
func quoted(s string) string {
	if json.Valid([]byte(`"` + s + `"`)) {
		return `"` + s + `"`
	}
	text, _ := json.Marshal(s)
	if strings.Contains(string(text), `\ufffd`) {
		return `"` + s + `"` // invalid UTF-8, which json would mend
	}
	return string(text)
}

func (a *attack) byHTTP(t *testing.T, f *faces) (verdict, string) {
	t.Helper()
	body := `{"type":` + quoted(or(a.typ, "T"))
	for name, value := range map[string]string{"id": a.id, "source": a.source, "correlation": a.correlation, "causation": a.causation} {
		if value != "" {
			body += `,"` + name + `":` + quoted(value)
		}
	}
	if a.data != "" {
		body += `,"data":` + a.data
	}
	headers := []string{"Content-Type", "application/json"}
	if a.expect != "" {
		headers = append(headers, "If-Match", `"`+strings.TrimSuffix(a.expect, "!")+`"`)
	}
	return f.post(t, "/v1/streams/"+url.PathEscape(or(a.stream, "s"))+"/events", body+"}", headers...)
}

func (a *attack) byCommand(t *testing.T, f *faces) (verdict, string) {
	t.Helper()
	args := []string{"append", "--json", "--store", f.dir, "--type=" + or(a.typ, "T")}
	for name, value := range map[string]string{"id": a.id, "source": a.source, "correlation": a.correlation, "causation": a.causation, "data": a.data} {
		if value != "" {
			args = append(args, "--"+name+"="+value)
		}
	}
	if a.expect != "" {
		args = append(args, "--expect="+strings.TrimSuffix(a.expect, "!"))
	}
	return command(t, "", append(args, "--", or(a.stream, "s"))...)
}

// command runs a command line that must fail and returns its verdict.
func command(t *testing.T, stdin string, args ...string) (verdict, string) {
	t.Helper()
	var out, errs bytes.Buffer
	exit := Run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	var p httpapi.Problem
	if err := json.Unmarshal(errs.Bytes(), &p); err != nil {
		t.Fatalf("exit %d, no problem: %s%s", exit, out.String(), errs.String())
	}
	return verdict{p.Status, exit}, errs.String()
}

func TestHostileInput(t *testing.T) {
	f := openFaces(t)
	attacks := append(dataAttacks(), nameAttacks()...)
	if n := len(attacks) + len(messageAttacks); n < 120 {
		t.Fatalf("only %d attacks", n)
	} else {
		t.Logf("%d attacks by three ways in", n)
	}
	for i := range attacks {
		a := &attacks[i]
		t.Run(a.name, func(t *testing.T) {
			want := verdictOf(a.want)
			if got := a.byLibrary(t, f); got != want {
				t.Errorf("library: %+v, want %+v", got, want)
			}
			if got, text := a.byHTTP(t, f); got != want {
				t.Errorf("HTTP: %+v, want %+v: %s", got, want, text)
			}
			if got, text := a.byCommand(t, f); got != want {
				t.Errorf("command line: %+v, want %+v: %s", got, want, text)
			}
		})
	}
	for name, m := range messageAttacks {
		t.Run("message: "+name, func(t *testing.T) {
			want := verdictOf(m.want)
			var library verdict
			summary, err := (&ingest.Runner{Store: f.library, Each: func(r ingest.Result) { library = verdictOf(annals.CodeOf(r.Err)) }}).Run(t.Context(), ingest.Items(strings.NewReader(m.text)))
			if err != nil || summary.Refused != 1 || library != want {
				t.Errorf("library: %+v, %+v, %v; want %+v", summary, library, err, want)
			}
			if got, text := f.post(t, "/v1/ingest", m.text, "Content-Type", "application/json"); got != want {
				t.Errorf("HTTP: %+v, want %+v: %.300s", got, want, text)
			}
			if got, text := command(t, m.text, "ingest", "-", "--json", "--store", f.dir); got != (verdict{400, 5}) {
				t.Errorf("command line: %+v: %.300s", got, text)
			}
		})
	}
	f.wantEmpty(t)
}
