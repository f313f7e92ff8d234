package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/playback"
)

// forkSource makes a store of n events in dir.
func forkSource(t *testing.T, dir string, n int) {
	t.Helper()
	store, err := embedded.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	var batch []annals.Append
	for i := range n {
		batch = append(batch, annals.Append{Stream: fmt.Sprint("order-", i%10), Expected: int64(i / 10), Events: []annals.Event{{
			ID: fmt.Sprint(i), Type: fmt.Sprint("type-", i%3), Time: mixedStart.Add(time.Duration(i) * time.Minute), Data: fmt.Appendf(nil, `{"email":"%d@example.com"}`, i),
		}}})
	}
	if _, err := store.AppendAll(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestForkCommand(t *testing.T) {
	t.Chdir(t.TempDir())
	forkSource(t, "source", 90)
	writeFile(t, "mask.jq", `if .data.email then .data.email = "somebody" else . end`)
	p := &place{store: "source"}
	p.want(t, "fork --to masked --mask mask.jq", 0, "90 events of 10 streams copied from ", "source to masked", "snapshots are left out", "no outside call leaves it")
	p.want(t, "fork --to masked --mask mask.jq", 0, "nothing to do: masked is this fork of ")
	p.want(t, "fork --to masked", 3, "another mask", "name another, empty store")
	fork := &place{store: "masked"}
	if printed := fork.want(t, "read order-3", 0, `"somebody"`); strings.Contains(printed, "example.com") {
		t.Fatal(printed)
	}
	fork.want(t, "read annals.fork", 0, "fork-started", `"mask":"mask.jq"`, "fork-finished")

	var m playback.Manifest
	got := p.run(t, "fork --to part --until 2020-05-01T21:00:00Z --streams order-1,order-2 --types type-1,type-2 --json")
	if err := json.Unmarshal([]byte(got.out), &m); err != nil || got.exit != 0 {
		t.Fatalf("%+v: %v", got, err)
	}
	if m.Events != 8 || m.Placeholders != 3 || m.CopiedStreams != 2 || m.End != 90 || m.ID == "" || m.Finished.IsZero() {
		t.Fatalf("%s", got.out)
	}
	if got := typed(t.Context(), ".data = null", "fork", "--to", "piped", "--mask", "-", "--store", p.store); got.exit != 0 || !strings.Contains(got.out, "90 events") {
		t.Fatalf("a mask from the standard input: %+v", got)
	}
	p.want(t, "fork --to at --until 25", 0, "25 events of 10 streams")
	(&place{store: "at"}).want(t, "fork --to from-a-fork", 0, "25 events")
}

func TestForkOverHTTPAndIntoTables(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "source")
	forkSource(t, dir, 30)
	store, err := embedded.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(httpapi.New(store, nil))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	p := &place{store: server.URL}
	p.want(t, "fork --to "+filepath.Join(t.TempDir(), "target"), 0, "30 events of 10 streams copied from "+server.URL)
	p.want(t, "fork --to "+server.URL+"/", 5, "is the source")
	p.want(t, "fork --to "+dir, 6, "open already")
	p.want(t, "fork --to "+strings.Replace(server.URL, "127.0.0.1", "localhost", 1), 3, "not empty")
	tables := standIns(t)
	p.want(t, "fork --to "+tables, 4, "annals init")
	p = &place{store: server.URL}
	if got := typed(t.Context(), "", "init", "--store", tables); got.exit != 0 {
		t.Fatalf("%+v", got)
	}
	p.want(t, "fork --to "+tables, 0, "30 events of 10 streams", "annals sequence numbers its log")
	p.want(t, "fork --to "+tables, 0, "nothing to do")
}

func TestForkMisuses(t *testing.T) {
	t.Chdir(t.TempDir())
	forkSource(t, "annals-data", 10)
	if err := os.Symlink("annals-data", "link"); err != nil {
		t.Fatal(err)
	}
	writeFile(t, "bad.jq", "\n.data |= nosuch")
	writeFile(t, "wrong.jq", "del(.id)")
	const tables = "dynamodb://orders?region=eu-central-1"
	for line, c := range map[string]misuse{
		"fork":                               {2, "fork needs --to"},
		"fork x":                             {2, "takes no arguments"},
		"fork --to ftp://h":                  {2, "no kind of store"},
		"fork --to bad.jq":                   {5, "bad.jq is a file"},
		"fork --to annals-data":              {5, "is the source"},
		"fork --to ./annals-data/../link":    {5, "is the source"},
		"fork --to annals-data --store link": {5, "is the source"},
		"fork --to link/in":                  {5, "inside the store"},
		"fork --to annals-data/log/in/it":    {5, "inside the store"},
		"fork --to HTTP://127.0.0.1:80 --store http://127.0.0.1/": {5, "is the source"},
		"fork --to " + tables + "&bucket=other --store " + tables: {5, "is the source"},
		"fork --to made --mask=":                                  {2, "--mask is empty"},
		"fork --to made --streams=":                               {2, "--streams is empty"},
		"fork --to made --until 0":                                {5, "until must be a position from 1"},
		"fork --to made --until 24h":                              {5, "RFC 3339"},
		"fork --to made --until 11":                               {5, "past the end of the source's log, which is at 10"},
		"fork --to made --until 2019-01-01T00:00:00Z":             {4, "nothing to do"},
		"fork --to made --streams nosuch-*":                       {4, "nothing to do"},
		"fork --to made --types nosuch":                           {4, "nothing to do"},
		"fork --to made --types nosuch,":                          {5, "types"},
		"fork --to made --streams a*b":                            {5, "a*b"},
		"fork --to made --mask nosuch.jq":                         {4, "no file nosuch.jq"},
		"fork --to made --mask bad.jq":                            {5, "bad.jq:2: the mask calls nosuch"},
		"fork --to made --mask wrong.jq":                          {5, "changes id"},
		"fork --to made --mask .":                                 {5, "directory"},
		"fork --to made --store nosuch":                           {4, "no store in nosuch"},
	} {
		t.Run(line, func(t *testing.T) {
			got := typed(t.Context(), "", strings.Fields(line)...)
			if got.exit != c.exit || !strings.Contains(got.errs, c.want) || !strings.Contains(got.errs, "→") {
				t.Fatalf("%+v, want exit %d and %q", got, c.exit, c.want)
			}
		})
	}
	for _, name := range []string{"made", "nosuch", "annals-data/in"} {
		if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a command that failed has left %s: %v", name, err)
		}
	}
}

func TestInterruptedForkSaysHowToGoOn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "source")
	forkSource(t, dir, 30)
	store, err := embedded.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	handler := httpapi.New(store, nil)
	reads := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Two look for what there is to copy, the third copies.
		if r.URL.Path == "/v1/events" {
			if reads++; reads == 3 {
				interrupt()
				<-r.Context().Done()
			}
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	target := filepath.Join(t.TempDir(), "target")
	got := typed(ctx, "", "fork", "--to", target, "--store", server.URL)
	if got.exit != 6 || !strings.Contains(got.errs, "interrupted, the fork at position 0 of 30") || !strings.Contains(got.errs, "run the same command again") {
		t.Fatalf("%d reads: %+v", reads, got)
	}
	if got := typed(t.Context(), "", "fork", "--to", target, "--store", server.URL); got.exit != 0 || !strings.Contains(got.out, "30 events") {
		t.Fatalf("%+v", got)
	}
}

// However often the process is killed, the same command completes the fork.
func TestKilledFork(t *testing.T) {
	k := newKilling(t)
	mask, target := filepath.Join(t.TempDir(), "mask.jq"), filepath.Join(t.TempDir(), "target")
	writeFile(t, mask, "if .data.amount then .data.amount = 0 else . end")
	args := []string{"fork", "--store", k.dir, "--to", target, "--mask", mask}
	for range *kills {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rand.IntN(800))*time.Millisecond)
		out, err := exec.CommandContext(ctx, k.binary, args...).CombinedOutput()
		killed := ctx.Err() != nil
		cancel()
		if err != nil && !killed {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if out, err := exec.CommandContext(t.Context(), k.binary, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	log := func(dir string) (lines [][]byte) {
		out, err := exec.CommandContext(t.Context(), k.binary, "log", "--prefix", "account-", "--json", "--store", dir).Output()
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(out) {
			var e annals.Event
			if e, err = annals.ParseEvent(line); err != nil {
				t.Fatal(err)
			}
			e.Position = 0
			if string(e.Data) != `{"amount":0}` {
				if dir == target {
					t.Fatalf("%s is not masked", line)
				}
				e.Data = []byte(`{"amount":0}`)
			}
			lines = append(lines, e.AppendJSON(nil, true))
		}
		return lines
	}
	got, want := log(target), log(k.dir)
	if len(got) != killedEvents || len(want) != killedEvents {
		t.Fatalf("%d events of %d", len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("event %d is %s, want %s", i, got[i], want[i])
		}
	}
}
