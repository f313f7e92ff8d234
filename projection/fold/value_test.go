package fold

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/eb901187/annals"
)

func TestNumbersKeepTheirDigits(t *testing.T) {
	for _, text := range []string{
		"0", "-0", "-1", "1.0", "0.1", "0.10", "1e5", "1E+5", "9007199254740993", "-9223372036854775808",
		"9223372036854775808", "123456789012345678901234567890.5", "1e400", "-1e-400", "0.30000000000000004",
	} {
		if got := mustEncode(t, mustDecode(t, `{"n":[`+text+`]}`)); got != `{"n":[`+text+`]}` {
			t.Errorf("%s came back as %s", text, got)
		}
	}
}

func TestDecodeRefusesWhatIsNotOneJSONValue(t *testing.T) {
	for text, want := range map[string]string{
		``:      "annals: a document is not JSON: EOF",
		`{`:     "annals: a document is not JSON: unexpected EOF",
		`{} {}`: "annals: a document is not JSON: more follows behind byte 4",
		`nope`:  "annals: a document is not JSON: invalid character 'o' in literal null (expecting 'u')",
	} {
		_, err := Decode([]byte(text))
		if err == nil || err.Error() != want || annals.CodeOf(err) != annals.CodeInvalidJSON {
			t.Errorf("%q: %v (%s), want %s", text, err, annals.CodeOf(err), want)
		}
	}
}

func TestEncodeRefusesWhatJSONHasNot(t *testing.T) {
	deep := any(map[string]any{})
	for range annals.MaxJSONDepth {
		deep = []any{deep}
	}
	wide := any("x")
	for range 40 { // 2^40 values if written out
		wide = []any{wide, wide}
	}
	for want, v := range map[string]any{
		".a[1] is NaN, which JSON can't hold":                   map[string]any{"a": []any{1, math.NaN()}},
		".a is -Inf, which JSON can't hold":                     map[string]any{"a": math.Inf(-1)},
		`.a.b is a string that is not UTF-8: "a\xff"`:           map[string]any{"a": map[string]any{"b": "a\xff"}},
		`.a has a key that is not UTF-8: "\xff"`:                map[string]any{"a": map[string]any{"\xff": 1}},
		"it is a Go int64, which jq does not know":              int64(1),
		`it is no number: "1 2"`:                                json.Number("1 2"),
		"[0][0][0] is nested deeper than 128 levels":            deep,
		"would be larger than 1048576 values and bytes of text": wide,
		".a would be larger than 1048576 values and bytes":      map[string]any{"a": strings.Repeat("x", 1<<20)},
		".b.a[1048571] would be larger than 1048576 values":     map[string]any{"b": map[string]any{"a": make([]any, 1<<20)}},
	} {
		_, err := Encode(v)
		var own *annals.Error
		if !errors.As(err, &own) || own.Code != annals.CodeInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// What a fold leaves in memory is what is read back, for whatever comes next.
func TestSettledIsWhatIsReadBack(t *testing.T) {
	for _, c := range []struct {
		v    any
		want any
	}{
		{3.0, 3}, {math.Copysign(0, -1), 0}, {1e17, 100000000000000000}, {1e19, json.Number("10000000000000000000")},
		{1e21, 1e21}, {0.5, 0.5}, {big.NewInt(7), 7}, {new(big.Int).Lsh(big.NewInt(1), 64), json.Number("18446744073709551616")},
		{json.Number("1.0"), json.Number("1.0")}, {nil, nil}, {"x", "x"}, {true, true},
	} {
		got, err := settled(c.v, nil)
		if err != nil || got != c.want {
			t.Errorf("%v (%T) settles as %v (%T), %v; want %v (%T)", c.v, c.v, got, got, err, c.want, c.want)
		}
	}
}

func TestSettledChangesNeitherOfItsArguments(t *testing.T) {
	old := map[string]any{"same": []any{3.5}, "list": []any{1}}
	v := map[string]any{"same": old["same"], "list": []any{1.0, map[string]any{"x": 2.0}}}
	got, err := settled(v, old)
	if err != nil {
		t.Fatal(err)
	}
	if n := v["list"].([]any)[0]; n != 1.0 {
		t.Errorf("the value given was changed to %v", n)
	}
	if n := v["list"].([]any)[1].(map[string]any)["x"]; n != 2.0 {
		t.Errorf("the inner value given was changed to %v", n)
	}
	if !sameArray(got.(map[string]any)["same"].([]any), old["same"].([]any)) {
		t.Error("an unchanged part was copied")
	}
	if n := got.(map[string]any)["list"].([]any)[0]; n != 1 {
		t.Errorf("settled as %v (%T)", n, n)
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"a":[1,-0,1.50,9007199254740993,1e400,"\u0000\u2028é",null,true]}`, `[[[]]]`, `"\ud800"`, `-0`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := Decode(text)
		if err != nil {
			return
		}
		first, err := Encode(v)
		if err != nil {
			if !strings.Contains(err.Error(), "nested deeper") && len(text) < maxWeight {
				t.Fatalf("%q was decoded and can't be encoded: %v", text, err)
			}
			return
		}
		again, err := Decode(first)
		if err != nil {
			t.Fatalf("%q can't be decoded: %v", first, err)
		}
		if second := mustEncode(t, again); second != string(first) {
			t.Fatalf("%q became %q", first, second)
		}
		if _, ok := v.(json.Number); ok && strings.TrimSpace(string(text)) != string(first) {
			t.Fatalf("the number %q became %q", text, first)
		}
	})
}
