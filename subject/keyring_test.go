package subject_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/subject"
)

// A clock is set by the test; waiting moves it on.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	waited []time.Duration
}

func newClock() *clock { return &clock{now: time.Date(2020, 5, 1, 20, 0, 0, 0, time.UTC)} }

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *clock) wait(ctx context.Context, d time.Duration) error {
	c.pass(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waited = append(c.waited, d)
	return ctx.Err()
}

func (c *clock) options() *subject.Options { return &subject.Options{Clock: c.time, Wait: c.wait} }

func localWrapper(t testing.TB, fill byte) subject.Wrapper {
	t.Helper()
	w, err := subject.LocalWrapper(bytes.Repeat([]byte{fill}, subject.KeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func newKeyring(t testing.TB, shelf subject.Shelf, opts *subject.Options) *subject.Keyring {
	t.Helper()
	k, err := subject.New(shelf, localWrapper(t, 1), opts)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func event(name, id, data string) annals.Event {
	return annals.Event{
		ID: id, Type: "t", Stream: "s", Version: 1, ContentType: annals.JSONContentType, Data: []byte(data),
		Attributes: map[string]string{annals.SubjectAttribute: name},
	}
}

func seal(t *testing.T, k *subject.Keyring, e annals.Event) annals.Event {
	t.Helper()
	if err := k.Seal(t.Context(), "s", &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// wantErased wants k neither to open e, which is sealed, nor to seal for its subject.
func wantErased(t *testing.T, k *subject.Keyring, e annals.Event) {
	t.Helper()
	opened, again := e, event(e.Subject(), "other", `1`)
	if err := k.Open(t.Context(), &opened); err != nil || !opened.Erased() || len(opened.Data) > 0 {
		t.Fatalf("it opens as %+v, %v", opened, err)
	}
	if err := k.Seal(t.Context(), "s", &again); annals.CodeOf(err) != annals.CodeErased {
		t.Fatalf("sealing: %v", err)
	}
}

func wantOpen(t *testing.T, k *subject.Keyring, e annals.Event, data string) {
	t.Helper()
	if err := k.Open(t.Context(), &e); err != nil || string(e.Data) != data {
		t.Fatalf("it opens as %+v, %v", e, err)
	}
}

func TestSealedDataOpensInItsEventAlone(t *testing.T) {
	k := newKeyring(t, subject.MemoryShelf(), nil)
	e := seal(t, k, event("p1", "1", `{"secret":1}`))
	wantOpen(t, k, e, `{"secret":1}`)
	seal(t, k, event("p2", "1", `1`))
	for name, spoil := range map[string]func(*annals.Event){
		"id": func(e *annals.Event) { e.ID = "2" }, "type": func(e *annals.Event) { e.Type = "u" }, "stream": func(e *annals.Event) { e.Stream = "r" },
		"subject": func(e *annals.Event) { e.Attributes = map[string]string{annals.SubjectAttribute: "p2"} },
		"none":    func(e *annals.Event) { e.Attributes = nil },
		"data":    func(e *annals.Event) { e.Data = bytes.Clone(e.Data); e.Data[len(e.Data)/2] ^= 1 },
		"nonce":   func(e *annals.Event) { e.Data = bytes.Clone(e.Data); e.Data[3] ^= 1 },
		"form":    func(e *annals.Event) { e.Data = bytes.Clone(e.Data); e.Data[0]++ },
		"short":   func(e *annals.Event) { e.Data = e.Data[:12] }, "empty": func(e *annals.Event) { e.Data = nil },
	} {
		other := e
		spoil(&other)
		if err := k.Open(t.Context(), &other); !errors.Is(err, annals.ErrDamaged) {
			t.Errorf("with another %s: %v", name, err)
		}
	}
	unknown := e
	unknown.Attributes = map[string]string{annals.SubjectAttribute: "never sealed"}
	if err := k.Open(t.Context(), &unknown); !errors.Is(err, annals.ErrDamaged) {
		t.Errorf("without a key: %v", err)
	}
}

func TestSealingIsRepeatable(t *testing.T) {
	shelf := subject.MemoryShelf()
	first := seal(t, newKeyring(t, shelf, nil), event("p1", "1", `1`))
	if again := seal(t, newKeyring(t, shelf, nil), event("p1", "1", `1`)); !bytes.Equal(first.Data, again.Data) {
		t.Fatal("another process seals the same event otherwise")
	}
	nonces := map[string]string{}
	for i := range 2000 {
		e := event("p1", fmt.Sprint(i/4), fmt.Sprint(i%2))
		if i%4 > 1 {
			e.Type = "u"
		}
		nonce := string(seal(t, newKeyring(t, shelf, nil), e).Data[1:13])
		if at := nonces[nonce]; at != "" {
			t.Fatalf("events %s and %d have one nonce", at, i)
		}
		nonces[nonce] = fmt.Sprint(i)
	}
}

func TestFenceHoldsForEveryProcess(t *testing.T) {
	shelf, c := subject.MemoryShelf(), newClock()
	one, other := newKeyring(t, shelf, c.options()), newKeyring(t, shelf, c.options())
	e := seal(t, one, event("p1", "1", `1`))
	wantOpen(t, other, e, `1`)
	c.pass(subject.CacheTime / 2)
	record, err := one.Fence(t.Context(), "p1")
	if err != nil || record.State != subject.Fenced || len(record.Wrapped) == 0 || !record.Fenced.Equal(c.time()) {
		t.Fatalf("fenced as %+v, %v", record, err)
	}
	wantErased(t, one, e)
	wantOpen(t, other, e, `1`) // it has the key in memory for a moment more
	c.pass(subject.CacheTime / 2)
	wantErased(t, other, e)
	wantErased(t, newKeyring(t, shelf, c.options()), e)
}

func TestDestroyWaitsBehindTheFence(t *testing.T) {
	shelf, c := subject.MemoryShelf(), newClock()
	one, other := newKeyring(t, shelf, c.options()), newKeyring(t, shelf, c.options())
	e := seal(t, one, event("p1", "1", `1`))
	fingerprint := must(one.Record(t.Context(), "p1")).Fingerprint
	wantOpen(t, other, e, `1`)
	for range 2 {
		record, err := one.Destroy(t.Context(), "p1")
		if err != nil || record.State != subject.Destroyed || record.Wrapped != nil || record.Fingerprint != fingerprint || record.Destroyed.Sub(record.Fenced) < subject.SettleTime {
			t.Fatalf("destroyed as %+v, %v", record, err)
		}
	}
	if len(c.waited) != 1 || c.waited[0] <= subject.CacheTime {
		t.Fatalf("it waited %v", c.waited)
	}
	wantErased(t, other, e)
	if record, err := one.Destroy(t.Context(), "never seen"); err != nil || record.State != subject.Destroyed || record.Fingerprint != "" {
		t.Fatalf("a subject without a key is destroyed as %+v, %v", record, err)
	}
	never := e
	never.Attributes = map[string]string{annals.SubjectAttribute: "never seen"}
	wantErased(t, other, never)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestDestroyThatIsInterruptedIsRepeated(t *testing.T) {
	shelf, c := subject.MemoryShelf(), newClock()
	opts := c.options()
	opts.Wait = func(context.Context, time.Duration) error { return context.Canceled }
	k := newKeyring(t, shelf, opts)
	e := seal(t, k, event("p1", "1", `1`))
	if record, err := k.Destroy(t.Context(), "p1"); !errors.Is(err, context.Canceled) || record.State != subject.Fenced {
		t.Fatalf("got %+v, %v", record, err)
	}
	again := newKeyring(t, shelf, c.options())
	wantErased(t, again, e)
	if record, err := again.Destroy(t.Context(), "p1"); err != nil || record.State != subject.Destroyed || len(c.waited) != 1 {
		t.Fatalf("got %+v, %v", record, err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	if _, err := subject.New(subject.MemoryShelf(), localWrapper(t, 1), &subject.Options{Cache: subject.CacheTime + 1}); !errors.Is(err, annals.ErrInvalid) {
		t.Fatalf("a longer cache than a fence is waited for: %v", err)
	}
}

func TestKeysOfAnotherMasterAreRefused(t *testing.T) {
	shelf := subject.MemoryShelf()
	e := seal(t, newKeyring(t, shelf, nil), event("p1", "1", `1`))
	k, err := subject.New(shelf, localWrapper(t, 2), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Open(t.Context(), &e); !errors.Is(err, annals.ErrDamaged) {
		t.Fatalf("opening: %v", err)
	}
	if _, err := subject.LocalWrapper(make([]byte, 16)); !errors.Is(err, annals.ErrInvalid) {
		t.Fatalf("a short master key: %v", err)
	}
}

// uncertain is a Shelf whose puts take effect or not, and can't tell.
type uncertain struct {
	subject.Shelf
	effect bool
	left   int
}

func (u *uncertain) Put(ctx context.Context, r subject.Record) error {
	if u.left--; u.left < 0 {
		return u.Shelf.Put(ctx, r)
	}
	if u.effect {
		if err := u.Shelf.Put(ctx, r); err != nil {
			return err
		}
	}
	return annals.ErrUnknownOutcome
}

func TestOutcomesThatAreUnknownAreLookedAt(t *testing.T) {
	for _, effect := range []bool{false, true} {
		shelf, c := &uncertain{subject.MemoryShelf(), effect, 1}, newClock()
		k := newKeyring(t, shelf, c.options())
		e := seal(t, k, event("p1", "1", `1`))
		wantOpen(t, newKeyring(t, shelf, c.options()), e, `1`)
		shelf.left = 2
		if record, err := k.Destroy(t.Context(), "p1"); err != nil || record.State != subject.Destroyed {
			t.Fatalf("with effect %v: %+v, %v", effect, record, err)
		}
		wantErased(t, newKeyring(t, shelf, c.options()), e)
	}
}

func TestManyMakeOneKey(t *testing.T) {
	shelf := subject.MemoryShelf()
	var wg sync.WaitGroup
	sealed := make([]annals.Event, 16)
	for i := range sealed {
		k := newKeyring(t, shelf, nil)
		wg.Go(func() {
			sealed[i] = event("p1", "1", `1`)
			if err := k.Seal(t.Context(), "s", &sealed[i]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range sealed {
		if !bytes.Equal(sealed[i].Data, sealed[0].Data) {
			t.Fatal("two keys were used for one subject")
		}
	}
}

func TestNamesOfSubjects(t *testing.T) {
	k := newKeyring(t, subject.MemoryShelf(), nil)
	for _, name := range []string{"", "a\x00", "\xff", " p1", "p1\u00a0", string(make([]byte, annals.MaxAttributeBytes+1))} {
		if _, err := k.Fence(t.Context(), name); !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("%.10q: %v", name, err)
		}
	}
}
