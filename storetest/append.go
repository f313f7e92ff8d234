package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

var appendClauses = []clause{
	{"the first event of a stream has version 1", func(t *testing.T, s *annals.Store) {
		c := mustAppend(t, s, "a", annals.NoStream, Event("1", "T", `{}`))
		if c.Stream != "a" || c.Version != 1 || c.Count != 1 || c.Replayed {
			t.Fatalf("got %+v", c)
		}
	}},
	{"a commit numbers its events one after the other", func(t *testing.T, s *annals.Store) {
		mustAppend(t, s, "a", 0, Event("1", "T", `1`), Event("2", "T", `2`))
		if c := mustAppend(t, s, "a", 2, Event("3", "T", `3`), Event("4", "T", `4`), Event("5", "T", `5`)); c.Version != 5 || c.Count != 3 {
			t.Fatalf("got %+v", c)
		}
		for i, e := range Collect(t, s.Stream(t.Context(), "a", nil)) {
			if e.Version != int64(i+1) || e.Stream != "a" || e.ID != fmt.Sprint(i+1) {
				t.Fatalf("event %d is %+v", i, e)
			}
		}
	}},
	{"any appends whatever the version is", func(t *testing.T, s *annals.Store) {
		mustAppend(t, s, "a", annals.Any, Event("1", "T", `{}`))
		mustAppend(t, s, "a", annals.Any, Event("2", "T", `{}`))
		wantVersion(t, s, "a", 2)
	}},
	{"no stream conflicts with a stream", func(t *testing.T, s *annals.Store) {
		mustAppend(t, s, "a", annals.NoStream, Event("1", "T", `{}`))
		_, err := s.Append(t.Context(), "a", annals.NoStream, Event("2", "T", `{}`))
		wantConflict(t, err, 0, 1)
		wantVersion(t, s, "a", 1)
	}},
	{"an older version conflicts and changes nothing", func(t *testing.T, s *annals.Store) {
		mustAppend(t, s, "a", 0, Event("1", "T", `{}`), Event("2", "T", `{}`))
		_, err := s.Append(t.Context(), "a", 1, Event("3", "T", `{}`))
		wantConflict(t, err, 1, 2)
		wantIDs(t, s.Stream(t.Context(), "a", nil), "1", "2")
	}},
	{"a version that is not reached yet conflicts and leaves no hole", func(t *testing.T, s *annals.Store) {
		mustAppend(t, s, "a", 0, Event("1", "T", `{}`))
		_, err := s.Append(t.Context(), "a", 5, Event("2", "T", `{}`))
		wantConflict(t, err, 5, 1)
		_, err = s.Append(t.Context(), "b", 1, Event("2", "T", `{}`))
		wantConflict(t, err, 1, 0)
		wantIDs(t, s.Log(t.Context(), annals.Query{}), "1")
	}},
	{"a conflict leaves what the caller passed as it was", func(t *testing.T, s *annals.Store) {
		mustAppend(t, s, "a", 0, Event("1", "T", `{}`))
		given := []annals.Event{{Type: "T", Data: []byte(`{"a":1}`)}}
		_, err := s.Append(t.Context(), "a", 0, given...)
		wantConflict(t, err, 0, 1)
		if e := given[0]; e.ID != "" || !e.Time.IsZero() || e.Version != 0 || string(e.Data) != `{"a":1}` || e.Source != "" {
			t.Fatalf("the caller's event became %+v", e)
		}
		mustAppend(t, s, "a", 1, given...)
		wantVersion(t, s, "a", 2)
	}},
	{"the same events again return the first commit", func(t *testing.T, s *annals.Store) {
		events := []annals.Event{Event("1", "T", `1`), Event("2", "T", `2`)}
		first := mustAppend(t, s, "a", 0, events...)
		mustAppend(t, s, "a", 2, Event("3", "T", `3`))
		for _, expected := range []int64{0, annals.Any} {
			again := mustAppend(t, s, "a", expected, events...)
			if !again.Replayed || again.Version != first.Version || again.Count != 2 || again.Position != first.Position {
				t.Fatalf("expected %d: got %+v after %+v", expected, again, first)
			}
		}
		wantIDs(t, s.Log(t.Context(), annals.Query{}), "1", "2", "3")
	}},
	{"one event of a commit again is replayed", func(t *testing.T, s *annals.Store) {
		mustAppend(t, s, "a", 0, Event("1", "T", `1`), Event("2", "T", `2`), Event("3", "T", `3`))
		if c := mustAppend(t, s, "a", annals.Any, Event("2", "T", `2`)); !c.Replayed || c.Version != 2 || c.Count != 1 {
			t.Fatalf("got %+v", c)
		}
	}},
	{"the same id with other content is an error", func(t *testing.T, s *annals.Store) {
		mustAppend(t, s, "a", 0, Event("1", "T", `{"a":1}`))
		for _, e := range []annals.Event{
			Event("1", "T", `{"a":2}`), Event("1", "U", `{"a":1}`),
			{ID: "1", Type: "T", Data: []byte(`{"a":1}`), Correlation: "r"},
			{ID: "1", Type: "T", Data: []byte(`{"a":1}`), Source: "other"},
			{ID: "1", Type: "T", Data: []byte(`{"a":1}`), Time: Epoch.Add(time.Second)},
			{ID: "1", Type: "T", Data: []byte(`{"a":1}`), ContentType: "text/plain"},
			{ID: "1", Type: "T", Data: []byte(`{"a":1}`), Attributes: map[string]string{"subject": "x"}},
		} {
			for _, expected := range []int64{annals.Any, 0} {
				_, err := s.Append(t.Context(), "a", expected, e)
				var d *annals.DuplicateError
				if !errors.As(err, &d) || d.ID != "1" || d.Version != 1 {
					t.Fatalf("%+v, expected %d: error %v, want a duplicate of version 1", e, expected, err)
				}
			}
		}
		wantVersion(t, s, "a", 1)
	}},
	{"known and new ids in one commit are an error", func(t *testing.T, s *annals.Store) {
		mustAppend(t, s, "a", 0, Event("1", "T", `1`))
		_, err := s.Append(t.Context(), "a", annals.Any, Event("1", "T", `1`), Event("2", "T", `2`))
		wantError(t, err, annals.ErrIDReused)
		_, err = s.Append(t.Context(), "a", annals.Any, Event("2", "T", `2`), Event("1", "T", `1`))
		wantError(t, err, annals.ErrIDReused)
		wantVersion(t, s, "a", 1)
	}},
	{"a known id at another expected version is no success", func(t *testing.T, s *annals.Store) {
		mustAppend(t, s, "a", 0, Event("1", "T", `1`))
		_, err := s.Append(t.Context(), "a", 1, Event("1", "T", `1`))
		wantError(t, err, annals.ErrIDReused)
		_, err = s.Append(t.Context(), "a", 7, Event("1", "T", `1`))
		wantConflict(t, err, 7, 1)
	}},
	{"an id is unique within its stream only", func(t *testing.T, s *annals.Store) {
		mustAppend(t, s, "a", 0, Event("1", "T", `1`))
		if c := mustAppend(t, s, "b", 0, Event("1", "T", `1`)); c.Replayed {
			t.Fatalf("got %+v", c)
		}
	}},
	{"any finds a known id among the last 1,000 events", func(t *testing.T, s *annals.Store) {
		mustAppend(t, s, "a", 0, Event("first", "T", `1`))
		many := make([]annals.Event, 999)
		for i := range many {
			many[i] = Event(fmt.Sprint(i), "T", `1`)
		}
		mustAppend(t, s, "a", 1, many...)
		if c := mustAppend(t, s, "a", annals.Any, Event("first", "T", `1`)); !c.Replayed || c.Version != 1 {
			t.Fatalf("got %+v", c)
		}
	}},
	{"an exact version finds its commit for ever", func(t *testing.T, s *annals.Store) {
		mustAppend(t, s, "a", 0, Event("first", "T", `1`))
		for c := range 3 {
			many := make([]annals.Event, 900)
			for i := range many {
				many[i] = Event(fmt.Sprint(c, "-", i), "T", `1`)
			}
			mustAppend(t, s, "a", annals.Any, many...)
		}
		if c := mustAppend(t, s, "a", 0, Event("first", "T", `1`)); !c.Replayed || c.Version != 1 {
			t.Fatalf("got %+v", c)
		}
	}},
	{"what the author leaves out is stamped", func(t *testing.T, s *annals.Store) {
		mustAppend(t, s, "a", 0, annals.Event{Type: "T"})
		e := Collect(t, s.Stream(t.Context(), "a", nil))[0]
		if e.ID == "" || !e.Time.Equal(Epoch) || e.Source != "annals" || e.ContentType != annals.JSONContentType || len(e.Data) != 0 {
			t.Fatalf("got %+v", e)
		}
	}},
	{"every field comes back as it went in", func(t *testing.T, s *annals.Store) {
		at := time.Date(2021, 2, 3, 4, 5, 6, 789, time.FixedZone("", 3600))
		in := annals.Event{
			ID: "ä/1", Type: "a.b:c/d-e_f+g@h", Source: "https://example.org/x?y=1#z", Time: at,
			Correlation: "request 1", Causation: "b@2", ContentType: "text/plain; charset=utf-8",
			Attributes: map[string]string{"subject": "s", "traceparent": "00-1"}, Data: []byte("\x00\xffbytes"),
		}
		c := mustAppend(t, s, "t/a.b:c@1", 0, in)
		e := Collect(t, s.Stream(t.Context(), "t/a.b:c@1", nil))[0]
		if e.ID != in.ID || e.Type != in.Type || e.Source != in.Source || !e.Time.Equal(at) || e.Time.Location() != time.UTC ||
			e.Correlation != in.Correlation || e.Causation != in.Causation || e.ContentType != in.ContentType ||
			e.Attributes["subject"] != "s" || e.Attributes["traceparent"] != "00-1" || len(e.Attributes) != 2 || string(e.Data) != string(in.Data) ||
			e.Stream != c.Stream || e.Version != 1 || e.Position != c.Position && e.Position != 0 {
			t.Fatalf("got %+v", e)
		}
		for _, l := range Collect(t, s.Log(t.Context(), annals.Query{})) {
			if e.Position = c.Position; l.Position != c.Position || !reflect.DeepEqual(l, e) {
				t.Fatalf("the log has %+v, the stream %+v", l, e)
			}
		}
	}},
	{"data is kept byte for byte", func(t *testing.T, s *annals.Store) {
		texts := []string{
			`{"b":1,"a":2}`, " {\n\t\"a\" : 1.0e+2 }\r\n", `"<&>"`, `{"k":"` + "\u2028" + `\u00e4"}`, `123456789012345678901234567890`,
			`null`, `[]`, `{"nested":{"a":[1,2,{"b":null}]}}`, "  \"x\"  ",
		}
		for i, text := range texts {
			mustAppend(t, s, "a", int64(i), Event(fmt.Sprint(i), "T", text))
		}
		for i, e := range Collect(t, s.Stream(t.Context(), "a", nil)) {
			if string(e.Data) != texts[i] {
				t.Fatalf("put %q, got %q", texts[i], e.Data)
			}
		}
	}},
	{"a canceled context appends nothing", func(t *testing.T, s *annals.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.Append(ctx, "a", 0, Event("1", "T", `1`))
		wantError(t, err, context.Canceled)
		wantVersion(t, s, "a", 0)
	}},
}
