package reversal_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/projection/fold"
	"github.com/eb901187/annals/reversal"
)

const account = `
name: accounts
fold:
  deposited: '.balance = (.balance // 0) + $event.data.amount | .n = (.n // 0) + 1'
  withdrawn: '.balance = (.balance // 0) - $event.data.amount | .n = (.n // 0) + 1'
`

func accounts(t testing.TB) *fold.Definition {
	t.Helper()
	d, err := fold.Parse("accounts.yaml", []byte(account))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func withdraw(_ context.Context, before json.RawMessage, e *annals.Event) ([]annals.Event, error) {
	var data struct{ Amount int }
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return nil, err
	}
	e.Data[0], e.Attributes = 'x', nil // its own copy
	text, err := json.Marshal(map[string]any{"amount": data.Amount, "before": before})
	return []annals.Event{{Type: "withdrawn", Data: text, Attributes: map[string]string{"subject": "s"}}}, err
}

// Go code, jq and data stored with the event declare the same inverse.
func TestDeclaredInverses(t *testing.T) {
	byJQ, err := reversal.ParseInverses("inverses.yaml", []byte(`deposited: '{type: "withdrawn", data: {amount: .data.amount, before: $before}} | if $before == $state then . else error end'`))
	if err != nil {
		t.Fatal(err)
	}
	stored := map[string]string{reversal.AttributeReverse: `{"type":"withdrawn","data":{"amount":30,"before":{"balance":50,"n":1}}}`}
	for name, c := range map[string]struct {
		inverses   map[string]reversal.Inverse
		attributes map[string]string
	}{
		"Go":                         {map[string]reversal.Inverse{"deposited": withdraw}, nil},
		"jq":                         {byJQ, nil},
		"stored":                     {nil, stored},
		"Go before what is stored":   {map[string]reversal.Inverse{"deposited": withdraw}, map[string]string{reversal.AttributeReverse: "nonsense"}},
		"of another type, so stored": {map[string]reversal.Inverse{"other": withdraw}, stored},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			opts := &reversal.Options{Inverses: c.inverses, Fold: reversal.FoldBy(accounts(t)), ID: "rev-1", Reason: "twice: größer"}
			w.add(t, "acc", `deposited {"amount":50}`)
			if _, err := w.Append(t.Context(), "acc", 1, annals.Event{Type: "deposited", Data: []byte(`{"amount":30}`), Correlation: "r-2", Source: "bank", Attributes: c.attributes}); err != nil {
				t.Fatal(err)
			}
			w.add(t, "acc", `deposited {"amount":7}`)
			plan := w.reverse(t, at("acc", 2), opts)
			s := &plan.Streams[0]
			wantWays(t, s, map[int64]reversal.Way{2: reversal.Declared})
			if string(s.Before) != `{"balance":87,"n":3}` || string(s.After) != `{"balance":57,"n":4}` || w.state(t, "acc", accounts(t).Rules) != string(s.After) {
				t.Errorf("before %s, after %s", s.Before, s.After)
			}
			e := w.events(t, "acc")[3]
			var data map[string]any
			if err := json.Unmarshal(e.Data, &data); err != nil || data["amount"] != 30.0 || encoded(t, data["before"]) != `{"balance":50,"n":1}` {
				t.Errorf("data %s, %v", e.Data, err)
			}
			if e.Type != "withdrawn" || e.Correlation != "r-2" || e.Causation != "acc@2" || e.Source != "bank" || e.Time != w.now ||
				e.Attributes[reversal.AttributeReverses] != "acc@2" || e.Attributes[reversal.AttributeReversal] != "rev-1" || e.Attributes[reversal.AttributeReason] != opts.Reason {
				t.Errorf("%+v", e)
			}
			if want := map[bool]string{true: "s"}[c.inverses["deposited"] != nil && name != "jq"]; e.Attributes["subject"] != want {
				t.Errorf("subject %q, want %q", e.Attributes["subject"], want)
			}
		})
	}
}

// Inverses are appended newest first; what has none follows, and an inverse
// without events leaves a mark.
func TestASetIsReversedInMoreThanOneWay(t *testing.T) {
	w := newWorld(t)
	inverses, err := reversal.ParseInverses("inverses.yaml", []byte(
		"deposited: '[{type: \"withdrawn\", data: {amount: .data.amount}}, {data: {amount: 0}}]'\nmailed: '[]'"))
	if err != nil {
		t.Fatal(err)
	}
	w.add(t, "acc", `deposited {"amount":1}`, "mailed", `deposited {"amount":20}`, `named {"name":"a"}`, `named {"name":"b"}`, `withdrawn {"amount":100}`)
	q := annals.Query{Types: []string{"deposited", "mailed", "named"}, Until: 5}
	plan := w.reverse(t, reversal.Target{Query: &q}, &reversal.Options{Inverses: inverses})
	wantWays(t, &plan.Streams[0], map[int64]reversal.Way{
		1: reversal.Declared, 2: reversal.Declared, 3: reversal.Declared, 4: reversal.Replay, 5: reversal.Replay,
	})
	var got []string
	for _, e := range w.events(t, "acc")[6:] {
		got = append(got, e.Type+" "+string(e.Data)+" "+e.Attributes[reversal.AttributeReverses]+" "+e.Causation)
	}
	want := []string{
		`withdrawn {"amount":20} acc@3 acc@3`, `deposited {"amount":0} acc@3 acc@3`, "annals.event-reversed  acc@2 acc@2",
		`withdrawn {"amount":1} acc@1 acc@1`, `deposited {"amount":0} acc@1 acc@1`, `annals.event-reversed {"name":null} acc@4-5 acc@5`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// All of it counts as one reversal, whichever of its events is named.
	back := w.reverse(t, at("acc", 9), nil)
	if n := len(back.Streams[0].Reversed); n != 6 {
		t.Errorf("%d events are taken back", n)
	}
	if got := w.state(t, "acc", nil); got != `{"amount":100,"name":"b"}` {
		t.Errorf("taken back: %s", got)
	}
	again := w.plan(t, reversal.Target{Query: &q}, nil)
	if len(again.Streams) != 1 || len(again.Streams[0].Reversed) != 5 {
		t.Errorf("events whose reversal is taken back can't be reversed again: %+v", again)
	}
}

// What a declared inverse has undone happened all the same: a later reversal of
// another event keeps both.
func TestAReversalBesideADeclaredOne(t *testing.T) {
	w := newWorld(t)
	opts := &reversal.Options{Fold: reversal.FoldBy(accounts(t)), Inverses: map[string]reversal.Inverse{"deposited": withdraw}}
	w.add(t, "acc", `deposited {"amount":10}`, `deposited {"amount":5}`)
	w.reverse(t, at("acc", 1), opts)
	opts.Inverses = nil
	if s := w.reverse(t, at("acc", 2), opts).Streams[0]; string(s.Before) != `{"balance":5,"n":3}` || string(s.After) != `{"balance":0,"n":2}` {
		t.Errorf("%s → %s", s.Before, s.After)
	}
	if s := w.reverse(t, at("acc", 3), opts).Streams[0]; string(s.After) != `{"balance":10,"n":1}` {
		t.Errorf("the inverse reversed: %s", s.After)
	}
}

// Inverses are for what happened, not for the events that a plan adds for the
// state's sake; and reversing again needs no more than reversing once.
func TestReversingAgain(t *testing.T) {
	w := newWorld(t)
	w.add(t, "s", `p {"a":1}`, `p {"a":2}`)
	opts := &reversal.Options{Inverses: map[string]reversal.Inverse{reversal.EventReversed: withdraw}}
	for i, version := range []int64{2, 3, 2, 5, 2} {
		s := w.reverse(t, at("s", version), opts).Streams[0]
		if want := []string{`{"a":1}`, `{"a":2}`}[i%2]; string(s.After) != want || string(s.Events[0].Data) != want || s.Reversed[0].Way != reversal.MergePatch {
			t.Errorf("reversing %d: %+v → %s", version, s.Reversed, s.After)
		}
	}
}

// Bad inverses are errors that name the event; no other way takes their place.
func TestBadInverses(t *testing.T) {
	const declare = " (declare an inverse for the type changed, which comes before the attribute)"
	const attribute = `annals: the attribute "reverse" of s@2 does not say how to reverse it: `
	for text, want := range map[string]string{
		"nonsense":                  attribute + "annals: invalid JSON at byte 0",
		"":                          attribute + "annals: invalid JSON at byte 0",
		"7":                         attribute + "7 is no object" + declare,
		"null":                      attribute + "null is no object" + declare,
		`[{"data":1},"x"]`:          attribute + `element 1: "x" is no object` + declare,
		`{"type":7}`:                attribute + "type is 7, not a string" + declare,
		`{"tpye":"x"}`:              attribute + `member "tpye" is unknown` + declare,
		`{"type":"a b"}`:            "annals: the events that would reverse those of s can't be appended: ",
		`{"type":"x","type":"y"}`:   attribute,
		`{"data":1e999}`:            attribute,
		`{"type":"x"} {"type":"y"}`: attribute,
	} {
		w := newWorld(t)
		w.add(t, "s", "made {}")
		if _, err := w.Append(t.Context(), "s", 1, annals.Event{Type: "changed", Data: []byte(`{"a":1}`), Attributes: map[string]string{reversal.AttributeReverse: text}}); err != nil {
			t.Fatal(err)
		}
		_, err := reversal.NewPlan(t.Context(), w.Store, at("s", 2), nil)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.HasSuffix(want, ")") && err.Error() != want || !isInvalid(err) {
			t.Errorf("%s:\n got %v\nwant %s", text, err, want)
		}
	}
	down := errors.New("down")
	w := newWorld(t)
	w.add(t, "s", `changed {"a":1}`)
	byJQ, err := reversal.ParseInverses("inverses.yaml", []byte("changed: '{kind: \"x\"}'"))
	if err != nil {
		t.Fatal(err)
	}
	failing := map[string]reversal.Inverse{"changed": func(context.Context, json.RawMessage, *annals.Event) ([]annals.Event, error) { return nil, down }}
	for want, inverses := range map[string]map[string]reversal.Inverse{
		"annals: the inverse of s@1 (changed) failed: down (mend the inverse that is declared for changed)": failing,
		`annals: the inverse of s@1 (changed) failed: annals: inverses.yaml: jq of changed returned no events: member "kind" is unknown (give {"type": …, "data": …}, ` +
			`where type may be left out for the event's own, or an array of these) (mend the inverse that is declared for changed)`: byJQ,
	} {
		_, err := reversal.NewPlan(t.Context(), w.Store, at("s", 1), &reversal.Options{Inverses: inverses})
		if err == nil || err.Error() != want || errors.Is(err, down) != strings.Contains(want, "down") {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
	if n := len(w.events(t, "s")); n != 1 {
		t.Errorf("%d events: a refused reversal has appended", n)
	}
	if _, err := reversal.ParseInverses("inverses.yaml", []byte("changed: $befor")); err == nil || !strings.Contains(err.Error(), `inverses.yaml:1: jq of changed uses $befor`) {
		t.Error(err)
	}
}

func isInvalid(err error) bool {
	return errors.Is(err, annals.ErrInvalid) || errors.Is(err, annals.ErrInvalidJSON) || errors.Is(err, annals.ErrTooLarge)
}
