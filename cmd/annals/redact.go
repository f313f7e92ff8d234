package main

import (
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
)

var (
	// An address, which may hold a password as such, in a parameter or behind a #.
	userInfo  = regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]*:/{1,2})\S*@`)
	parameter = regexp.MustCompile(`(?i)(\b[a-z][a-z0-9+.-]*://[^\s"'?#]*[?#])(\S*)`)
	assigned  = regexp.MustCompile(`[^&;]+`)
)

// harmless are the parameters of addresses that may be shown.
var harmless = []string{"region", "bucket", "endpoint", "s3endpoint", "kms", "sslmode"}

// withoutSecrets is text without the names, passwords and unknown parameters of the
// addresses in it: what people type by mistake ends up in errors, and those in logs.
func withoutSecrets(text string) string {
	text = userInfo.ReplaceAllString(text, "${1}…@")
	return parameter.ReplaceAllStringFunc(text, func(address string) string {
		m := parameter.FindStringSubmatch(address)
		given := strings.TrimRight(m[2], `"'.,:;)`) // what follows belongs to the sentence
		return m[1] + assigned.ReplaceAllStringFunc(given, func(one string) string {
			name, _, has := strings.Cut(one, "=")
			switch {
			case !has:
				return "…"
			case slices.Contains(harmless, name):
				return one
			}
			return name + "=…"
		}) + m[2][len(given):]
	})
}

// redacted is slog.HandlerOptions.ReplaceAttr.
func redacted(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value.Any().(type) {
	case string:
		a.Value = slog.StringValue(withoutSecrets(v))
	case error:
		a.Value = slog.StringValue(withoutSecrets(v.Error()))
	case fmt.Stringer:
		if a.Value.Kind() == slog.KindAny {
			a.Value = slog.StringValue(withoutSecrets(v.String()))
		}
	}
	return a
}
