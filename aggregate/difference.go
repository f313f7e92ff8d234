package aggregate

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
)

// difference finds what a value has lost on its way through an encoding. Nil and
// empty slices count as the same. So do nil and empty maps, but for exactMaps:
// writing to a nil map panics, so that a state must not come back with one.
type difference struct{ exactMaps bool }

// deepest bounds the search in values that a decoder tied into a circle.
const deepest = 1000

// find returns the path of the first difference, empty if there is none.
func (d difference) find(a, b reflect.Value, path string, depth int) string {
	switch {
	case !a.IsValid() || !b.IsValid():
		if a.IsValid() != b.IsValid() {
			return named(path)
		}
		return ""
	case a.Type() != b.Type() || depth > deepest:
		return named(path)
	case a.Comparable() && b.Comparable() && a.Equal(b):
		return ""
	}
	if same, known := ownAnswer(a, b); known {
		if same {
			return ""
		}
		return named(path)
	}
	switch a.Kind() {
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return named(path) // both nil would have been equal
		}
		return d.find(a.Elem(), b.Elem(), path, depth+1)
	case reflect.Struct:
		for i := range a.NumField() {
			if p := d.find(a.Field(i), b.Field(i), path+"."+a.Type().Field(i).Name, depth+1); p != "" {
				return p
			}
		}
		return ""
	case reflect.Slice, reflect.Array:
		return d.elements(a, b, path, depth)
	case reflect.Map:
		return d.members(a, b, path, depth)
	}
	return named(path)
}

func named(path string) string {
	if path == "" {
		return "the value itself"
	}
	return path
}

func (d difference) elements(a, b reflect.Value, path string, depth int) string {
	if a.Len() != b.Len() {
		return named(path)
	}
	for i := range a.Len() {
		if p := d.find(a.Index(i), b.Index(i), fmt.Sprintf("%s[%d]", path, i), depth+1); p != "" {
			return p
		}
	}
	return ""
}

func (d difference) members(a, b reflect.Value, path string, depth int) string {
	if a.Len() != b.Len() || d.exactMaps && a.IsNil() != b.IsNil() {
		return named(path)
	}
	for each := a.MapRange(); each.Next(); {
		if p := d.find(each.Value(), b.MapIndex(each.Key()), fmt.Sprintf("%s[%v]", path, each.Key()), depth+1); p != "" {
			return p
		}
	}
	return ""
}

var (
	rawJSON       = reflect.TypeFor[json.RawMessage]()
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// ownAnswer compares values of types that define their own equality or their own
// encoding, as times and decimals do. A type that encodes itself and has no
// Equal is trusted.
func ownAnswer(a, b reflect.Value) (same, known bool) {
	t := a.Type()
	if t == rawJSON {
		return bytes.Equal(compact(a.Bytes()), compact(b.Bytes())), true
	}
	if equal, ok := t.MethodByName("Equal"); ok && a.CanInterface() &&
		equal.Type.NumIn() == 2 && equal.Type.In(1) == t && equal.Type.NumOut() == 1 && equal.Type.Out(0).Kind() == reflect.Bool {
		if t.Kind() == reflect.Pointer && (a.IsNil() || b.IsNil()) {
			return false, true
		}
		return equal.Func.Call([]reflect.Value{a, b})[0].Bool(), true
	}
	return true, encodesItself(a)
}

// encodesItself reports whether a's type encodes itself; by a method of its
// pointer only where a can be pointed to, as encoding/json has it. A struct gets
// such a method from a field that it embeds too, and then its other fields are
// lost.
func encodesItself(a reflect.Value) bool {
	t := a.Type()
	switch {
	case t.Kind() == reflect.Interface || t.Kind() == reflect.Pointer:
		return false
	case !marshals(t) && !(a.CanAddr() && marshals(reflect.PointerTo(t))):
		return false
	case t.Kind() != reflect.Struct:
		return true
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous && (marshals(f.Type) || marshals(reflect.PointerTo(f.Type))) {
			return false
		}
	}
	return true
}

func marshals(t reflect.Type) bool { return t.Implements(jsonMarshaler) || t.Implements(textMarshaler) }

// compact returns JSON without white space; none at all is encoded as null.
func compact(text []byte) []byte {
	if len(text) == 0 {
		return []byte("null")
	}
	var b bytes.Buffer
	if json.Compact(&b, text) != nil {
		return text
	}
	return b.Bytes()
}
