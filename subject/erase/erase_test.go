package erase_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/subject"
	"github.com/eb901187/annals/subject/erase"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/pebbleview"
	"github.com/eb901187/annals/view/sqlview/connect"
)

func pebbleViews(t *testing.T, dir string) view.Store {
	s, err := pebbleview.Open(dir, &pebbleview.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sqliteViews(t *testing.T, dir string) view.Store {
	s, err := connect.Open(t.Context(), "sqlite:"+dir+".db")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestErasedDataIsInNoFile(t *testing.T) {
	for name, views := range map[string]func(*testing.T, string) view.Store{"pebble": pebbleViews, "SQLite": sqliteViews} {
		t.Run(name, func(t *testing.T) {
			p := inDirectory(t, views)
			w := p.open(t)
			w.live(t)
			before := hashes(t, w.store)
			w.end()
			if len(found(t, p.dir, secretOfP1)) == 0 {
				t.Fatal("the views don't hold the secret: this test shows nothing")
			}
			w = p.open(t)
			receipt, err := w.erase(t, "p1", nil)
			if err != nil {
				t.Fatal(err)
			}
			wantReceipt(t, &receipt)
			if after := hashes(t, w.store); !slices.Equal(after[:len(before)], before) {
				t.Fatal("the hashes of the commits are others than before")
			}
			w.wantErased(t)
			if left := found(t, p.dir, secretOfP1); len(left) > 0 {
				t.Fatalf("the secret is in %v, while all is open", left)
			}
			w.end()
			if left := found(t, p.dir, secretOfP1); len(left) > 0 {
				t.Fatalf("the secret is in %v", left)
			}
			if len(found(t, p.dir, secretOfP2)) == 0 {
				t.Fatal("the other subject's data is gone from the views")
			}
			report, err := embedded.Verify(filepath.Join(p.dir, "store"), &embedded.Options{Logger: quiet})
			if err != nil || len(report.Problems) > 0 {
				t.Fatalf("verify: %+v, %v", report, err)
			}
		})
	}
}

// hashes are those of all commits.
func hashes(t *testing.T, s *annals.Store) (all []annals.Hash) {
	t.Helper()
	for c, err := range s.Chain(t.Context(), 0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c.Hash())
	}
	return all
}

func wantReceipt(t *testing.T, r *subject.Receipt) {
	t.Helper()
	outcomes := map[string]subject.Outcome{}
	for _, v := range r.Views {
		outcomes[v.Projection] = v.Outcome
		if v.Outcome == subject.Rebuilt && (v.Generation < 2 || len(v.Deleted) == 0) {
			t.Errorf("%+v", v)
		}
	}
	for name, want := range map[string]subject.Outcome{"people": subject.Rebuilt, "counts": subject.Rebuilt, "state": subject.Rebuilt, "picky": subject.Rebuilt, "others": subject.Untouched} {
		if outcomes[name] != want {
			t.Errorf("projection %s: %s, want %s", name, outcomes[name], want)
		}
	}
	copies := map[string]int64{}
	for _, c := range r.Copies {
		copies[c.Kind] = c.Events
	}
	if !r.Complete || r.Key.State != subject.Destroyed || r.Key.Fingerprint == "" || r.Events != 2 || r.Streams != 2 || len(r.ByStream) != 2 ||
		r.Edits < 1 || r.LogEnd == 0 || r.Done.IsZero() || len(r.NotCovered) == 0 || copies["annals.snapshots"] != 1 || copies["annals.effects"] != 2 {
		t.Errorf("the receipt is %+v", r)
	}
	text, err := json.Marshal(r)
	if err != nil || strings.Contains(string(text), secretOfP1) {
		t.Errorf("the receipt says %s, %v", text, err)
	}
}

// wantErased looks at everything that the other programs would see.
func (w *world) wantErased(t *testing.T) {
	t.Helper()
	gone := 0
	for e, err := range w.store.Log(t.Context(), annals.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Erased() != (e.Subject() == "p1") || strings.Contains(string(e.Data), secretOfP1) {
			t.Errorf("%s@%d reads as %+v", e.Stream, e.Version, e)
		}
		if e.Erased() {
			gone++
		}
		if strings.HasPrefix(e.Stream, "person-p2") && !strings.Contains(string(e.Data), secretOfP2) {
			t.Errorf("the other subject's %s@%d reads as %s", e.Stream, e.Version, e.Data)
		}
	}
	if gone != 5 { // two events, a snapshot, two of the journal
		t.Errorf("%d events are erased, want 5", gone)
	}
	for name, want := range map[string]string{"p1": "", "p2": secretOfP2} {
		at, err := accounts(t, w.store).Load(t.Context(), name)
		if err != nil || at.Version != 1 || len(at.State.Names) != 1 || at.State.Names[0] != want {
			t.Errorf("account %s loads as %+v, %v", name, at, err)
		}
		calls := 0
		for entry, err := range effect.Entries(t.Context(), w.store, effect.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			if entry.Event == "person-"+name+"@1" {
				calls++
			}
		}
		if (calls == 1) != (want != "") {
			t.Errorf("the journal has %d calls about %s", calls, name)
		}
	}
	w.wantViews(t)
	again := about("p1", "named", "person-named", secretOfP1)
	for _, id := range []string{"named", "another"} {
		again.ID = id
		if _, err := w.store.Append(t.Context(), "person-p1", annals.Any, again); annals.CodeOf(err) != annals.CodeErased {
			t.Errorf("appending %s for an erased subject: %v", id, err)
		}
	}
}

func (w *world) wantViews(t *testing.T) {
	t.Helper()
	if _, _, err := w.set.Get(t.Context(), "people", secretOfP1, nil); !errors.Is(err, annals.ErrNotFound) {
		t.Errorf("the document of the erased: %v", err)
	}
	for key, want := range map[string]string{"person-p1": `{"erased":true,"last":null,"n":1}`, "person-p2": `{"erased":null,"last":"` + secretOfP2 + `","n":1}`} {
		doc, _, err := w.set.Get(t.Context(), "counts", key, nil)
		if err != nil || string(doc.Data) != want {
			t.Errorf("counts of %s: %s, %v", key, doc.Data, err)
		}
	}
	if _, _, err := w.set.Get(t.Context(), "state", "person-p1", nil); !errors.Is(err, annals.ErrNotFound) {
		t.Errorf("the state of an erased stream: %v", err)
	}
	if doc, _, err := w.set.Get(t.Context(), "state", "person-p2", nil); err != nil || string(doc.Data) != `{"name":"`+secretOfP2+`"}` {
		t.Errorf("the other state: %s, %v", doc.Data, err)
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	w := inDirectory(t, pebbleViews).open(t)
	w.live(t)
	end, err := w.store.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	do, err := erase.New(erase.Options{Store: w.store, Keys: w.keyring, Views: w.set})
	if err != nil {
		t.Fatal(err)
	}
	r, err := do(t.Context(), subject.Request{Subject: "p1", DryRun: true})
	if err != nil || r.Key.State != subject.Active || r.Events != 2 || !r.DryRun || r.Complete || !slices.ContainsFunc(r.Views, func(v subject.ViewReceipt) bool { return v.Outcome == subject.Planned }) {
		t.Fatalf("%+v, %v", r, err)
	}
	if now, err := w.store.End(t.Context()); err != nil || now != end {
		t.Fatalf("the log ends at %d, and ended at %d, %v", now, end, err)
	}
	for e, err := range w.store.Stream(t.Context(), "person-p1", nil) {
		if err != nil || !strings.Contains(string(e.Data), secretOfP1) {
			t.Fatalf("%s, %v", e.Data, err)
		}
	}
}

var errCrash = errors.New("the process is killed")

// crashes are the steps at which a process dies, and for the how manieth time.
var crashes = []struct {
	step erase.Step
	time int
}{
	{erase.StepFencing, 1}, {erase.StepBegun, 1}, {erase.StepDestroying, 1}, {erase.StepSearching, 1}, {erase.StepForgetting, 1}, {erase.StepRebuilding, 1},
	{erase.StepRebuilding, 2}, {erase.StepSwitching, 1}, {erase.StepDeleting, 1}, {erase.StepDeleting, 3}, {erase.StepScrubbing, 1}, {erase.StepDone, 1},
}

// A process that dies at any step leaves what another one ends the same.
func TestCrashAtEveryStepOfAnErasure(t *testing.T) {
	for _, crash := range crashes {
		p := inDirectory(t, pebbleViews)
		w := p.open(t)
		w.live(t)
		times := 0
		_, err := w.erase(t, "p1", func(s erase.Step) error {
			if s == crash.step {
				times++
			}
			if times == crash.time {
				return errCrash
			}
			return nil
		})
		w.end()
		if !errors.Is(err, errCrash) {
			t.Fatalf("%s: %v", crash.step, err)
		}
		w = p.open(t)
		receipt, err := w.erase(t, "p1", nil)
		if err != nil || !receipt.Complete || receipt.Events != 2 {
			t.Fatalf("again behind %s: %+v, %v", crash.step, receipt, err)
		}
		w.wantErased(t)
		w.end()
		if left := found(t, p.dir, secretOfP1); len(left) > 0 {
			t.Fatalf("behind %s the secret is in %v", crash.step, left)
		}
	}
}

// A view that only another program can build is named, and so is one that can't go live.
func TestViewsThatAreLeftAreNamed(t *testing.T) {
	p := inDirectory(t, pebbleViews)
	w := p.open(t)
	w.live(t)
	w.end()
	w = p.open(t)
	other, err := projection.Open(t.Context(), w.store, w.views, nil, &projection.Options{})
	if err != nil {
		t.Fatal(err)
	}
	do, err := erase.New(erase.Options{Store: w.store, Keys: w.keyring, Views: other})
	if err != nil {
		t.Fatal(err)
	}
	r, err := do(t.Context(), subject.Request{Subject: "p1"})
	if err != nil || r.Complete || len(r.Views) != len(files)+1 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, v := range r.Views {
		if v.Outcome != subject.Left || v.Note == "" {
			t.Errorf("%+v", v)
		}
	}
	if again, err := w.erase(t, "p1", nil); err != nil || !again.Complete {
		t.Fatalf("by the program that has them: %+v, %v", again, err)
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	if _, err := erase.New(erase.Options{}); !errors.Is(err, annals.ErrInvalid) {
		t.Fatal(err)
	}
	w := inDirectory(t, pebbleViews).open(t)
	do, err := erase.New(erase.Options{Store: w.store, Keys: w.keyring})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []subject.Request{{}, {Subject: "a\n"}, {Subject: "p", Reason: strings.Repeat("x", 2000)}} {
		if _, err := do(t.Context(), bad); !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("%.20q: %v", bad.Subject, err)
		}
	}
	if r, err := do(t.Context(), subject.Request{Subject: "nobody knows"}); err != nil || !r.Complete || r.Events != 0 || r.Key.State != subject.Destroyed || r.Key.Fingerprint != "" {
		t.Errorf("%+v, %v", r, err)
	}
}
