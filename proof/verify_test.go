package proof

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/eb901187/annals"
)

// said are the findings of a report, one a line.
func said(r Report) string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}

func verify(t testing.TB, store *annals.Store, root Root, opts *VerifyOptions) Report {
	t.Helper()
	r, err := Verify(t.Context(), store, root, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func witness(t testing.TB, store *annals.Store, size, block int64) *Witness {
	t.Helper()
	w, err := MakeWitness(t.Context(), store, size, block, nil)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// A log that is as it was fits every older root, and every witness.
func TestVerifyOfAWholeLog(t *testing.T) {
	for name, l := range map[string]*ledger{"shop": shop(), "long": long(2*blockSize + 30), "empty": {}} {
		store := l.store()
		end, err := store.End(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range borders(end) {
			root, err := NewTree(store, nil).Root(t.Context(), size)
			if err != nil {
				t.Fatal(err)
			}
			if r := verify(t, store, root, nil); !r.OK() || r.Root != root || r.Events != end || r.Commits != int64(len(l.commits)) {
				t.Errorf("%s at %d: %+v", name, size, r)
			}
			for _, block := range []int64{1, 4, DefaultWitnessBlock, MaxWitnessBlock} {
				w := witness(t, store, size, block)
				if r := verify(t, store, root, &VerifyOptions{Witness: w}); !r.OK() || r.Root != root || w.Root != root {
					t.Errorf("%s at %d in blocks of %d: %+v", name, size, block, r)
				}
			}
		}
	}
}

// A tampering is done to shop, whose root is of all ten events but where size says else.
type tampering struct {
	do   func(l *ledger)
	size int64
	// want is what is found with the root alone, with the last line of the root's own
	// difference left out; witnessed, what is found besides with a witness of 2 events.
	want, witnessed string
}

var tamperings = map[string]tampering{
	"a changed byte": {
		do:        func(l *ledger) { l.commits[0].Events[0].Data[6] ^= 1 },
		want:      "order-1@1 (position 1): changed: its hash is",
		witnessed: "positions 1 to 2: changed",
	},
	"a changed byte of a commit of two": {
		do:        func(l *ledger) { l.commits[2].Events[1].Data[6] ^= 1 },
		want:      "order-1@2 to 3 (positions 3 to 4): changed: its hash is",
		witnessed: "positions 3 to 4: changed",
	},
	"a changed byte of a stream's last commit": {
		do: func(l *ledger) { l.commits[6].Events[0].Data[6] ^= 1 }, witnessed: "positions 9 to 10: changed",
	},
	"a changed time": {
		do:   func(l *ledger) { l.commits[3].Events[0].Time = l.commits[3].Events[0].Time.Add(1) },
		want: "order-3@1 to 2 (positions 5 to 6): changed: its hash is", witnessed: "positions 5 to 6: changed",
	},
	"another hash": {
		do:   func(l *ledger) { l.commits[0].Previous[0] = 1 },
		want: "order-1@1 (position 1): changed: it names a commit before it|order-1@1 (position 1): changed: its hash is", witnessed: "positions 1 to 2: changed",
	},
	"a removed commit": {
		do:        func(l *ledger) { l.commits = slices.Delete(l.commits, 2, 3) },
		want:      "positions 3 to 4: missing: the log goes on with order-3@1 to 2 at position 5|order-1@2 to 3: missing: the stream goes on with version 4 at position 8",
		witnessed: "positions 3 to 4: changed",
	},
	"a removed commit, positions made to fit": {
		do: func(l *ledger) {
			l.commits = slices.Delete(l.commits, 4, 5)
			for _, c := range l.commits[4:] {
				for i := range c.Events {
					c.Events[i].Position--
				}
			}
		},
		want:      "order-2@2: missing: the stream goes on with version 3 at position 9|position 10: missing: the root is of 10 events",
		witnessed: "positions 7 to 8: changed",
	},
	"a removed commit, all numbers made to fit": {
		do:        func(l *ledger) { l.commits = slices.Delete(l.commits, 4, 5); l.renumber(false) },
		want:      "order-2@1 (position 2): changed: its hash is|position 10: missing",
		witnessed: "positions 7 to 8: changed",
	},
	"a removed commit, hashes made to fit too": {
		do:        func(l *ledger) { l.commits = slices.Delete(l.commits, 4, 5); l.renumber(true) },
		want:      "position 10: missing",
		witnessed: "positions 7 to 8: changed",
	},
	"a removed first commit": {
		do:        func(l *ledger) { l.commits = slices.Delete(l.commits, 0, 1) },
		want:      "position 1: missing|order-1@1: missing",
		witnessed: "positions 1 to 2: changed",
	},
	"a removed end": {
		do:   func(l *ledger) { l.commits = l.commits[:6] },
		want: "positions 9 to 10: missing: the root is of 10 events, and the log ends here",
	},
	"a removed event of a commit": {
		do:        func(l *ledger) { l.commits[2].Events = l.commits[2].Events[:1] },
		want:      "position 4: missing|order-1@3: missing",
		witnessed: "positions 3 to 4: changed",
	},
	"a reordered pair of one stream": {
		do:        func(l *ledger) { swap(l, 0, 5) },
		want:      "order-1@2 to 3 (positions 3 to 4): out of order: it stands behind version 4|order-1@1 (position 8): out of order",
		witnessed: "positions 1 to 2: changed|positions 7 to 8: changed",
	},
	"a reordered pair of one stream, versions made to fit": {
		do:        func(l *ledger) { swap(l, 0, 5); l.renumber(false) },
		want:      "order-1@1 (position 1): changed: it names a commit before it|order-1@1 (position 1): changed: its hash is|order-1@2 to 3 (positions 3 to 4): changed",
		witnessed: "positions 1 to 2: changed|positions 7 to 8: changed",
	},
	"a reordered pair of two streams": {
		do: func(l *ledger) { swap(l, 6, 7) }, witnessed: "positions 9 to 10: changed",
	},
	"a pair reordered with its positions": {
		do:        func(l *ledger) { l.commits[3], l.commits[4] = l.commits[4], l.commits[3] },
		want:      "order-3@1 to 2 (positions 5 to 6): out of order: it stands where position 8 is to be",
		witnessed: "positions 5 to 6: changed",
	},
	"a repeated commit": {
		do: func(l *ledger) {
			l.commits = append(l.commits, l.commits[1])
			l.commits[8].Events = slices.Clone(l.commits[8].Events)
			l.commits[8].Events[0].Position = 11
		},
		want: "order-2@1 (position 11): out of order: it stands behind version 3 of its stream, which is at position 10",
	},
	"a tail rewritten with a whole chain": {
		do: func(l *ledger) { l.commits[5].Events[0].Type = "other"; l.renumber(true) }, witnessed: "positions 7 to 8: changed",
	},
	"a log that was written anew": {
		do: func(l *ledger) { l.commits[0].Events[0].ID = "other"; l.renumber(true) }, size: 9,
		witnessed: "positions 1 to 4: changed|positions 7 to 8: changed",
	},
	"the past of an older root": {
		do: func(l *ledger) { l.commits[7].Events[0].Type = "other" }, size: 9, witnessed: "-",
	},
	"what the driver refuses": {
		do: func(l *ledger) {
			l.broken = &annals.Error{Code: annals.CodeDamaged, Message: "a bad sector"}
			l.commits = l.commits[:5]
		},
		want: "position 8: unreadable: annals: a bad sector",
	},
}

// swap exchanges two commits, which take each other's positions.
func swap(l *ledger, i, j int) {
	l.commits[i], l.commits[j] = l.commits[j], l.commits[i]
	position := int64(0)
	for _, c := range l.commits {
		for k := range c.Events {
			position++
			c.Events[k].Position = position
		}
	}
}

// Each tampering is named where it can be told.
func TestVerifyNamesEachTampering(t *testing.T) {
	const fromRoot = ": changed: this is not what the root was made of"
	for name, c := range tamperings {
		t.Run(name, func(t *testing.T) {
			l := shop()
			size := max(c.size, 10)
			if c.size > 0 {
				size = c.size
			}
			w := witness(t, l.store(), size, 2)
			c.do(l)
			if c.witnessed == "-" {
				if r := verify(t, l.store(), w.Root, &VerifyOptions{Witness: w}); !r.OK() {
					t.Fatalf("found\n%s", said(r))
				}
				return
			}
			lines := strings.Split(strings.TrimSpace(said(verify(t, l.store(), w.Root, nil))), "\n")
			if last := len(lines) - 1; strings.HasPrefix(lines[last], fmt.Sprintf("positions 1 to %d"+fromRoot, size)) {
				lines = lines[:last]
			}
			wantLines(t, c.want, lines)
			lines = strings.Split(strings.TrimSpace(said(verify(t, l.store(), w.Root, &VerifyOptions{Witness: w}))), "\n")
			lines = slices.DeleteFunc(lines, func(line string) bool { return !strings.Contains(line, fromRoot) })
			wantLines(t, c.witnessed, lines)
		})
	}
}

func wantLines(t *testing.T, want string, lines []string) {
	t.Helper()
	parts := strings.Split(want, "|")
	if want == "" {
		parts = nil
	}
	same := len(parts) == len(lines)
	for i := 0; same && i < len(parts); i++ {
		same = strings.HasPrefix(lines[i], parts[i])
	}
	if !same {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(parts, "\n"))
	}
}

// With blocks of one event each that changed is named, with its stream.
func TestVerifyNamesEventsWithASmallWitness(t *testing.T) {
	l := shop()
	w := witness(t, l.store(), 10, 1)
	swap(l, 6, 7)
	l.commits[4].Events[0].Type, l.commits[7].Events[0].ID = "other", "other"
	l.renumber(true)
	r := verify(t, l.store(), w.Root, &VerifyOptions{Witness: w})
	wantLines(t, "order-2@2 (position 7): changed|positions 9 to 10: changed", strings.Split(strings.TrimSpace(said(r)), "\n"))
}

// Commits of an earlier format are counted, and held by the one behind them.
func TestVerifyCountsUnchainedCommits(t *testing.T) {
	l := shop()
	for i := range 3 {
		l.commits[i].Unchained = true
	}
	l.renumber(true)
	for i := range 3 {
		l.commits[i].Previous = annals.Hash{}
	}
	l.commits[5].Previous = l.commits[2].Hash()
	root := rootOf(t, l.store())
	r := verify(t, l.store(), root, nil)
	if !r.OK() || r.Unchained != 3 || r.LastUnchained != 4 || r.Streams != 3 {
		t.Fatalf("%+v", r)
	}
	l.commits[2].Events[0].Type = "other"
	r = verify(t, l.store(), root, nil)
	if !strings.HasPrefix(said(r), "order-1@2 to 3 (positions 3 to 4): changed: its hash is") {
		t.Fatal(said(r))
	}
}

func TestVerifyBoundsItsReport(t *testing.T) {
	l := long(6 * blockSize)
	root := rootOf(t, l.store())
	for i := range l.commits {
		l.commits[i].Previous[0] ^= 1
	}
	r := verify(t, l.store(), root, nil)
	if len(r.Findings) != maxFindings || r.Unlisted == 0 || r.OK() {
		t.Fatalf("%d findings, %d more", len(r.Findings), r.Unlisted)
	}
}

func TestVerifyRefuses(t *testing.T) {
	l := shop()
	w := witness(t, l.store(), 10, 2)
	changed := *w
	changed.Hashes = slices.Clone(w.Hashes)
	changed.Hashes[1][0] ^= 1
	nine, err := NewTree(l.store(), nil).Root(t.Context(), 9)
	if err != nil {
		t.Fatal(err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for what, c := range map[string]struct {
		ctx   context.Context
		store *annals.Store
		root  Root
		w     *Witness
		want  annals.Code
	}{
		"a witness of another root": {t.Context(), l.store(), nine, w, annals.CodeInvalid},
		"a changed witness":         {t.Context(), l.store(), w.Root, &changed, annals.CodeInvalid},
		"a store without hashes":    {t.Context(), annals.New(struct{ annals.Driver }{l}, nil), w.Root, nil, annals.CodeUsage},
		"an interrupt":              {canceled, l.store(), w.Root, nil, annals.CodeCanceled},
	} {
		if _, err := Verify(c.ctx, c.store, c.root, &VerifyOptions{Witness: c.w}); annals.CodeOf(err) != c.want {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestWitnessAsText(t *testing.T) {
	w := witness(t, shop().store(), 9, 4)
	var b bytes.Buffer
	if err := w.Write(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "witness.txt", b.Bytes())
	got, err := ReadWitness(bytes.NewReader(b.Bytes()))
	if err != nil || got.Root != w.Root || got.Block != 4 || !slices.Equal(got.Hashes, w.Hashes) {
		t.Fatalf("%+v, %v", got, err)
	}
	for i := range b.Len() * 8 {
		text := bytes.Clone(b.Bytes())
		text[i/8] ^= 1 << (i % 8)
		if got, err := ReadWitness(bytes.NewReader(text)); err == nil && (got.Root != w.Root || got.Block != 4 || !slices.Equal(got.Hashes, w.Hashes)) {
			t.Errorf("accepted: %s", text)
		}
	}
	for _, text := range []string{"", "annals witness 1\n", "annals witness 1\nroot " + w.Root.String() + "\n", strings.TrimSuffix(b.String(), w.Hashes[2].String()+"\n")} {
		if _, err := ReadWitness(strings.NewReader(text)); !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, block := range []int64{-1, 0, 3, 2 * MaxWitnessBlock} {
		if _, err := MakeWitness(t.Context(), shop().store(), 9, block, nil); !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("block %d: %v", block, err)
		}
	}
	if _, err := MakeWitness(t.Context(), shop().store(), 11, 2, nil); !errors.Is(err, annals.ErrNotFound) {
		t.Error(err)
	}
}
