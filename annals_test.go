package annals_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
)

// What CheckJSON accepts, encoding/json accepts too; what it refuses beyond
// that, it refuses for a reason that its comment names.
func FuzzCheckJSON(f *testing.F) {
	for _, text := range []string{`{"a":[1,2.5e3,"x",true,null]}`, `{"a":1,"a":2}`, `"\ud83d\ude00"`, `"\ud800"`, "\"\xff\"", `[[[]]]`, `-0.0`, `1e999`, "", strings.Repeat("9", 40)} {
		f.Add([]byte(text))
	}
	reasons := regexp.MustCompile(`twice|lone surrogate|invalid UTF-8|deeper than|significant digits|out of range`)
	f.Fuzz(func(t *testing.T, text []byte) {
		err := annals.CheckJSON(text)
		switch {
		case err == nil && !json.Valid(text):
			t.Fatalf("%q was accepted", text)
		case err != nil && json.Valid(text) && !reasons.MatchString(err.Error()):
			t.Fatalf("%q was refused: %v", text, err)
		case err != nil:
			return
		}
		n := 0
		for name, raw := range annals.JSONMembers(text) {
			n++
			if !json.Valid(raw) || len(name) > len(text) {
				t.Fatalf("member %q of %q is %q", name, text, raw)
			}
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(text, &object) == nil && len(object) != n {
			t.Fatalf("%q has %d members, %d were yielded", text, len(object), n)
		}
		n = 0
		for range annals.JSONElements(text) {
			n++
		}
		var array []json.RawMessage
		if json.Unmarshal(text, &array) == nil && len(array) != n {
			t.Fatalf("%q has %d elements, %d were yielded", text, len(array), n)
		}
		var s string
		if got, ok := annals.JSONString(bytes.TrimSpace(text)); ok && (json.Unmarshal(text, &s) != nil || s != got) {
			t.Fatalf("%q is read as %q", text, got)
		}
	})
}

func TestCloudEventsKeepEveryByte(t *testing.T) {
	for _, data := range []string{"", `{"a":1}`, " {\n\"a\" : 1 }\r\n", `"\u2028"`, "null"} {
		in := annals.Event{
			ID: "1", Type: "T", Source: "s", Time: time.Date(2020, 5, 1, 20, 0, 0, 123, time.UTC), Correlation: "r", Causation: "a@1",
			ContentType: annals.JSONContentType, Attributes: map[string]string{"subject": "x\"y"}, Data: []byte(data),
			Stream: "a", Version: 1 << 60, Position: 1<<63 - 1,
		}
		text := in.AppendJSON(nil, true)
		if bytes.ContainsAny(text, "\r\n") || !json.Valid(text) {
			t.Fatalf("%q is not one line of JSON", text)
		}
		out, err := annals.ParseEvent(text)
		if err != nil || string(out.Data) != data || out.Version != in.Version || out.Position != in.Position || !out.Time.Equal(in.Time) || out.Attributes["subject"] != in.Attributes["subject"] || out.Causation != in.Causation {
			t.Fatalf("put %+v, got %+v, %v", in, out, err)
		}
		if loose := in.AppendJSON(nil, false); bytes.ContainsAny(loose, "\r\n") || bytes.Contains(loose, []byte("base64")) {
			t.Fatalf("not exact: %q", loose)
		}
		var again annals.Event
		marshaled, err := json.Marshal(in)
		if err == nil {
			err = json.Unmarshal(marshaled, &again)
		}
		if err != nil || string(again.Data) != data {
			t.Fatalf("by encoding/json: %q, %v", again.Data, err)
		}
	}
}

// Ids made without options are UUIDs of version 7, different and in order of time.
func TestNewIDs(t *testing.T) {
	s, err := embedded.Open(t.TempDir(), &embedded.Options{Store: &annals.Options{Clock: func() time.Time { return time.UnixMilli(0x0123456789ab) }}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Append(t.Context(), "a", 0, make([]annals.Event, 0)...); !errors.Is(err, annals.ErrInvalid) {
		t.Fatalf("no events: %v", err)
	}
	for range 100 {
		if _, err := s.Append(t.Context(), "a", annals.Any, annals.Event{Type: "T"}); err != nil {
			t.Fatal(err)
		}
	}
	form := regexp.MustCompile(`^01234567-89ab-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for e, err := range s.Stream(t.Context(), "a", nil) {
		if err != nil || !form.MatchString(e.ID) || seen[e.ID] {
			t.Fatalf("id %s, %v", e.ID, err)
		}
		seen[e.ID] = true
	}
}

// The list of codes is an interface: it grows at its end, and nothing in it
// changes.
func TestCodesOnlyGrow(t *testing.T) {
	const published = `internal 500 1 false
usage 400 2 false
conflict 409 3 false
id_reused 409 3 false
not_found 404 4 false
invalid 400 5 false
invalid_json 400 5 false
too_large 413 5 false
unsupported_media_type 415 5 false
not_acceptable 406 5 false
method_not_allowed 405 5 false
unavailable 503 6 true
closed 503 6 true
in_use 503 6 true
no_space 507 6 true
timeout 408 6 true
canceled 499 6 true
damaged 500 1 false
unknown_outcome 504 7 true
`
	var now strings.Builder
	for _, c := range annals.Codes() {
		fmt.Fprintln(&now, c.Code, c.Status, c.Exit, c.Retryable)
	}
	if !strings.HasPrefix(now.String(), published) {
		t.Fatalf("the codes are\n%s", now.String())
	}
}

func TestErrorsMatchTheirSentinels(t *testing.T) {
	for _, c := range []struct {
		err  error
		want error
		code annals.Code
	}{
		{&annals.ConflictError{Stream: "a"}, annals.ErrConflict, annals.CodeConflict},
		{&annals.DuplicateError{Stream: "a"}, annals.ErrIDReused, annals.CodeIDReused},
		{annals.Invalid("a", "is wrong"), annals.ErrInvalid, annals.CodeInvalid},
		{&annals.InvalidError{Code: annals.CodeTooLarge}, annals.ErrTooLarge, annals.CodeTooLarge},
		{annals.CheckJSON([]byte("{")), annals.ErrInvalidJSON, annals.CodeInvalidJSON},
		{&annals.Error{Code: annals.CodeDamaged}, annals.ErrDamaged, annals.CodeDamaged},
		{annals.ErrClosed, annals.ErrClosed, annals.CodeClosed},
	} {
		wrapped := fmt.Errorf("doing: %w", c.err)
		if !errors.Is(wrapped, c.want) || annals.CodeOf(wrapped) != c.code {
			t.Errorf("%v: code %s", c.err, annals.CodeOf(wrapped))
		}
	}
}

// CheckAppend says without a store what a store would.
func TestCheckAppend(t *testing.T) {
	s := annals.New(nil, nil)
	for _, c := range []struct {
		stream string
		events []annals.Event
	}{
		{"a b", []annals.Event{{Type: "t"}}}, {"a", nil}, {"a", []annals.Event{{Type: "no type"}}}, {"a", []annals.Event{{Type: "t", Data: []byte("{")}}},
		{"a", []annals.Event{{ID: "1", Type: "t"}, {ID: "1", Type: "t"}}}, {"a", []annals.Event{{Type: "t", Data: make([]byte, annals.MaxDataBytes+1)}}},
	} {
		_, want := s.Append(t.Context(), c.stream, annals.Any, c.events...)
		if err := annals.CheckAppend(c.stream, c.events...); err == nil || err.Error() != want.Error() {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if err := annals.CheckAppend("a", annals.Event{Type: "t"}, annals.Event{Type: "t"}); err != nil {
		t.Error(err)
	}
}
