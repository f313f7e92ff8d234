package robust

import (
	"errors"
	"testing"

	"github.com/eb901187/annals"
)

// A commit that is stored in part is refused by the same id wherever it is sent: the
// first that the stream has. A client sends each event with a time, so that a server
// takes the first event whose author gave none for another one.
func TestPartlyStoredCommitsAreNamedByTheirFirstEvent(t *testing.T) {
	plain := newEmbedded(t, "embedded", nil)
	for _, w := range []*world{plain, overHTTP(t, newEmbedded(t, "server", nil))} {
		given := []annals.Event{{ID: "1", Type: "t", Time: w.at.options().Clock()}, {ID: "2", Type: "t"}, {ID: "3", Type: "t"}}
		if _, err := w.store.Append(t.Context(), "a", 0, given[:2]...); err != nil {
			t.Fatal(err)
		}
		w.at.next()
		for _, expected := range []int64{annals.Any, 0, 2} {
			_, err := w.store.Append(t.Context(), "a", expected, given...)
			var duplicate *annals.DuplicateError
			if !errors.As(err, &duplicate) || duplicate.ID != "1" || duplicate.Version != 1 {
				t.Errorf("on %s at %d: %v", w.name, expected, err)
			}
		}
	}
}
