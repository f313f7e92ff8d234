package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals/access"
)

// granted adds a token to a file and returns it.
func granted(t *testing.T, file, name, roles string) string {
	t.Helper()
	got := typed(t.Context(), "", "token", "new", name, "--roles", roles, "--add", file, "--json")
	var made madeToken
	if err := json.Unmarshal([]byte(got.out), &made); err != nil || got.exit != 0 || made.Name != name || !strings.HasPrefix(made.Token, access.TokenPrefix) || strings.Contains(made.Line, made.Token) {
		t.Fatalf("%+v, %v", got, err)
	}
	return made.Token
}

func TestTokenNew(t *testing.T) {
	got := typed(t.Context(), "", "token", "new", "ann", "--roles", "read,operate")
	token, line, _ := strings.Cut(got.out, "\n")
	if got.exit != 0 || !strings.HasPrefix(token, "token  annals_") || !strings.HasPrefix(line, "line   ann read,operate sha256:") {
		t.Fatalf("%+v", got)
	}
	file := filepath.Join(t.TempDir(), "tokens")
	first := granted(t, file, "ann", "read")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// Whoever wrote the file by hand may have left its last line open.
	if err := os.WriteFile(file, []byte(strings.TrimSpace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	second := granted(t, file, "bob", "append")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	tokens, err := access.OpenTokens(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	for token, name := range map[string]string{first: "ann", second: "bob"} {
		if who, err := tokens.Authenticate(t.Context(), token); err != nil || who.Name != name {
			t.Errorf("%+v, %v", who, err)
		}
	}
	for line, want := range map[string]misuse{
		"token new ann":                                   {2, "token new needs --roles"},
		"token new --roles read":                          {2, "needs a NAME"},
		"token new ann --roles=":                          {2, "--roles is empty"},
		"token new ann --roles own":                       {5, "roles must be of read, append and operate"},
		"token new a#b --roles read":                      {5, "name must have"},
		"token new ann --roles read --add " + file + "/x": {5, "could not be added"},
	} {
		if got := typed(t.Context(), "", strings.Fields(line)...); got.exit != want.exit || !strings.Contains(got.errs, want.want) {
			t.Errorf("%s: %+v", line, got)
		}
	}
}

// A server with tokens lets in whom they name, as far as their roles go, by every
// command; it notes what operators do, and no output holds a token.
func TestServeWithTokens(t *testing.T) {
	dir := t.TempDir()
	file, t0 := filepath.Join(dir, "tokens"), filepath.Join(dir, "token")
	reader, writer, operator := granted(t, file, "rita", "read"), granted(t, file, "wim", "append,read"), granted(t, file, "otto", "read,operate")
	server := begin(t, " on http://", "serve", "--state", "--tokens", file, "--listen", "127.0.0.1:0", "--store", filepath.Join(dir, "store"))
	_, address, _ := strings.Cut(strings.TrimSpace(server.String()), " on ")
	said := ""
	run := func(token, line string, exit int, want string) {
		t.Helper()
		t.Setenv(tokenVariable, token)
		got := typed(t.Context(), "", append(strings.Fields(line), "--store", address)...)
		if said += got.out + got.errs; got.exit != exit || !strings.Contains(got.out+got.errs, want) {
			t.Errorf("annals %s: %+v", line, got)
		}
	}
	run("", "append order-7 --type placed", 5, "ANNALS_TOKEN or --token-file")
	run("annals_wrong", "append order-7 --type placed", 5, "does not know the token")
	run(reader, "append order-7 --type placed", 5, "rita may not do this: it takes the role append")
	run(writer, "append order-7 --type placed --data {}", 0, "order-7 is at version 1")
	run(writer, "append annals.operators --type operator-action", 5, "role operate")
	for _, line := range []string{"read order-7", "log", "log --follow", "view state order-7", "projection list", "parked list", "playback list", "state order-7", "trace order-7"} {
		run("", line+limited(line), 5, "has no bearer token")
		run("two words", line+limited(line), 2, "ANNALS_TOKEN holds more than a token")
	}
	run(reader, "read order-7", 0, "placed")
	run(reader, "log --follow --limit 1", 0, "placed")
	run(reader, "state order-7", 0, "order-7")
	run(reader, "projection pause state", 5, "rita may not do this: it takes the role operate")
	run(operator, "projection pause state", 0, "")
	run(reader, "read annals.operators", 0, `{"who":"otto","at":`)
	if err := os.WriteFile(t0, []byte(reader+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run("", "read order-7 --token-file "+t0, 0, "placed")
	run(writer, "append order-7 --type paid --token-file "+t0, 5, "role append")
	run(reader, "read order-7 --token-file "+dir, 2, "--token-file can't be read")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	run(reader, "read order-7", 5, "does not know the token")
	for _, token := range []string{reader, writer, operator, "annals_wrong"} {
		if strings.Contains(said+server.String(), token) {
			t.Error("an output holds a token")
		}
	}
	if exit := server.interrupt(); exit != 0 {
		t.Errorf("exit %d: %s", exit, server)
	}
}

func limited(line string) string {
	if strings.Contains(line, "--follow") {
		return " --limit 1"
	}
	return ""
}

// The token of a store goes to that store only.
func TestATokenGoesToItsOwnServer(t *testing.T) {
	a := &app{store: "http://one", tokenFile: "file", tokenVariable: tokenVariable}
	t.Setenv(tokenVariable, "annals_one")
	t.Setenv(targetTokenVariable, "annals_two")
	if token, err := a.other("http://two").serverToken(); token != "annals_two" || err != nil {
		t.Errorf("%s, %v", token, err)
	}
}

func TestServeRefusesBadTokenFiles(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("ann read annals_secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{filepath.Join(dir, "none"): "can't be read", bad: "line 1 of " + bad + " holds a token itself"} {
		got := typed(t.Context(), "", "serve", "--listen", "127.0.0.1:0", "--tokens", file, "--store", filepath.Join(dir, "store"))
		if got.exit != 5 || !strings.Contains(got.errs, want) || strings.Contains(got.errs, "annals_secret") {
			t.Errorf("%+v", got)
		}
	}
	got := typed(t.Context(), "", "serve", "--listen", "0.0.0.0:0", "--tokens", bad, "--store", filepath.Join(dir, "store"))
	if got.exit == 0 {
		t.Errorf("%+v", got)
	}
}

func TestListenBeyondThisMachine(t *testing.T) {
	a := &app{}
	for _, s := range []service{{listen: "0.0.0.0:0"}, {listen: "0.0.0.0:0", tokens: "file"}} {
		_, err := a.listen(t.Context(), &s)
		if err == nil || strings.Contains(err.Error(), "authentication") != (s.tokens == "") || !strings.Contains(err.Error(), "encryption") {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// The console is beside the API, and a browser that opens the address itself is led to
// it.
func TestServeTheConsole(t *testing.T) {
	for _, with := range []bool{true, false} {
		args := []string{"serve", "--listen", "127.0.0.1:0", "--store", filepath.Join(t.TempDir(), "store")}
		if !with {
			args = append(args, "--console=false")
		}
		server := begin(t, " on http://", args...)
		_, address, _ := strings.Cut(strings.TrimSpace(server.String()), " on ")
		for _, c := range []struct {
			path, accept, to string
			status           int
		}{
			{"/", "text/html,*/*", "/console/", 303}, {"/", "*/*", "", 200}, {"/console", "*/*", "/console/", 303}, {"/console/", "text/html", "", 200},
			{"/console/nothing", "text/html", "", 404}, {"/v1/position", "text/html,*/*", "", 200}, {"/consoles", "*/*", "", 404},
		} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", address+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Accept", c.accept)
			answer, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			status, to := c.status, c.to
			if !with && (to != "" || strings.HasPrefix(c.path, "/console")) {
				if status, to = 404, ""; c.path == "/" {
					status = 200
				}
			}
			if answer.StatusCode != status || answer.Header.Get("Location") != to {
				t.Errorf("with a console %v, %s: %d to %s", with, c.path, answer.StatusCode, answer.Header.Get("Location"))
			}
		}
		if exit := server.interrupt(); exit != 0 {
			t.Errorf("exit %d: %s", exit, server)
		}
	}
}

func TestDiskUse(t *testing.T) {
	dir, now := t.TempDir(), time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	d := &diskUse{dir: dir, clock: func() time.Time { return now }}
	if err := os.Mkdir(filepath.Join(dir, "in"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"a", "in/b"} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 10*(i+1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if n, err := d.bytes(t.Context()); n != 10 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	now = now.Add(10 * time.Second)
	if _, err := d.bytes(ended); err == nil {
		t.Error("an ended context counts on")
	}
	if n, err := d.bytes(t.Context()); n != 30 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}
