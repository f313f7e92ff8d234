package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/view/pebbleview"
)

// standing serves projections that are not run, over a store of one event, and
// calls seen with each request.
func standing(t *testing.T, seen func(*http.Request)) string {
	t.Helper()
	store, err := embedded.Open("store", &embedded.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Append(t.Context(), "order-7", 0, annals.Event{Type: "placed", Data: []byte(`{"total":1}`)}); err != nil {
		t.Fatal(err)
	}
	orders, err := projection.Parse("orders.yaml", []byte(ordersFile))
	if err != nil {
		t.Fatal(err)
	}
	views := pebbleview.Memory()
	set, err := projection.Open(t.Context(), store, views, []*projection.Projection{orders}, &projection.Options{Consumer: consumer.Options{StallAfter: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	handler := httpapi.New(store, &httpapi.Options{Projections: set})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r)
		seen(r)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		if err := errors.Join(views.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return server.URL
}

func TestInterruptedRebuildSaysHowToGoOn(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	looks := 0
	address := standing(t, func(r *http.Request) {
		if r.Method == http.MethodGet {
			if looks++; looks == 2 {
				interrupt()
			}
		}
	})
	var out, errs bytes.Buffer
	exit := Run(ctx, []string{"projection", "rebuild", "orders", "--store", address}, strings.NewReader(""), &out, &errs)
	if exit != 6 || !strings.Contains(errs.String(), "interrupted, generation 1 of orders at position 0 of 1") || !strings.Contains(errs.String(), "the server goes on building") {
		t.Fatalf("exit %d: %s%s", exit, out.String(), errs.String())
	}
}

// A build that nobody has begun to work on goes on as such.
func TestRebuildThatIsLeftToTheServer(t *testing.T) {
	p := &place{}
	p.store = standing(t, func(*http.Request) {})
	p.want(t, "projection rebuild orders --no-wait", 0, "generation 1 of orders is being built; annals projection show orders")
	p.want(t, "projection pause orders", 0, "live  paused  0") // before it has ever run
}

// A server that has ended has nothing running any more, and its store and views can
// be opened by others.
func TestServeEndsItsProjections(t *testing.T) {
	p := newPlace(t, filepath.Join(t.TempDir(), "store"))
	p.append(t, "order-7", "placed", `{"total":1}`)
	server := begin(t, " on http://", append(p.flags, "serve", "--state", "--listen", "127.0.0.1:0", "--store", p.store)...)
	_, address, _ := strings.Cut(strings.TrimSpace(server.String()), " on ")
	(&place{store: address}).want(t, "view state order-7 --wait 1", 0)
	if exit := server.interrupt(); exit != 0 {
		t.Fatalf("exit %d: %s", exit, server)
	}
	stacks := make([]byte, 1<<20)
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		all := string(stacks[:runtime.Stack(stacks, true)])
		if !strings.Contains(all, "annals/projection.") && !strings.Contains(all, "annals/consumer.") && !strings.Contains(all, "annals/httpapi.") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("still running:\n%s", all)
		}
	}
	p.want(t, "view state order-7", 0, `"total": 1`)
}
