package console

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestPrettyJSONIsThatOfTheLibrary(t *testing.T) {
	for _, text := range []string{
		`null`, ` 1e400 `, `"a"`, `{}`, `[ ]`, `[[],{}]`, `{"a":[1,2,{"b":{}}],"c":"} , : [ \" \\","d":true}`, `[[[1]],"\\\"",{"":""}]`, "{\t\"a\" :\r\n 1 }", `"ü\u003c"`,
	} {
		var want bytes.Buffer
		if err := json.Indent(&want, []byte(text), "", "  "); err != nil {
			t.Fatal(text, err)
		}
		if got := prettyJSON([]byte(text), 1000); got != strings.TrimSpace(want.String()) {
			t.Errorf("%s:\n%s\nwant\n%s", text, got, &want)
		}
	}
	if got := prettyJSON([]byte("{<\xff"), 1000); got != "{<\uFFFD" {
		t.Errorf("%q", got)
	}
}

// A document of a megabyte that is nested deeply would be some hundred on a page.
func TestPrettyJSONIsBounded(t *testing.T) {
	const deep = 127
	data := []byte(strings.Repeat("[", deep) + "0" + strings.Repeat(",0", 500_000) + strings.Repeat("]", deep))
	got := prettyJSON(data, 10_000)
	if len(got) <= 10_000 || len(got) > 11_000 {
		t.Errorf("%d bytes", len(got))
	}
	if text := shortJSON(data); len(text) > maxDiffBytes+100 || !strings.HasSuffix(text, notShown) {
		t.Errorf("%d bytes", len(text))
	}
}
