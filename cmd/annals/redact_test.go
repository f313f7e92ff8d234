package main

import (
	"strings"
	"testing"
)

// What addresses hold besides hosts and paths is left out, however it is written; what
// helps to see the mistake stays.
func TestWithoutSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"postgres://ann:planted@h/db":                  "postgres://…@h/db",
		"postgres://ann:pla'planted@h/db":              "postgres://…@h/db",
		`"postgres://ann:pla\"planted@h/db" is no`:     `"postgres://…@h/db" is no`,
		"http://ann:planted@x@h, see http://h2":        "http://…@h, see http://h2",
		"http:/ann:planted@h":                          "http:/…@h",
		"http://h/?token=planted&region=x":             "http://h/?token=…&region=x",
		"http://h/?planted":                            "http://h/?…",
		"http://h/?region=x;token=planted":             "http://h/?region=x;token=…",
		"http://h/#access_token=planted":               "http://h/#access_token=…",
		"http://h/?a=it's'planted":                     "http://h/?a=…",
		"dynamodb://t?region=eu&bucket=b":              "dynamodb://t?region=eu&bucket=b",
		"http://127.0.0.1:4000 answers; ask a@example": "http://127.0.0.1:4000 answers; ask a@example",
		"order-7@3 is not there: a?b=c":                "order-7@3 is not there: a?b=c",
	} {
		if got := withoutSecrets(text); got != want || strings.Contains(got, "planted") {
			t.Errorf("%s is shown as %s, not %s", text, got, want)
		}
	}
}
