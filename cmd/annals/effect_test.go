package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/reaction"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/pebbleview"
)

// A shop is a program with a reaction that charges orders, by what amount says.
type shop struct {
	*reaction.Reaction
	gateway *effect.Gateway

	mu      sync.Mutex
	charged []int
}

func (s *shop) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.charged)
}

func newShop(t *testing.T, store *annals.Store, views view.Store, amount func(total int) (int, error)) *shop {
	t.Helper()
	s := &shop{}
	var err error
	s.gateway, err = effect.New(store, &effect.Options{
		Logger: slog.New(slog.DiscardHandler),
		Corrections: map[string]effect.Correction{"charges": func(ctx context.Context, d *effect.Difference) (*effect.Response, error) {
			_, err := effect.Do(ctx, "refund", d.Was.Past().Data, func(context.Context, string) (int, error) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.charged = append(s.charged, -1)
				return 1, nil
			})
			return nil, err
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	handle := func(ctx context.Context, turn *reaction.Turn) error {
		var order struct{ Total int }
		if err := json.Unmarshal(turn.Data, &order); err != nil {
			return err
		}
		n, broken := amount(order.Total)
		_, err := effect.Do(ctx, "charge", n, func(context.Context, string) (string, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.charged = append(s.charged, n)
			return "paid", broken
		})
		return err
	}
	s.Reaction, err = reaction.New(store, views, "charges", annals.Query{Types: []string{"ordered"}}, handle, &reaction.Options{
		Effects: s.gateway, Consumer: &consumer.Options{Poll: 5 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs the program until it has handled everything, or with stop until that.
func (s *shop) run(t *testing.T, store *annals.Store) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	t.Cleanup(stop)
	end, err := store.End(t.Context())
	if err == nil {
		err = s.WaitFor(t.Context(), end)
	}
	if err != nil {
		t.Fatal(err)
	}
	return stop
}

func viewsInMemory(t *testing.T) view.Store {
	views := pebbleview.Memory()
	t.Cleanup(func() {
		if err := views.Close(); err != nil {
			t.Error(err)
		}
	})
	return views
}

func order(t *testing.T, store *annals.Store, stream string) {
	t.Helper()
	if _, err := store.Append(t.Context(), stream, annals.Any, annals.Event{Type: "ordered", Data: []byte(`{"total":20}`)}); err != nil {
		t.Fatal(err)
	}
}

func tooMuch(total int) (int, error) {
	if total == 20 {
		total++
	}
	return total, nil
}

func exactly(total int) (int, error) { return total, nil }

func TestEffectCommands(t *testing.T) {
	f := openFaces(t)
	remote, err := client.Open(f.server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = remote.Close() }) // after the programs that use it
	p, views := &place{store: f.server.URL, remote: true}, viewsInMemory(t)

	p.want(t, "reaction list", 0, "no handler of this store makes outside calls")
	p.want(t, "effect list", 0, "nothing to do")
	p.want(t, "effect diff", 0, "no outside call differs: nothing to do")
	p.want(t, "effect diff charges", 4, "knows no handler charges", "annals reaction list")
	p.want(t, "reaction repair charges --from 1", 4, "knows no handler charges")

	old := newShop(t, remote, views, tooMuch)
	if _, err := old.gateway.Began(t.Context(), "charges", 0); err != nil {
		t.Fatal(err)
	}
	order(t, remote, "order-1")
	order(t, remote, "order-2")
	old.run(t, remote)()
	p.want(t, "effect list --handler charges", 0, "HANDLER", "order-2@1  charge  answered  1")
	p.want(t, "effect list --status unknown,failed", 0, "no such call: nothing to do")
	p.want(t, "effect list --json", 0, `{"handler":"charges","event":"order-1@1","call":"charge"`)
	p.want(t, "effect show charges order-1@1", 0, "call charge: answered after 1 attempt", "request   21", `response  "paid"`)
	p.want(t, "effect show charges order-1@1 --json", 0, `{"handler":"charges","event":"order-1@1","calls":[`)
	p.want(t, "effect show charges order-9@1", 4, "made no outside call for order-9@1")
	p.want(t, "reaction repair charges --from 99999", 5, "the log ends at", "nothing to do")

	fixed := newShop(t, remote, views, exactly)
	fixed.run(t, remote)
	p.want(t, "reaction repair charges --from 1 --reason fix", 0, "has handled 2 events again: 2 more outside calls differ; annals effect diff charges shows them")
	p.want(t, "reaction repair charges --from 1 --json", 0, `"state":"repaired"`, `"differences":0`)
	p.want(t, "reaction list", 0, "charges  0", "repaired", "2")
	p.want(t, "effect diff charges", 0, "charge for order-1@1", "was  21 → \"paid\"\n  now  20\n", "2 differences")
	p.want(t, "effect diff --json", 0, `{"differences":[{"id":"charges@`, `"state":"open"`)
	if fixed.calls() != 0 {
		t.Fatalf("a repair has made %d calls", fixed.calls())
	}
	decideOnBoth(t, p, remote, fixed)
}

// decideOnBoth rejects one of the two differences and approves the other one.
func decideOnBoth(t *testing.T, p *place, remote *annals.Store, fixed *shop) {
	t.Helper()
	all, err := effect.Differences(t.Context(), remote, "charges")
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	p.want(t, "effect reject --all --handler other --reason no", 4, "knows no handler other")
	p.want(t, "effect reject "+all[1].ID+" --reason small", 0, "1 difference rejected")
	p.want(t, "effect approve "+all[0].ID+" charges@999", 4, "no difference charges@999")
	p.want(t, "effect approve --all", 0, "1 difference approved")
	p.want(t, "effect approve "+all[0].ID, 3, "nothing to approve")
	p.want(t, "effect approve --all --json", 0, `{"state":"approved","ids":[]}`)
	p.want(t, "effect approve --all", 0, "no difference is open: nothing to do")
	for deadline := time.Now().Add(30 * time.Second); fixed.calls() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the correction was never sent")
		}
		if _, err := remote.End(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(p.want(t, "effect diff charges --all", 0), "corrected"); {
		if time.Now().After(deadline) {
			t.Fatal("the correction was never settled")
		}
	}
	p.want(t, "effect diff charges --all", 0, all[1].ID+"  rejected", "rejected: small")
	p.want(t, "effect diff charges", 0, "nothing to do")
	p.want(t, "effect show charges order-1@1", 0, "call charge: corrected", "corrected 20", "call correction/")
}

// A directory is open in one process at a time: what is asked for is stored.
func TestEffectsOfADirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	store, err := embedded.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	unsure := newShop(t, store, viewsInMemory(t), func(total int) (int, error) { return total, errors.New("the line went dead") })
	if _, err := unsure.gateway.Began(t.Context(), "charges", 0); err != nil {
		t.Fatal(err)
	}
	order(t, store, "order-1")
	order(t, store, "order-2")
	unsure.run(t, store)()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	p := &place{store: dir}
	p.want(t, "reaction repair charges --from 1 --to 2", 0, "is asked for; it begins once a program runs charges")
	p.want(t, "reaction list --json", 0, `{"handlers":[{"name":"charges","began":"0","repair":{"id":"charges@1"`)
	p.want(t, "effect list --status unknown", 0, "order-1@1  charge  unknown", "order-2@1  charge  unknown")
	p.want(t, "effect resolve charges order-1@1 nosuch --resend --reason r", 4, "no call")
	p.want(t, "effect resolve charges order-1@1 charge --no-effect --reason asked", 0, "call charge: failed", "annals parked retry charges")
	p.want(t, "effect resolve charges order-1@1 charge --no-effect --reason asked", 3, "not unknown")
	answer := filepath.Join(t.TempDir(), "answer.json")
	for text, exit := range map[string]int{"{": 5, `{"nonsense":1}`: 5, `{"data":"paid"}`: 0} {
		if exit == 0 {
			continue
		}
		if err := os.WriteFile(answer, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p.want(t, "effect resolve charges order-2@1 charge --reason asked --response "+answer, exit, "is no response")
	}
	if err := os.WriteFile(answer, []byte(`{"data":"paid"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	p.want(t, "effect resolve charges order-2@1 charge --reason asked --json --response "+answer, 0, `"status":"answered"`)
}

func TestProjectionRepairOfAFileIsARebuild(t *testing.T) {
	p := served(t)
	p.append(t, "order-7", "placed", `{"total":12.5}`)
	p.want(t, "view orders order-7 --wait 1", 0)
	p.want(t, "projection repair orders --from 1", 0, "generation 2 of orders is built up to position ", "orders makes no outside calls: it was only rebuilt")
	p.want(t, "projection repair nosuch --from 1", 4)
}

func TestEffectMisuses(t *testing.T) {
	t.Chdir(t.TempDir())
	for line, c := range map[string]misuse{
		"effect":                                 {2, "annals effect needs a command"},
		"effect nosuch":                          {2, "annals effect --help"},
		"effect show charges":                    {2, "EVENT"},
		"effect list --status gone":              {2, "intended, answered, failed and unknown"},
		"effect approve":                         {2, "needs IDs or --all"},
		"effect approve a@1 --all":               {2, "needs IDs or --all"},
		"effect approve a@1 --handler a":         {2, "--handler goes with --all"},
		"effect reject a@1":                      {2, "needs --reason"},
		"effect resolve a b@1 0 --reason r":      {2, "one of --resend, --no-effect and --response"},
		"effect resolve a b@1 0 --resend":        {2, "needs --reason"},
		"reaction":                               {2, "annals reaction needs a command"},
		"reaction repair a":                      {2, "reaction repair needs --from"},
		"reaction repair a --from 0":             {2, "position from 1"},
		"reaction repair a --from 5 --to 4":      {2, "--to must not lie before --from"},
		"projection repair a":                    {2, "projection repair needs --from"},
		"projection repair a --from 1 --no-wait": {2, "--no-wait needs a server"},
	} {
		got := typed(t.Context(), "", strings.Fields(line)...)
		if got.exit != c.exit || !strings.Contains(got.errs, c.want) || strings.Count(got.errs, "annals: ") != 1 {
			t.Errorf("annals %s: %+v, want exit %d and %q", line, got, c.exit, c.want)
		}
	}
}
