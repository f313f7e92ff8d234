package console_test

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/httpapi/console"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/storetest/stores"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/pebbleview"
)

// ordersFile keeps a document for each order, under the key that its data names or
// its stream.
const ordersFile = `name: orders
query: {types: [placed, paid, removed]}
key: .data.key // .stream
fold:
  placed: '{total: ($event.data.total + 0), status: "placed"}'
  paid: '.status = "paid"'
delete: [removed]
`

// An operated console has a projection of orders, which runs, over views that count what
// a page reads and fail on demand. See visited for one without.
type operated struct {
	visitor
	store   *annals.Store
	set     *projection.Set
	views   *countedViews
	handler http.Handler
	file    atomic.Pointer[string]        // the definition that a rebuild reads
	holding atomic.Pointer[chan struct{}] // at which the work on the log waits, if there is one
	steps   atomic.Int64                  // batches that may be handled before it waits
}

// operate starts one over a store of its own.
func operate(t *testing.T) *operated {
	t.Helper()
	return operateOn(t, stores.Memory(t, nil), ordersFile)
}

// operateOn starts one with views of its own, of a projection that is called orders.
func operateOn(t *testing.T, store *annals.Store, file string) *operated {
	t.Helper()
	o := &operated{store: store, views: &countedViews{Store: pebbleview.Memory()}}
	o.file.Store(new(file))
	orders, err := projection.Parse("orders.yaml", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	o.set, err = projection.Open(t.Context(), store, o.views, []*projection.Projection{orders}, &projection.Options{
		Poll:     time.Millisecond,
		Consumer: consumer.Options{ID: "runner", Poll: time.Millisecond, Logger: quiet, Backoff: func(int) time.Duration { return time.Microsecond }, At: o.step},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- o.set.Run(ctx) }()
	ending := make(chan struct{})
	o.handler = console.New(store, &console.Options{
		Logger: quiet, Projections: o.set, StoreName: "my store", APIAddress: "http://127.0.0.1:4000", LivePeriod: 50 * time.Millisecond, Ending: ending,
		Reload: func(name string) (*projection.Projection, error) {
			return projection.Parse("orders.yaml", []byte(*o.file.Load()))
		},
	})
	o.visitor = visitorOf(t, o.handler)
	t.Cleanup(func() {
		close(ending)
		o.server.Close()
		stop()
		<-ended
		if err := o.views.Close(); err != nil {
			t.Error(err)
		}
	})
	return o
}

// step waits at the gate once as many batches were handled as may be.
func (o *operated) step(s consumer.Step) error {
	if gate := o.holding.Load(); gate != nil && s == consumer.StepRead && o.steps.Add(-1) < 0 {
		<-*gate
	}
	return nil
}

// hold lets so many batches be handled and has further ones wait until it is released.
func (o *operated) hold(batches int64) (release func()) {
	gate := make(chan struct{})
	o.steps.Store(batches)
	o.holding.Store(&gate)
	return func() {
		if o.holding.CompareAndSwap(&gate, nil) {
			close(gate)
		}
	}
}

func (o *operated) append(stream, typ, data string) int64 {
	o.t.Helper()
	c, err := o.store.Append(o.t.Context(), stream, annals.Any, annals.Event{Type: typ, Data: []byte(data)})
	if err != nil {
		o.t.Fatal(err)
	}
	return c.Position
}

// reached waits until a consumer is at the end of the log.
func (o *operated) reached(name string) {
	o.t.Helper()
	waitFor(o.t, name+" has caught up", func() bool {
		s, err := o.set.Status(o.t.Context(), name)
		return err == nil && s.Lag == 0 && (s.End == 0 || !s.Updated.IsZero())
	})
}

// get opens a page and returns what stands in its middle.
func (o *operated) get(path string) (status int, body string) {
	o.t.Helper()
	status, page := o.open(path)
	return status, middle(page)
}

// middle is a page without what frames it.
func middle(page string) string {
	_, shown, _ := strings.Cut(page, "<main")
	shown, _, _ = strings.Cut(shown, "</main>")
	return shown
}

// shows opens a page and wants these texts on it.
func (o *operated) shows(path string, parts ...string) string {
	o.t.Helper()
	status, body := o.get(path)
	if status != http.StatusOK {
		o.t.Fatalf("%s: %d\n%s", path, status, body)
	}
	for _, part := range parts {
		if !strings.Contains(body, part) {
			o.t.Fatalf("%s does not show %q:\n%s", path, part, body)
		}
	}
	return body
}

// formOn is what the form to an action on a page has in its hidden fields.
func (o *operated) formOn(path, action string) url.Values {
	o.t.Helper()
	return o.form(o.shows(path), action)
}

// sends sends a form, in which fields have these values, and returns the middle of the
// page that it leads to.
func (o *operated) sends(action string, form url.Values, fields ...string) (status int, body string) {
	o.t.Helper()
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	status, page := o.send(action, form)
	return status, middle(page)
}

// does fills in a page's form, sends it, and wants these texts on the page then.
func (o *operated) does(page, action string, fields []string, parts ...string) {
	o.t.Helper()
	status, body := o.sends(action, o.formOn(page, action), fields...)
	if status != http.StatusOK {
		o.t.Fatalf("%s: %d\n%s", action, status, body)
	}
	for _, part := range parts {
		if !strings.Contains(body, part) {
			o.t.Fatalf("after %s the page does not show %q:\n%s", action, part, body)
		}
	}
}

// refused sends a form and wants a problem of this status that says this.
func (o *operated) refused(action string, form url.Values, status int, part string) {
	o.t.Helper()
	got, body := o.sends(action, form)
	if got != status || !strings.Contains(body, part) {
		o.t.Fatalf("%s: %d, want %d and %q\n%s", action, got, status, part, body)
	}
}

// countedViews counts what is read, and fails when it is told to.
type countedViews struct {
	view.Store
	read   atomic.Int64 // documents and parked events that were scanned
	broken atomic.Bool
}

func (v *countedViews) Get(ctx context.Context, space string, keys ...string) (map[string]view.Document, error) {
	if v.broken.Load() {
		return nil, broken()
	}
	docs, err := v.Store.Get(ctx, space, keys...)
	if after, is := ctx.Value(afterFirstRead{}).(func()); is {
		after()
	}
	return docs, err
}

// afterFirstRead is the key of what a request's context has done once its page has read
// from the views: a func() that is called after each read.
type afterFirstRead struct{}

func (v *countedViews) Scan(ctx context.Context, space string, r view.Range) iter.Seq2[view.Document, error] {
	return func(yield func(view.Document, error) bool) {
		if v.broken.Load() {
			yield(view.Document{}, broken())
			return
		}
		for doc, err := range v.Store.Scan(ctx, space, r) {
			if strings.Contains(space, "@") {
				v.read.Add(1)
			}
			if !yield(doc, err) {
				return
			}
		}
	}
}

func broken() error {
	return &annals.Error{Code: annals.CodeUnavailable, Message: "the views are away", Hint: "wait"}
}

// count is how many documents and parked events a page reads; nothing else may read
// any meanwhile.
func (o *operated) count(path string) int64 {
	o.t.Helper()
	o.views.read.Store(0)
	o.shows(path)
	return o.views.read.Load()
}

func name(n int) string { return fmt.Sprintf("order-%04d", n) }

type readsOnly struct{}

func (readsOnly) Authenticate(context.Context, string) (access.Principal, error) {
	return access.Principal{Name: "reader", Roles: []access.Role{access.Read}}, nil
}

// of opens a page of another console, as somebody who is signed in.
func (o *operated) of(handler http.Handler, path string) (int, string) {
	o.t.Helper()
	r := httptest.NewRequest(http.MethodGet, console.Path+path, nil)
	r.AddCookie(&http.Cookie{Name: "annals_token", Value: "token"})
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Code, middle(w.Body.String())
}
