package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/embedded"
)

// unnoted are the commands that are none of an operator: they read, append, serve, or
// work on what is no store.
var unnoted = []string{
	"append", "ingest", "read", "streams", "log", "trace", "verify", "root", "prove", "check-proof", "backup", "fork", "state", "view", "version", "help", "init", "bench", "demo",
	"serve", "sequence", "gateway", "projection list", "projection show", "projection diff", "parked list", "reaction list", "effect list", "effect show", "effect diff",
	"playback list", "playback show", "playback read",
	"token new",                          // the server notes what becomes of its file
	"keys new", "keys show", "keys copy", // of keys, not of a store
	"reindex",         // makes from what is stored what was to be made before; a note in tables would wait to be numbered itself
	"dlq list",        // reads a queue
	"completion bash", // prints a script
	"completion zsh",  //
	"completion fish", //
	"completion powershell",
}

// A command is noted, or there is a reason why not.
func TestEveryCommandIsNotedOrNot(t *testing.T) {
	var visit func(c *cobra.Command)
	known := map[string]bool{}
	visit = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			visit(sub)
		}
		if c.HasSubCommands() {
			return
		}
		name := called(c)
		known[name] = true
		if noted := operations[name] != ""; noted == slices.Contains(unnoted, name) {
			t.Errorf("annals %s must be in one of operations and unnoted", name)
		}
	}
	root := new(app).root()
	root.InitDefaultCompletionCmd()
	visit(root)
	for name := range operations {
		if !known[name] {
			t.Errorf("there is no command %s", name)
		}
	}
}

// Every command of an operator on a store of its own, also one that fails, is noted with
// the user of the operating system; what would only be done, or is misused, is not.
func TestLocalOperationsAreNoted(t *testing.T) {
	p := newPlace(t, filepath.Join(t.TempDir(), "store"))
	p.append(t, "order-1", "placed", `{"total":"x"}`)
	noted := 0
	want := func(line string, exit int, what, target, failure string) {
		t.Helper()
		args := append(strings.Fields(line), "--store", p.store)
		if strings.HasPrefix(line, "projection") || strings.HasPrefix(line, "parked") {
			args = append(args, p.flags...)
		}
		if got := typed(t.Context(), "", args...); got.exit != exit {
			t.Errorf("annals %s: %+v", line, got)
		}
		store, err := embedded.Open(p.store, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = store.Close() }()
		page, _, err := access.Actions(t.Context(), store, nil)
		if what != "" {
			noted++
		}
		if err != nil || len(page) != noted {
			t.Fatalf("after annals %s: %d notes, not %d, %v", line, len(page), noted, err)
		}
		if what == "" {
			return
		}
		if a := page[0]; a.Who != "local:"+osUser() || a.What != what || a.Target != target || (a.Error == "") != (failure == "") || !strings.Contains(a.Error, failure) || a.Address != "" || a.At.IsZero() {
			t.Errorf("annals %s: %+v", line, a)
		}
	}
	want("projection list", 0, "", "", "")
	want("projection rebuild orders", 0, "projection.rebuild", "orders", "")
	want("projection pause orders", 0, "projection.pause", "orders", "")
	want("projection resume orders", 0, "projection.resume", "orders", "")
	want("projection pause none", 4, "projection.pause", "none", "no projection none")
	want("projection switch orders", 3, "projection.switch", "orders", "no generation but the live one")
	want("projection rollback orders", 3, "projection.rollback", "orders", "no generation to go back to")
	want("projection delete orders --all --dry-run", 0, "", "", "")
	want("parked retry orders", 5, "parked.retry", "orders", "failed again")
	want("parked drop orders 1 --reason a-test", 0, "parked.drop", "orders/1", "")
	want("parked drop orders", 2, "", "", "")
	want("parked edit orders 1 --reason r --data "+filepath.Join(p.definitions, "orders.yaml"), 4, "parked.edit", "orders/1", "no parked event")
	want("effect resolve charges order-2@1 charge --reason asked --resend", 4, "effect.resolve", "charges/order-2@1/charge", "annals: ")
	want("effect approve nosuch@1", 4, "effect.approve", "nosuch@1", "annals: ")
	want("effect reject nosuch@1 --reason r", 4, "effect.reject", "nosuch@1", "annals: ")
	want("reverse order-1 1 --dry-run", 0, "", "", "")
	want("playback stop none", 4, "playback.stop", "none", "annals: ")
	want("playback resume none", 4, "playback.resume", "none", "annals: ")
	want("projection delete orders --all", 0, "projection.delete", "orders", "")
}

// A command that panics is noted too: what it did is not known.
func TestPanickingCommandsAreNoted(t *testing.T) {
	store, err := embedded.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	a := &app{store: "dir"}
	root := a.root()
	a.clock = time.Now
	a.command, _, err = root.Find([]string{"projection", "switch"})
	if err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = a.operated(t.Context(), store, func(*annals.Store) error { panic("a bug") })
	}()
	page, _, err := access.Actions(t.Context(), store, nil)
	if err != nil || len(page) != 1 || page[0].What != "projection.switch" || !strings.Contains(page[0].Error, "panicked") {
		t.Errorf("%+v, %v", page, err)
	}
}

// A change of the file of tokens is noted by the server that sees it.
func TestServeNotesTokens(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tokens")
	ann := granted(t, file, "ann", "read")
	server := begin(t, " on http://", "serve", "--tokens", file, "--listen", "127.0.0.1:0", "--store", filepath.Join(dir, "store"))
	_, address, _ := strings.Cut(strings.TrimSpace(server.String()), " on ")
	granted(t, file, "bob", "append")
	t.Setenv(tokenVariable, ann)
	for range 1000 { // the first request sees it, and the note comes after
		got := typed(t.Context(), "", "log", "--store", address, "--json")
		if strings.Contains(got.out, `"what":"tokens.change","target":"tokens","detail":"added bob append"`) {
			server.interrupt()
			return
		}
	}
	t.Errorf("nothing is noted: %s", server)
}
