package aggregate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/aggregate"
	"github.com/eb901187/annals/storetest"
)

// reads counts the events that streams of aggregates yield.
func reads(t *testing.T) (b *bending, count func() int) {
	b = &bending{Driver: memory(t)}
	n := 0
	b.bend = func(_ int, e annals.Event) (annals.Event, error, bool) {
		if !strings.HasPrefix(e.Stream, aggregate.SnapshotPrefix) {
			n++
		}
		return e, nil, true
	}
	return b, func() int {
		before := n
		n = 0
		return before
	}
}

// reported gathers what goes wrong with snapshots.
type reported struct {
	mu   sync.Mutex
	errs []error
}

func (r *reported) options() *aggregate.RepositoryOptions {
	return &aggregate.RepositoryOptions{SnapshotFailed: func(_ context.Context, _ string, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.errs = append(r.errs, err)
	}}
}

func TestSnapshotSparesReadingWhatIsBehindIt(t *testing.T) {
	b, count := reads(t)
	s := newStore(t, b)
	r := aggregate.NewRepository(s, accounts(t, snapshots(aggregate.Every(10))), strict(t, 0))
	for range 34 {
		mustExecute(t, r, "7", deposit(1), nil)
	}
	count()
	at := mustLoad(t, r, "7")
	if n := count(); at.State.Balance != 34 || at.State.Count != 34 || n != 5 {
		t.Fatalf("%+v after reading %d events, want 5: that of the snapshot and 4 behind it", at, n)
	}
	var of []string
	for _, e := range storetest.Collect(t, s.Stream(t.Context(), aggregate.SnapshotPrefix+"account-7", nil)) {
		if e.Type != aggregate.SnapshotType {
			t.Fatalf("stored %+v", e)
		}
		of = append(of, e.Causation)
	}
	if got := strings.Join(of, " "); got != "account-7@10 account-7@20 account-7@30" {
		t.Fatalf("snapshots of %s", got)
	}
}

func TestPolicyIsToldWhereTheAggregateStands(t *testing.T) {
	var seen []aggregate.SnapshotInfo
	policy := func(i aggregate.SnapshotInfo) bool {
		seen = append(seen, i)
		return i.Version%2 == 0
	}
	r := aggregate.NewRepository(newStore(t, memory(t)), accounts(t, snapshots(policy)), strict(t, 0))
	for range 5 {
		mustExecute(t, r, "7", deposit(1), nil)
	}
	mustLoad(t, r, "7")
	mustExecute(t, r, "7", func(Account) ([]Event, error) { return nil, nil }, nil)
	if got, want := fmt.Sprint(seen), "[{account-7 1 0} {account-7 2 0} {account-7 3 2} {account-7 4 2} {account-7 5 4}]"; got != want {
		t.Fatalf("the policy saw %s, want %s", got, want)
	}
}

// Whatever a snapshot holds, it costs a full load and nothing else.
func TestUnusableSnapshotsCostAFullLoad(t *testing.T) {
	state := []byte(`{"Balance":999}`)
	good := map[string]string{"aggregate": "account", "snapshotversion": "1", "eventid": "e6"}
	with := func(name, value string) map[string]string {
		m := map[string]string{name: value}
		for k, v := range good {
			if k != name {
				m[k] = v
			}
		}
		return m
	}
	for name, c := range map[string]struct {
		e        annals.Event
		reported bool
		used     bool
	}{
		"one that can be used":         {annals.Event{Type: aggregate.SnapshotType, Causation: "account-7@6", Attributes: good, Data: state}, false, true},
		"no JSON object":               {annals.Event{Type: aggregate.SnapshotType, Causation: "account-7@6", Attributes: good, Data: []byte(`[1]`)}, true, false},
		"no data":                      {annals.Event{Type: aggregate.SnapshotType, Causation: "account-7@6", Attributes: good}, true, false},
		"another content type":         {annals.Event{Type: aggregate.SnapshotType, Causation: "account-7@6", Attributes: good, ContentType: "text/plain", Data: state}, true, false},
		"another snapshot version":     {annals.Event{Type: aggregate.SnapshotType, Causation: "account-7@6", Attributes: with("snapshotversion", "2"), Data: state}, false, false},
		"of another type of aggregate": {annals.Event{Type: aggregate.SnapshotType, Causation: "account-7@6", Attributes: with("aggregate", "order"), Data: state}, false, false},
		"of another stream":            {annals.Event{Type: aggregate.SnapshotType, Causation: "account-8@6", Attributes: good, Data: state}, false, false},
		"without its version":          {annals.Event{Type: aggregate.SnapshotType, Attributes: good, Data: state}, false, false},
		"another type of event":        {annals.Event{Type: "other", Causation: "account-7@6", Attributes: good, Data: state}, false, false},
		"one version past the end":     {annals.Event{Type: aggregate.SnapshotType, Causation: "account-7@11", Attributes: good, Data: state}, true, false},
		"far past the end":             {annals.Event{Type: aggregate.SnapshotType, Causation: "account-7@9223372036854775807", Attributes: good, Data: state}, true, false},
		"of another history":           {annals.Event{Type: aggregate.SnapshotType, Causation: "account-7@6", Attributes: with("eventid", "x"), Data: state}, true, false},
		"without an event's id":        {annals.Event{Type: aggregate.SnapshotType, Causation: "account-7@6", Attributes: with("eventid", ""), Data: state}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, memory(t))
			for i := range 10 {
				e := annals.Event{ID: fmt.Sprint("e", i+1), Type: "money-deposited", Data: []byte(`{"Amount":1}`)}
				if _, err := s.Append(t.Context(), "account-7", int64(i), e); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.Append(t.Context(), aggregate.SnapshotPrefix+"account-7", annals.Any, c.e); err != nil {
				t.Fatal(err)
			}
			var failed reported
			r := aggregate.NewRepository(s, accounts(t, snapshots(aggregate.Every(5))), failed.options())
			want := int64(10)
			if c.used {
				want = 999 + 4
			}
			if at := mustLoad(t, r, "7"); at.State.Balance != want || at.Version != 10 {
				t.Fatalf("got %+v", at)
			}
			if (len(failed.errs) > 0) != c.reported {
				t.Fatalf("reported %v", failed.errs)
			}
			// The next command heals it, and is told right whether its key is known.
			if result := mustExecute(t, r, "7", deposit(1), keyed("k")); result.State.Balance != want+1 || result.Replayed {
				t.Fatalf("got %+v", result)
			}
			failed.errs = nil
			if at := mustLoad(t, r, "7"); at.State.Balance != want+1 || len(failed.errs) > 0 {
				t.Fatalf("got %+v, %v", at, failed.errs)
			}
		})
	}
}

func TestOtherSnapshotVersionIsNotUsed(t *testing.T) {
	s := newStore(t, memory(t))
	before := aggregate.NewRepository(s, accounts(t, snapshots(aggregate.Every(1))), strict(t, 0))
	mustExecute(t, before, "7", deposit(10), nil)
	opts := &aggregate.Options[Account]{SnapshotVersion: 2, Snapshot: aggregate.Every(1)}
	double, err := aggregate.New("account", bank(), func(a Account, e Event) Account {
		a = evolve(a, e)
		if d, ok := e.(Deposited); ok {
			a.Balance += d.Amount
		}
		return a
	}, opts)
	if err != nil {
		t.Fatal(err)
	}
	after := aggregate.NewRepository(s, double, strict(t, 0))
	if at := mustLoad(t, after, "7"); at.State.Balance != 20 {
		t.Fatalf("got %+v", at)
	}
	mustExecute(t, after, "7", deposit(1), nil)
	if a, b := mustLoad(t, before, "7"), mustLoad(t, after, "7"); a.State.Balance != 11 || b.State.Balance != 22 {
		t.Fatalf("got %+v and %+v", a, b)
	}
}

func TestFailedSnapshotDoesNotFailTheCommand(t *testing.T) {
	for _, fault := range []storetest.Fault{storetest.Refused, storetest.LostRequest, storetest.LostReply} {
		f := &storetest.Faulty{Driver: memory(t)}
		s := newStore(t, f)
		var failed reported
		r := aggregate.NewRepository(s, accounts(t, snapshots(aggregate.Every(1))), failed.options())
		f.FailAppends(storetest.None, fault, fault, fault)
		if c := mustExecute(t, r, "7", deposit(1), nil); c.Version != 1 || c.State.Balance != 1 {
			t.Fatalf("got %+v", c)
		}
		if (len(failed.errs) == 1) != (fault != storetest.LostReply) {
			t.Fatalf("%v: reported %v", fault, failed.errs)
		}
		// Nor does one that can't be read now.
		failed.errs = nil
		f.FailAppends()
		f.FailReads(storetest.Refused)
		if at := mustLoad(t, r, "7"); at.State.Balance != 1 || len(failed.errs) != 1 || !errors.Is(failed.errs[0], annals.ErrUnavailable) {
			t.Fatalf("got %+v, %v", at, failed.errs)
		}
		if c := mustExecute(t, r, "7", deposit(1), nil); c.State.Balance != 2 {
			t.Fatalf("got %+v", c)
		}
	}
}

func TestSnapshotOfALongNameOrALargeStateIsLeftOut(t *testing.T) {
	s := newStore(t, memory(t))
	var failed reported
	r := aggregate.NewRepository(s, accounts(t, snapshots(aggregate.Every(1))), failed.options())
	long := strings.Repeat("x", annals.MaxStreamBytes-len("account-"))
	for i := range 3 {
		if c := mustExecute(t, r, long, deposit(1), keyed("%d", i)); c.State.Balance != int64(i+1) {
			t.Fatalf("got %+v", c)
		}
	}
	note := strings.Repeat("x", annals.MaxDataBytes-100)
	mustExecute(t, r, "7", func(Account) ([]Event, error) { return []Event{Opened{note}, Deposited{Note: note}}, nil }, nil)
	if at := mustLoad(t, r, "7"); at.State.Count != 2 {
		t.Fatalf("got %d events", at.State.Count)
	}
	if len(failed.errs) != 4 {
		t.Fatalf("reported %d errors: %v", len(failed.errs), failed.errs)
	}
	for _, err := range failed.errs {
		wantError(t, err, annals.ErrTooLarge)
	}
	for _, e := range storetest.Collect(t, s.Log(t.Context(), annals.Query{Prefix: aggregate.SnapshotPrefix})) {
		t.Fatalf("stored %s with %d bytes", e.Stream, len(e.Data))
	}
}

// A state that JSON would not bring back is never stored: a later load would be
// wrong.
func TestSnapshotThatWouldLoseSomethingIsLeftOut(t *testing.T) {
	type cart struct {
		Items map[string]int `json:"items,omitempty"`
		total int
	}
	type added struct{ N int }
	typ, err := aggregate.New("cart", aggregate.Schema[added]{Events: []aggregate.Variant[added]{
		aggregate.Event[added, added]("added", 1),
	}}, func(c cart, e added) cart {
		c.total += e.N
		return c
	}, &aggregate.Options[cart]{SnapshotVersion: 1, Snapshot: aggregate.Every(1)})
	if err != nil {
		t.Fatal(err)
	}
	var failed reported
	r := aggregate.NewRepository(newStore(t, memory(t)), typ, failed.options())
	for range 3 {
		if _, err := r.Execute(t.Context(), "1", func(cart) ([]added, error) { return []added{{2}}, nil }, nil); err != nil {
			t.Fatal(err)
		}
	}
	at, err := r.Load(t.Context(), "1")
	if err != nil || at.State.total != 6 {
		t.Fatalf("got %+v, %v", at, err)
	}
	if len(failed.errs) != 3 || !strings.Contains(failed.errs[0].Error(), ".total") {
		t.Fatalf("reported %v", failed.errs)
	}
	if err := typ.CheckState(cart{Items: map[string]int{}}); err == nil || !strings.Contains(err.Error(), ".Items") {
		t.Fatalf("an empty map that comes back nil: %v", err)
	}
	if err := typ.CheckState(cart{Items: map[string]int{"a": 1}}); err != nil {
		t.Fatal(err)
	}
}

// Snapshots are ordinary events of streams that are easily told apart.
func TestSnapshotIsReadableJSON(t *testing.T) {
	s := newStore(t, memory(t))
	r := aggregate.NewRepository(s, accounts(t, snapshots(aggregate.Every(1))), strict(t, 0))
	want := mustExecute(t, r, "7", deposit(3), nil).State
	all := storetest.Collect(t, s.Log(t.Context(), annals.Query{Types: []string{aggregate.SnapshotType}}))
	if len(all) != 1 || all[0].Stream != aggregate.SnapshotPrefix+"account-7" || !strings.HasPrefix(all[0].Stream, annals.OwnPrefix) {
		t.Fatalf("stored %+v", all)
	}
	var got Account
	if err := json.Unmarshal(all[0].Data, &got); err != nil || got != want {
		t.Fatalf("it holds %s: %v", all[0].Data, err)
	}
}
