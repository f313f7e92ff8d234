package fold

import (
	"testing"
)

// mustDecode reads JSON of a test.
func mustDecode(t testing.TB, text string) any {
	t.Helper()
	v, err := Decode([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func mustEncode(t testing.TB, v any) string {
	t.Helper()
	text, err := Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The test cases of RFC 7396, appendix A, and the example of its section 3.
func TestMergePatchRFC7396(t *testing.T) {
	for _, c := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{
			`{"title":"Goodbye!","author":{"givenName":"John","familyName":"Doe"},"tags":["example","sample"],"content":"This will be unchanged"}`,
			`{"title":"Hello!","phoneNumber":"+01-123-456-7890","author":{"familyName":null},"tags":["example"]}`,
			`{"author":{"givenName":"John"},"content":"This will be unchanged","phoneNumber":"+01-123-456-7890","tags":["example"],"title":"Hello!"}`,
		},
		{`null`, `{"a":1}`, `{"a":1}`},
	} {
		doc, patch := mustDecode(t, c[0]), mustDecode(t, c[1])
		if got := mustEncode(t, MergePatch(doc, patch)); got != c[2] {
			t.Errorf("%s patched by %s is %s, want %s", c[0], c[1], got, c[2])
		}
		if got := mustEncode(t, doc); got != mustEncode(t, mustDecode(t, c[0])) {
			t.Errorf("%s was changed to %s by the patch %s", c[0], got, c[1])
		}
		if got := mustEncode(t, patch); got != mustEncode(t, mustDecode(t, c[1])) {
			t.Errorf("the patch %s was changed to %s", c[1], got)
		}
	}
}
