package projection

import (
	"context"
	"errors"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// undropped is a view store that can't drop a space while it is broken.
type undropped struct {
	view.Store
	broken bool
}

func (u *undropped) Drop(ctx context.Context, space string) error {
	if u.broken {
		return errors.New("it can't be dropped")
	}
	return u.Store.Drop(ctx, space)
}

// A deletion that was broken off is finished by the next, also of the same generation.
func TestDeleteOfWhatIsBeingDeleted(t *testing.T) {
	store, views := newStore(t), &undropped{Store: newViews(t)}
	s, err := Open(t.Context(), store, views, []*Projection{accounts("1", 1)}, quick())
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Define(accounts("2", 1))
	n, err := s.Rebuild(t.Context(), "accounts")
	if err != nil {
		t.Fatal(err)
	}
	views.broken = true
	for range 2 {
		if err := s.Delete(t.Context(), "accounts", n); err == nil || errors.Is(err, annals.ErrNotFound) {
			t.Fatalf("what can't be dropped: %v", err)
		}
	}
	views.broken = false
	if err := s.Delete(t.Context(), "accounts", n); err != nil {
		t.Fatal(err)
	}
	if info, err := s.Show(t.Context(), "accounts"); err != nil || len(info.Generations) != 1 {
		t.Errorf("%+v, %v", info.Generations, err)
	}
	if err := s.Delete(t.Context(), "accounts", n); !errors.Is(err, annals.ErrNotFound) {
		t.Errorf("what is gone: %v", err)
	}
}
