package console_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/failsafe-go/failsafe-go"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
)

// odd is text that is HTML and script, oddScript a part of it that JSON leaves as it is.
const (
	odd       = `"><img src=x onerror=alert(1)>` + oddScript
	oddScript = `<script>alert(1)</script>`
)

// A billed console has a handler, billing, with outside calls: charge i of event
// order-i@1.
type billed struct {
	*visited
	gateway *effect.Gateway
	events  []*annals.Event
}

func bill(t *testing.T, outcomes ...error) *billed {
	t.Helper()
	b := &billed{visited: visit(t, nil)}
	var err error
	if b.gateway, err = effect.New(b.store, &effect.Options{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.gateway.Began(t.Context(), "billing", 0); err != nil {
		t.Fatal(err)
	}
	for i, outcome := range outcomes {
		b.charge(i, outcome)
	}
	return b
}

func (b *billed) charge(i int, outcome error) {
	b.t.Helper()
	stream := fmt.Sprintf("order-%d", i)
	commit := b.append(stream, annals.Event{Type: "placed", Data: []byte(`{}`)})
	e := &annals.Event{Stream: stream, Version: commit.Version, Position: commit.Position, Type: "placed", Data: []byte(`{}`)}
	b.events = append(b.events, e)
	err := b.gateway.Handle(b.t.Context(), effect.Handling{Handler: "billing", Event: e}, func(ctx context.Context) error { return asks(ctx, i, outcome, 12) })
	if (err == nil) != (outcome == nil) {
		b.t.Fatal(err)
	}
}

func asks(ctx context.Context, i int, outcome error, amount int) error {
	request := map[string]any{"order": i, "amount": amount, "note": odd, "password": "hunter2"}
	_, err := effect.Do(ctx, "charge", request, func(context.Context, string) (map[string]string, error) {
		return map[string]string{"receipt": odd}, outcome
	})
	return err
}

var (
	errUnsure  = errors.New("no answer came " + odd)
	errRefused = effect.NotSent(errors.New("refused " + odd))
)

func TestEffectsAreListedNewestFirst(t *testing.T) {
	b := bill(t, nil, errUnsure, errRefused)
	page := b.sees("effects", http.StatusOK, "order-0@1", "order-1@1", "order-2@1", "answered", "unknown", "failed", oddScript, "annals effect list --store 'my store'", `<option value="billing">`)
	if at := strings.Index; !(at(page, ">order-2@1<") < at(page, ">order-1@1<") && at(page, ">order-1@1<") < at(page, ">order-0@1<")) {
		t.Errorf("the newest is not first:\n%s", page)
	}
	b.lacks(page, "<script>alert", "<img", "hunter2")
	page = b.sees("effects?handler=billing&status=unknown", http.StatusOK, "order-1@1", "--handler billing --status unknown")
	b.lacks(page, "order-0@1", "order-2@1")
	b.lacks(b.sees("effects?handler=nobody", http.StatusOK, "No call matches."), "order-")
	b.sees("effects?status=odd", http.StatusBadRequest, "must be unknown, failed, intended or answered")
	b.sees("effects?until=x", http.StatusBadRequest, "must be a position")
	b.sees("effects?handler=a%2Fb", http.StatusBadRequest)
}

func TestEffectsOfAnEmptyStoreAndOfOneThatFails(t *testing.T) {
	v := visit(t, nil)
	v.sees("effects", http.StatusOK, "No handler of this store has made calls to outside systems.")
	v.sees("repairs", http.StatusOK, "No handler of this store makes calls to outside systems.")
	v.sees("effects/calls?handler=billing&event=order-1@1", http.StatusNotFound, "has made no outside call")
	v.sees("effects/calls?handler=billing&event=x", http.StatusBadRequest, "stream@version")
	v.sees("repairs/billing", http.StatusNotFound, "knows no handler billing")
	v.driver.FailReads(away)
	for _, path := range []string{"effects", "effects/calls?handler=billing&event=order-1@1", "repairs", "repairs/billing"} {
		v.sees(path, http.StatusServiceUnavailable, "the disk is away")
	}
}

// A page of a long journal reads what a page of a short one does.
func TestEffectsReadAPage(t *testing.T) {
	b := bill(t, make([]error, 130)...)
	// Of each call two events of the log, and again from its journal; and the handler.
	if n := b.reads("effects"); n > 50*4+2+1+1 {
		t.Errorf("%d events were read", n)
	}
	older := regexp1(t, `href="([^"]*)" rel="next"`, b.sees("effects", http.StatusOK))
	page := b.sees(older, http.StatusOK, "order-79@1", "order-30@1", "Newest")
	b.lacks(page, "order-80@1", "order-29@1<")
	if n := b.reads("effects?status=unknown"); n > 1 {
		t.Errorf("%d events were read to find no unknown call", n)
	}
}

func TestOneCallIsShownWhole(t *testing.T) {
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Odd", "<b>bold</b>")
		fmt.Fprintf(w, `{"text":"<script>alert(1)</script>"}`)
	}))
	t.Cleanup(o.Close)
	b := bill(t, errUnsure)
	client := &http.Client{Transport: &effect.Transport{Base: o.Client().Transport, Policies: []failsafe.Policy[*http.Response]{}}}
	err := b.gateway.Handle(t.Context(), effect.Handling{Handler: "mail", Event: b.events[0]}, func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, o.URL+"/mail?token=s3cret", strings.NewReader(`{"to":"ada","password":"hunter2"}`))
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer s3cret")
		r.Header.Set("Content-Type", "application/json")
		answer, err := client.Do(r)
		if err != nil {
			return err
		}
		return answer.Body.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	page := b.sees("effects/calls?handler=mail&event=order-0@1", http.StatusOK,
		"POST "+o.URL+"/mail", "[redacted]", "200 OK", "X-Odd", "<b>bold</b>", `"to": "ada"`, "effect-intended", "effect-answered", "Idempotency-Key",
		`href="/console/event/order-0?version=1"`, "annals effect show mail order-0@1 --store 'my store'")
	b.lacks(page, "s3cret", "hunter2", "<script>alert", "<b>bold", "/console/effects/resolve")
}

func TestAnUnknownCallIsResolved(t *testing.T) {
	b := bill(t, errUnsure, errUnsure, errUnsure)
	const resolve = "effects/resolve"
	path := func(i int) string { return fmt.Sprintf("effects/calls?handler=billing&event=order-%d@1", i) }
	page := b.sees(path(0), http.StatusOK, "Say what became of call charge", errUnsure.Error())
	b.lacks(page, "<script>alert", "<img")
	form := b.form(page, resolve)

	status, answer := b.send(resolve, b.form(page, resolve), "decision", "no-effect")
	if status != http.StatusBadRequest {
		t.Errorf("without a reason: %d", status)
	}
	b.holds(answer, "reason")
	if status, _ := b.send(resolve, b.form(page, resolve), "decision", "answered", "reason", "x", "response", `{"odd":1}`); status != http.StatusBadRequest {
		t.Errorf("an answer that is none: %d", status)
	}
	status, answer = b.send(resolve, form, "decision", "no-effect", "reason", "asked "+odd)
	if status != http.StatusOK {
		t.Fatalf("%d\n%s", status, answer)
	}
	b.holds(answer, "is resolved: no-effect, asked "+odd, "effect-resolved")
	b.lacks(answer, "/console/effects/resolve", "<script>alert", "<img")
	if a := b.noted(); a.What != "effect.resolve" || a.Target != "billing order-0@1 charge" || a.Error != "" || a.Who != "local" {
		t.Errorf("%+v", a)
	}
	// The form is sent again.
	status, answer = b.send(resolve, form)
	if status != http.StatusConflict {
		t.Fatalf("%d\n%s", status, answer)
	}
	b.holds(answer, "it was resolved before: nothing to do")
	if a := b.noted(); a.Error == "" {
		t.Errorf("%+v", a)
	}

	status, _ = b.send(resolve, b.form(b.sees(path(1), http.StatusOK), resolve), "decision", "answered", "reason", "on the statement", "response", `{"data":{"receipt":"r-1"}}`)
	calls, err := effect.Journal(t.Context(), b.store, "billing", "order-1@1")
	if err != nil || status != http.StatusOK || calls[0].Status != effect.Answered || calls[0].Response == nil {
		t.Errorf("%d, %+v, %v", status, calls, err)
	}
	forged := b.form(b.sees(path(2), http.StatusOK), resolve)
	forged.Set("csrf", "x")
	if status, _ := b.send(resolve, forged, "decision", "resend", "reason", "x"); status != http.StatusForbidden {
		t.Errorf("a forged form: %d", status)
	}
	nobody := b.form(b.sees(path(2), http.StatusOK), resolve)
	nobody.Set("handler", "nobody")
	if status, _ := b.send(resolve, nobody, "decision", "resend", "reason", "x"); status != http.StatusNotFound {
		t.Errorf("an unknown handler: %d", status)
	}
	if n := len(slices.Collect(unknownOf(t, b))); n != 1 {
		t.Errorf("%d calls are unknown", n)
	}
}

func unknownOf(t *testing.T, b *billed) func(func(string) bool) {
	return func(yield func(string) bool) {
		for e, err := range effect.Entries(t.Context(), b.store, effect.Filter{Status: []effect.Status{effect.Unknown}}) {
			if err != nil {
				t.Error(err)
				return
			}
			if !yield(e.Event) {
				return
			}
		}
	}
}
