package fold

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/itchyny/gojq"

	"github.com/eb901187/annals"
)

// maxWeight is how many values and bytes of strings a document may have. View
// stores take less; it bounds the work on a document that no store would.
const maxWeight = 1 << 20

// Encode writes a document, or any value of jq, as JSON: keys sorted by their
// bytes, nothing between the tokens, and numbers as Decode has read them. The
// error is an *annals.Error; it says where doc holds a value that JSON has not
// got: a NaN, an infinity, a string that is not UTF-8, a Go type that jq does not
// know; or that doc is too deep or too large for any view.
func Encode(doc any) ([]byte, error) {
	doc, err := settled(doc, nil)
	if err != nil {
		return nil, &annals.Error{Code: annals.CodeInvalid, Message: "a document can't be written as JSON", Err: err}
	}
	return gojq.Marshal(doc)
}

// Decode reads JSON as jq's values: nil, bool, string, []any, map[string]any and
// for numbers int where that writes the same digits, else json.Number, which
// keeps them. The error is an *annals.Error.
func Decode(text []byte) (any, error) {
	v, err := decode(text)
	if err != nil {
		return nil, &annals.Error{Code: annals.CodeInvalidJSON, Message: "a document is not JSON", Err: err}
	}
	return v, nil
}

func decode(text []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	err := decoder.Decode(&v)
	if err == nil {
		if _, rest := decoder.Token(); rest != io.EOF {
			err = fmt.Errorf("more follows behind byte %d", decoder.InputOffset())
		}
	}
	return withInts(v), err
}

// withInts puts ints in the place of the numbers that one stands for.
func withInts(v any) any {
	switch v := v.(type) {
	case json.Number:
		return number(v)
	case []any:
		for i, element := range v {
			v[i] = withInts(element)
		}
	case map[string]any:
		for key, member := range v {
			switch member.(type) {
			case json.Number, []any, map[string]any:
				v[key] = withInts(member)
			}
		}
	}
	return v
}

func number(n json.Number) any {
	if i, err := strconv.Atoi(string(n)); err == nil && (n[0] != '-' || i != 0) {
		return i // JSON has no leading zeros and no plus, but it has -0
	}
	return n
}

// A misfit is a value that a document can't hold, and where it stands.
type misfit struct{ path, what string }

func (m *misfit) Error() string {
	if m.path == "" {
		return "it " + m.what
	}
	return m.path + " " + m.what
}

// settled returns v as it will be read back once it has been written, so that a
// fold never tells a document that was kept in memory from one that was not. old
// is the document before: what stands in the same place in both is not looked at
// again. Neither is changed. The error is a *misfit.
func settled(v, old any) (any, error) {
	s := settler{left: maxWeight}
	return s.value(v, old, 0)
}

type settler struct{ left int }

func (s *settler) value(v, old any, depth int) (any, error) {
	text, _ := v.(string)
	if s.left -= 1 + len(text); s.left < 0 {
		return nil, &misfit{what: fmt.Sprintf("would be larger than %d values and bytes of text", maxWeight)}
	}
	switch v := v.(type) {
	case nil, bool, int:
		return v, nil
	case string:
		if !utf8.ValidString(v) {
			return nil, &misfit{what: fmt.Sprintf("is a string that is not UTF-8: %.40q", v)}
		}
		return v, nil
	case float64:
		return settledFloat(v)
	case *big.Int:
		return number(json.Number(v.String())), nil
	case json.Number:
		if !json.Valid([]byte(v)) || v[0] != '-' && (v[0] < '0' || v[0] > '9') {
			return nil, &misfit{what: fmt.Sprintf("is no number: %.40q", string(v))}
		}
		return v, nil
	case []any, map[string]any:
		if depth == annals.MaxJSONDepth {
			return nil, &misfit{what: fmt.Sprintf("is nested deeper than %d levels", annals.MaxJSONDepth)}
		}
		if array, ok := v.([]any); ok {
			return s.array(array, old, depth+1)
		}
		return s.object(v.(map[string]any), old, depth+1)
	}
	return nil, &misfit{what: fmt.Sprintf("is a Go %T, which jq does not know", v)}
}

// settledFloat makes of a float64 what its JSON is read back as.
func settledFloat(f float64) (any, error) {
	switch {
	case math.IsNaN(f), math.IsInf(f, 0):
		return nil, &misfit{what: fmt.Sprintf("is %v, which JSON can't hold", f)}
	case f != math.Trunc(f) || math.Abs(f) >= 1e21:
		return f, nil // its text has a fraction or an exponent
	case f == 0:
		return 0, nil
	}
	return number(json.Number(strconv.FormatFloat(f, 'f', -1, 64))), nil
}

func (s *settler) array(v []any, old any, depth int) (any, error) {
	before, _ := old.([]any)
	if sameArray(v, before) {
		return v, nil
	}
	out := v
	for i, element := range v {
		var counterpart any
		if i < len(before) {
			counterpart = before[i]
		}
		got, err := s.value(element, counterpart, depth)
		if err != nil {
			return nil, under("["+strconv.Itoa(i)+"]", err)
		}
		if moved(element, got) {
			if sameArray(out, v) {
				out = slices.Clone(v)
			}
			out[i] = got
		}
	}
	return out, nil
}

func (s *settler) object(v map[string]any, old any, depth int) (any, error) {
	before, _ := old.(map[string]any)
	if sameObject(v, before) {
		return v, nil
	}
	out := v
	for key, member := range v {
		if s.left -= len(key); !utf8.ValidString(key) {
			return nil, &misfit{what: fmt.Sprintf("has a key that is not UTF-8: %.40q", key)}
		}
		got, err := s.value(member, before[key], depth)
		if err != nil {
			return nil, under("."+key, err)
		}
		if moved(member, got) {
			if sameObject(out, v) {
				out = maps.Clone(v)
			}
			out[key] = got
		}
	}
	return out, nil
}

func sameArray(a, b []any) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

func sameObject(a, b map[string]any) bool {
	return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}

// moved reports whether settling has put another value in the place of v.
func moved(v, got any) bool {
	switch v := v.(type) {
	case *big.Int:
		return true
	case float64:
		_, kept := got.(float64)
		return !kept
	case []any:
		return !sameArray(v, got.([]any))
	case map[string]any:
		return !sameObject(v, got.(map[string]any))
	}
	return false
}

func under(step string, err error) error {
	m := err.(*misfit)
	if len(m.path) < 200 {
		m.path = step + m.path
	}
	return m
}
