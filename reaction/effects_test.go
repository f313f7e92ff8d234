package reaction_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/reaction"
)

// A bank is the outside: it does once what is asked under one key.
type bank struct {
	server *httptest.Server

	mu    sync.Mutex
	done  map[string]string // by key, what was done
	calls int
}

func newBank(t *testing.T) *bank {
	b := &bank{done: map[string]string{}}
	b.server = httptest.NewServer(b)
	t.Cleanup(b.server.Close)
	return b
}

func (b *bank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	b.done[r.Header.Get("Idempotency-Key")] = strings.TrimPrefix(r.URL.Path, "/") + " " + string(text)
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"receipt":%q}`, r.URL.Path)
}

// books are what was done, in order, each as often as it was.
func (b *bank) books() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Values(b.done))
}

func (b *bank) called() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

// A cashier is one process that charges orders, by code that decides what to
// charge.
type cashier struct {
	*reaction.Reaction
	gateway *effect.Gateway
}

type bill struct {
	Total int `json:"total"`
}

// post sends one request to the bank.
func (b *bank) post(ctx context.Context, path string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.server.URL+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

var client = &http.Client{Transport: &effect.Transport{
	Base: http.DefaultTransport, Policies: []failsafe.Policy[*http.Response]{},
}}

type charge struct {
	Order  string `json:"order"`
	Amount int    `json:"amount"`
}

// newCashier makes a process over w. charges says what the code charges for an
// order; at may plant a crash.
func (w *world) newCashier(b *bank, id string, charges func(number, total int) []int, at func(effect.Step) error) *cashier {
	w.t.Helper()
	options := &effect.Options{
		ID: id, Clock: w.clock.Now, Logger: quiet, At: at,
		Unknown:     func(*effect.Entry) effect.Policy { return effect.Resend },
		Corrections: map[string]effect.Correction{"cashier": b.correct},
	}
	gateway, err := effect.New(w.store, options)
	if err != nil {
		w.t.Fatal(err)
	}
	handle := func(ctx context.Context, t *reaction.Turn) error {
		var o bill
		if err := json.Unmarshal(t.Data, &o); err != nil {
			return err
		}
		number, err := strconv.Atoi(strings.TrimPrefix(t.Stream, "order-"))
		if err != nil {
			return err
		}
		for _, amount := range charges(number, o.Total) {
			if err := b.post(ctx, "/charge", charge{t.Stream, amount}); err != nil {
				return err
			}
		}
		return nil
	}
	opts := w.options()
	opts.Effects = gateway
	r, err := reaction.New(w.store, w.views, "cashier", annals.Query{Types: []string{"ordered"}}, handle, opts)
	if err != nil {
		w.t.Fatal(err)
	}
	return &cashier{r, gateway}
}

// correct refunds what was charged and charges what should have been.
func (b *bank) correct(ctx context.Context, d *effect.Difference) (*effect.Response, error) {
	if d.Was == nil {
		return nil, effect.ErrAsIs
	}
	if err := b.post(ctx, "/refund", d.Was.Past().Data); err != nil {
		return nil, err
	}
	if d.Now == nil {
		return nil, nil
	}
	return nil, b.post(ctx, "/charge", d.Now.Data)
}

func (w *world) order(number, total int) int64 {
	return w.append("order-"+strconv.Itoa(number), event("ordered", fmt.Sprintf(`{"total":%d}`, total)))
}

// wrong is the code before the fix, right the code after it: orders 3, 13 … were
// charged one too much, 5, 15 … twice, and 7, 17 … not at all.
func wrong(number, total int) []int {
	switch number % 10 {
	case 3:
		return []int{total + 1}
	case 5:
		return []int{total, total}
	case 7:
		return nil
	}
	return []int{total}
}

func right(_, total int) []int { return []int{total} }

// mistaken runs the wrong code over orders 1 to n and returns what the bank holds
// once that was put right.
func (w *world) mistaken(b *bank, n int) (want []string) {
	w.t.Helper()
	c := w.newCashier(b, "before", wrong, nil)
	if _, err := c.gateway.Began(w.t.Context(), "cashier", 0); err != nil {
		w.t.Fatal(err)
	}
	stop := w.start(c)
	for number := 1; number <= n; number++ {
		w.order(number, 100*number)
	}
	w.settle(c)
	_ = stop()
	want = b.books()
	for number := 1; number <= n; number++ {
		name, total := fmt.Sprintf("order-%d", number), 100*number
		paid := func(path string, amount int) {
			want = append(want, fmt.Sprintf(`%s {"order":%q,"amount":%d}`, path, name, amount))
		}
		refunded := func(amount int) { // journaled JSON has its members in order of their names
			want = append(want, fmt.Sprintf(`refund {"amount":%d,"order":%q}`, amount, name))
		}
		switch number % 10 {
		case 3:
			refunded(total + 1)
			want = append(want, fmt.Sprintf(`charge {"amount":%d,"order":%q}`, total, name))
		case 5:
			refunded(total)
		case 7:
			paid("charge", total)
		}
	}
	slices.Sort(want)
	return want
}

func (w *world) findings() []effect.Finding {
	w.t.Helper()
	all, err := effect.Differences(w.t.Context(), w.store, "cashier")
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func (w *world) approveAll() {
	w.t.Helper()
	var ids []string
	for _, f := range w.findings() {
		if f.State == effect.Open || f.State == effect.Uncorrected {
			ids = append(ids, f.ID)
		}
	}
	if err := effect.Approve(w.t.Context(), w.store, ids...); err != nil {
		w.t.Fatal(err)
	}
}

func TestARepairFindsExactlyWhatDiffersAndSendsWhatIsApproved(t *testing.T) {
	w, b := newWorld(t), newBank(t)
	want := w.mistaken(b, 20)
	before := b.called()
	c := w.newCashier(b, "after", right, nil)
	found, err := c.Repair(t.Context(), effect.RepairOptions{From: 1, Reason: "wrong totals"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, fmt.Sprintf("%s call %s was %t now %t", f.Event, f.Call, f.Was != nil, f.Now != nil))
	}
	wantFound := []string{
		"order-3@1 call 0 was true now true", "order-5@1 call 1 was true now false", "order-7@1 call 0 was false now true",
		"order-13@1 call 0 was true now true", "order-15@1 call 1 was true now false", "order-17@1 call 0 was false now true",
	}
	if !slices.Equal(got, wantFound) {
		t.Fatalf("found %q", got)
	}
	if again, err := c.Repair(t.Context(), effect.RepairOptions{From: 1}); err != nil || len(again) != 0 {
		t.Fatalf("found again: %v, %v", again, err)
	}
	if b.called() != before {
		t.Fatalf("a repair has made %d calls", b.called()-before)
	}
	if done, err := c.Correct(t.Context()); err != nil || len(done) != 0 || b.called() != before {
		t.Fatalf("sent without approval: %v, %v", done, err)
	}
	w.approveAll()
	done, err := c.Correct(t.Context())
	if err != nil || len(done) != 6 {
		t.Fatalf("%v, %v", done, err)
	}
	for _, f := range done {
		if f.State != effect.Corrected {
			t.Errorf("%s is %s: %s", f.ID, f.State, f.Error)
		}
	}
	if got := b.books(); !slices.Equal(got, want) {
		t.Fatalf("the bank holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	after := b.called()
	if again, err := c.Repair(t.Context(), effect.RepairOptions{From: 1}); err != nil || len(again) != 0 {
		t.Fatalf("found after the correction: %+v, %v", again, err)
	}
	if done, err := c.Correct(t.Context()); err != nil || len(done) != 0 || b.called() != after {
		t.Fatalf("corrected twice: %v, %v", done, err)
	}
	var ids []string
	for _, f := range found {
		ids = append(ids, f.ID)
	}
	if err := effect.Approve(t.Context(), w.store, ids...); !errors.Is(err, annals.ErrConflict) || !strings.Contains(err.Error(), "corrected already: nothing to approve") {
		t.Fatalf("approved twice: %v", err)
	}
}

func TestANewReactionMakesNoCallForWhatHappenedBefore(t *testing.T) {
	for _, fromEnd := range []bool{false, true} {
		t.Run(fmt.Sprint("from the end ", fromEnd), func(t *testing.T) {
			w, b := newWorld(t), newBank(t)
			for number := 1; number <= 5; number++ {
				w.order(number, 1)
			}
			gateway, err := effect.New(w.store, &effect.Options{Logger: quiet})
			if err != nil {
				t.Fatal(err)
			}
			opts := w.options()
			opts.Effects, opts.FromEnd = gateway, fromEnd
			handle := func(ctx context.Context, turn *reaction.Turn) error {
				if _, err := turn.Append(ctx, "seen", annals.Any, event("seen", "1")); err != nil {
					return err
				}
				return b.post(ctx, "/charge", turn.Stream)
			}
			r, err := reaction.New(w.store, w.views, "cashier", annals.Query{Types: []string{"ordered"}}, handle, opts)
			if err != nil {
				t.Fatal(err)
			}
			w.start(r)
			w.settle(r)
			if seen := len(w.stream("seen")); b.called() != 0 || !fromEnd && seen != 5 || fromEnd && seen != 0 {
				t.Fatalf("%d calls, %d appends", b.called(), seen)
			}
			w.order(6, 1)
			w.settle(r)
			if got := b.books(); !slices.Equal(got, []string{`charge "order-6"`}) {
				t.Fatalf("the bank holds %q", got)
			}
			// A repair leaves out what happened before too.
			if found, err := r.Repair(t.Context(), effect.RepairOptions{From: 1}); err != nil || len(found) != 0 {
				t.Fatalf("%v, %v", found, err)
			}
		})
	}
}

func TestRunCarriesOutWhatWasAskedFor(t *testing.T) {
	w, b := newWorld(t), newBank(t)
	want := w.mistaken(b, 10)
	c := w.newCashier(b, "after", right, nil)
	w.start(c)
	asked, err := effect.RequestRepair(t.Context(), w.store, "cashier", effect.RepairOptions{From: 1})
	if err != nil {
		t.Fatal(err)
	}
	w.until("the repair is over", func() bool {
		all, err := effect.Repairs(t.Context(), w.store, "cashier")
		if err != nil {
			t.Fatal(err)
		}
		return all[0].ID == asked.ID && all[0].State == effect.Repaired && all[0].Differences == 3 && all[0].Events == 10
	})
	w.approveAll()
	w.until("all is corrected", func() bool {
		return !slices.ContainsFunc(w.findings(), func(f effect.Finding) bool { return f.State != effect.Corrected })
	})
	if got := b.books(); !slices.Equal(got, want) {
		t.Fatalf("the bank holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// until lets time pass until done.
func (w *world) until(what string, done func() bool) {
	w.t.Helper()
	deadline, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	for !done() {
		if deadline.Err() != nil {
			w.t.Fatalf("not so: %s; %+v", what, w.findings())
		}
		w.moment()
		w.clock.pass(time.Second)
	}
}

// A reaction that was there before it had a Gateway goes on where it was.
func TestCallsForWhatWaitedWhileAReactionGotItsGatewayAreMade(t *testing.T) {
	w, b := newWorld(t), newBank(t)
	query := annals.Query{Types: []string{"ordered"}}
	before, err := reaction.New(w.store, w.views, "cashier", query, func(context.Context, *reaction.Turn) error { return nil }, w.options())
	if err != nil {
		t.Fatal(err)
	}
	stop := w.start(before)
	w.order(1, 1)
	w.settle(before)
	_ = stop()
	w.order(2, 1)
	gateway, err := effect.New(w.store, &effect.Options{Clock: w.clock.Now, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	opts := w.options()
	opts.Effects = gateway
	r, err := reaction.New(w.store, w.views, "cashier", query, func(ctx context.Context, turn *reaction.Turn) error {
		return b.post(ctx, "/charge", turn.Stream)
	}, opts)
	if err != nil {
		t.Fatal(err)
	}
	w.start(r)
	w.order(3, 1)
	w.settle(r)
	if got := b.books(); !slices.Equal(got, []string{`charge "order-2"`, `charge "order-3"`}) {
		t.Fatalf("the bank holds %q", got)
	}
}
