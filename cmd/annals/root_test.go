package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/proof"
)

// dated are events whose roots are the same each time.
func dated(ids ...string) string {
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(`{"specversion":"1.0","id":"` + id + `","type":"T","source":"/s","time":"2020-05-01T20:00:00Z","stream":"order","data":{"n":` + id + "}}\n")
	}
	return b.String()
}

// Roots of two and of three of the events.
const (
	rootOf2 = "2:a4b17f1a1d004f9c6a48b60d13ac07439b9503d91c0a9575c7d207356114785e"
	rootOf3 = "3:000da8da7e60102c1979c102d40840a4a369690ea9ec36944aae3ba1488c29e9"
)

// kept is a store of three events and the root of the first two.
func kept(t *testing.T) (dir string) {
	t.Helper()
	return stored(t, dated("1", "2", "1000"))
}

func TestRoot(t *testing.T) {
	dir := kept(t)
	for line, want := range map[string]outcome{
		"":              {0, rootOf3 + "\n", ""},
		"--at 2":        {0, rootOf2 + "\n", ""},
		"--at 0":        {0, proof.Empty().String() + "\n", ""},
		"--at 2 --json": {0, `{"root":"` + rootOf2 + `","size":"2","hash":"` + rootOf2[2:] + `"}` + "\n", ""},
	} {
		if got := typed(t.Context(), "", append([]string{"root", "--store", dir}, strings.Fields(line)...)...); got != want {
			t.Errorf("root %s: %+v, want %+v", line, got, want)
		}
	}
}

// What a directory says its server says, and tables too.
func TestProofsOfEveryStore(t *testing.T) {
	f := openFaces(t)
	if _, err := f.served.Append(t.Context(), "a", annals.Any, annals.Event{Type: "T", Data: []byte(`{"a": 1}`)}, annals.Event{Type: "U"}); err != nil {
		t.Fatal(err)
	}
	tables := initialized(t)
	for _, command := range [][]string{{"ingest", "-"}, {"reindex"}} {
		if got := typed(t.Context(), dated("1", "2", "1000"), append(command, "--store", tables)...); got.exit != 0 {
			t.Fatalf("%q: %+v", command, got)
		}
	}
	for name, store := range map[string]string{"directory": kept(t), "server": f.server.URL, "tables": tables} {
		t.Run(name, func(t *testing.T) {
			old := run(t, store, "root", "--at", "1")
			root := run(t, store, "root")
			if name != "server" && root != rootOf3+"\n" {
				t.Errorf("the root is %s, want %s", root, rootOf3)
			}
			old, root = strings.TrimSpace(old), strings.TrimSpace(root)
			for _, c := range [][]string{{"prove", "1", "--root", root}, {"prove", "1", "--at", "2"}, {"prove", "2"}, {"prove", "--extends", old}, {"prove", "--extends", old, "--root", root}} {
				text := run(t, store, c...)
				p, err := proof.Parse([]byte(text))
				if err != nil || p.Check(p.Root) != nil {
					t.Errorf("%q prints %s, %v", c, text, err)
				}
			}
			wrong := strings.Replace(root, ":", ":0", 1)[:len(root)]
			for _, c := range [][]string{{"prove", "1", "--root", wrong}, {"prove", "--extends", wrong}} {
				if got := typed(t.Context(), "", append(c, "--store", store)...); got.exit != 1 || got.out != "" || !strings.Contains(got.errs, "have not the root") {
					t.Errorf("%q: %+v", c, got)
				}
			}
			if got := typed(t.Context(), "", "prove", "9", "--store", store); got.exit != 4 {
				t.Errorf("%+v", got)
			}
			if name == "server" {
				return
			}
			if out := run(t, store, "verify", "--root", old); !strings.Contains(out, "the log has the root "+old+"\n") || !strings.Contains(out, "all is well") {
				t.Errorf("verify prints %s", out)
			}
		})
	}
}

// run runs a command line that must succeed, and returns what it prints.
func run(t *testing.T, store string, args ...string) string {
	t.Helper()
	got := typed(t.Context(), "", append(args, "--store", store)...)
	if got.exit != 0 {
		t.Fatalf("%q: %+v", args, got)
	}
	return got.out
}

func TestProveIntoAFile(t *testing.T) {
	dir := kept(t)
	name := filepath.Join(t.TempDir(), "2.proof")
	if got := run(t, dir, "prove", "2", "--out", name); got != name+" holds a proof by the root "+rootOf3+"\n" {
		t.Errorf("%s", got)
	}
	if got := typed(t.Context(), "", "prove", "2", "--out", name, "--store", dir); got.exit != 5 || !strings.Contains(got.errs, "already") {
		t.Errorf("%+v", got)
	}
	text, err := os.ReadFile(name)
	if err != nil || string(text) != run(t, dir, "prove", "2") {
		t.Errorf("%s, %v", text, err)
	}
	if got := run(t, dir, "prove", "2", "--json", "--out", name+"2"); got != `{"file":"`+name+`2","kind":"inclusion","root":{"root":"`+rootOf3+`","size":"3","hash":"`+rootOf3[2:]+`"}}`+"\n" {
		t.Errorf("%s", got)
	}
	if got := typed(t.Context(), "", "prove", "2", "--out", filepath.Join(name, "in"), "--store", dir); got.exit != 5 || !strings.Contains(got.errs, "could not be written") {
		t.Errorf("%+v", got)
	}
}

func TestCheckProof(t *testing.T) {
	dir := kept(t)
	in, out := run(t, dir, "prove", "2", "--at", "2"), run(t, dir, "prove", "--extends", rootOf2)
	const event = `{"specversion":"1.0","id":"2","type":"T","source":"/s","time":"2020-05-01T20:00:00Z","stream":"order","version":"2","position":"2","datacontenttype":"application/json","data":{"n":2}}`
	const untrusted = "this is shown for the root that the proof names itself: whether it is that of your log, only a root that you kept can tell, with --root\n"
	nothing := run(t, dir, "prove", "--extends", proof.Empty().String(), "--at", "2")
	is := "order@2 is at position 2 of the log of root " + rootOf2 + "\n" + event + "\n"
	begins := "the log of root " + rootOf3 + " begins with that of " + rootOf2 + "\n"
	for _, c := range []struct {
		text, line string
		want       outcome
	}{
		{in, "", outcome{0, is + untrusted, ""}},
		{in, "--root " + rootOf2, outcome{0, is, ""}},
		{in, "--json", outcome{0, `{"kind":"inclusion","root":"` + rootOf2 + `","event":` + event + `,"trusted":false}` + "\n", ""}},
		{out, "--root " + rootOf2, outcome{0, begins, ""}},
		{out, "--root " + rootOf3 + " --root " + rootOf2, outcome{0, begins, ""}},
		{out, "", outcome{0, begins + untrusted, ""}},
		{out, "--json --root " + rootOf3, outcome{0, `{"kind":"extension","root":"` + rootOf3 + `","from":"` + rootOf2 + `","trusted":true}` + "\n", ""}},
		{nothing, "--root " + proof.Empty().String(), outcome{0, "the log of root " + rootOf2 + " begins with that of " + proof.Empty().String() + "\n" + untrusted, ""}},
		{in, "--root " + rootOf3, outcome{5, "", "about a log of 2 events, and the root that you trust is of 3"}},
		{in, "--root " + rootOf2[:2] + rootOf3[2:], outcome{1, "", "of another log"}},
		{in, "--root " + rootOf2[2:], outcome{5, "", "SIZE:HASH"}},
		{strings.Replace(in, `"id":"2"`, `"id":"3"`, 1), "--root " + rootOf2, outcome{1, "", "does not hold"}},
		{strings.Replace(in, `"order"`, `"order\u001b[2J"`, 1), "", outcome{5, "", "the name of its stream"}},
		{"{}", "", outcome{5, "", "no proof that this version reads"}},
		{"", "", outcome{5, "", "invalid JSON"}},
	} {
		got := typed(t.Context(), c.text, append([]string{"check-proof", "-"}, strings.Fields(c.line)...)...)
		if got.exit != c.want.exit || got.out != c.want.out || !strings.Contains(got.errs, c.want.errs) || (got.errs == "") != (c.want.errs == "") {
			t.Errorf("check-proof %s of %s: %+v, want %+v", c.line, c.text, got, c.want)
		}
	}
	if got := typed(t.Context(), "", "check-proof", "none"); got.exit != 4 {
		t.Errorf("%+v", got)
	}
}

// What a terminal would obey is shown, not sent.
func TestCheckProofShowsWhatIsHidden(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	store, err := embedded.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.Append(t.Context(), "a", annals.Any, annals.Event{Type: "T", Data: []byte("{\"\u009b\":\t\"\x7f\"}")})
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	got := typed(t.Context(), run(t, dir, "prove", "1"), "check-proof", "-")
	if got.exit != 0 || !strings.Contains(got.out, `"data":{"\u009b":\u0009"\u007f"}`) {
		t.Errorf("%+v", got)
	}
}

func TestVerifyWithARoot(t *testing.T) {
	dir := kept(t)
	file := filepath.Join(t.TempDir(), "witness")
	if got := run(t, dir, "root", "--at", "2", "--witness", file, "--block", "1"); got != rootOf2+"\n" {
		t.Errorf("%s", got)
	}
	const well = "3 events in 1 stream checked: all is well\n"
	has := "the log has the root " + rootOf2 + "\n"
	for line, want := range map[string]string{
		"--root " + rootOf2:                        has + well,
		"--root " + rootOf3[2:]:                    "the log has the root " + rootOf3 + "\n" + well,
		"--witness " + file:                        has + well,
		"--root " + rootOf2 + " --witness " + file: has + well,
		"--json --root " + rootOf2:                 `{"events":3,"streams":1,"ok":true,"problems":[],"waiting":0,"root":{"given":"` + rootOf2 + `","log":"` + rootOf2 + `","same":true,"unchained":"0","findings":[],"unlisted":"0"}}` + "\n",
	} {
		if got := run(t, dir, append([]string{"verify"}, strings.Fields(line)...)...); got != want {
			t.Errorf("verify %s prints %s, want %s", line, got, want)
		}
	}
	other := stored(t, dated("1", "3"))
	got := typed(t.Context(), "", "verify", "--root", rootOf2, "--witness", file, "--store", other)
	if got.exit != 1 || !strings.Contains(got.out, "order@2 (position 2): changed: this is not what the root was made of") || !strings.Contains(got.errs, "1 problem in ") {
		t.Errorf("%+v", got)
	}
	got = typed(t.Context(), "", "verify", "--root", rootOf2[2:], "--store", dir)
	if got.exit != 1 || !strings.Contains(got.errs, "has grown since, give SIZE:HASH") {
		t.Errorf("%+v", got)
	}
	got = typed(t.Context(), "", "verify", "--root", rootOf3, "--json", "--store", other)
	var v verified
	if err := json.Unmarshal([]byte(got.out), &v); err != nil || got.exit != 1 || v.OK || v.Root.Same || v.Root.Log == v.Root.Given {
		t.Fatalf("%+v, %v", got, err)
	}
	if f := v.Root.Findings; len(f) != 1 || f[0].What != proof.Missing || f[0].Positions != (proof.Span{First: 3, Last: 3}) || len(v.Problems) != 1 {
		t.Errorf("%s", got.out)
	}
}

// A log that is damaged so that it can't be opened is said to be that, and not compared.
func TestVerifyOfADamagedLogWithARoot(t *testing.T) {
	dir := kept(t)
	segments, err := filepath.Glob(filepath.Join(dir, "log", "*.log"))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	text, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	text[strings.Index(string(text), "order")] ^= 1
	if err := os.WriteFile(segments[0], text, 0o600); err != nil {
		t.Fatal(err)
	}
	got := typed(t.Context(), "", "verify", "--root", rootOf2, "--store", dir)
	if got.exit != 1 || !strings.Contains(got.out, "not compared with the root") {
		t.Errorf("%+v", got)
	}
}

func TestProofMisuses(t *testing.T) {
	dir := kept(t)
	changed := filepath.Join(t.TempDir(), "changed")
	if err := os.WriteFile(changed, []byte("annals witness 1\nroot "+rootOf2+"\nblock 2\n"+rootOf3[2:]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, c := range map[string]misuse{
		"root --at -1":             {5, "must not be negative"},
		"root --at x":              {2, "whole number"},
		"root --at 4":              {4, "the log has 3 events, not 4"},
		"root --witness=":          {2, "--witness is empty"},
		"root --block 2":           {2, "about a witness"},
		"root --witness w --block": {2, ""},
		"root --witness " + changed + "2 --block 3":   {5, "power of two"},
		"root --witness " + changed:                   {5, "already"},
		"root --witness w --store http://127.0.0.1:1": {2, "works on a directory or a dynamodb:// store"},
		"prove":                                  {2, "prove takes a POSITION, or --extends"},
		"prove 1 --extends " + rootOf2:           {2, "prove takes a POSITION, or --extends"},
		"prove 1 --at 2 --root " + rootOf2:       {2, "both name a root"},
		"prove 0":                                {5, "whole number from 1"},
		"prove x":                                {5, "whole number from 1"},
		"prove 1 --root x":                       {5, "SIZE:HASH"},
		"prove 1 --root " + rootOf2[2:]:          {5, "SIZE:HASH"},
		"prove 3 --at 2":                         {4, "no position 3 in a log of 2 events"},
		"prove --extends " + rootOf3 + " --at 2": {5, "from must be a size up to 2"},
		"verify --root x":                        {5, "SIZE:HASH or a HASH"},
		"verify --root=":                         {2, "--root is empty"},
		"verify --witness none":                  {4, "no file none"},
		"verify --witness " + changed:            {5, "the witness was changed"},
		"verify --root " + rootOf2 + " --store http://127.0.0.1:1": {2, "works on a directory"},
		"check-proof": {2, "needs a FILE"},
	} {
		got := typed(t.Context(), "", append([]string{"--store", dir}, strings.Fields(line)...)...)
		if got.exit != c.exit || !strings.Contains(got.errs, c.want) {
			t.Errorf("%s: %+v, want exit %d and %q", line, got, c.exit, c.want)
		}
	}
}
