package effect_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
)

// JSON as deep as an event may be is deeper than the journal can keep as JSON.
func TestDeepJSON(t *testing.T) {
	deep := strings.Repeat("[", annals.MaxJSONDepth) + strings.Repeat("]", annals.MaxJSONDepth)
	o := newOutside(t, func(w http.ResponseWriter, _ *http.Request, body string, _ int) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, body)
	})
	got := twice(t, o, nil, func(ctx context.Context) (string, error) {
		_, text, err := ask(ctx, once(), http.MethodPost, o.URL, deep)
		return text, err
	})
	if got != deep {
		t.Error(got)
	}
}

// Waiting does not help where the journal can't keep a request: its event is parked,
// and others go on.
func TestRequestThatTheJournalRefuses(t *testing.T) {
	store, o := openStore(t), newOutside(t, nil)
	err := newGateway(t, store, nil).Handle(t.Context(), effect.Handling{Handler: "h", Event: place(t, store, "order-7")}, func(ctx context.Context) error {
		_, _, err := ask(ctx, once(), http.MethodGet, o.URL+"/?a="+strings.Repeat("a", annals.MaxDataBytes), "")
		if err != nil { // a handler that does not give up
			_, _, _ = ask(ctx, once(), http.MethodPost, o.URL, "")
		}
		return nil
	})
	if !errors.Is(err, annals.ErrTooLarge) || consumer.Waits(err) || len(o.sent()) != 0 {
		t.Errorf("%v; sent %d", err, len(o.sent()))
	}
}
