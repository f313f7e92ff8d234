package fold

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/eb901187/annals"
)

func TestExpressionOfAFile(t *testing.T) {
	e := sample("T")
	e.Data = []byte(`{"a":12345678901234567890.10}`)
	input, err := Input(&e)
	if err != nil {
		t.Fatal(err)
	}
	for src, want := range map[string]string{
		".data":                          `{"a":12345678901234567890.10}`,
		"$event.type # a comment":        `"T"`,
		".type |= (. + \"x\") | .type\n": `"Tx"`,
	} {
		x, err := ParseExpression("the mask", "m.jq", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		value, err := x.ValueOf(&e, input)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := Encode(value); err != nil || string(text) != want {
			t.Errorf("%s gave %s, %v", src, text, err)
		}
	}
	if again, err := Input(&e); err != nil || !reflect.DeepEqual(again, input) {
		t.Errorf("the input became %v, %v", input, err)
	}
}

func TestExpressionOfAFileNamesItsLine(t *testing.T) {
	e := sample("T")
	for src, want := range map[string]string{
		".type + 1":        "m.jq:1: the mask failed, at event stream@1",
		"def f: f; f":      "m.jq:1: the mask did not end within",
		"":                 "m.jq:1: the mask is empty",
		" \n":              "m.jq:1: the mask is empty",
		".data |\n (.a":    "m.jq:2: the mask is not jq",
		"\n\n.a | env | 1": "m.jq:3: the mask uses env",
	} {
		x, err := ParseExpression("the mask", "m.jq", []byte(src))
		if err == nil {
			_, err = x.Value(&e)
		}
		var own *annals.Error
		if !errors.As(err, &own) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", src, err, want)
		}
	}
}
