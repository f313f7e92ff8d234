package projection

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/view"
)

// What one process deletes, another one that works on it does not bring back, and
// the projection begins again under another number.
func TestDeleteAllByAnotherProcess(t *testing.T) {
	store, views := newStore(t), newViews(t)
	a, stopA := open(t, store, views, quick(), accounts("1", 1))
	last := move(t, store, "account-1", 5)
	caughtUp(t, a, "accounts", 1, last)
	b, err := Open(t.Context(), store, views, nil, quick())
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 10; n++ {
		if err := b.DeleteAll(t.Context(), "accounts"); err != nil {
			t.Fatal(err)
		}
		until(t, "A gives the generation up", func() bool { return a.runnerOf("accounts", n) == nil })
		names, err := consumer.Names(t.Context(), views)
		if err != nil {
			t.Fatal(err)
		}
		found, err := views.Get(t.Context(), generationName("accounts", n), "account-1")
		if err != nil || len(names)+len(found) > 0 {
			t.Fatalf("after DeleteAll: consumers %v, documents %v, %v", names, found, err)
		}
		stopA()
		a, stopA = open(t, store, views, quick(), accounts("1", 1))
		caughtUp(t, a, "accounts", n+1, last)
	}
	stopA()
}

// Keys that panic park their event and end no process.
func TestKeysPanics(t *testing.T) {
	if os.Getenv("ANNALS_TEST_PANIC") == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKeysPanics$", "-test.timeout=60s")
		cmd.Env = append(os.Environ(), "ANNALS_TEST_PANIC=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("the process ended: %v\n%.1500s", err, out)
		}
		return
	}
	store, views := newStore(t), newViews(t)
	for i := range 200 {
		move(t, store, fmt.Sprintf("account-%d", i), i)
	}
	p := Documents("p", "1", annals.Query{}, func(e *annals.Event) []string {
		if e.Position == 100 {
			var m map[string][]string
			return []string{m["x"][0]}
		}
		return []string{e.Stream}
	}, func(doc *int, m *consumer.Message) error { *doc++; return nil })
	s, _ := open(t, store, views, quick(), p)
	caughtUp(t, s, "p", 1, 200)
}

// In a rolling deployment the old program starts again beside the new one, and
// leaves alone what that builds.
func TestRollingDeployment(t *testing.T) {
	store, views := newStore(t), newViews(t)
	old, stopOld := open(t, store, views, quick(), accounts("1", 1))
	last := move(t, store, "account-1", 5)
	caughtUp(t, old, "accounts", 1, last)
	o := quick()
	o.Rebuild = true
	_, stopNew := open(t, store, views, o, accounts("2", 10))
	stopOld()
	if _, err := Open(t.Context(), store, views, []*Projection{accounts("1", 1)}, quick()); err != nil {
		t.Errorf("the old program, whose very revision is live, can't start again: %v", err)
	}
	s, err := Open(t.Context(), store, views, []*Projection{accounts("1", 1)}, o)
	if err != nil {
		t.Fatal(err)
	}
	info, _ := s.Show(t.Context(), "accounts")
	if b := info.Building(); b == nil || b.Revision != "2" {
		t.Errorf("the old program deleted what the new one was building: %+v", b)
	}
	stopNew()
}

// A process that is killed in the middle of a deletion leaves nothing that counts.
func TestKilledInDelete(t *testing.T) {
	store, views := newStore(t), newViews(t)
	s, stop := open(t, store, views, quick(), accounts("1", 1))
	last := move(t, store, "account-1", 5)
	caughtUp(t, s, "accounts", 1, last)
	if err := s.Define(accounts("2", 10)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rebuild(t.Context(), "accounts"); err != nil {
		t.Fatal(err)
	}
	stop()
	// Delete's first write, and the process is gone.
	if _, err := s.edit(t.Context(), "accounts", func(g *generations, _ *view.Change) error { return g.strike("accounts", 2) }); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), store, views, []*Projection{accounts("1", 1)}, quick()); err != nil {
		t.Errorf("revision 1, which is the only one left: %v", err)
	}
	if _, err := Open(t.Context(), store, views, []*Projection{accounts("2", 1)}, quick()); err == nil {
		t.Errorf("revision 2 was accepted, of which there is nothing but a generation that is being deleted")
	}
}

func TestKilledInDeleteAll(t *testing.T) {
	store, views := newStore(t), newViews(t)
	s, stop := open(t, store, views, quick(), accounts("1", 1))
	last := move(t, store, "account-1", 5)
	caughtUp(t, s, "accounts", 1, last)
	stop()
	if _, err := s.edit(t.Context(), "accounts", func(g *generations, _ *view.Change) error { return g.strikeAll("accounts") }); err != nil {
		t.Fatal(err)
	}
	s, _ = open(t, store, views, quick(), accounts("1", 1))
	if got := get(t, s, "accounts", "account-1", &ReadOptions{Wait: last}); got != `{"balance":5,"versions":[1]}` {
		t.Errorf("started again, the view is %s", got)
	}
}

// A generation that nobody keeps up to date is not rolled back to unforced.
func TestRollbackGoesBackInTime(t *testing.T) {
	store, views := newStore(t), newViews(t)
	s, stop := open(t, store, views, quick(), accounts("1", 1))
	last := move(t, store, "account-1", 5)
	caughtUp(t, s, "accounts", 1, last)
	stop()
	o := quick()
	o.Rebuild = true
	s, _ = open(t, store, views, o, accounts("2", 1))
	caughtUp(t, s, "accounts", 2, last)
	if _, err := s.Switch(t.Context(), "accounts", 0, false); err != nil {
		t.Fatal(err)
	}
	last = move(t, store, "account-1", 1)
	caughtUp(t, s, "accounts", 2, last)
	before := get(t, s, "accounts", "account-1", nil)
	if _, err := s.Rollback(t.Context(), "accounts", false); err == nil {
		t.Errorf("rolled back without a word: %s, then %s; and nothing will ever follow it", before, get(t, s, "accounts", "account-1", nil))
	}
}

// A stale generation stays stale when others go.
func TestAStaleGenerationIsBuildingAgain(t *testing.T) {
	g := &generations{Live: 2, Previous: 4, Last: 4, List: []generation{{Number: 2}, {Number: 3}, {Number: 4}}}
	if g.role(&g.List[1]) != Stale {
		t.Fatal("premise")
	}
	if err := g.strike("x", 4); err != nil {
		t.Fatal(err)
	}
	g.List = g.List[:2]
	if r := g.role(&g.List[1]); r != Stale {
		t.Errorf("generation 3 is %s after generation 4 was deleted", r)
	}
}

// A read that waits survives a switch, and the deletion of what it waited for.
func TestAWaitingReadAfterSwitchAndDelete(t *testing.T) {
	store, views := newStore(t), newViews(t)
	s, _ := open(t, store, views, quick(), accounts("1", 1))
	last := move(t, store, "account-1", 5)
	caughtUp(t, s, "accounts", 1, last)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	got := make(chan error, 1)
	go func() {
		_, _, err := s.Get(ctx, "accounts", "account-1", &ReadOptions{Wait: last + 1})
		got <- err
	}()
	_ = s.Define(accounts("2", 1))
	n, _ := s.Rebuild(t.Context(), "accounts")
	caughtUp(t, s, "accounts", n, last)
	if _, err := s.Switch(t.Context(), "accounts", 0, false); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "accounts", 1); err != nil {
		t.Fatal(err)
	}
	last = move(t, store, "account-1", 1)
	caughtUp(t, s, "accounts", 2, last)
	if err := <-got; err != nil {
		t.Errorf("the live view has long been at %d: %v", last, err)
	}
}

// A list that is damaged keeps no other projection from its work.
func TestOneBadListStopsAll(t *testing.T) {
	store, views := newStore(t), newViews(t)
	if err := views.Commit(t.Context(), view.Change{Put: []view.Put{{Space: metaSpace, Document: view.Document{Key: "aaa", Data: []byte("{")}}}}); err != nil {
		t.Fatal(err)
	}
	s, _ := open(t, store, views, quick(), accounts("1", 1))
	last := move(t, store, "account-1", 5)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, _, err := s.waitFor(ctx, "accounts", 1, last); err != nil {
		t.Errorf("accounts, which is sound: %v", err)
	}
}

// A small store takes 100 documents at once, as DynamoDB does.
type small struct{ view.Store }

func (small) MaxChange() int { return 100 }
func (s small) Commit(ctx context.Context, c view.Change) error {
	if err := c.CheckSize(100); err != nil {
		return err
	}
	return s.Store.Commit(ctx, c)
}

func TestAsManyKeysAsAreAllowedFitIntoASmallStore(t *testing.T) {
	for _, n := range []int{maxKeys - 1, maxKeys} {
		store, views := newStore(t), small{newViews(t)}
		var sound atomic.Bool
		p := Documents("p", "1", annals.Query{}, func(e *annals.Event) (keys []string) {
			for i := range n {
				keys = append(keys, fmt.Sprint(i))
			}
			return keys
		}, func(doc *int, m *consumer.Message) error {
			if m.Type == "flaky" && !sound.Load() {
				return errors.New("for the moment")
			}
			*doc++
			return nil
		})
		s, _ := open(t, store, views, quick(), p)
		move(t, store, "a", 1)
		c, err := store.Append(t.Context(), "b", annals.Any, annals.Event{Type: "flaky"})
		if err != nil {
			t.Fatal(err)
		}
		caughtUp(t, s, "p", 1, c.Position)
		sound.Store(true)
		if asked, err := s.control("p", 1).Retry(t.Context()); err != nil || asked != 1 {
			t.Fatalf("%d keys: %d events are parked, want that of b: %v", n, asked, err)
		}
		s.Wake("p@1")
		until(t, "nothing is parked", func() bool {
			status, err := s.status(t.Context(), "p", 1)
			return err == nil && status.Parked == 0
		})
	}
}

// A deletion comes between the reading of the list and the start of the work.
type gated struct {
	view.Store
	hold func()
}

func (g *gated) Scan(ctx context.Context, space string, r view.Range) iter.Seq2[view.Document, error] {
	return func(yield func(view.Document, error) bool) {
		for d, err := range g.Store.Scan(ctx, space, r) {
			if !yield(d, err) {
				return
			}
		}
		if space == metaSpace {
			g.hold()
		}
	}
}

func TestDeleteDuringReconcile(t *testing.T) {
	store := newStore(t)
	views := &gated{Store: newViews(t), hold: func() {}}
	s, err := Open(t.Context(), store, views, []*Projection{accounts("1", 1)}, quick())
	if err != nil {
		t.Fatal(err)
	}
	move(t, store, "account-1", 1)
	_ = s.Define(accounts("2", 1))
	n, err := s.Rebuild(t.Context(), "accounts")
	if err != nil {
		t.Fatal(err)
	}
	// reconcile has read the list when Delete comes.
	views.hold = func() {
		views.hold = func() {}
		if err := s.Delete(t.Context(), "accounts", n); err != nil {
			t.Error(err)
		}
	}
	stop := keepRunning(t, s)
	until(t, "it is deleted", func() bool {
		info, err := s.Show(t.Context(), "accounts")
		return err == nil && len(info.Generations) == 1 && s.runnerOf("accounts", n) == nil
	})
	caughtUp(t, s, "accounts", 1, move(t, store, "account-1", 1))
	stop()
	names, _ := consumer.Names(t.Context(), views)
	info, _ := s.Show(t.Context(), "accounts")
	found, _ := views.Get(t.Context(), "accounts@2", "account-1")
	if len(info.Generations) > 1 || len(names) > 1 || len(found) > 0 {
		t.Errorf("the list has %d generations, consumers %v, documents of the deleted one %d", len(info.Generations), names, len(found))
	}
}

// Documents that are only read count against the memory of the cache.
func TestMemoryOfDocumentsThatStay(t *testing.T) {
	views := newViews(t)
	big := `"` + strings.Repeat("x", 100<<10) + `"`
	const n = 3000
	for i := range n {
		if err := views.Commit(t.Context(), view.Change{Put: []view.Put{{Space: "p@1", Document: view.Document{Key: fmt.Sprint(i), Data: []byte(big)}}}}); err != nil {
			t.Fatal(err)
		}
	}
	p := Documents("p", "1", annals.Query{}, ByStream, func(doc *string, m *consumer.Message) error { return Keep })
	d := p.documents(views, "p@1").(*documents[string])
	for i := range n {
		if _, err := d.Handle(t.Context(), []consumer.Message{{Event: annals.Event{Stream: fmt.Sprint(i)}}}); err != nil {
			t.Fatal(err)
		}
	}
	total := 0
	for _, e := range d.cache.young {
		total += len(e.doc)
	}
	for _, e := range d.cache.old {
		total += len(e.doc)
	}
	if total > cacheBytes*2 {
		t.Errorf("the cache holds %d MiB of documents, its limit is %d MiB; by its count it is %d KiB", total>>20, cacheBytes>>20, d.cache.weight>>10)
	}
}

// Asked for twice, a rollback happens once.
func TestTwoRollbacks(t *testing.T) {
	store, views := newStore(t), newViews(t)
	s, _ := open(t, store, views, quick(), accounts("1", 1))
	last := move(t, store, "account-1", 5)
	caughtUp(t, s, "accounts", 1, last)
	_ = s.Define(accounts("2", 10))
	_, _ = s.Rebuild(t.Context(), "accounts")
	caughtUp(t, s, "accounts", 2, last)
	_, _ = s.Switch(t.Context(), "accounts", 0, false)
	_, err1 := s.Rollback(t.Context(), "accounts", false)
	n, err2 := s.Rollback(t.Context(), "accounts", false)
	if err1 == nil && err2 == nil && n == 2 {
		t.Errorf("rolled back twice: generation %d, which both wanted to leave, is live", n)
	}
}

// The live view of Go code goes on while its next revision is built.
func TestLiveViewOfGoCodeDuringARebuild(t *testing.T) {
	store, views := newStore(t), newViews(t)
	s, stop := open(t, store, views, quick(), accounts("1", 1))
	last := move(t, store, "account-1", 5)
	caughtUp(t, s, "accounts", 1, last)
	read := func(what string, s *Set) {
		last = move(t, store, "account-1", 1)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, _, err := s.Get(ctx, "accounts", "account-1", &ReadOptions{Wait: last}); err != nil {
			st, _ := s.status(t.Context(), "accounts", 1)
			t.Errorf("%s: %v; %s %q", what, err, st.State, st.Error)
		}
	}
	if err := s.Define(accounts("2", 10)); err != nil {
		t.Fatal(err)
	}
	if err := s.reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	read("Define alone", s)
	stop()
	o := quick()
	o.Rebuild = true
	s, _ = open(t, store, views, o, accounts("1", 1), accounts("2", 10))
	read("the new program, building generation 2", s)
}

// A view store that refuses to be read, as where a right is missing.
type forbidding struct {
	view.Store
	on atomic.Bool
}

func (f *forbidding) Get(ctx context.Context, space string, keys ...string) (map[string]view.Document, error) {
	if f.on.Load() && space == "accounts@1" {
		return nil, &annals.Error{Code: annals.CodeForbidden, Message: "dynamodb:BatchGetItem is not allowed"}
	}
	return f.Store.Get(ctx, space, keys...)
}

func TestAViewStoreThatRefusesReads(t *testing.T) {
	store, views := newStore(t), &forbidding{Store: newViews(t)}
	s, _ := open(t, store, views, quick(), accounts("1", 1))
	views.on.Store(true)
	var last int64
	for i := range 100 {
		last = move(t, store, fmt.Sprintf("account-%d", i), 1)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, _, err := s.waitFor(ctx, "accounts", 1, last)
	st, _ := s.status(t.Context(), "accounts", 1)
	if err == nil && st.Parked > 0 {
		t.Errorf("the view store could not be read, and %d sound events were parked for it; the wait for %d ended well", st.Parked, last)
	}
}

// A handler that blocks holds up nothing but its own generation, and Run returns
// only once it has left the store and the views, which may then be closed.
func TestAHandlerThatBlocks(t *testing.T) {
	store, views := newStore(t), newViews(t)
	gate, in := make(chan struct{}), make(chan struct{}, 1)
	slow := Documents("slow", "1", annals.Query{}, ByStream, func(doc *int, m *consumer.Message) error {
		select {
		case in <- struct{}{}:
		default:
		}
		<-gate
		return nil
	})
	s, stop := open(t, store, views, quick(), slow, accounts("1", 1))
	last := move(t, store, "account-1", 1)
	<-in
	caughtUp(t, s, "accounts", 1, last)
	other, _ := Open(t.Context(), store, views, nil, quick())
	if err := other.DeleteAll(t.Context(), "slow"); err != nil {
		t.Fatal(err)
	}
	until(t, "it is given up", func() bool { return s.runnerOf("slow", 1) == nil })
	_ = s.Define(State())
	if _, err := s.Rebuild(t.Context(), "state"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, _, err := s.waitFor(ctx, "state", 1, last); err != nil {
		t.Errorf("another projection: %v", err)
	}
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	select {
	case <-stopped:
		t.Error("Run has returned before the handler")
	case <-time.After(200 * time.Millisecond):
	}
	close(gate)
	<-stopped
}
