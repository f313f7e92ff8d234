package viewtest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// scrubClauses hold of a view.Scrubber; other Stores pass them.
var scrubClauses = []clause{
	{"scrubbing keeps what there is, also what is written meanwhile", func(t *testing.T, s view.Store) {
		scrubber, ok := s.(view.Scrubber)
		if !ok {
			return
		}
		mustPut(t, s, puts("a", 50)...)
		mustPut(t, s, puts("b", 50)...)
		if err := s.Drop(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		var writing sync.WaitGroup
		writing.Go(func() {
			for i := range 20 {
				if err := s.Commit(t.Context(), view.Change{Put: []view.Put{put("c", numbered(i), `1`)}}); err != nil {
					t.Errorf("writing meanwhile: %v", err)
				}
			}
		})
		for range 2 {
			if err := scrubber.Scrub(t.Context()); err != nil {
				t.Error(err)
			}
		}
		writing.Wait()
		wantKeys(t, s.Scan(t.Context(), "a", view.Range{}), numberedKeys(50)...)
		wantKeys(t, s.Scan(t.Context(), "b", view.Range{}))
		wantKeys(t, s.Scan(t.Context(), "c", view.Range{}), numberedKeys(20)...)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		wantError(t, scrubber.Scrub(ended), context.Canceled)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := scrubber.Scrub(t.Context()); !errors.Is(err, annals.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}},
}
