package aggregate_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/aggregate"
	"github.com/eb901187/annals/storetest"
)

// Fact is an event of tests about encoding: any of these types.
type Fact any

type (
	Moved   struct{ Street, Town, Country string }
	Married struct{ Name string }
	Pointed struct{ N int }
)

// today is the schema of a person, with a history: the address was one text, then
// had a town, then a country; a marriage was registered together with the move.
func today() aggregate.Schema[Fact] {
	return aggregate.Schema[Fact]{
		Events: []aggregate.Variant[Fact]{
			aggregate.Event[Fact, Moved]("moved", 3),
			aggregate.Event[Fact, Married]("married", 1),
			aggregate.Event[Fact, *Pointed]("pointed", 1),
		},
		Upcasters: []aggregate.Upcaster{
			aggregate.Upcast("moved", 2, func(data json.RawMessage) (json.RawMessage, error) {
				return append(bytes.TrimSuffix(data, []byte("}")), `,"Country":"FR"}`...), nil
			}),
			aggregate.Upcast("moved", 1, func(data json.RawMessage) (json.RawMessage, error) {
				var text string
				if err := json.Unmarshal(data, &text); err != nil {
					return nil, err
				}
				street, town, ok := strings.Cut(text, ", ")
				if !ok {
					return nil, errors.New("no comma")
				}
				return json.Marshal(map[string]string{"Street": street, "Town": town})
			}),
			aggregate.Upcast("married-and-moved", 1, same),
			aggregate.Split("married-and-moved", 2, func(data json.RawMessage) ([]aggregate.Part, error) {
				var both struct {
					Name    string
					Address json.RawMessage
				}
				if err := json.Unmarshal(data, &both); err != nil {
					return nil, err
				}
				name, err := json.Marshal(Married{both.Name})
				return []aggregate.Part{{Name: "wed", Data: name}, {Name: "moved", Data: both.Address}, {Name: "noticed"}}, err
			}),
		},
		Renamed: map[string]string{"wed": "married", "relocated": "moved", "wed-and-moved": "married-and-moved"},
		Ignored: []string{"noticed"},
	}
}

func person(t *testing.T, s aggregate.Schema[Fact]) *aggregate.Type[[]Fact, Fact] {
	t.Helper()
	typ, err := aggregate.New("person", s, func(all []Fact, f Fact) []Fact { return append(all, f) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return typ
}

func stored(typ string, version string, data string) *annals.Event {
	e := &annals.Event{Type: typ, Data: []byte(data), ContentType: annals.JSONContentType, Stream: "person-1", Version: 5}
	if version != "" {
		e.Attributes = map[string]string{aggregate.VersionAttribute: version}
	}
	return e
}

func TestDecodeLiftsEveryVersion(t *testing.T) {
	typ := person(t, today())
	for _, c := range []struct {
		e    *annals.Event
		want []Fact
	}{
		{stored("moved", "3", `{"Street":"a","Town":"b","Country":"DE"}`), []Fact{Moved{"a", "b", "DE"}}},
		{stored("moved", "2", `{"Street":"a","Town":"b"}`), []Fact{Moved{"a", "b", "FR"}}},
		{stored("moved", "1", `"a, b"`), []Fact{Moved{"a", "b", "FR"}}},
		{stored("moved", "", `"a, b"`), []Fact{Moved{"a", "b", "FR"}}},
		{stored("relocated", "", `"a, b"`), []Fact{Moved{"a", "b", "FR"}}},
		{stored("relocated", "3", `{}`), []Fact{Moved{}}},
		{stored("wed", "", `{"Name":"x"}`), []Fact{Married{"x"}}},
		{stored("married-and-moved", "2", `{"Name":"x","Address":"a, b"}`), []Fact{Married{"x"}, Moved{"a", "b", "FR"}}},
		{stored("wed-and-moved", "", `{"Name":"x","Address":"a, b"}`), []Fact{Married{"x"}, Moved{"a", "b", "FR"}}},
		{stored("noticed", "9", `{`), nil},
		{stored("married", "", ``), []Fact{Married{}}},
		{stored("pointed", "", `{"N":1}`), []Fact{&Pointed{1}}},
		{stored("pointed", "", `null`), []Fact{&Pointed{}}},
		{stored("pointed", "", ``), []Fact{&Pointed{}}},
	} {
		got, err := typ.Decode(c.e)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s v%s %s: %v, %v", c.e.Type, c.e.Attributes[aggregate.VersionAttribute], c.e.Data, got, err)
		}
	}
}

func TestDecodeSaysWhatItCantRead(t *testing.T) {
	typ := person(t, today())
	binary := stored("married", "", "{}")
	binary.ContentType = "application/x-gob"
	for _, c := range []struct {
		e    *annals.Event
		want string
	}{
		{stored("died", "", `{}`), `"died" is no event of the schema`},
		{stored("moved", "4", `{}`), "it has schema version 4 of moved, this program knows 3"},
		{stored("married-and-moved", "3", `{}`), "schema version 3 of married-and-moved, this program knows 2"},
		{stored("moved", "0", `{}`), "must be a number from 1"},
		{stored("moved", "x", `{}`), "must be a number from 1"},
		{stored("moved", "1", `"a"`), "the upcaster from version 1 of moved failed: no comma"},
		{stored("married-and-moved", "2", `[]`), "splitting version 2 of married-and-moved failed"},
		{stored("married-and-moved", "2", `{"Address":"a"}`), "splitting version 2 of married-and-moved: the upcaster from version 1 of moved failed"},
		{stored("married", "", `[]`), "cannot unmarshal"},
		{binary, "its content type is application/x-gob"},
	} {
		got, err := typ.Decode(c.e)
		if err == nil || len(got) > 0 || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "person-1@5") {
			t.Errorf("%s %s: %v, %v", c.e.Type, c.e.Data, got, err)
		}
	}
}

func TestSplitInACircleIsAnError(t *testing.T) {
	s := today()
	s.Upcasters = append(s.Upcasters,
		aggregate.Split("ping", 1, func(json.RawMessage) ([]aggregate.Part, error) {
			return []aggregate.Part{{Name: "pong"}, {Name: "pong"}}, nil
		}),
		aggregate.Split("pong", 1, func(json.RawMessage) ([]aggregate.Part, error) { return []aggregate.Part{{Name: "ping"}}, nil }))
	if _, err := person(t, s).Decode(stored("ping", "", `{}`)); err == nil || !strings.Contains(err.Error(), "circle") {
		t.Fatalf("got %v", err)
	}
}

// Events of all versions in one stream, and new ones in the current version.
func TestOldAndNewEventsInOneStream(t *testing.T) {
	s := newStore(t, memory(t))
	r := aggregate.NewRepository(s, person(t, today()), nil)
	for i, e := range []*annals.Event{stored("wed-and-moved", "", `{"Name":"x","Address":"a, b"}`), stored("noticed", "", `1`), stored("moved", "2", `{"Town":"c"}`)} {
		if _, err := s.Append(t.Context(), "person-1", int64(i), *e); err != nil {
			t.Fatal(err)
		}
	}
	result, err := r.Execute(t.Context(), "1", func([]Fact) ([]Fact, error) { return []Fact{Moved{"d", "e", "f"}, &Pointed{1}}, nil }, nil)
	want := []Fact{Married{"x"}, Moved{"a", "b", "FR"}, Moved{"", "c", "FR"}, Moved{"d", "e", "f"}, &Pointed{1}}
	if err != nil || result.Version != 5 || !reflect.DeepEqual(result.State, want) {
		t.Fatalf("got %+v, %v", result, err)
	}
	at, err := r.Load(t.Context(), "1")
	if err != nil || !reflect.DeepEqual(at.State, want) {
		t.Fatalf("got %+v, %v", at, err)
	}
	all := storetest.Collect(t, s.Stream(t.Context(), "person-1", &annals.StreamOptions{From: 4}))
	if all[0].Attributes[aggregate.VersionAttribute] != "3" || len(all[1].Attributes) > 0 {
		t.Fatalf("stored %+v", all)
	}
}

// embedsTime is encoded by the method of what it embeds, so that N is lost.
type embedsTime struct {
	time.Time
	N int
}

type loop struct {
	Next  *loop
	Value any
}

// upper encodes itself, and has a field that its encoding leaves out.
type upper struct {
	text   string
	cached int
}

func (u upper) MarshalText() ([]byte, error) { return []byte(strings.ToUpper(u.text)), nil }

func (u *upper) UnmarshalText(text []byte) error {
	u.text = string(text)
	return nil
}

// byPointer encodes itself only where it can be pointed to, which a variant that
// is stored by value can't.
type byPointer struct{ N, m int }

func (b *byPointer) MarshalJSON() ([]byte, error) { return json.Marshal([]int{b.N, b.m}) }

type (
	manyKinds struct {
		At    time.Time
		Big   *big.Int
		Raw   json.RawMessage
		List  []string
		Map   map[string]*int
		Any   any
		Array [2]bool
		Self  upper
	}
	hidden  struct{ N, m int }
	skipped struct {
		N int `json:"-"`
	}
	byValue struct{ N big.Int }
	omitted struct {
		List []int          `json:",omitempty"`
		Map  map[string]int `json:",omitempty"`
	}
)

func TestEncodeRefusesWhatWouldNotComeBack(t *testing.T) {
	typ, err := aggregate.New("all", aggregate.Schema[Fact]{Events: []aggregate.Variant[Fact]{
		aggregate.Event[Fact, manyKinds]("many", 1), aggregate.Event[Fact, hidden]("hidden", 1), aggregate.Event[Fact, skipped]("skipped", 1),
		aggregate.Event[Fact, embedsTime]("embeds", 1), aggregate.Event[Fact, byValue]("by-value", 1), aggregate.Event[Fact, omitted]("omitted", 1),
		aggregate.Event[Fact, byPointer]("by-pointer", 1), aggregate.Event[Fact, loop]("loop", 1), aggregate.Event[Fact, chan int]("chan", 1), aggregate.Event[Fact, string]("text", 1),
	}}, func(n int, _ Fact) int { return n + 1 }, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2020, 5, 1, 20, 0, 0, 5, time.FixedZone("here", 3600))
	one := 1
	for _, ok := range []Fact{
		manyKinds{}, manyKinds{at, big.NewInt(7), json.RawMessage(`{ "a" : 1 }`), []string{}, map[string]*int{"a": &one, "b": nil}, "x", [2]bool{true, false}, upper{"x", 3}},
		manyKinds{At: time.Now(), Any: map[string]any{"a": []any{1.5, nil, "x"}}, Raw: json.RawMessage(`null`)},
		hidden{N: 1}, skipped{}, embedsTime{at, 0}, omitted{[]int{}, map[string]int{}}, loop{Next: &loop{}}, "text <&>",
	} {
		e, err := typ.Encode(ok)
		if err != nil {
			t.Errorf("%+v: %v", ok, err)
		} else if err := annals.CheckJSON(e.Data); err != nil {
			t.Errorf("%+v: %s: %v", ok, e.Data, err)
		}
	}
	self := &loop{}
	self.Next = self
	for _, c := range []struct {
		bad  Fact
		want string
	}{
		{hidden{m: 1}, ".m does not come back"}, {byPointer{1, 2}, ".m does"}, {skipped{1}, ".N does"}, {embedsTime{at, 1}, ".N does"}, {byValue{*big.NewInt(5)}, "cannot unmarshal"},
		{manyKinds{Any: 1}, ".Any does"}, {manyKinds{Any: hidden{}}, ".Any does"}, {loop{Value: "\xff"}, ".Value does"}, {"\xff", "the value itself does"},
		{manyKinds{List: []string{"a", "\xff"}}, ".List[1] does"}, {manyKinds{Map: map[string]*int{"\xff": nil}}, ".Map[\xff] does"},
		{*self, "cycle"}, {make(chan int), "unsupported type"}, {manyKinds{Raw: json.RawMessage(`{`)}, "unexpected end"},
		{&hidden{}, "type *aggregate_test.hidden is not in the schema"}, {nil, "type <nil> is not in the schema"},
	} {
		if _, err := typ.Encode(c.bad); err == nil || !strings.Contains(err.Error(), c.want) || annals.CodeOf(err) != annals.CodeInternal {
			t.Errorf("%+v: %v, want %s", c.bad, err, c.want)
		}
	}
}

// Step is one Go type for several events.
type Step struct {
	Kind string
	Up   int
	Down string
}

func TestCasesOfOneGoType(t *testing.T) {
	typ, err := aggregate.New("steps", aggregate.Schema[Step]{Events: []aggregate.Variant[Step]{
		aggregate.Case("up", 1, func(n int) Step { return Step{Kind: "up", Up: n} }, func(s Step) (int, bool) { return s.Up, s.Kind == "up" }),
		aggregate.Case("down", 1, func(d string) Step { return Step{Kind: "down", Down: d} }, func(s Step) (string, bool) { return s.Down, s.Kind == "down" }),
		aggregate.Case("back", 1, func(n int) Step { return Step{Kind: "back", Up: n} }, func(s Step) (int, bool) { return s.Up, s.Kind == "back" }),
	}}, func(all []Step, s Step) []Step { return append(all, s) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := newStore(t, memory(t))
	r := aggregate.NewRepository(s, typ, nil)
	steps := []Step{{Kind: "up", Up: 2}, {Kind: "down", Down: "x"}, {Kind: "back", Up: 3}}
	result, err := r.Execute(t.Context(), "1", func([]Step) ([]Step, error) { return steps, nil }, nil)
	if err != nil || !reflect.DeepEqual(result.State, steps) {
		t.Fatalf("got %+v, %v", result, err)
	}
	var got []string
	for _, e := range storetest.Collect(t, s.Stream(t.Context(), "steps-1", nil)) {
		got = append(got, e.Type+string(e.Data))
	}
	if strings.Join(got, " ") != `up2 down"x" back3` {
		t.Fatalf("stored %s", got)
	}
	if _, err := typ.Encode(Step{Kind: "none"}); err == nil {
		t.Fatal("a step of no kind was encoded")
	}
	if _, err := aggregate.New("steps", aggregate.Schema[Step]{Events: []aggregate.Variant[Step]{
		aggregate.Case[Step, int]("up", 1, nil, nil),
	}}, func(n int, _ Step) int { return n }, nil); !errors.Is(err, annals.ErrInvalid) {
		t.Fatalf("a case without functions: %v", err)
	}
}

// gobs is a codec that is not JSON.
type gobs struct{}

func (gobs) ContentType() string { return "application/x-gob" }

func (gobs) Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(v)
	return b.Bytes(), err
}

func (gobs) Decode(data []byte, v any) error { return gob.NewDecoder(bytes.NewReader(data)).Decode(v) }

func TestAnotherCodecReadsTheJSONFromBefore(t *testing.T) {
	s := newStore(t, memory(t))
	before := aggregate.NewRepository(s, accounts(t, snapshots(aggregate.Every(1))), strict(t, 0))
	mustExecute(t, before, "7", deposit(1), nil)
	schema := bank()
	schema.Codec = gobs{}
	typ, err := aggregate.New("account", schema, evolve, snapshots(aggregate.Every(2)))
	if err != nil {
		t.Fatal(err)
	}
	after := aggregate.NewRepository(s, typ, strict(t, 0))
	for i := range 5 {
		if c := mustExecute(t, after, "7", deposit(1), keyed("%d", i)); c.State.Balance != int64(i+2) {
			t.Fatalf("got %+v", c)
		}
	}
	if at := mustLoad(t, after, "7"); at.State.Balance != 6 || at.State.Count != 6 {
		t.Fatalf("got %+v", at)
	}
	for _, e := range storetest.Collect(t, s.Log(t.Context(), annals.Query{After: 2})) {
		if e.ContentType != "application/x-gob" {
			t.Fatalf("stored %+v", e)
		}
	}
}
