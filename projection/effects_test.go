package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/sqlview"
)

// An outside answers every request with its number, and counts effects by key.
type outside struct {
	server *httptest.Server

	mu    sync.Mutex
	byKey map[string]string // path and body
	calls int
}

func newOutside(t testing.TB) *outside {
	o := &outside{byKey: map[string]string{}}
	o.server = httptest.NewServer(o)
	t.Cleanup(o.server.Close)
	return o
}

func (o *outside) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls++
	o.byKey[r.Header.Get("Idempotency-Key")] = r.URL.Path + " " + string(body)
	_, _ = fmt.Fprint(w, o.calls)
}

func (o *outside) called() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls
}

// effects are what was asked for, each as often as it had its effect.
func (o *outside) effects() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(maps.Values(o.byKey))
}

var outward = &http.Client{Transport: &effect.Transport{
	Base: http.DefaultTransport, Policies: []failsafe.Policy[*http.Response]{},
}}

// post returns the answer's text.
func (o *outside) post(ctx context.Context, path, body string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, o.server.URL+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	answer, err := outward.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

func newGateway(t testing.TB, store *annals.Store, corrections map[string]effect.Correction, at func(effect.Step) error) *effect.Gateway {
	t.Helper()
	g, err := effect.New(store, &effect.Options{
		Logger: quiet(), Corrections: corrections, At: at, Unknown: func(*effect.Entry) effect.Policy { return effect.Resend },
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func withCalls(t testing.TB, store *annals.Store, corrections map[string]effect.Correction) *Options {
	opts := quick()
	opts.Effects = newGateway(t, store, corrections, nil)
	return opts
}

type receipts struct {
	Seen     int      `json:"seen"`
	Receipts []string `json:"receipts"`
}

// receipted keeps what the outside has answered to each event, by code that says
// what to ask; empty for nothing.
func receipted(o *outside, revision string, ask func(m *consumer.Message) string) *Projection {
	return Documents("receipts", revision, annals.Query{Prefix: "account-"}, ByStream, func(doc *receipts, m *consumer.Message) error {
		doc.Seen++ // before the call, so that what is suppressed has to be taken back
		body := ask(m)
		if body == "" {
			return nil
		}
		answer, err := o.post(m.Context(), "/receipt", body)
		if err != nil {
			return err
		}
		doc.Receipts = append(doc.Receipts, answer)
		return nil
	})
}

func askAll(m *consumer.Message) string { return m.Cause() }

// documentsOf is the whole view of a generation.
func documentsOf(t testing.TB, views view.Store, name string, n int) map[string]string {
	t.Helper()
	all := map[string]string{}
	for doc, err := range views.Scan(t.Context(), generationName(name, n), view.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		all[doc.Key] = string(doc.Data)
	}
	return all
}

func TestARebuildAnswersFromTheJournalWhenTheOutsideIsGone(t *testing.T) {
	store, views, o := newStore(t), newViews(t), newOutside(t)
	s, _ := open(t, store, views, withCalls(t, store, nil), receipted(o, "1", askAll))
	var last int64
	for i := range 50 {
		last = move(t, store, fmt.Sprintf("account-%d", i%7), 1)
	}
	caughtUp(t, s, "receipts", 1, last)
	live := documentsOf(t, views, "receipts", 1)
	if o.called() != 50 || len(live) != 7 {
		t.Fatalf("%d calls, %d documents", o.called(), len(live))
	}
	o.server.Close()
	n, err := s.Rebuild(t.Context(), "receipts")
	if err != nil {
		t.Fatal(err)
	}
	caughtUp(t, s, "receipts", n, last)
	if built := documentsOf(t, views, "receipts", n); !maps.Equal(live, built) {
		t.Fatalf("built %v\nlive %v", built, live)
	}
}

func TestANewProjectionMakesNoCallForWhatHappenedBefore(t *testing.T) {
	store, views, o := newStore(t), newViews(t), newOutside(t)
	const events = 10_000
	var batch []annals.Event
	for i := range events {
		if batch = append(batch, annals.Event{Type: "moved", Data: []byte(`{"amount":1}`)}); len(batch) == annals.MaxCommitEvents {
			if _, err := store.Append(t.Context(), fmt.Sprintf("account-%d", i), annals.Any, batch...); err != nil {
				t.Fatal(err)
			}
			batch = batch[:0]
		}
	}
	some := func(m *consumer.Message) string {
		if m.Version%100 == 1 {
			return "" // makes no call
		}
		return m.Cause()
	}
	s, _ := open(t, store, views, withCalls(t, store, nil), receipted(o, "1", some))
	caughtUp(t, s, "receipts", 1, events)
	live := documentsOf(t, views, "receipts", 1)
	for key, doc := range live {
		if doc != `{"seen":10,"receipts":null}` {
			t.Errorf("%s is %s: what a suppressed fold changed stands", key, doc)
		}
	}
	at := move(t, store, "account-0", 1)
	at2 := move(t, store, "account-0", 1)
	caughtUp(t, s, "receipts", 1, at2)
	if o.called() != 1 || get(t, s, "receipts", "account-0", nil) != `{"seen":2,"receipts":["1"]}` {
		t.Fatalf("%d calls, %s, position %d", o.called(), get(t, s, "receipts", "account-0", nil), at)
	}
	for range 2 {
		n, err := s.Rebuild(t.Context(), "receipts")
		if err != nil {
			t.Fatal(err)
		}
		caughtUp(t, s, "receipts", n, at2)
		if _, err := s.Switch(t.Context(), "receipts", 0, false); err != nil {
			t.Fatal(err)
		}
	}
	if o.called() != 1 {
		t.Fatalf("%d calls after two rebuilds", o.called())
	}
}

// A fold that asks for something for every event is rebuilt, switched and rolled
// back while events arrive: each has its effect once.
func TestNoCallIsLostOrDoubledWhenGenerationsSwitch(t *testing.T) {
	store, views, o := newStore(t), newViews(t), newOutside(t)
	s, _ := open(t, store, views, withCalls(t, store, nil), receipted(o, "1", askAll))
	const events = 300
	var want []string
	appended := make(chan struct{}, events)
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := range events {
			c, err := store.Append(context.Background(), fmt.Sprintf("account-%d", i%5), annals.Any, annals.Event{Type: "moved", Data: []byte("1")})
			if err != nil {
				t.Error(err)
				return
			}
			want = append(want, fmt.Sprintf("/receipt %s@%d", c.Stream, c.Version))
			appended <- struct{}{}
			runtime.Gosched()
		}
	})
	changes := 0
	for len(appended) < events || changes < 6 {
		n, err := s.Rebuild(t.Context(), "receipts")
		if err != nil {
			t.Fatal(err)
		}
		switchOver := func() (int, error) { return s.Switch(t.Context(), "receipts", 0, false) }
		rollBack := func() (int, error) { return s.Rollback(t.Context(), "receipts", false) }
		for _, change := range []func() (int, error){switchOver, rollBack, switchOver} {
			for deadline := time.Now().Add(30 * time.Second); ; {
				_, err := change()
				if err == nil {
					break
				}
				if !errors.Is(err, annals.ErrConflict) || time.Now().After(deadline) {
					t.Fatalf("generation %d: %v", n, err)
				}
			}
			changes++
		}
	}
	writer.Wait()
	end, err := store.End(t.Context())
	info, failed := s.Show(t.Context(), "receipts")
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	caughtUp(t, s, "receipts", info.Live, end)
	caughtUp(t, s, "receipts", info.Previous, end)
	slices.Sort(want)
	if got := o.effects(); !slices.Equal(got, want) {
		t.Fatalf("%d effects, want %d", len(got), len(want))
	}
	for _, g := range info.Generations {
		if g.Status.Parked > 0 {
			t.Errorf("generation %d has parked %d events", g.Number, g.Status.Parked)
		}
	}
	if a, b := documentsOf(t, views, "receipts", info.Live), documentsOf(t, views, "receipts", info.Previous); !maps.Equal(a, b) {
		t.Fatalf("the live one has %v\nthe previous one %v", a, b)
	}
}

// A new feature makes no call for what the view before it has handled, also where
// the new view goes live before it has caught up.
func TestAForcedSwitchSendsNothingForWhatWasHandled(t *testing.T) {
	store, views, o := newStore(t), newViews(t), newOutside(t)
	opts := withCalls(t, store, nil)
	silent := receipted(o, "1", func(*consumer.Message) string { return "" })
	s, stop := open(t, store, views, opts, silent)
	last := move(t, store, "account-1", 1)
	caughtUp(t, s, "receipts", 1, last)
	eventually(t, "the checkpoint is written", func() bool {
		at, err := s.control("receipts", 1).Position(t.Context())
		return err == nil && at >= last
	})
	stop()
	opts.Changed = true
	s, err := Open(t.Context(), store, views, []*Projection{silent, receipted(o, "2", askAll)}, opts)
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.Rebuild(t.Context(), "receipts")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Switch(t.Context(), "receipts", 0, true); err != nil {
		t.Fatal(err)
	}
	keepRunning(t, s)
	last = move(t, store, "account-2", 1)
	caughtUp(t, s, "receipts", n, last)
	if got := o.effects(); !slices.Equal(got, []string{"/receipt account-2@1"}) {
		t.Fatalf("%q", got)
	}
}

// What is parked for the live generation has made no calls yet: another one must
// not take them for suppressed.
func TestWhatIsParkedForTheLiveGenerationIsParkedForTheNextOne(t *testing.T) {
	store, views, o := newStore(t), newViews(t), newOutside(t)
	var mu sync.Mutex
	broken := true
	fold := func(doc *receipts, m *consumer.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if broken && m.Stream == "account-1" {
			if _, err := effect.Do(m.Context(), "check", nil, func(context.Context, string) (int, error) {
				return 0, effect.NotSent(errors.New("out of order"))
			}); err != nil {
				return consumer.Permanent(err)
			}
		}
		answer, err := o.post(m.Context(), "/receipt", m.Cause())
		doc.Receipts = append(doc.Receipts, answer)
		return err
	}
	p := Documents("receipts", "1", annals.Query{Prefix: "account-"}, ByStream, fold)
	s, _ := open(t, store, views, withCalls(t, store, nil), p)
	move(t, store, "account-1", 1)
	last := move(t, store, "account-2", 1)
	caughtUp(t, s, "receipts", 1, last)
	n, err := s.Rebuild(t.Context(), "receipts")
	if err != nil {
		t.Fatal(err)
	}
	caughtUp(t, s, "receipts", n, last)
	if _, err := s.Switch(t.Context(), "receipts", 0, false); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	broken = false
	mu.Unlock()
	if _, err := s.control("receipts", n).Retry(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Wake(generationName("receipts", n))
	eventually(t, "the parked event is handled", func() bool { return get(t, s, "receipts", "account-1", nil) != "" })
	if got := o.effects(); !slices.Equal(got, []string{"/receipt account-1@1", "/receipt account-2@1"}) {
		t.Fatalf("%q", got)
	}
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// receiptTable is receipted in a table.
func receiptTable(o *outside, revision string) *Projection {
	return SQL("receipts", revision, annals.Query{Prefix: "account-"}, &SQLView{
		Tables: []string{"receipts"},
		Create: func(ctx context.Context, tx *sql.Tx, t *Tables) error {
			_, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+t.Name("receipts")+" (account VARCHAR(100) PRIMARY KEY, balance BIGINT NOT NULL)")
			return err
		},
		Apply: func(ctx context.Context, tx *sql.Tx, t *Tables, m *consumer.Message) error {
			p := t.Dialect.Placeholder
			insert := fmt.Sprintf("INSERT INTO %s (account, balance) VALUES (%s, %s)", t.Name("receipts"), p(1), p(2))
			if _, err := tx.ExecContext(ctx, insert, m.Cause(), 0); err != nil {
				return err
			}
			answer, err := o.post(ctx, "/receipt", m.Cause())
			if err != nil {
				return err
			}
			update := fmt.Sprintf("UPDATE %s SET balance = %s WHERE account = %s", t.Name("receipts"), p(1), p(2))
			_, err = tx.ExecContext(ctx, update, answer, m.Cause())
			return err
		},
	})
}

func TestTablesMakeEachCallOnceAndTakeBackWhatIsSuppressed(t *testing.T) {
	onEach(t, func(t *testing.T, views *sqlview.Store) {
		store, o := newStore(t), newOutside(t)
		move(t, store, "account-1", 1) // before there is a view
		move(t, store, "account-1", 1)
		s, _ := open(t, store, views, withCalls(t, store, nil), receiptTable(o, "1"))
		move(t, store, "account-2", 1)
		last := move(t, store, "account-3", 1)
		caughtUp(t, s, "receipts", 1, last)
		want := map[string]int{"account-2@1": 1, "account-3@1": 2}
		if got := balances(t, views.DB(), "receipts"); !maps.Equal(got, want) {
			t.Fatalf("live: %v", got)
		}
		n, err := s.Rebuild(t.Context(), "receipts")
		if err != nil {
			t.Fatal(err)
		}
		caughtUp(t, s, "receipts", n, last)
		if _, err := s.Switch(t.Context(), "receipts", 0, false); err != nil {
			t.Fatal(err)
		}
		last = move(t, store, "account-4", 1)
		caughtUp(t, s, "receipts", n, last)
		want["account-4@1"] = 3
		if got := balances(t, views.DB(), "receipts"); !maps.Equal(got, want) || o.called() != 3 {
			t.Fatalf("rebuilt: %v, %d calls", got, o.called())
		}
	})
}

// What the generation before has parked has made no calls: the one that goes live before it has
// caught up makes them.
func TestAForcedSwitchMakesTheCallsOfWhatIsParked(t *testing.T) {
	store, views, o := newStore(t), newViews(t), newOutside(t)
	opts := withCalls(t, store, nil)
	broken := Documents("receipts", "1", annals.Query{Prefix: "account-"}, ByStream, func(doc *receipts, m *consumer.Message) error {
		if m.Stream == "account-1" {
			return consumer.Permanent(errors.New("broken"))
		}
		_, err := o.post(m.Context(), "/receipt", m.Cause())
		return err
	})
	s, stop := open(t, store, views, opts, broken)
	move(t, store, "account-1", 1)
	last := move(t, store, "account-2", 1)
	caughtUp(t, s, "receipts", 1, last)
	eventually(t, "the checkpoint is written", func() bool {
		at, err := s.control("receipts", 1).Position(t.Context())
		return err == nil && at >= last
	})
	stop()
	opts.Changed = true
	s, err := Open(t.Context(), store, views, []*Projection{broken, receipted(o, "2", askAll)}, opts)
	if err != nil {
		t.Fatal(err)
	}
	n, err := s.Rebuild(t.Context(), "receipts")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Switch(t.Context(), "receipts", 0, true); err != nil {
		t.Fatal(err)
	}
	keepRunning(t, s)
	caughtUp(t, s, "receipts", n, last)
	if got := o.effects(); !slices.Equal(got, []string{"/receipt account-1@1", "/receipt account-2@1"}) {
		t.Fatalf("%q", got)
	}
}

// A view that was kept without a Gateway goes on where it was.
func TestCallsForWhatWaitedWhileAViewGotItsGatewayAreMade(t *testing.T) {
	store, views, o := newStore(t), newViews(t), newOutside(t)
	p := receipted(o, "1", askAll)
	silent := Documents("receipts", "1", annals.Query{Prefix: "account-"}, ByStream, func(doc *receipts, m *consumer.Message) error {
		doc.Seen++
		return nil
	})
	s, stop := open(t, store, views, quick(), silent)
	last := move(t, store, "account-1", 1)
	caughtUp(t, s, "receipts", 1, last)
	eventually(t, "the checkpoint is written", func() bool {
		at, err := s.control("receipts", 1).Position(t.Context())
		return err == nil && at >= last
	})
	stop()
	last = move(t, store, "account-2", 1)
	s, _ = open(t, store, views, withCalls(t, store, nil), p)
	caughtUp(t, s, "receipts", 1, last)
	if got := o.effects(); !slices.Equal(got, []string{"/receipt account-2@1"}) {
		t.Fatalf("%q", got)
	}
}
