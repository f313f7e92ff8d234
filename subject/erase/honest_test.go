package erase_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/subject"
	"github.com/eb901187/annals/subject/erase"
	"github.com/eb901187/annals/subject/keys"
	"github.com/eb901187/annals/view"
)

// Older generations may have folded what the definition of today does not ask for.
func TestGenerationsOfOlderDefinitionsAreDeleted(t *testing.T) {
	p := inDirectory(t, pebbleViews)
	was := files["others"]
	files["others"] = strings.Replace(files["people"], "key: .data.name\n", "", 1)
	t.Cleanup(func() { files["others"] = was })
	w := p.open(t)
	w.append(t, "person-p1", about("p1", "named", "person-named", secretOfP1))
	w.settle(t)
	w.end()
	files["others"], p.changed = was, true
	w = p.open(t)
	w.append(t, "weather", annals.Event{ID: "w", Type: "weather-seen", Data: []byte(`{"sun":true}`)})
	number, err := w.set.Rebuild(t.Context(), "others")
	if err != nil {
		t.Fatal(err)
	}
	w.settle(t)
	for {
		if _, err := w.set.Switch(t.Context(), "others", number, false); err == nil {
			break
		} else if annals.CodeOf(err) != annals.CodeConflict {
			t.Fatal(err)
		}
	}
	receipt, err := w.erase(t, "p1", nil)
	if err != nil || !receipt.Complete {
		t.Fatalf("%+v, %v", receipt, err)
	}
	w.end()
	p.wantNowhere(t, secretOfP1)
}

// What was stored in clear, before there were keys, stays so, and the receipt says it.
func TestEventsInClearAreCounted(t *testing.T) {
	p := inDirectory(t, pebbleViews)
	driver, err := embedded.OpenDriver(p.dir+"/store", &embedded.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	e := about("p1", "named", "person-named", secretOfP1)
	e.Source, e.ContentType = "test", annals.JSONContentType
	if _, err := driver.Append(t.Context(), "person-p1", annals.Any, []annals.Event{e}); err != nil {
		t.Fatal(err)
	}
	if err := driver.Close(); err != nil {
		t.Fatal(err)
	}
	w := p.open(t)
	w.settle(t)
	receipt, err := w.erase(t, "p1", nil)
	if err != nil || receipt.Complete || receipt.InClear != 1 || receipt.Events != 1 {
		t.Fatalf("%+v, %v", receipt, err)
	}
}

// Erasures at once end each with a whole receipt, and the views hold nothing of either.
func TestErasuresAtOnce(t *testing.T) {
	p := inDirectory(t, pebbleViews)
	w := p.open(t)
	w.live(t)
	do, err := erase.New(erase.Options{Store: w.store, Keys: w.keyring, Views: w.set})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"p1", "p2", "p1"}
	var all sync.WaitGroup
	for _, name := range names {
		all.Go(func() {
			r, err := do(t.Context(), subject.Request{Subject: name})
			if err != nil || !r.Complete {
				t.Errorf("%s: %+v, %v", name, r.Views, err)
			}
		})
	}
	all.Wait()
	w.end()
	for _, secret := range []string{secretOfP1, secretOfP2} {
		p.wantNowhere(t, secret)
	}
}

// An erasure ends though events go on coming.
func TestErasureUnderLoad(t *testing.T) {
	p := inDirectory(t, pebbleViews)
	w := p.open(t)
	w.live(t)
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	load.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			e := about(fmt.Sprintf("other-%d", i%50), fmt.Sprint("e", i), "person-named", "somebody")
			if _, err := w.store.Append(t.Context(), fmt.Sprint("person-", i%50), annals.Any, e); err != nil {
				t.Error(err)
				return
			}
		}
	})
	do, err := erase.New(erase.Options{Store: w.store, Keys: w.keyring, Views: w.set})
	if err != nil {
		t.Fatal(err)
	}
	r, err := do(t.Context(), subject.Request{Subject: "p1"})
	stop()
	load.Wait()
	if err != nil || !r.Complete || !slices.ContainsFunc(r.Views, func(v subject.ViewReceipt) bool { return v.Outcome == subject.Rebuilt }) {
		t.Fatalf("%+v, %v", r, err)
	}
	w.end()
	p.wantNowhere(t, secretOfP1)
}

// Keys that never sealed for a subject have nothing to destroy: a tombstone among them is no
// erasure.
func TestKeysOfAnotherStoreEraseNothing(t *testing.T) {
	p := inDirectory(t, pebbleViews)
	w := p.open(t)
	w.live(t)
	w.end()
	right := p.keys
	p.keys = keys.Address{Dir: p.dir + "/other-keys"}
	if err := keys.Create(t.Context(), p.keys, nil); err != nil {
		t.Fatal(err)
	}
	erasing := func() (*subject.Keyring, subject.Receipt, error) {
		k, err := keys.Open(t.Context(), p.keys, &p.keysOpts)
		if err != nil {
			t.Fatal(err)
		}
		store := p.openStore(t, k)
		do, err := erase.New(erase.Options{Store: store, Keys: k})
		if err != nil {
			t.Fatal(err)
		}
		receipt, err := do(t.Context(), subject.Request{Subject: "p1"})
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		return k, receipt, err
	}
	k, _, err := erasing()
	if err == nil {
		t.Fatal("keys that can't open the events erase them")
	}
	if r, err := k.Record(t.Context(), "p1"); err != nil || r.State != subject.None {
		t.Fatalf("a refused erasure left %+v, %v", r, err)
	}
	for _, name := range []string{"p1", "p2"} { // as somebody may have done who had these keys
		if _, err := k.Fence(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if _, receipt, err := erasing(); err != nil || receipt.Complete || receipt.OtherKeys < receipt.Events || receipt.Events != 2 {
		t.Fatalf("%+v, %v", receipt, err)
	}
	p.keys = right
	w = p.open(t)
	if receipt, err := w.erase(t, "p1", nil); err != nil || !receipt.Complete || receipt.OtherKeys != 0 {
		t.Fatalf("by the right keys: %+v, %v", receipt, err)
	}
}

// undropped is a view store that can't drop a space while it is broken.
type undropped struct {
	view.Store
	broken atomic.Bool
}

func (u *undropped) Drop(ctx context.Context, space string) error {
	if u.broken.Load() {
		return errCrash
	}
	return u.Store.Drop(ctx, space)
}

func (u *undropped) Scrub(ctx context.Context) error { return u.Store.(view.Scrubber).Scrub(ctx) }

// An erasure that dies within the deletion of a generation is ended by the next, and so is
// the deletion.
func TestErasureThatDiesWithinADeletion(t *testing.T) {
	for dies := range int32(3) {
		drops := &undropped{}
		p := inDirectory(t, func(t *testing.T, dir string) view.Store {
			drops.Store = pebbleViews(t, dir)
			return drops
		})
		w := p.open(t)
		w.live(t)
		deletions := int32(0)
		_, err := w.erase(t, "p1", func(s erase.Step) error {
			if s == erase.StepDeleting {
				if deletions == dies {
					drops.broken.Store(true)
				}
				deletions++
			}
			return nil
		})
		w.end()
		if !errors.Is(err, errCrash) {
			t.Fatalf("deletion %d: %v", dies, err)
		}
		drops.broken.Store(false)
		w = p.open(t)
		receipt, err := w.erase(t, "p1", nil)
		if err != nil || !receipt.Complete {
			t.Fatalf("again behind deletion %d: %+v, %v", dies, receipt, err)
		}
		w.wantErased(t)
		w.end()
		p.wantNowhere(t, secretOfP1)
	}
}
