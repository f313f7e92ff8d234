package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
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
		"a call without an answer yet": {
			call("A1", time.Now().Format(time.RFC3339), "REQUEST"), "still open",
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

const command1 = `{"id":"1","aggregateId":"a","eventType":"T","eventData":1}` + "\n"
const command2 = `{"id":"2","aggregateId":"a","eventType":"T","eventData":2}` + "\n"

func TestIngestIsInterruptedWhileItWaits(t *testing.T) {
	f := openFaces(t)
	ctx, interrupt := context.WithCancel(t.Context())
	in, messages := io.Pipe()
	done := make(chan outcome, 1)
	go func() {
		var out, errs bytes.Buffer
		exit := Run(ctx, []string{"ingest", "-", "--store", f.server.URL}, in, &out, &errs)
		done <- outcome{exit, out.String(), errs.String()}
	}()
	if _, err := io.WriteString(messages, command1+command2); err != nil {
		t.Fatal(err)
	}
	for _, err := range f.served.Follow(t.Context(), annals.Query{Limit: 2}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	interrupt()
	got := <-done
	if got.exit != 6 || !strings.Contains(got.errs, "stored\n") || !strings.Contains(got.errs, "interrupted with") || !strings.Contains(got.errs, "run the same command again") {
		t.Fatalf("%+v", got)
	}
}

func TestAppendIsInterruptedWhileItWaits(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	in, data := io.Pipe()
	go func() {
		// The write ends once the command reads.
		if _, err := io.WriteString(data, "1"); err != nil {
			t.Error(err)
		}
		interrupt()
	}()
	var out, errs bytes.Buffer
	if exit := Run(ctx, []string{"append", "a", "--type", "T", "--data", "@-", "--store", filepath.Join(t.TempDir(), "s")}, in, &out, &errs); exit != 6 {
		t.Fatalf("exit %d: %s%s", exit, out.String(), errs.String())
	}
}

func TestIngestText(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		stdin string
		exit  int
		want  outcome
	}{
		"nothing":         {"", 0, outcome{out: "0 messages\n"}},
		"a moment's work": {command1 + command2, 0, outcome{out: "2 stored, 0 stored before, 0 refused\n"}},
		"one refused":     {command1[:9] + "\n", 5, outcome{out: "0 stored, 0 stored before, 1 refused\n", errs: "standard input:1: refused: invalid JSON"}},
		"broken array":    {"[1", 5, outcome{errs: "annals: standard input: invalid JSON"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := typed(t.Context(), c.stdin, "ingest", "-", "--store", filepath.Join(dir, name))
			if got.exit != c.exit || got.out != c.want.out || !strings.HasPrefix(got.errs, c.want.errs) {
				t.Fatalf("%+v", got)
			}
		})
	}
}

func TestInputs(t *testing.T) {
	dir := t.TempDir()
	store := filepath.Join(dir, "store")
	for name, exit := range map[string]int{filepath.Join(dir, "none"): 4, dir: 5} {
		for _, args := range [][]string{{"ingest", name}, {"append", "a", "--type", "T", "--data", "@" + name}} {
			got := typed(t.Context(), "", append(args, "--store", store)...)
			if got.exit != exit || !strings.Contains(got.errs, name) {
				t.Errorf("%q: %+v", args, got)
			}
			if _, err := os.Stat(store); err == nil {
				t.Errorf("%q made a store", args)
			}
		}
	}
}
