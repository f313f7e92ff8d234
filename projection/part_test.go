package projection

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/eb901187/annals"
)

// byStream understands a part as the name of a stream.
func byStream(part json.RawMessage) (func(*annals.Event) bool, error) {
	name := ""
	if err := json.Unmarshal(part, &name); err != nil {
		return nil, annals.Invalid("part", "is no name: %s", part)
	}
	return func(e *annals.Event) bool { return e.Stream == name }, nil
}

// A generation of a part folds these events only, also in tables, goes on where it is
// asked for again, and gives way to a rebuild.
func TestBuildPart(t *testing.T) {
	store, views, opts := newStore(t), sqlite(t), quick()
	opts.Part = byStream
	s, stop := open(t, store, views, opts, totals("1", 1), accounts("1", 1))
	move(t, store, "account-1", 5)
	last := move(t, store, "account-2", 3)
	one, two := json.RawMessage(`"account-1"`), json.RawMessage(`"account-2"`)
	for _, name := range []string{"totals", "accounts"} {
		caughtUp(t, s, name, 1, last)
		n, err := s.BuildPart(t.Context(), name, one)
		if again, errToo := s.BuildPart(t.Context(), name, one); err != nil || errToo != nil || n != 2 || again != 2 {
			t.Fatalf("%d, %v; again %d, %v", n, err, again, errToo)
		}
		caughtUp(t, s, name, 2, last)
		if _, err := s.BuildPart(t.Context(), name, two); !errors.Is(err, annals.ErrConflict) || !strings.Contains(err.Error(), "is being built") {
			t.Fatal(err)
		}
		if _, err := s.Switch(t.Context(), name, 0, false); !errors.Is(err, annals.ErrConflict) || !strings.Contains(err.Error(), "part of the log") {
			t.Fatal(err)
		}
		if info, err := s.Show(t.Context(), name); err != nil || string(info.Building().Part) != `"account-1"` {
			t.Fatalf("%+v, %v", info, err)
		}
	}
	if got := balances(t, views.DB(), "totals_g2"); len(got) != 1 || got["account-1"] != 5 {
		t.Fatalf("%v", got)
	}
	if other := get(t, s, "accounts", "account-2", &ReadOptions{Generation: 2}); other != "" || get(t, s, "accounts", "account-1", &ReadOptions{Generation: 2}) == "" {
		t.Fatalf("the part has %s", other)
	}

	n, err := s.Rebuild(t.Context(), "totals")
	if err != nil || n != 3 {
		t.Fatal(n, err)
	}
	caughtUp(t, s, "totals", 3, last)
	if got := balances(t, views.DB(), "totals_g3"); len(got) != 2 {
		t.Fatalf("%v", got)
	}
	partsBeside(t, s, stop, two)

	// A Set that does not understand parts leaves them alone.
	plain, _ := open(t, store, views, quick(), accounts("1", 1))
	last = move(t, store, "account-2", 1)
	caughtUp(t, plain, "accounts", 1, last)
	if status, err := plain.Status(t.Context(), "accounts@3"); err != nil || status.Position >= last {
		t.Fatalf("%+v, %v", status, err)
	}
	for _, s := range []*Set{plain, s} {
		if _, err := s.BuildPart(t.Context(), "accounts", json.RawMessage(`1`)); !errors.Is(err, annals.ErrInvalid) {
			t.Fatal(err)
		}
	}
}

// partsBeside builds a part of a projection that has changed: it does not stand for the
// view.
func partsBeside(t *testing.T, s *Set, stop func(), part json.RawMessage) {
	t.Helper()
	if err := errors.Join(s.Delete(t.Context(), "accounts", 2), s.Define(accounts("2", 2))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.BuildPart(t.Context(), "accounts", part); err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := Open(t.Context(), s.store, s.views, []*Projection{accounts("2", 2)}, &s.opts); !errors.Is(err, annals.ErrInvalid) {
		t.Fatal(err)
	}
}
