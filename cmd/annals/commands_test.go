package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// A typed command line and what came of it.
type outcome struct {
	exit      int
	out, errs string
}

func typed(ctx context.Context, stdin string, args ...string) outcome {
	var out, errs bytes.Buffer
	exit := Run(ctx, args, strings.NewReader(stdin), &out, &errs)
	return outcome{exit, out.String(), errs.String()}
}

// stored makes a store of messages and returns its directory.
func stored(t *testing.T, messages string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	if got := typed(t.Context(), messages, "ingest", "-", "--store", dir); got.exit != 0 {
		t.Fatalf("%+v", got)
	}
	return dir
}

func TestTraceText(t *testing.T) {
	call := func(id, at, typ string) string {
		return `{"id":"` + id + `","requestId":"r","timestamp":"` + at + `","type":"MICROSERVICE_` + typ + `","source":"G","data":{"Name":"` + id[:1] + `"}}` + "\n"
	}
	for name, c := range map[string]struct{ messages, want string }{
		"a request over fifteen years": {
			call("A1", "2000-01-01T00:00:00Z", "REQUEST") + call("A2", "2001-01-01T00:00:00Z", "RESPONSE") + call("B1", "2015-01-01T00:00:00Z", "REQUEST"),
			"at fault: B",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := typed(t.Context(), "", "trace", "r", "--store", stored(t, c.messages))
			if got.exit != 0 || !strings.Contains(got.out, c.want) {
				t.Fatalf("%+v", got)
			}
		})
	}
}
