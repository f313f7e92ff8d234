package ingest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/eb901187/annals"
)

func TestParts(t *testing.T) {
	for body, want := range map[string]string{
		`{"a":1}`:             `d#1 {"a":1} <nil>`,
		`[{"a":1}, 2]`:        `d#1 {"a":1} <nil>|d#2 2 <nil>`,
		"{\"a\":1}\n\n{\"b\"": `d#1 {"a":1} <nil>|d#3 {"b" <nil>`,
		"":                    "d#1  annals: invalid: message is empty",
		"[]":                  "d#1 [] annals: invalid: message is empty",
	} {
		var parts []string
		for p := range (Delivery{"d", []byte(body)}).Parts() {
			parts = append(parts, fmt.Sprintf("%s %s %v", p.Place, p.Text, p.Err))
		}
		if got := strings.Join(parts, "|"); got != want {
			t.Errorf("%q: %s, want %s", body, got, want)
		}
	}
	for range (Delivery{"d", []byte(`[1,2]`)}).Parts() {
		break
	}
}

// Junk of many lines is one refusal, and takes no memory for each.
func TestPartsAreBounded(t *testing.T) {
	line := string(message("s", "", "1")) + "\n"
	for body, want := range map[string]int{
		strings.Repeat("x\n", MaxDeliveryMessages):                                           MaxDeliveryMessages,
		strings.Repeat("x\n", MaxDeliveryMessages+1):                                         1,
		strings.Repeat(line, MaxDeliveryMessages/2):                                          MaxDeliveryMessages / 2,
		"[" + strings.Repeat("1,", MaxDeliveryMessages) + "1]":                               1,
		"[" + strings.Repeat("1,", MaxDeliveryMessages-1) + "1]":                             MaxDeliveryMessages,
		`{"aggregateId":"a","eventData":"` + strings.Repeat(",", MaxDeliveryMessages) + `"}`: 1,
	} {
		var parts []Part
		for p := range (Delivery{"d", []byte(body)}).Parts() {
			parts = append(parts, p)
		}
		if len(parts) != want {
			t.Errorf("%.20q: %d parts, want %d", body, len(parts), want)
		}
		if first := parts[0]; want == 1 && body[0] != '{' && (annals.CodeOf(first.Err) != annals.CodeTooLarge || string(first.Text) != body) {
			t.Errorf("%.20q: %.40q, %v", body, first.Text, first.Err)
		}
	}
}

func TestWithIDs(t *testing.T) {
	for body, want := range map[string]string{
		`{"aggregateId":"a"}`:                                 `{"id":"d#1","aggregateId":"a"}`,
		`[{"aggregateId":"a"}]`:                               `{"id":"d#1","aggregateId":"a"}`,
		`[{"aggregateId":"a"}, 7]`:                            `[{"id":"d#1","aggregateId":"a"},7]`,
		"\ufeff [1,\n2]":                                      `[1,2]`,
		`[{"aggregateId":"a"},2,3]`:                           `[{"id":"d#1","aggregateId":"a"},2]|3`,
		"\n{\"aggregateId\":\"a\"}\n\nx\n{\"y\":1,\"z\":2}\n": `{"id":"d#1","aggregateId":"a"}` + "\nx|" + `{"y":1,"z":2}`,
		"[1,": "[1,", "": "",
	} {
		var bodies []string
		for b := range (Delivery{"d", []byte(body)}).WithIDs(35) {
			bodies = append(bodies, string(b))
		}
		if got := strings.Join(bodies, "|"); got != want {
			t.Errorf("%q became %q, want %q", body, got, want)
		}
	}
	for range (Delivery{"d", []byte(`[1,2]`)}).WithIDs(1) {
		break
	}
}

func TestWithID(t *testing.T) {
	for text, want := range map[string]string{
		" {\n\"aggregateId\":\"a\"}":                          " {\"id\":\"i\",\n\"aggregateId\":\"a\"}",
		`{"aggregateId":"a","id":"x"}`:                        "",
		`{"requestId":"a","aggregateId":"b"}`:                 "",
		`{"specversion":"1.0","aggregateId":"b"}`:             "",
		`{"x":{"id":"y"},"aggregateId":"a","eventData":null}`: `{"id":"i","x":{"id":"y"},"aggregateId":"a","eventData":null}`,
		`[{"aggregateId":"a"}]`:                               "", "{": "", "": "",
	} {
		if want == "" {
			want = text
		}
		if got := WithID([]byte(text), "i"); string(got) != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
