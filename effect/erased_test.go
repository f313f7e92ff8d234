package effect

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/subject/subjecttest"
)

func TestErasedEventReachesNoHandler(t *testing.T) {
	g, err := New(annals.New(nil, nil), nil) // which it must not touch
	if err != nil {
		t.Fatal(err)
	}
	e := &annals.Event{Stream: "s", Version: 1, Position: 1, ContentType: annals.ErasedContentType, Attributes: map[string]string{annals.SubjectAttribute: "p1"}}
	for _, mode := range []Mode{Live, Replay} {
		err := g.Handle(t.Context(), Handling{Handler: "h", Event: e, Mode: mode}, func(context.Context) error {
			t.Error("the handler was called")
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// A ledger is read on behind a finding whose subject was erased, and what was decided
// about it is passed over.
func TestErasedFindingInALedger(t *testing.T) {
	b := newBook("h")
	for i, e := range []annals.Event{
		{Type: RepairRequested, Data: []byte(`{"from":"1"}`)},
		{Type: DifferenceFound, ContentType: annals.ErasedContentType, Attributes: about("p1")},
		{Type: CorrectionFailed, ContentType: annals.ErasedContentType, Attributes: about("p1")},
		{Type: DifferencesRejected, Data: []byte(`{"of":[2],"reason":"why"}`)},
		{Type: DifferenceFound, Data: []byte(`{"repair":1,"difference":{"event":"s@2","call":"#1"}}`)},
	} {
		e.Stream, e.Version = RepairStream("h"), int64(i+1)
		if err := b.read(&e); err != nil {
			t.Fatalf("event %d: %v", i+1, err)
		}
	}
	if len(b.findings) != 1 || b.byID[3] != nil || b.findings[0].Event != "s@2" {
		t.Fatalf("it lists %+v", b.findings)
	}
}

// The text of a correction that failed may quote the event, and is sealed like it.
func TestFailedCorrectionNamesTheSubject(t *testing.T) {
	keyring := subjecttest.Keyring(t)
	driver, err := embedded.OpenDriver("store", &embedded.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	store := annals.New(driver, &annals.Options{Sealer: keyring})
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, e := range []annals.Event{
		{Type: RepairRequested, Data: []byte(`{"from":"1"}`)},
		{Type: DifferenceFound, Attributes: about("p1"), Data: []byte(`{"repair":1,"difference":{"event":"s@2","call":"#1"}}`)},
		{Type: DifferencesApproved, Data: []byte(`{"of":[2]}`)},
	} {
		if _, err := store.Append(t.Context(), RepairStream("h"), annals.Any, e); err != nil {
			t.Fatal(err)
		}
	}
	g, err := New(store, &Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := readBook(t.Context(), store, "h")
	if err != nil {
		t.Fatal(err)
	}
	l := &Ledger{g: g, book: b}
	if err := l.conclude(t.Context(), b.findings[0], errors.New("no such person: the secret")); err != nil {
		t.Fatal(err)
	}
	if f := b.findings[0]; f.State != Uncorrected || !strings.Contains(f.Error, "the secret") {
		t.Errorf("the finding is %+v", f)
	}
	for e, err := range annals.New(driver, nil).Stream(t.Context(), RepairStream("h"), nil) {
		if err != nil || strings.Contains(string(e.Data), "secret") {
			t.Errorf("%s is stored as %s, %v", e.Type, e.Data, err)
		}
	}
}
