package effect_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/storetest"
)

var errCrash = errors.New("crash")

// crashAt stops a gateway at a step.
func crashAt(step effect.Step) func(effect.Step) error {
	return func(s effect.Step) error {
		if s == step {
			return errCrash
		}
		return nil
	}
}

// An unsure is a world in which a call was sent and its result never journaled.
type unsure struct {
	store *annals.Store
	o     *outside
	e     *annals.Event
	clock *clock
}

func newUnsure(t *testing.T, method string) *unsure {
	u := &unsure{store: openStore(t), o: newOutside(t, nil), clock: newClock()}
	u.e = place(t, u.store, "order-7")
	err := u.handle(t, &effect.Options{ID: "first", At: crashAt(effect.StepSent)}, method, "{}")
	if !errors.Is(err, errCrash) || len(u.o.sent()) != 1 {
		t.Fatalf("%v; sent %v", err, u.o.sent())
	}
	return u
}

func (u *unsure) handle(t *testing.T, opts *effect.Options, method, body string) error {
	o := *opts
	o.Clock = u.clock.Now
	return newGateway(t, u.store, &o).Handle(t.Context(), effect.Handling{Handler: "h", Event: u.e}, func(ctx context.Context) error {
		_, _, err := ask(ctx, once(), method, u.o.URL, body)
		return err
	})
}

func (u *unsure) status(t *testing.T) effect.Status { return journal(t, u.store, "h", u.e)[0].Status }

func TestAnotherProcessWaitsForTheDeadline(t *testing.T) {
	u := newUnsure(t, http.MethodPost)
	for range 2 {
		err := u.handle(t, &effect.Options{ID: "second"}, http.MethodPost, "{}")
		if !consumer.Waits(err) || !strings.Contains(err.Error(), "process first, until 2026-03-01T12:00:30Z") {
			t.Fatal(err)
		}
	}
	if s := u.status(t); s != effect.Intended {
		t.Fatal(s)
	}
	u.clock.advance(30 * time.Second)
	var unknown *effect.UnknownError
	err := u.handle(t, &effect.Options{ID: "second"}, http.MethodPost, "{}")
	if !errors.As(err, &unknown) || unknown.Entry.Call != "0" || unknown.Entry.Runner != "first" || consumer.Waits(err) {
		t.Fatal(err)
	}
	if s := u.status(t); s != effect.Unknown || len(u.o.sent()) != 1 {
		t.Fatal(s, u.o.sent())
	}
}

// A process that has come back under the same name need not wait: it knows that it
// sends nothing.
func TestOwnCallIsUnknownAtOnce(t *testing.T) {
	u := newUnsure(t, http.MethodPost)
	var unknown *effect.UnknownError
	if err := u.handle(t, &effect.Options{ID: "first"}, http.MethodPost, "{}"); !errors.As(err, &unknown) {
		t.Fatal(err)
	}
}

func TestResend(t *testing.T) {
	resend := func(*effect.Entry) effect.Policy { return effect.Resend }
	for _, test := range []struct {
		method string
		policy func(*effect.Entry) effect.Policy
	}{{http.MethodPost, resend}, {http.MethodPut, nil}, {http.MethodGet, nil}} {
		u := newUnsure(t, test.method)
		if err := u.handle(t, &effect.Options{ID: "first", Unknown: resend}, test.method, `{"other":1}`); err == nil || !strings.Contains(err.Error(), "asks otherwise") {
			t.Fatalf("another request must not take its place: %v", err)
		}
		if err := u.handle(t, &effect.Options{ID: "first", Unknown: test.policy}, test.method, "{}"); err != nil {
			t.Fatal(err)
		}
		if s := u.o.sent(); len(s) != 2 || s[0].key != s[1].key || u.status(t) != effect.Answered {
			t.Fatalf("sent %v", s)
		}
	}
}

func TestAsk(t *testing.T) {
	u := newUnsure(t, http.MethodPost)
	answer := &effect.Response{Status: 201, Body: effect.Body{Data: map[string]any{"id": 7, "token": "abcdefgh"}}}
	tests := []struct {
		name  string
		reply func() (*effect.Response, error)
		err   string
		sent  int
	}{
		{"can't tell", func() (*effect.Response, error) { return nil, errors.New("no line") }, "no line", 1},
		{"not JSON", func() (*effect.Response, error) {
			return &effect.Response{Body: effect.Body{Data: math.NaN()}}, nil
		}, "can't be written", 1},
		{"no effect", func() (*effect.Response, error) { return nil, nil }, "", 2},
	}
	for _, test := range tests {
		err := u.handle(t, &effect.Options{ID: "first", Ask: map[string]effect.Ask{"h": func(ctx context.Context, e *effect.Entry) (*effect.Response, error) {
			if !effect.Now(ctx).Equal(u.e.Time) || e.Key == "" {
				t.Errorf("%v, %+v", effect.Now(ctx), e)
			}
			return test.reply()
		}}}, http.MethodPost, "{}")
		if (err == nil) != (test.err == "") || err != nil && (!strings.Contains(err.Error(), test.err) || consumer.Waits(err)) {
			t.Errorf("%s: %v", test.name, err)
		}
		if n := len(u.o.sent()); n != test.sent {
			t.Errorf("%s: %d sent", test.name, n)
		}
	}
	u = newUnsure(t, http.MethodPost)
	o := newOutside(t, nil) // the query of Ask is not journaled
	known := map[string]effect.Ask{"h": func(ctx context.Context, _ *effect.Entry) (*effect.Response, error) {
		_, _, err := ask(ctx, once(), http.MethodGet, o.URL, "")
		return answer, err
	}}
	if err := u.handle(t, &effect.Options{ID: "first", Ask: known}, http.MethodPost, "{}"); err != nil {
		t.Fatal(err)
	}
	entries := journal(t, u.store, "h", u.e)
	if len(entries) != 1 || len(o.sent()) != 1 || len(u.o.sent()) != 1 || entries[0].Response.Status != 201 ||
		fmt.Sprint(entries[0].Response.Data) != "map[id:7 token:[redacted]]" {
		t.Errorf("%+v", entries)
	}
}

func TestResolve(t *testing.T) {
	response := &effect.Response{Status: 200, Body: effect.Body{Text: "it was made"}}
	tests := []struct {
		decision effect.Decision
		response *effect.Response
		sent     int
	}{
		{effect.DecideResend, nil, 2}, {effect.DecideNoEffect, nil, 2}, {effect.DecideAnswered, response, 1},
	}
	for _, test := range tests {
		u := newUnsure(t, http.MethodPost)
		resolve := func(call string) error {
			return effect.Resolve(t.Context(), u.store, "h", "order-7@1", call, test.decision, test.response, "the provider said so")
		}
		if err := resolve("0"); !errors.Is(err, annals.ErrConflict) || !strings.Contains(err.Error(), "intended, not unknown") {
			t.Errorf("under way: %v", err)
		}
		if err := u.handle(t, &effect.Options{ID: "first"}, http.MethodPost, "{}"); err == nil {
			t.Fatal("not parked")
		}
		if err := resolve("1"); !errors.Is(err, annals.ErrNotFound) {
			t.Errorf("no such call: %v", err)
		}
		if err := resolve("0"); err != nil {
			t.Fatal(err)
		}
		if err := resolve("0"); !errors.Is(err, annals.ErrConflict) {
			t.Errorf("twice: %v", err)
		}
		if err := u.handle(t, &effect.Options{ID: "first"}, http.MethodPost, "{}"); err != nil {
			t.Fatal(err)
		}
		if s := u.o.sent(); len(s) != test.sent || s[0].key != s[len(s)-1].key || u.status(t) != effect.Answered {
			t.Errorf("%s: sent %v", test.decision, s)
		}
		if err := resolve("0"); !errors.Is(err, annals.ErrConflict) {
			t.Errorf("answered: %v", err)
		}
	}
	for name, err := range map[string]error{
		"decision": effect.Resolve(t.Context(), nil, "h", "a@1", "0", "maybe", nil, "r"),
		"answer":   effect.Resolve(t.Context(), nil, "h", "a@1", "0", effect.DecideAnswered, nil, "r"),
		"no use":   effect.Resolve(t.Context(), nil, "h", "a@1", "0", effect.DecideResend, response, "r"),
		"reason":   effect.Resolve(t.Context(), nil, "h", "a@1", "0", effect.DecideResend, nil, " "),
		"event":    effect.Resolve(t.Context(), openStore(t), "h", "a", "0", effect.DecideResend, nil, "r"),
		"handler":  effect.Resolve(t.Context(), openStore(t), "", "a@1", "0", effect.DecideResend, nil, "r"),
	} {
		if !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A library on the way may keep only the text of an error.
func TestVerdictsSurviveLibraries(t *testing.T) {
	u := newUnsure(t, http.MethodPost)
	textOnly := func(mode effect.Mode, id string) error {
		g := newGateway(t, u.store, &effect.Options{ID: id, Clock: u.clock.Now})
		return g.Handle(t.Context(), effect.Handling{Handler: "h", Event: u.e, Mode: mode}, func(ctx context.Context) error {
			if _, _, err := ask(ctx, once(), http.MethodPost, u.o.URL, "{}"); err != nil {
				return errors.New("my SDK says: " + err.Error())
			}
			return nil
		})
	}
	if err := textOnly(effect.Live, "second"); !consumer.Waits(err) {
		t.Errorf("under way elsewhere: %v", err)
	}
	var unknown *effect.UnknownError
	if err := textOnly(effect.Live, "first"); !errors.As(err, &unknown) {
		t.Errorf("unknown: %v", err)
	}
	if err := textOnly(effect.Replay, "first"); err != nil {
		t.Errorf("suppressed: %v", err)
	}
}

// Where the journal can't take the intent, nothing is sent; where it can't take the
// result, the event is handled again, and the handler can't pass that over.
func TestJournalThatCannotBeWritten(t *testing.T) {
	const ok, lost, reply, refused = storetest.None, storetest.LostRequest, storetest.LostReply, storetest.Refused
	for _, test := range []struct {
		faults []storetest.Fault // of: began, intent, result
		waits  bool
		sent   int
		status effect.Status
	}{
		{[]storetest.Fault{lost}, true, 0, ""},
		{[]storetest.Fault{ok, lost}, true, 0, ""},
		{[]storetest.Fault{ok, refused}, true, 0, ""},
		{[]storetest.Fault{ok, reply, reply}, false, 1, effect.Answered},
		{[]storetest.Fault{ok, ok, lost}, true, 1, effect.Intended},
		{[]storetest.Fault{ok, ok, refused}, true, 1, effect.Intended},
	} {
		driver, err := embedded.OpenDriver("store", &embedded.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		faulty := &storetest.Faulty{Driver: driver}
		store := annals.New(faulty, &annals.Options{Attempts: 1})
		e, o := place(t, store, "order-7"), newOutside(t, nil)
		faulty.FailAppends(test.faults...)
		err = newGateway(t, store, nil).Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
			_, _, err := ask(ctx, once(), http.MethodPost, o.URL, "{}")
			if err != nil { // a handler that does not give up: once the journal is broken, nothing more is sent
				_, _, _ = ask(ctx, once(), http.MethodPost, o.URL+"/more", "{}")
			}
			return nil
		})
		if consumer.Waits(err) != test.waits || !test.waits && err != nil {
			t.Errorf("%v: %v", test.faults, err)
		}
		status := effect.Status("")
		if entries := journal(t, store, "h", e); len(entries) > 0 {
			status = entries[0].Status
		}
		if n := len(o.sent()); n != test.sent || status != test.status {
			t.Errorf("%v: %d sent, want %d; %q, want %q", test.faults, n, test.sent, status, test.status)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Many processes at the same event at once: every call is sent once.
func TestRace(t *testing.T) {
	store, o, c := openStore(t), newOutside(t, nil), newClock()
	e := place(t, store, "order-7")
	shared := newGateway(t, store, &effect.Options{Clock: c.Now})
	var wg sync.WaitGroup
	for i := range 8 {
		g := shared
		if i >= 4 {
			g = newGateway(t, store, &effect.Options{Clock: c.Now})
		}
		wg.Go(func() {
			for {
				var answers []string
				err := g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
					for range 3 {
						_, text, err := ask(ctx, once(), http.MethodPost, o.URL, "{}")
						if err != nil {
							return err
						}
						answers = append(answers, strings.ReplaceAll(text, " ", ""))
					}
					return nil
				})
				if err == nil {
					if want := []string{`{"n":1}`, `{"n":2}`, `{"n":3}`}; !slices.Equal(answers, want) {
						t.Errorf("answers %v", answers)
					}
					return
				}
				if !consumer.Waits(err) {
					t.Error(err)
					return
				}
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
	if n := len(o.sent()); n != 3 {
		t.Errorf("%d sent: %v", n, o.sent())
	}
}

// While a call is being sent, the same process does not take it for lost.
func TestCallUnderWayInThisProcess(t *testing.T) {
	store := openStore(t)
	e := place(t, store, "order-7")
	var g *effect.Gateway
	var o *outside
	handle := func() error {
		return g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
			_, _, err := ask(ctx, once(), http.MethodPost, o.URL, "{}")
			return err
		})
	}
	var meanwhile error
	o = newOutside(t, func(http.ResponseWriter, *http.Request, string, int) { meanwhile = handle() })
	g = newGateway(t, store, nil)
	if err := handle(); err != nil || !consumer.Waits(meanwhile) || !strings.Contains(meanwhile.Error(), "by this process") {
		t.Error(err, meanwhile)
	}
	if err := handle(); err != nil || len(o.sent()) != 1 {
		t.Error(err, o.sent())
	}
}

// A process that was taken over while it was sending does not undo what is known.
func TestLateResult(t *testing.T) {
	store, c := openStore(t), newClock()
	e := place(t, store, "order-7")
	var o *outside
	second := func(policy effect.Policy) error {
		c.advance(time.Minute)
		g := newGateway(t, store, &effect.Options{Clock: c.Now, ID: "second", Unknown: func(*effect.Entry) effect.Policy { return policy }})
		return g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
			_, _, err := ask(ctx, once(), http.MethodPost, o.URL, "{}")
			return err
		})
	}
	var taken error
	o = newOutside(t, func(w http.ResponseWriter, _ *http.Request, _ string, n int) {
		if n == 1 {
			taken = second(effect.Park) // while the first one still waits for its answer
		}
		fmt.Fprint(w, n)
	})
	g := newGateway(t, store, &effect.Options{Clock: c.Now, ID: "first"})
	err := g.Handle(t.Context(), effect.Handling{Handler: "h", Event: e}, func(ctx context.Context) error {
		_, _, err := ask(ctx, once(), http.MethodPost, o.URL, "{}")
		return err
	})
	var unknown *effect.UnknownError
	if err != nil || !errors.As(taken, &unknown) {
		t.Fatal(err, taken)
	}
	if entry := journal(t, store, "h", e)[0]; entry.Status != effect.Answered || entry.Response.Text != "1" {
		t.Errorf("%+v", entry)
	}
}
