package aggregate

import (
	"encoding/json"
	"reflect"
)

// A Schema says how the events of a domain are stored. E is the Go type of all
// of them: an interface that each implements, or one type that can stand for any
// (see Case).
type Schema[E any] struct {
	// Events are the events of today, each with its stored name and version.
	Events []Variant[E]
	// Upcasters lift events that were stored in older versions.
	Upcasters []Upcaster
	// Renamed maps names that events were stored with to those that they have in
	// Events or Upcasters. Versions count on: version 2 of the old name is version
	// 2 of the new one.
	Renamed map[string]string
	// Ignored are stored types that are passed over when they are read.
	Ignored []string
	// Codec encodes the data of events and the state in snapshots; JSON{} by
	// default.
	Codec Codec
}

// A Variant is one event of a Schema. Event and Case make it.
type Variant[E any] struct {
	name    string
	version int
	goType  reflect.Type
	byType  bool // only goType tells its events from others
	problem string
	unwrap  func(E) (any, bool)
	wrap    func(any) (E, bool)
	decode  func(Codec, []byte) (E, error)
}

// Event is the event of Go type V, which implements E, stored under name in
// schema version version, from 1. The name is what the store keeps as the
// event's type: it must never change with the Go type (see Schema.Renamed).
func Event[E, V any](name string, version int) Variant[E] {
	var zero V
	wrap := func(v V) E {
		e, _ := any(v).(E)
		return e
	}
	variant := Case(name, version, wrap, func(e E) (V, bool) {
		v, ok := any(e).(V)
		return v, ok
	})
	variant.byType = true
	if variant.goType.Kind() == reflect.Interface {
		variant.problem = "is declared for the interface " + variant.goType.String() + ": it must be a type that can be decoded"
	} else if _, ok := any(zero).(E); !ok {
		variant.problem = "is declared for " + variant.goType.String() + ", which is not of type " + reflect.TypeFor[E]().String()
	}
	return variant
}

// Case is like Event for an E that is no interface, such as a struct with a
// field for each kind of event: wrap makes an E of what is stored, and unwrap
// takes it out of an E of this kind and returns false for all others. At most one
// Case of a Schema may take an E.
func Case[E, V any](name string, version int, wrap func(V) E, unwrap func(E) (V, bool)) Variant[E] {
	variant := Variant[E]{name: name, version: version, goType: reflect.TypeFor[V]()}
	if wrap == nil || unwrap == nil {
		variant.problem = "needs both functions, wrap and unwrap"
		return variant
	}
	variant.unwrap = func(e E) (any, bool) {
		v, ok := unwrap(e)
		return v, ok
	}
	variant.wrap = func(v any) (E, bool) {
		typed, ok := v.(V)
		if !ok {
			var none E
			return none, false
		}
		return wrap(typed), true
	}
	variant.decode = func(codec Codec, data []byte) (E, error) {
		var v V
		var err error
		if len(data) > 0 { // an event may carry none
			err = codec.Decode(data, &v)
		}
		// No event is a nil pointer, which evolve would have to expect.
		if r := reflect.ValueOf(&v).Elem(); r.Kind() == reflect.Pointer && r.IsNil() {
			r.Set(reflect.New(r.Type().Elem()))
		}
		return wrap(v), err
	}
	return variant
}

// An Upcaster lifts events of one name from one schema version. Upcast and Split
// make it.
type Upcaster struct {
	name string
	from int
	lift func(json.RawMessage) (json.RawMessage, error)
	part func(json.RawMessage) ([]Part, error)
}

// Upcast lifts the data of an event from version from to version from+1. With a
// Codec other than JSON it gets the bytes as they were stored. The function must
// always return the same for the same data.
func Upcast(name string, from int, lift func(json.RawMessage) (json.RawMessage, error)) Upcaster {
	return Upcaster{name: name, from: from, lift: lift}
}

// Split replaces a stored event of this name and version by several, or by none.
// The name may be one that Schema.Events no longer has. Each part is lifted from
// its own version, as if it had been stored so.
func Split(name string, version int, part func(json.RawMessage) ([]Part, error)) Upcaster {
	return Upcaster{name: name, from: version, part: part}
}

// A Part is one event of those that a Split makes of a stored one.
type Part struct {
	// Name is one of Schema.Events, or one that the Schema still reads.
	Name string
	// Version is the schema version of Data; 0 means 1.
	Version int
	Data    json.RawMessage
}
