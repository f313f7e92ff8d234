package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/eb901187/annals"
)

var inputClauses = []clause{
	{"invalid input is refused with every violation and stores nothing", func(t *testing.T, s *annals.Store) {
		_, err := s.Append(t.Context(), "a b", -2, annals.Event{}, Event("1", "T", `{`))
		var invalid *annals.InvalidError
		if !errors.As(err, &invalid) || len(invalid.Violations) != 4 {
			t.Fatalf("error %v, want four violations", err)
		}
		_, err = s.Append(t.Context(), "a", annals.Any)
		wantError(t, err, annals.ErrInvalid)
		wantIDs(t, s.Log(t.Context(), annals.Query{}))
	}},
	{"what is over a limit is refused before anything is written", func(t *testing.T, s *annals.Store) {
		big := annals.Event{ID: "1", Type: "T", ContentType: "application/octet-stream", Data: make([]byte, annals.MaxDataBytes)}
		mustAppend(t, s, "a", 0, big)
		over := big
		over.ID, over.Data = "2", make([]byte, annals.MaxDataBytes+1)
		_, err := s.Append(t.Context(), "a", 1, over)
		wantError(t, err, annals.ErrTooLarge)
		var five []annals.Event
		for i := range 5 {
			e := big
			e.ID = fmt.Sprint("b", i)
			five = append(five, e)
		}
		_, err = s.Append(t.Context(), "a", 1, five...)
		wantError(t, err, annals.ErrTooLarge)
		_, err = s.Append(t.Context(), "a", 1, make([]annals.Event, annals.MaxCommitEvents+1)...)
		wantError(t, err, annals.ErrTooLarge)
		_, err = s.Append(t.Context(), strings.Repeat("s", annals.MaxStreamBytes+1), 0, Event("1", "T", `1`))
		wantError(t, err, annals.ErrTooLarge)
		wantVersion(t, s, "a", 1)
	}},
	{"a commit at every limit is stored", func(t *testing.T, s *annals.Store) {
		events := make([]annals.Event, annals.MaxCommitEvents)
		for i := range events {
			events[i] = annals.Event{ID: fmt.Sprint(i), Type: "T", ContentType: "text/plain", Data: make([]byte, 4000)}
		}
		mustAppend(t, s, "a", 0, events...)
		if n := len(Collect(t, s.Stream(t.Context(), "a", nil))); n != annals.MaxCommitEvents {
			t.Fatalf("read %d events", n)
		}
	}},
	{"data that says it is JSON must be strict JSON", func(t *testing.T, s *annals.Store) {
		for _, text := range []string{
			`{`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, "\"\xff\"", `"\ud800"`, `NaN`, `01`, `1 2`, "\"\x00\"", "\ufeff1",
			strings.Repeat("[", annals.MaxJSONDepth+1) + strings.Repeat("]", annals.MaxJSONDepth+1), strings.Repeat("9", annals.MaxJSONDigits+1), `1e999`,
		} {
			_, err := s.Append(t.Context(), "a", annals.Any, Event("", "T", text))
			if !errors.Is(err, annals.ErrInvalidJSON) {
				t.Errorf("%.40q: %v", text, err)
			}
		}
		wantVersion(t, s, "a", 0)
		mustAppend(t, s, "a", 0, Event("1", "T", strings.Repeat("[", annals.MaxJSONDepth)+strings.Repeat("]", annals.MaxJSONDepth)),
			annals.Event{ID: "2", Type: "T", ContentType: "text/plain", Data: []byte("{\xff")})
	}},
	{"names have lengths and alphabets", func(t *testing.T, s *annals.Store) {
		long := func(n int) string { return strings.Repeat("x", n) }
		good := annals.Event{
			ID: long(annals.MaxIDBytes), Type: long(annals.MaxTypeBytes), Source: long(annals.MaxSourceBytes),
			Correlation: long(annals.MaxIDBytes), Causation: long(annals.MaxStreamBytes) + "@9223372036854775807",
			Attributes: map[string]string{long(annals.MaxAttributeName): long(annals.MaxAttributeBytes)},
		}
		for i, spoil := range []func(*annals.Event){
			func(e *annals.Event) { e.ID += "x" }, func(e *annals.Event) { e.ID = "a\x00" }, func(e *annals.Event) { e.ID = "\xff" }, func(e *annals.Event) { e.ID = " a" },
			func(e *annals.Event) { e.Type = "" }, func(e *annals.Event) { e.Type += "x" }, func(e *annals.Event) { e.Type = "a b" },
			func(e *annals.Event) { e.Source += "x" }, func(e *annals.Event) { e.Source = "a,b" }, func(e *annals.Event) { e.Source = "a\n" },
			func(e *annals.Event) { e.Correlation += "x" }, func(e *annals.Event) { e.Correlation = "\u007f" },
			func(e *annals.Event) { e.Causation = "a" }, func(e *annals.Event) { e.Causation = "a@0" }, func(e *annals.Event) { e.Causation = "../a@1" },
			func(e *annals.Event) { e.ContentType = "text" },
			func(e *annals.Event) { e.Attributes = map[string]string{long(annals.MaxAttributeName + 1): "1"} },
			func(e *annals.Event) { e.Attributes = map[string]string{"Upper": "1"} },
			func(e *annals.Event) { e.Attributes = map[string]string{"type": "1"} },
			func(e *annals.Event) { e.Attributes = map[string]string{"a": long(annals.MaxAttributeBytes + 1)} },
		} {
			e := good
			spoil(&e)
			_, err := s.Append(t.Context(), "a", annals.Any, e)
			if !errors.Is(err, annals.ErrInvalid) && !errors.Is(err, annals.ErrTooLarge) {
				t.Errorf("case %d: %v", i, err)
			}
		}
		for _, stream := range []string{"", ".", "..", "a/../b", "/a", "a/", "a//b", "a b", "ä", "a\x00", "a%2fb"} {
			if _, err := s.Append(t.Context(), stream, annals.Any, good); !errors.Is(err, annals.ErrInvalid) {
				t.Errorf("stream %q: %v", stream, err)
			}
		}
		wantIDs(t, s.Log(t.Context(), annals.Query{}))
		mustAppend(t, s, long(annals.MaxStreamBytes), 0, good)
	}},
}
