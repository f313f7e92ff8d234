package aggregate_test

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/aggregate"
)

// A model is what a repository must be like: lists of events, folded anew each
// time.
type model struct {
	t       *testing.T
	store   *annals.Store
	repo    *bankRepository
	streams map[string][]Event
	keys    map[string]aggregate.Result[Account] // by id and key
	known   []([2]string)                        // their ids and keys
	ids     int
}

func (m *model) state(id string, version int) (a Account) {
	for _, e := range m.streams[id][:version] {
		a = evolve(a, e)
	}
	return a
}

// Random commands under random policies of snapshots, some of them damaged, are
// like a fold over a list.
func TestRepositoryIsAFold(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := memory(t)
		m := &model{t: t, store: annals.New(d, nil), streams: map[string][]Event{}, keys: map[string]aggregate.Result[Account]{}}
		defer func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}()
		m.restart(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"execute": m.execute, "execute again": m.executeAgain, "load": m.load, "load at": m.loadAt,
			"append": m.append, "spoil": m.spoil, "restart": m.restart,
		})
	})
}

func (m *model) id(rt *rapid.T) string { return rapid.SampledFrom([]string{"1", "2"}).Draw(rt, "id") }

// restart goes on with another policy, and sometimes another snapshot version.
func (m *model) restart(rt *rapid.T) {
	a, b := rapid.Int64Range(0, 3).Draw(rt, "a"), rapid.Int64Range(1, 5).Draw(rt, "b")
	opts := &aggregate.Options[Account]{
		SnapshotVersion: rapid.IntRange(1, 2).Draw(rt, "snapshot version"),
		Snapshot:        func(i aggregate.SnapshotInfo) bool { return (a*i.Version+i.Last)%b == 0 },
	}
	m.repo = aggregate.NewRepository(m.store, accounts(m.t, opts), (&reported{}).options())
}

// drawEvents draws what a command decides: events, nothing, or a failure.
func drawEvents(rt *rapid.T) (events []Event, fails bool) {
	for range rapid.IntRange(0, 3).Draw(rt, "events") {
		n := rapid.Int64Range(0, 9).Draw(rt, "n")
		events = append(events, []Event{Opened{fmt.Sprint(n)}, Deposited{n, "note"}, Withdrawn{n}, Seen{"x", n}}[rapid.IntRange(0, 3).Draw(rt, "kind")])
	}
	return events, rapid.IntRange(0, 9).Draw(rt, "fails") == 0
}

func (m *model) execute(rt *rapid.T) {
	id := m.id(rt)
	events, fails := drawEvents(rt)
	opts := &aggregate.CommandOptions{}
	if m.ids++; rapid.Bool().Draw(rt, "keyed") {
		opts.IdempotencyKey = fmt.Sprint(m.ids)
	}
	result, err := m.repo.Execute(m.t.Context(), id, func(a Account) ([]Event, error) {
		if want := m.state(id, len(m.streams[id])); a != want {
			rt.Fatalf("%s: the command saw %+v, want %+v", id, a, want)
		}
		if fails {
			return events, errNotCovered
		}
		return events, nil
	}, opts)
	if fails {
		if err != errNotCovered {
			rt.Fatalf("got %v", err)
		}
		return
	}
	m.streams[id] = append(m.streams[id], events...)
	version := len(m.streams[id])
	if err != nil || result.State != m.state(id, version) || result.Version != int64(version) || result.Count != len(events) || result.Replayed {
		rt.Fatalf("%s: got %+v, %v, want %+v", id, result, err, m.state(id, version))
	}
	if key := opts.IdempotencyKey; key != "" && len(events) > 0 {
		result.Replayed = true
		m.keys[id+" "+key] = result
		m.known = append(m.known, [2]string{id, key})
	}
}

func (m *model) executeAgain(rt *rapid.T) {
	if len(m.known) == 0 {
		return
	}
	k := rapid.SampledFrom(m.known).Draw(rt, "key")
	result, err := m.repo.Execute(m.t.Context(), k[0], func(Account) ([]Event, error) {
		rt.Fatalf("%s was decided again", k)
		return nil, nil
	}, keyed("%s", k[1]))
	if err != nil || result != m.keys[k[0]+" "+k[1]] {
		rt.Fatalf("%s: got %+v, %v, want %+v", k, result, err, m.keys[k[0]+" "+k[1]])
	}
}

func (m *model) load(rt *rapid.T) {
	id := m.id(rt)
	at, err := m.repo.Load(m.t.Context(), id)
	if version := len(m.streams[id]); err != nil || at.State != m.state(id, version) || at.Version != int64(version) {
		rt.Fatalf("%s: got %+v, %v, want %+v", id, at, err, m.state(id, version))
	}
}

func (m *model) loadAt(rt *rapid.T) {
	id := m.id(rt)
	version := rapid.IntRange(0, len(m.streams[id])+1).Draw(rt, "version")
	at, err := m.repo.LoadAt(m.t.Context(), id, int64(version))
	switch {
	case version > len(m.streams[id]):
		if !errors.Is(err, annals.ErrNotFound) {
			rt.Fatalf("got %v", err)
		}
	case err != nil || at.State != m.state(id, version) || at.Version != int64(version):
		rt.Fatalf("%s at %d: got %+v, %v, want %+v", id, version, at, err, m.state(id, version))
	}
}

// append is the work of another program.
func (m *model) append(rt *rapid.T) {
	id := m.id(rt)
	e, err := accounts(m.t, nil).Encode(Seen{"another", 3})
	if err == nil {
		_, err = m.store.Append(m.t.Context(), "account-"+id, int64(len(m.streams[id])), e)
	}
	if err != nil {
		rt.Fatal(err)
	}
	m.streams[id] = append(m.streams[id], Seen{"another", 3})
}

// spoil adds a snapshot that must not be used.
func (m *model) spoil(rt *rapid.T) {
	id := m.id(rt)
	version := len(m.streams[id]) + rapid.IntRange(-5, 3).Draw(rt, "version")
	attributes := map[string]string{"aggregate": "account", "snapshotversion": "1", "eventid": "none"}
	data := `{"Balance":-1}`
	switch rapid.IntRange(0, 3).Draw(rt, "fault") {
	case 0:
		data = `[1]`
	case 1:
		attributes["snapshotversion"] = "3"
	case 2:
		attributes["aggregate"] = "order"
	}
	_, err := m.store.Append(m.t.Context(), aggregate.SnapshotPrefix+"account-"+id, annals.Any, annals.Event{
		Type: aggregate.SnapshotType, Causation: fmt.Sprintf("account-%s@%d", id, max(version, 1)), Attributes: attributes,
		Data: []byte(data),
	})
	if err != nil {
		rt.Fatal(err)
	}
}
