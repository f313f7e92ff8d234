package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/pebbleview"
)

// amounts keeps the amounts of each account by its name in the data, which may be
// any text.
const amounts = `name: amounts
key: .data.name
fold: {moved: '{sum: ((.sum // 0) + $event.data.amount)}'}
`

// serveProjections starts a server that keeps the view of amounts.
func serveProjections(t *testing.T, wrap func(http.Handler) http.Handler) (*Projections, *annals.Store) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	store, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem(), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	p, err := projection.Parse("amounts.yaml", []byte(amounts))
	if err != nil {
		t.Fatal(err)
	}
	views := pebbleview.Memory()
	set, err := projection.Open(t.Context(), store, views, []*projection.Projection{p}, &projection.Options{
		Poll: time.Millisecond, Consumer: consumer.Options{Poll: time.Millisecond, Logger: quiet},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- set.Run(ctx) }()
	handler := httpapi.New(store, &httpapi.Options{Logger: quiet, Projections: set})
	if wrap != nil {
		handler = wrap(handler)
	}
	server := httptest.NewServer(handler)
	c, err := OpenProjections(server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		stop()
		<-ended
		if err := errors.Join(c.Close(), views.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return c, store
}

// moved appends an event about a name and returns its position.
func moved(t *testing.T, store *annals.Store, name, amount string) int64 {
	t.Helper()
	c, err := store.Append(t.Context(), "s", annals.Any, annals.Event{Type: "moved", Data: fmt.Appendf(nil, `{"name":%q,"amount":%s}`, name, amount)})
	if err != nil {
		t.Fatal(err)
	}
	return c.Position
}

func TestDocumentsOfAServer(t *testing.T) {
	p, store := serveProjections(t, nil)
	names := []string{"a b?c#d", "a/../b", "a/b", "ä%2F"}
	last := int64(0)
	for _, name := range names {
		last = moved(t, store, name, "7")
	}
	read := &ReadOptions{ReadOptions: projection.ReadOptions{Wait: last}}
	for n, name := range names {
		doc, at, err := p.Document(t.Context(), "amounts", name, read)
		if err != nil || string(doc.Data) != `{"sum":7}` || doc.Key != name || doc.Position != int64(n+1) || at != (projection.Snapshot{Generation: 1, Position: last}) {
			t.Errorf("%q: %+v, %+v, %v", name, doc, at, err)
		}
	}
	page, err := p.Documents(t.Context(), "amounts", view.Range{Prefix: "a", After: names[0], Limit: 1}, read)
	if err != nil || len(page.Documents) != 1 || page.Documents[0].Key != names[1] || page.Next != names[1] || page.Position != last {
		t.Errorf("%+v, %v", page, err)
	}
	if _, _, err := p.Document(t.Context(), "amounts", "none", nil); !errors.Is(err, annals.ErrNotFound) {
		t.Errorf("no document: %v", err)
	}
	late := &ReadOptions{ReadOptions: projection.ReadOptions{Wait: last + 1}, Patience: time.Second}
	if _, _, err := p.Document(t.Context(), "amounts", names[0], late); annals.CodeOf(err) != annals.CodeTimeout {
		t.Errorf("a position that does not come: %v", err)
	}
	state, err := p.State(t.Context(), "s", 2, time.Time{}, "")
	if err != nil || state.Version != 2 || string(state.State) != `{"amount":7,"name":"a/../b"}` {
		t.Errorf("%+v, %v", state, err)
	}
	if _, err := p.State(t.Context(), "s", 0, time.Unix(1, 0), "amounts"); !errors.Is(err, annals.ErrNotFound) {
		t.Errorf("a state before the first event: %v", err)
	}
}

func TestProjectionsOfAServer(t *testing.T) {
	p, store := serveProjections(t, nil)
	ctx := t.Context()
	last := moved(t, store, "a", "7")
	all, err := p.List(ctx)
	if err != nil || len(all) != 1 || all[0].Live != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	if info, err := p.Rebuild(ctx, "amounts"); err != nil || info.Building() == nil || info.Building().Number != 2 {
		t.Fatalf("%+v, %v", info, err)
	}
	read := &ReadOptions{ReadOptions: projection.ReadOptions{Wait: last, Generation: 2}}
	if _, err := p.Documents(ctx, "amounts", view.Range{}, read); err != nil {
		t.Fatal(err)
	}
	read.Generation = 1
	if _, err := p.Documents(ctx, "amounts", view.Range{}, read); err != nil {
		t.Fatal(err)
	}
	if diff, err := p.Diff(ctx, "amounts", 2, 1, 5); err != nil || diff.Same != 1 || diff.A.Generation != 2 || len(diff.Differences) != 0 {
		t.Fatalf("%+v, %v", diff, err)
	}
	plan, err := p.PlanSwitch(ctx, "amounts", 0, false)
	if err != nil || len(plan.Changes) != 2 {
		t.Fatalf("%+v, %v", plan, err)
	}
	if _, err := p.Switch(ctx, "amounts", 3, true); !errors.Is(err, annals.ErrConflict) {
		t.Fatal(err)
	}
	if info, err := p.Switch(ctx, "amounts", plan.NextLive(), true); err != nil || info.Live != 2 {
		t.Fatalf("%+v, %v", info, err)
	}
	if plan, err := p.PlanRollback(ctx, "amounts", false); err != nil || len(plan.Changes) != 2 {
		t.Fatalf("%+v, %v", plan, err)
	}
	if info, err := p.Rollback(ctx, "amounts", false); err != nil || info.Live != 1 {
		t.Fatalf("%+v, %v", info, err)
	}
	if _, err := p.Rollback(ctx, "amounts", false); !errors.Is(err, annals.ErrConflict) || strings.Contains(err.Error(), `stream ""`) {
		t.Fatalf("nothing to roll back to: %v", err)
	}
	if plan, err := p.PlanDelete(ctx, "amounts", 2); err != nil || len(plan.Changes) != 1 {
		t.Fatalf("%+v, %v", plan, err)
	}
	if info, err := p.Delete(ctx, "amounts", 2); err != nil || len(info.Generations) != 1 {
		t.Fatalf("%+v, %v", info, err)
	}
	if info, err := p.Pause(ctx, "amounts"); err != nil || info.Generations[0].Status.State != consumer.Paused {
		t.Fatalf("%+v, %v", info, err)
	}
	if info, err := p.Resume(ctx, "amounts"); err != nil || info.Name != "amounts" {
		t.Fatalf("%+v, %v", info, err)
	}
	if plan, err := p.PlanDelete(ctx, "amounts", 0); err != nil || len(plan.Changes) != 1 {
		t.Fatalf("%+v, %v", plan, err)
	}
	if info, err := p.Delete(ctx, "amounts", 0); err != nil || len(info.Generations) != 0 {
		t.Fatalf("%+v, %v", info, err)
	}
	if _, err := p.Show(ctx, "none/../amounts"); !errors.Is(err, annals.ErrInvalid) {
		t.Fatalf("a name that is a path: %v", err)
	}
}

func TestParkedOfAServer(t *testing.T) {
	p, store := serveProjections(t, nil)
	ctx := t.Context()
	for _, amount := range []string{`"x"`, `"y"`, "3"} {
		moved(t, store, "a", amount)
	}
	read := &ReadOptions{ReadOptions: projection.ReadOptions{Wait: 3}}
	if _, err := p.Documents(ctx, "amounts", view.Range{}, read); err != nil {
		t.Fatal(err)
	}
	page, err := p.Parked(ctx, "amounts", 0, 2)
	if err != nil || page.Consumer != "amounts@1" || len(page.Parked) != 2 || page.Next != 2 {
		t.Fatalf("%+v, %v", page, err)
	}
	if asked, err := p.Retry(ctx, "amounts", 0); err != nil || asked.Retrying != 1 {
		t.Fatalf("%+v, %v", asked, err)
	}
	if asked, err := p.Edit(ctx, page.Consumer, 1, []byte(`{"name":"a","amount":1}`), "it was text & more"); err != nil || asked.Consumer != page.Consumer {
		t.Fatalf("%+v, %v", asked, err)
	}
	if asked, err := p.Drop(ctx, "amounts", 2, "a test"); err != nil || asked.Consumer != page.Consumer {
		t.Fatalf("%+v, %v", asked, err)
	}
	for {
		all, err := p.Consumers(ctx)
		if err != nil || len(all) != 1 {
			t.Fatalf("%+v, %v", all, err)
		}
		if all[0].Parked == 0 {
			break
		}
	}
	doc, _, err := p.Document(ctx, "amounts", "a", nil)
	if err != nil || string(doc.Data) != `{"sum":4}` {
		t.Fatalf("%s, %v", doc.Data, err)
	}
}

// What changes something, and whose answer was lost, may have been done.
func TestLostAnswersOfChanges(t *testing.T) {
	p, _ := serveProjections(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		})
	})
	if _, err := p.Rebuild(t.Context(), "amounts"); !errors.Is(err, annals.ErrUnknownOutcome) {
		t.Errorf("a rebuild: %v", err)
	}
	if _, err := p.Show(t.Context(), "amounts"); !errors.Is(err, annals.ErrUnavailable) || errors.Is(err, annals.ErrUnknownOutcome) {
		t.Errorf("a read: %v", err)
	}
	nowhere, err := OpenProjections("http://127.0.0.1:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nowhere.Switch(t.Context(), "amounts", 0, false); !errors.Is(err, annals.ErrUnavailable) || errors.Is(err, annals.ErrUnknownOutcome) {
		t.Errorf("a server that is not there: %v", err)
	}
	if err := nowhere.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := nowhere.List(t.Context()); !errors.Is(err, annals.ErrClosed) {
		t.Errorf("after closing: %v", err)
	}
	if _, err := OpenProjections("amounts", nil); !errors.Is(err, annals.ErrInvalid) {
		t.Errorf("no address: %v", err)
	}
}

// Answers that are not an Annals server's say nothing about what was done.
func TestChangesAnsweredByAnother(t *testing.T) {
	for status, body := range map[int]string{502: "<h1>502</h1>", 200: "<h1>hello</h1>"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		p, err := OpenProjections(server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Pause(t.Context(), "a"); !errors.Is(err, annals.ErrUnknownOutcome) {
			t.Errorf("%d: a change: %v", status, err)
		}
		if _, err := p.Show(t.Context(), "a"); !errors.Is(err, annals.ErrUnavailable) {
			t.Errorf("%d: a read: %v", status, err)
		}
		if _, _, err := p.Document(t.Context(), "a", "b", nil); err == nil {
			t.Errorf("%d: a document was read", status)
		}
		server.Close()
	}
}
