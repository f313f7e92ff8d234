package proof

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eb901187/annals"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%s (%v):\n%s\nwant\n%s", path, err, got, want)
	}
}

// colorful is shop with an event of every field, and one that is sealed.
func colorful() *ledger {
	l := shop()
	e := &l.commits[2].Events[1]
	e.Correlation, e.Causation, e.ContentType = "r-1", "order-1@1", "text/plain"
	e.Attributes = map[string]string{"subject": "größe <&>", "dataschema": "https://example.com/s"}
	e.Data = []byte("a \x00 line\n")
	sealed := &l.commits[4].Events[0]
	sealed.ContentType, sealed.Attributes, sealed.Data = annals.SealedContentType, map[string]string{annals.SubjectAttribute: "customer-7"}, []byte{1, 2, 3}
	l.renumber(true)
	return l
}

func proofs(t testing.TB) (in, out Proof) {
	t.Helper()
	tree := NewTree(colorful().store(), nil)
	in, err := tree.Inclusion(t.Context(), 4, 9)
	if err != nil {
		t.Fatal(err)
	}
	if out, err = tree.Extension(t.Context(), 6, 9); err != nil {
		t.Fatal(err)
	}
	return in, out
}

// The format stays as it is: what was proven once can be checked for ever.
func TestProofFormat(t *testing.T) {
	in, out := proofs(t)
	golden(t, "inclusion.json", append(in.AppendJSON(nil), '\n'))
	golden(t, "extension.json", append(out.AppendJSON(nil), '\n'))
}

// A proof holds however its JSON is laid out, and through encoding/json.
func TestProofThroughJSON(t *testing.T) {
	in, out := proofs(t)
	for _, p := range []Proof{in, out} {
		var indented bytes.Buffer
		if err := json.Indent(&indented, p.AppendJSON(nil), "\r\n", "\t"); err != nil {
			t.Fatal(err)
		}
		marshaled, err := json.Marshal(map[string]any{"<": p})
		if err != nil {
			t.Fatal(err)
		}
		var back map[string]Proof
		if err := json.Unmarshal(marshaled, &back); err != nil {
			t.Fatal(err)
		}
		parsed, err := Parse(indented.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range []Proof{parsed, back["<"]} {
			if text := got.AppendJSON(nil); !bytes.Equal(text, p.AppendJSON(nil)) || got.Check(p.Root) != nil {
				t.Errorf("%s, %v", text, got.Check(p.Root))
			}
		}
	}
}

// A proof with a flipped bit anywhere is refused, or is the same proof.
func TestEachFlippedBitOfAProofIsRefused(t *testing.T) {
	in, out := proofs(t)
	for _, p := range []Proof{in, out} {
		text := p.AppendJSON(nil)
		refusals := 0
		for i := range len(text) * 8 {
			changed := bytes.Clone(text)
			changed[i/8] ^= 1 << (i % 8)
			got, err := Parse(changed)
			if err == nil {
				err = got.Check(p.Root)
			}
			switch {
			case err != nil:
				refusals++
			case !bytes.Equal(got.AppendJSON(nil), text):
				t.Errorf("accepted: %s", changed)
			}
		}
		if refusals < len(text)*7 {
			t.Errorf("only %d of %d flips are refused", refusals, len(text)*8)
		}
	}
}

// A proof whose meaning is changed is refused by whoever trusts its root, and all but
// another root of its own by everybody.
func TestEachChangeOfAProofIsRefused(t *testing.T) {
	in, out := proofs(t)
	wholes := map[string]func(p *Proof){
		"kind":          func(p *Proof) { p.Kind = "other" },
		"size up":       func(p *Proof) { p.Root.Size++ },
		"size down":     func(p *Proof) { p.Root.Size-- },
		"huge size":     func(p *Proof) { p.Root.Size = 1 << 62 },
		"beyond size":   func(p *Proof) { p.Root.Size = 1<<62 + 1 },
		"largest size":  func(p *Proof) { p.Root.Size = math.MaxInt64 },
		"root":          func(p *Proof) { p.Root.Hash[31] ^= 1 },
		"fewer hashes":  func(p *Proof) { p.Hashes = p.Hashes[1:] },
		"no last hash":  func(p *Proof) { p.Hashes = p.Hashes[:len(p.Hashes)-1] },
		"more hashes":   func(p *Proof) { p.Hashes = append(p.Hashes[:1:1], p.Hashes...) },
		"hashes turned": func(p *Proof) { p.Hashes[0], p.Hashes[1] = p.Hashes[1], p.Hashes[0] },
	}
	events := map[string]func(p *Proof){
		"position":      func(p *Proof) { p.Event.Position-- },
		"no position":   func(p *Proof) { p.Event.Position = 0 },
		"version":       func(p *Proof) { p.Event.Version++ },
		"stream":        func(p *Proof) { p.Event.Stream = "order-2" },
		"id":            func(p *Proof) { p.Event.ID += "0" },
		"type":          func(p *Proof) { p.Event.Type = "U" },
		"source":        func(p *Proof) { p.Event.Source = "U" },
		"time":          func(p *Proof) { p.Event.Time = p.Event.Time.Add(1) },
		"correlation":   func(p *Proof) { p.Event.Correlation = "" },
		"causation":     func(p *Proof) { p.Event.Causation = "order-1@2" },
		"content type":  func(p *Proof) { p.Event.ContentType = "text/html" },
		"attribute":     func(p *Proof) { p.Event.Attributes = map[string]string{"subject": "größe <&>"} },
		"data":          func(p *Proof) { p.Event.Data = []byte("a \x00 line") },
		"no data":       func(p *Proof) { p.Event.Data = nil },
		"index":         func(p *Proof) { p.Index-- },
		"another index": func(p *Proof) { p.Index = 2 },
		"commit":        func(p *Proof) { p.Commit[0] ^= 1 },
	}
	olds := map[string]func(p *Proof){
		"older root":       func(p *Proof) { p.From.Hash[0] ^= 1 },
		"older size":       func(p *Proof) { p.From.Size-- },
		"older size up":    func(p *Proof) { p.From.Size++ },
		"nothing":          func(p *Proof) { p.From = Empty() },
		"older than whole": func(p *Proof) { p.From.Size = 10 },
		"older and beyond": func(p *Proof) { p.From.Size, p.Root.Size = 1<<62+1, math.MaxInt64 },
	}
	wantChangesRefused(t, in, wholes)
	wantChangesRefused(t, in, events)
	wantChangesRefused(t, out, wholes)
	wantChangesRefused(t, out, olds)
}

func wantChangesRefused(t *testing.T, p Proof, changes map[string]func(*Proof)) {
	t.Helper()
	for what, change := range changes {
		changed, err := Parse(p.AppendJSON(nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := changed.Check(p.Root); err != nil {
			t.Fatal(err)
		}
		change(&changed)
		if err := changed.Check(p.Root); err == nil {
			t.Errorf("%s: accepted", what)
		}
		if err := changed.Check(); err == nil && !strings.Contains(what, "size") {
			t.Errorf("%s: accepted by its own root", what)
		}
	}
}

// A root that somebody trusts is not taken for another one.
func TestCheckAgainstTrustedRoots(t *testing.T) {
	in, out := proofs(t)
	other := in.Root
	other.Hash[0] ^= 1
	for _, c := range []struct {
		p       Proof
		trusted []Root
		want    annals.Code
		says    string
	}{
		{in, nil, "", ""},
		{in, []Root{in.Root}, "", ""},
		{in, []Root{other}, annals.CodeDamaged, "of another log"},
		{in, []Root{in.Root, other}, annals.CodeDamaged, "of another log"},
		{in, []Root{out.From}, annals.CodeInvalid, "annals prove --at 6"},
		{out, []Root{out.From}, "", ""},
		{out, []Root{out.Root}, "", ""},
		{out, []Root{out.From, out.Root}, "", ""},
		{out, []Root{other}, annals.CodeDamaged, "of another log"},
		{out, []Root{Empty()}, annals.CodeInvalid, "--extends"},
	} {
		err := c.p.Check(c.trusted...)
		if annals.CodeOf(err) != c.want || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s with %v: %v, want %q", c.p.Kind, c.trusted, err, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	in, _ := proofs(t)
	text := string(in.AppendJSON(nil))
	for change, want := range map[[2]string]string{
		{`"format":"annals proof 1",`, ``}:          "format",
		{`annals proof 1`, `annals proof 2`}:        "format",
		{`"kind":"inclusion"`, `"kind":1`}:          "kind",
		{`"kind":`, `"from":1,"kind":`}:             "from",
		{`"kind":`, `"Kind":"extension","kind":`}:   "Kind",
		{`"kind":`, `"kind":"inclusion","kind":`}:   "kind",
		{`"root":"9:`, `"root":"09:`}:               "root",
		{`"root":"9:`, `"root":"-9:`}:               "root",
		{`"index":1`, `"index":01`}:                 "JSON",
		{`"index":1`, `"index":"1"`}:                "index",
		{`"index":1`, `"index":1000`}:               "index",
		{`,"index":1`, ``}:                          "index",
		{`"hashes":[`, `"hashes":[1,`}:              "hash",
		{`"hashes":[`, `"hashes":["ab",`}:           "hash",
		{`"hashes":[`, `"hashes":null,"ignored":[`}: "ignored",
		{`"stream":"order-1",`, ``}:                 "stream",
		{`"position":"4",`, ``}:                     "position",
		{`"specversion":"1.0",`, ``}:                "specversion",
		{`"event":{`, `"event":[],"even":{`}:        "even",
		{`{"format"`, `[{"format"`}:                 "JSON",
		{`]}`, `]} {}`}:                             "JSON",
	} {
		changed := strings.Replace(text, change[0], change[1], 1)
		if _, err := Parse([]byte(changed)); changed == text || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q for %q: %v", change[1], change[0], err)
		}
	}
	many := strings.Replace(text, `"hashes":[`, `"hashes":[`+strings.Repeat(`"`+Empty().Hash.String()+`",`, 64), 1)
	if _, err := Parse([]byte(many)); err == nil || !strings.Contains(err.Error(), "more than 64") {
		t.Error(err)
	}
	if _, err := Parse(make([]byte, MaxProofBytes+1)); annals.CodeOf(err) != annals.CodeTooLarge {
		t.Error(err)
	}
}

func TestParseRoot(t *testing.T) {
	r := Root{12, annals.Hash{1, 2}}
	if got, err := ParseRoot(r.String()); got != r || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	hash := r.Hash.String()
	for _, s := range []string{"", ":", "12", hash, "12:", "12:" + hash[1:], " 12:" + hash, "+12:" + hash, "012:" + hash, "-1:" + hash, "9223372036854775808:" + hash, "4611686018427387905:" + hash, "12:" + hash + ":", "0:" + hash} {
		if got, err := ParseRoot(s); annals.CodeOf(err) != annals.CodeInvalid {
			t.Errorf("%q is %v, %v", s, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	in, out := proofs(f)
	f.Add(in.AppendJSON(nil))
	f.Add(out.AppendJSON(nil))
	f.Add([]byte(`{"format":"annals proof 1","kind":"extension","from":"0:","root":"1:","hashes":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(p.AppendJSON(nil))
		if err != nil || !bytes.Equal(again.AppendJSON(nil), p.AppendJSON(nil)) {
			t.Fatalf("%s becomes %s, %v", p.AppendJSON(nil), again.AppendJSON(nil), err)
		}
		// A root that nobody has seen before is not trusted, whatever the proof says.
		if p.Check(Root{1 << 40, annals.Hash{1}}) == nil {
			t.Fatal("a root is trusted that the proof does not name")
		}
		_ = p.Check() // must come to an end
	})
}
