package httpapi

import (
	"strings"
	"testing"
)

func TestCommands(t *testing.T) {
	s := start(t, Options{})
	for _, c := range []struct {
		name, body string
		headers    []string
		status     int
		want       string
	}{
		{"one", `{"aggregateId":"a","eventType":"T","eventData":{"n":1},"id":"1"}`, []string{isJSON, "If-None-Match: *"}, 201, `{"stream":"a","version":"1","position":"1","count":1,"replayed":false}`},
		{"again", `{"aggregateId":"a","eventType":"T","eventData":{"n":1},"id":"1"}`, []string{isJSON}, 200, `"version":"1","position":"1","count":1,"replayed":true`},
		{"array", `[{"aggregateId":"a","eventType":"T"},{"aggregateId":"a","eventType":"U"}]`, []string{isJSON, `If-Match: "1"`}, 201, `"version":"3","position":"3","count":2`},
		{"conflict", `{"aggregateId":"a","eventType":"T"}`, []string{isJSON, `If-Match: "1"`}, 409, `"expected":"1","actual":"3"`},
		{"two aggregates", `[{"aggregateId":"a","eventType":"T"},{"aggregateId":"b","eventType":"T"}]`, []string{isJSON}, 400, `"field":"events[1].aggregateId","message":"must be that of the first, \"a\", and is \"b\"`},
		{"none", `[]`, []string{isJSON}, 400, `"field":"body"`},
		{"no aggregate", `{"eventType":"T"}`, []string{isJSON}, 400, `"field":"aggregateId","message":"must be given"`},
		{"an element at fault", `[{"aggregateId":"a","eventType":"T"},{"aggregateId":"a"}]`, []string{isJSON}, 400, `"field":"events[1].eventType"`},
		{"another shape", `{"specversion":"1.0","id":"1","source":"/s","type":"T","stream":"a"}`, []string{isJSON}, 400, `specversion`},
		{"no JSON", `{`, []string{isJSON}, 400, `"code":"invalid_json"`},
		{"no type of command", `x`, []string{"Content-Type: text/plain"}, 415, `"code":"unsupported_media_type"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, h, text := s.do(t, "POST", "/v1/commands", c.body, c.headers...)
			if status != c.status || !strings.Contains(text, c.want) {
				t.Fatalf("%d %s, want %d with %s", status, text, c.status, c.want)
			}
			if status < 300 && h.Get("ETag") == "" {
				t.Error("there is no ETag")
			}
		})
	}
	if _, _, text := s.do(t, "GET", "/v1/streams/a/events", ""); strings.Count(text, `"type"`) != 3 {
		t.Errorf("the stream holds %s", text)
	}
}
