package reversal_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/projection/fold"
	"github.com/eb901187/annals/reversal"
)

// What each way appends, and what the plan says of it.
func TestWays(t *testing.T) {
	for name, c := range map[string]struct {
		events       []string
		version      int64
		way          reversal.Way
		event, after string
	}{
		"an old value comes back":      {[]string{`p {"a":1,"b":{"c":1.50}}`, `p {"a":2,"b":{"c":null,"d":1}}`}, 2, reversal.MergePatch, `annals.event-reversed {"a":1,"b":{"c":1.50,"d":null}}`, `{"a":1,"b":{"c":1.50}}`},
		"later events keep theirs":     {[]string{`p {"a":1}`, `p {"a":2,"b":1}`, `p {"a":3}`}, 2, reversal.MergePatch, `annals.event-reversed {"b":null}`, `{"a":3}`},
		"all is written over":          {[]string{`p {"a":1}`, `p {"a":2}`, `p {"a":3}`}, 2, reversal.MergePatch, `annals.event-reversed `, `{"a":3}`},
		"no object":                    {[]string{`p {"a":1}`, `p [1]`}, 2, reversal.MergePatch, `annals.event-reversed `, `{"a":1}`},
		"no data":                      {[]string{`p {"a":1}`, `p`}, 2, reversal.MergePatch, `annals.event-reversed `, `{"a":1}`},
		"the only event":               {[]string{`p {"a":1}`}, 1, reversal.Replay, `annals.state-restored {"state":null}`, `null`},
		"an empty patch, the first":    {[]string{`p {}`}, 1, reversal.Replay, `annals.state-restored {"state":null}`, `null`},
		"under an object that came in": {[]string{`p {"a":{"x":1}}`, `p {"a":5}`, `p {"a":{"y":2}}`}, 2, reversal.MergePatch, `annals.event-reversed {"a":{"x":1}}`, `{"a":{"x":1,"y":2}}`},
		"an object that was touched":   {[]string{`p {}`, `p {"a":{"b":1}}`, `p {"a":{}}`}, 2, reversal.MergePatch, `annals.event-reversed {"a":{"b":null}}`, `{"a":{}}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.add(t, "s", c.events...)
			before := w.state(t, "s", nil)
			plan := w.plan(t, at("s", c.version), &reversal.Options{ID: "rev-1", Reason: "why"})
			if len(plan.Streams) != 1 || plan.ID != "rev-1" || plan.Reason != "why" {
				t.Fatalf("%+v", plan)
			}
			s := &plan.Streams[0]
			wantWays(t, s, map[int64]reversal.Way{c.version: c.way})
			if len(s.Events) != 1 || s.Events[0].Type+" "+string(s.Events[0].Data) != c.event || string(s.After) != c.after || string(s.Before) != before || s.Version != int64(len(c.events)) {
				t.Errorf("%+v\nbefore %s, after %s", s, s.Before, s.After)
			}
			if n := len(w.events(t, "s")); n != len(c.events) {
				t.Errorf("planning appended: %d events", n)
			}
			if _, err := reversal.Apply(t.Context(), w.Store, plan); err != nil || w.state(t, "s", nil) != c.after {
				t.Errorf("%s, %v", w.state(t, "s", nil), err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	w.add(t, "s", `p {"a":1}`, `p {"a":2}`, `p {"a":3}`)
	w.reverse(t, at("s", 3), &reversal.Options{ID: "rev-1"}) // s@4
	w.add(t, "fork", "annals.omitted", "p {}")
	w.add(t, "annals.snapshots/s", "p {}")
	for _, stream := range []string{"twin-b", "twin-a"} {
		if _, err := w.Append(t.Context(), stream, 0, annals.Event{ID: "same", Type: "p"}); err != nil {
			t.Fatal(err)
		}
	}
	text := annals.Event{Type: "p", ContentType: "text/plain", Data: []byte("a"), Correlation: "text"}
	if _, err := w.Append(t.Context(), "text", 0, text); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]struct {
		target reversal.Target
		opts   *reversal.Options
		is     error
	}{
		"annals: there is no stream none (annals log lists events and their streams)":                                                        {at("none", 1), nil, annals.ErrNotFound},
		"annals: stream s is at version 4 and has no version 5 (annals read s shows its events)":                                             {at("s", 5), nil, annals.ErrNotFound},
		`annals: stream s has no event with the id "x" (annals read s shows the ids of its events)`:                                          {reversal.Target{Stream: "s", EventID: "x"}, nil, annals.ErrNotFound},
		`annals: the log holds no event with the id "x" (name the stream too`:                                                                {reversal.Target{EventID: "x"}, nil, annals.ErrNotFound},
		`annals: the id "same" is that of 2 events: twin-a@1, twin-b@1 (name the stream too: ids are unique within a stream only)`:           {reversal.Target{EventID: "same"}, nil, annals.ErrInvalid},
		"annals: s@3 is reversed already, by s@4 of the reversal rev-1 (annals reverse s 4 takes that back)":                                 {at("s", 3), nil, annals.ErrInvalid},
		"annals: annals.snapshots/s is one of Annals' own streams, whose events can't be reversed (name a stream of yours)":                  {at("annals.snapshots/s", 1), nil, annals.ErrInvalid},
		"annals: all that was found stands in Annals' own streams, whose events can't be reversed":                                           {reversal.Target{Query: &annals.Query{Prefix: "annals."}}, nil, annals.ErrInvalid},
		"annals: fork@1 is a placeholder for an event that a fork has left out: there is nothing to reverse":                                 {at("fork", 1), nil, annals.ErrInvalid},
		"annals: no event matches the query: there is nothing to reverse":                                                                    {reversal.Target{Query: &annals.Query{Types: []string{"x"}}}, nil, annals.ErrNotFound},
		"annals: the log holds no event of a reversal x":                                                                                     {reversal.Target{Reversal: "x"}, nil, annals.ErrNotFound},
		"annals: text@1 holds text/plain, which a merge patch can't undo (declare an inverse for the type p, or give the fold":               {at("text", 1), nil, annals.ErrInvalid},
		"annals: text@1 holds text/plain, which a merge patch can't undo (declare an inverse for the type p, or give the fold that makes":    {reversal.Target{Query: &annals.Query{Correlation: "text"}}, nil, annals.ErrInvalid},
		"annals: the reversal rev-1 has appended s@4 already, which does not reverse s@2 (give another reversal another id)":                 {at("s", 2), &reversal.Options{ID: "rev-1"}, annals.ErrInvalid},
		"annals: the id or the reason of the reversal can't be used: annals: invalid: event.attributes.reason must":                          {at("s", 2), &reversal.Options{Reason: "a\nb"}, annals.ErrInvalid},
		"annals: the id or the reason of the reversal can't be used: annals: invalid: event.id must not start":                               {at("s", 2), &reversal.Options{ID: " "}, annals.ErrInvalid},
		"annals: the id or the reason of the reversal can't be used: annals: invalid: event.attributes.reason is 1025 bytes long":            {at("s", 2), &reversal.Options{Reason: strings.Repeat("x", 1025)}, annals.ErrTooLarge},
		"annals: invalid: target must be one of":                                                                                             {reversal.Target{}, nil, annals.ErrInvalid},
		"annals: invalid: target must be one of: a stream":                                                                                   {reversal.Target{EventID: "x", Query: &annals.Query{}}, nil, annals.ErrInvalid},
		"annals: invalid: target.version needs the stream":                                                                                   {reversal.Target{EventID: "x", Version: 1}, nil, annals.ErrInvalid},
		"annals: invalid: target needs either a version or an event id beside the stream":                                                    {reversal.Target{Stream: "s"}, nil, annals.ErrInvalid},
		"annals: invalid: target.version must be a number from 1":                                                                            {at("s", -1), nil, annals.ErrInvalid},
		"annals: invalid: stream must not hold":                                                                                              {at("a b", 1), nil, annals.ErrInvalid},
		"annals: invalid: fold must have a name and a function":                                                                              {at("s", 2), &reversal.Options{Fold: &reversal.Fold{}}, annals.ErrInvalid},
		"annals: invalid: limit must not be negative":                                                                                        {reversal.Target{Query: &annals.Query{Limit: -1}}, nil, annals.ErrInvalid},
		`annals: the state of s can't be folded: annals: customers.yaml folds s@1 into the document "shop", not into one of the stream's na`: {at("s", 2), byFold(t, "customers", "key: .source\nfold: merge-patch"), annals.ErrInvalid},
		"annals: the state of s can't be folded: annals: fails.yaml:2: fold of p failed, at event s@2":                                       {at("s", 2), byFold(t, "fails", "fold:\n  p: 'if . == null then {} else error(\"no\") end'"), annals.ErrInvalid},
		"annals: no event gives the fold of s the state that it has without what is to be reversed":                                          {at("s", 2), byFold(t, "odd", "fold:\n  p: '.n += 1'\n  annals.state-restored: '.n += 1'"), annals.ErrInvalid},
	} {
		_, err := reversal.NewPlan(t.Context(), w.Store, c.target, c.opts)
		if err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, c.is) {
			t.Errorf("%+v:\n got %v\nwant %s", c.target, err, want)
		}
	}
}

func byFold(t testing.TB, name, text string) *reversal.Options {
	t.Helper()
	d, err := fold.Parse(name+".yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return &reversal.Options{Fold: reversal.FoldBy(d)}
}

// A set passes over what can't or needn't be reversed, and says so.
func TestWhatASetPassesOver(t *testing.T) {
	w := newWorld(t)
	w.add(t, "s", `p {"a":1}`, `p {"b":2}`)
	w.add(t, "t", "annals.omitted", `p {"c":1}`)
	w.add(t, "annals.effects/x", "p {}")
	w.reverse(t, at("s", 1), &reversal.Options{ID: "rev-1"})
	plan := w.plan(t, reversal.Target{Query: &annals.Query{Correlation: "r-1"}}, nil)
	var why []string
	for _, p := range plan.Passed {
		why = append(why, p.Stream+" "+p.Why)
	}
	want := "annals.effects/x it stands in one of Annals' own streams\ns it is reversed already, by s@3\ns it belongs to the reversal rev-1\nt it is a placeholder for an event that a fork has left out"
	if got := strings.Join(why, "\n"); got != want || plan.Passed[1].Version != 1 || plan.Passed[2].Version != 3 {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if len(plan.Streams) != 2 || plan.Streams[0].Reversed[0].Version != 2 || plan.Streams[1].Reversed[0].Version != 2 {
		t.Errorf("%+v", plan.Streams)
	}
}

// An event can be named by its id, in its stream or in the log.
func TestByID(t *testing.T) {
	w := newWorld(t)
	w.add(t, "s", "p {}")
	for stream, id := range map[string]string{"s": "mine", "other": "yours"} {
		if _, err := w.Append(t.Context(), stream, annals.Any, annals.Event{ID: id, Type: "p", Data: []byte(`{"a":1}`)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, target := range []reversal.Target{{EventID: "mine"}, {Stream: "s", EventID: "mine"}} {
		plan := w.plan(t, target, nil)
		if s := plan.Streams[0]; s.Stream != "s" || len(s.Reversed) != 1 || s.Reversed[0] != (reversal.Reversed{Version: 2, ID: "mine", Type: "p", Way: reversal.MergePatch}) {
			t.Errorf("%+v", s)
		}
	}
}

// More events than fit into one attribute are named by several events, which
// still count as one reversal.
func TestManyEventsOfAStream(t *testing.T) {
	w := newWorld(t)
	var even []string
	for range 1000 {
		even = append(even, `odd {"n":1}`, `even {"m":1}`)
	}
	w.add(t, "s", even...)
	q := annals.Query{Types: []string{"even"}}
	plan := w.reverse(t, reversal.Target{Query: &q}, nil)
	s := &plan.Streams[0]
	if len(s.Events) < 3 || len(s.Reversed) != 1000 || w.state(t, "s", nil) != `{"n":1}` {
		t.Fatalf("%d events reverse %d: %s", len(s.Events), len(s.Reversed), w.state(t, "s", nil))
	}
	if again := w.plan(t, reversal.Target{Query: &q}, nil); len(again.Streams) != 0 || len(again.Passed) != 1000 {
		t.Fatalf("%d passed", len(again.Passed))
	}
	w.reverse(t, at("s", 2001), nil)
	if got := w.state(t, "s", nil); got != `{"m":1,"n":1}` {
		t.Fatal(got)
	}
}

// What does not fit into a commit is refused before anything is appended.
func TestTooLarge(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat(`\"`, annals.MaxDataBytes/4+1000)
	w.add(t, "s", `p {"a":"`+long+`"}`, `p {"b":"`+long+`"}`, `gone {"a":null,"b":null}`)
	_, err := reversal.NewPlan(t.Context(), w.Store, at("s", 3), nil)
	if !errors.Is(err, annals.ErrTooLarge) || !strings.Contains(err.Error(), "the events that would reverse those of s can't be appended") {
		t.Error(err)
	}
}

// Attributes that look like those of a reversal, and are none of this stream, mean
// nothing.
func TestForeignMarks(t *testing.T) {
	w := newWorld(t)
	w.add(t, "s", `p {"a":1}`)
	for _, reverses := range []string{"other@1", "s@1-9999999999", "s@99", "s@0", "s@", "s@1,x", "s@1-", "s@1,1", "s@-1", "@1", ""} {
		e := annals.Event{Type: "p", Data: []byte(`{"b":1}`), Attributes: map[string]string{
			reversal.AttributeReverses: reverses, reversal.AttributeReversal: "rev", reversal.AttributeWay: "replay",
		}}
		if _, err := w.Append(t.Context(), "s", annals.Any, e); err != nil {
			t.Fatal(err)
		}
	}
	plan := w.plan(t, at("s", 1), nil)
	if got := string(plan.Streams[0].After); got != `{"b":1}` {
		t.Error(got)
	}
}
