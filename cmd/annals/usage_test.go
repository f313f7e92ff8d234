package main

import (
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eb901187/annals"
)

// A misuse is a command line's exit code and a part of what it prints.
type misuse struct {
	exit int
	want string
}

// misuses are command lines that fail; stranger is the address of a server that
// is not annals, taken one that is listened on.
func misuses(stranger, taken string) map[string]misuse {
	return map[string]misuse{
		"append":                                {2, "append needs a STREAM\n  → annals append --help"},
		"append s":                              {2, "append needs --type"},
		"append s --type=":                      {5, "type must not be empty"},
		"append s --type T --expect -2":         {5, "annals append --help"},
		"append a --type T --expect 0":          {3, "--expect 1"},
		"append a --type T --id 1":              {3, "annals read a --from 1 --limit 1"},
		"append new/.. --type T --store made":   {5, "segment"},
		"append s --type T --store 127.0.0.1:9": {2, "did you mean http://127.0.0.1:9?"},
		"append s --type T --store localhost:9": {2, "did you mean http://localhost:9?"},
		"read a --store=":                       {2, "--store is empty"},
		"read a --store http://":                {2, "no address"},
		"read a --store ftp://h":                {2, "no kind of store"},
		"read a --store file":                   {5, "file is a file, not a directory"},
		"read a --store file/in":                {5, "below, a file"},
		"read a --store HTTP://127.0.0.1:1":     {6, "annals: the server at http://127.0.0.1:1 can't be reached: dial tcp"},
		"read a --store " + stranger:            {6, stranger},
		"read a --limit x":                      {2, `--limit takes a whole number, not "x"`},
		"read a --from 99999999999999999999":    {2, "whole number"},
		"read a b":                              {2, "read takes one STREAM, and got 2 arguments"},
		"read 'b":                               {5, "annals read --help"},
		"log order-7":                           {2, "log takes no arguments"},
		"log --type T":                          {2, "did you mean --types?"},
		"log --json=maybe":                      {2, "true or false"},
		"log --follow":                          {2, "annals serve"},
		"lgo":                                   {2, "did you mean annals log?"},
		"nosuch":                                {2, "annals --help"},
		"help nosuch":                           {2, `no command "nosuch"`},
		"help log read":                         {2, `no command "log read"`},
		"help projection nosuch":                {2, `no command "projection nosuch"`},
		"ingest":                                {2, "ingest needs a FILE"},
		"bench --only nosuch":                   {2, "append-1, append-16"},
		"serve --store http://127.0.0.1:1":      {2, "works on a directory"},
		"demo --store http://127.0.0.1:1":       {2, "works on a directory"},
		"serve --listen 127.0.0.1:99999":        {2, "invalid port"},
		"serve --listen " + taken:               {6, "another server may be running"},
		"backup annals-data":                    {5, "inside the store"},
		"backup annals-data/in/it":              {5, "inside the store"},
	}
}

// tableMisuses are those of commands and of stores in DynamoDB. None sends a request.
func tableMisuses() map[string]misuse {
	const tables = " --store dynamodb://orders?region=eu-central-1"
	return map[string]misuse{
		"init":                                    {2, "a directory needs no init"},
		"init --store http://127.0.0.1:1":         {2, "works on a dynamodb:// store"},
		"init --store dynamodb://ab":              {5, "3 to 200"},
		"init --dry-run --store dynamodb://ab":    {5, "3 to 200"},
		"sequence":                                {2, "number their log as they append"},
		"sequence --poll x":                       {2, "a time such as 250ms"},
		"sequence --poll 0s" + tables:             {2, "more than 0"},
		"serve --sequence":                        {2, "number their log as they append"},
		"serve --sequence --store http://h:1":     {2, "works on a dynamodb:// store"},
		"log --explain":                           {2, "works on a dynamodb:// store"},
		"log --explain --store http://h:1":        {2, "works on a dynamodb:// store"},
		"log --explain --follow" + tables:         {2, "no end"},
		"backup copy" + tables:                    {2, "point-in-time recovery"},
		"demo" + tables:                           {2, "works on a directory"},
		"demo --once" + tables:                    {2, "works on a directory"},
		"verify --store http://127.0.0.1:1":       {2, "works on a directory"},
		"reindex --store http://127.0.0.1:1":      {2, "works on a directory"},
		"read a --store dynamodb://":              {5, "3 to 200"},
		"read a --store dynamodb://orders/x":      {5, "must be dynamodb://NAME?"},
		"read a --store DynamoDB://orders?regoin": {5, `"regoin"`},
		"serve --store dynamodb://orders?bucket=": {5, `"bucket"`},
		"verify --store dynamodb://a":             {5, "annals verify --help"},
		"reindex --store dynamodb://a":            {5, "annals reindex --help"},
		"append s --type T --store dynamo://o":    {2, "dynamodb://NAME"},
	}
}

// Each command line fails, with an exit code and words that say what to do.
func TestExitCodesAndMessages(t *testing.T) {
	t.Chdir(t.TempDir())
	if got := typed(t.Context(), command1, "ingest", "-"); got.exit != 0 {
		t.Fatalf("%+v", got)
	}
	if err := os.WriteFile("file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	stranger := httptest.NewServer(http.NotFoundHandler())
	defer stranger.Close()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	lines := misuses(stranger.URL, taken.Addr().String())
	maps.Copy(lines, tableMisuses())
	for line, c := range lines {
		t.Run(line, func(t *testing.T) {
			got := typed(t.Context(), "", strings.Fields(line)...)
			if got.exit != c.exit || !strings.Contains(got.errs, c.want) {
				t.Fatalf("%+v, want exit %d and %q", got, c.exit, c.want)
			}
			if strings.Count(got.errs, "annals: ") != 1 || strings.Contains(got.errs, "strconv") || strings.Contains(got.errs, "%!") {
				t.Fatalf("worded badly: %s", got.errs)
			}
		})
	}
	entries, err := os.ReadDir(".")
	if err != nil || len(entries) != 2 {
		t.Fatalf("a command that failed made something: %v, %v", entries, err)
	}
}

func TestListenErrors(t *testing.T) {
	denied := &fs.PathError{Op: "listen", Path: "p", Err: fs.ErrPermission}
	err := listenErr("127.0.0.1:80", denied)
	if annals.CodeOf(err) != annals.CodeUnavailable || !strings.Contains(err.Error(), "ports below 1024") {
		t.Error(err)
	}
}

func TestCompletion(t *testing.T) {
	for shell, want := range map[string]string{"bash": "__start_annals", "zsh": "compdef", "fish": "complete -c annals", "powershell": "Register-ArgumentCompleter"} {
		if got := typed(t.Context(), "", "completion", shell); got.exit != 0 || !strings.Contains(got.out, want) {
			t.Errorf("%s: exit %d, %s%.200s", shell, got.exit, got.errs, got.out)
		}
	}
}

func TestHelpOfCommandsWithoutAStore(t *testing.T) {
	for command, has := range map[string]string{"read": `(default "./annals-data")`, "demo": "a temporary one", "version": "", "bench": "a store in DynamoDB to measure instead"} {
		got := typed(t.Context(), "", "help", command)
		if got.exit != 0 || !strings.Contains(got.out, has) || strings.Contains(got.out, "--store") != (has != "") {
			t.Errorf("%s: %+v", command, got)
		}
	}
}

func TestEventsShowWhereTheyComeFrom(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	args := []string{"append", "s", "--store", dir, "--type", "T", "--data", `{"n": 1}`, "--id", "an id", "--source", "/shop", "--correlation", "r-1", "--causation", "o@1"}
	if got := typed(t.Context(), "", args...); got.exit != 0 {
		t.Fatalf("%+v", got)
	}
	for _, args := range [][]string{{"read", "s"}, {"log"}} {
		got := typed(t.Context(), "", append(args, "--store", dir)...)
		if !strings.HasSuffix(got.out, `  id="an id" source=/shop correlation=r-1 causation=o@1  {"n":1}`+"\n") {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

// writerFunc is an io.Writer.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestFollowSaysWhereToGoOn(t *testing.T) {
	f := openFaces(t)
	for _, data := range []string{"1", "2"} {
		if _, err := f.served.Append(t.Context(), "s", annals.Any, annals.Event{Type: "T", Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	lines := 0
	out := writerFunc(func(b []byte) (int, error) {
		if lines += strings.Count(string(b), "\n"); lines == 2 {
			go f.server.CloseClientConnections()
			go f.server.Close()
		}
		return len(b), nil
	})
	var errs strings.Builder
	exit := Run(t.Context(), []string{"log", "--follow", "--store", f.server.URL}, strings.NewReader(""), out, &errs)
	if exit != 6 || !strings.Contains(errs.String(), "broke off at position 2") || !strings.Contains(errs.String(), "continue with --after 2") || strings.Contains(errs.String(), "/v1/") {
		t.Fatalf("exit %d: %s", exit, errs.String())
	}
}
