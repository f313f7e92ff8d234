package aggregatetest

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// sampleDepth is how deep types that hold themselves are filled.
const sampleDepth = 4

// A sampler makes values that have something in every field, always the same
// for the same type, so that a field that is added, renamed or encoded in
// another way shows.
type sampler struct{ n int64 }

func (s *sampler) fill(v reflect.Value, name string, depth int) {
	s.n++
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Date(2020, 5, 1, 20, 0, int(s.n%60), 123_456_789, time.UTC)))
		return
	case v.Type() == reflect.TypeFor[json.RawMessage]():
		v.SetBytes(fmt.Appendf(nil, `{"n":%d}`, s.n))
		return
	case depth > sampleDepth || decodesItself(v.Type()):
		return // only the author of such a type knows what it takes
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(s.n % 100)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(s.n % 100))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(s.n%100) + 0.5)
	case reflect.String:
		v.SetString(name + " " + strconv.FormatInt(s.n, 10))
	case reflect.Interface:
		if v.NumMethod() == 0 {
			v.Set(reflect.ValueOf(name + " " + strconv.FormatInt(s.n, 10)))
		}
	default:
		s.fillMany(v, name, depth)
	}
}

func (s *sampler) fillMany(v reflect.Value, name string, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		s.fill(v.Elem(), name, depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			// JSON takes the exported fields of an embedded struct that is not exported.
			if v.Field(i).CanSet() && f.Tag.Get("json") != "-" || f.Anonymous && f.Type.Kind() == reflect.Struct {
				s.fill(v.Field(i), f.Name, depth+1)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		s.elements(v, name, depth)
	case reflect.Array:
		s.elements(v, name, depth)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		s.fill(key, name, depth+1)
		s.fill(value, name, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	}
}

func (s *sampler) elements(v reflect.Value, name string, depth int) {
	for i := range v.Len() {
		s.fill(v.Index(i), name, depth+1)
	}
}

func decodesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// sample makes a value of type t.
func sample(t reflect.Type) any {
	v := reflect.New(t).Elem()
	(&sampler{}).fill(v, t.Name(), 0)
	return v.Interface()
}
