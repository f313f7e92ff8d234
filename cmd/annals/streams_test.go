package main

import (
	"strings"
	"testing"
)

func TestStreamsAreListed(t *testing.T) {
	dir := stored(t, command1+strings.ReplaceAll(command1, `"a"`, `"order-1"`)+strings.ReplaceAll(command1, `"a"`, `"order-2"`))
	for line, want := range map[string]outcome{
		"":                         {0, "       1  a\n       1  order-1\n       1  order-2\n", ""},
		"order- --limit 1 --json":  {0, `{"stream":"order-1","version":"1"}` + "\n", ""},
		"order- --after order-1":   {0, "       1  order-2\n", ""},
		"none":                     {0, "", ""},
		"annals. --limit 5 --json": {0, "", ""},
	} {
		got := typed(t.Context(), "", append([]string{"streams", "--store", dir}, strings.Fields(line)...)...)
		if got != want {
			t.Errorf("streams %s: %+v, want %+v", line, got, want)
		}
	}
	if got := typed(t.Context(), "", "streams", "--store", dir, "--limit", "-1"); got.exit != 5 || !strings.Contains(got.errs, "limit") {
		t.Errorf("%+v", got)
	}
}
