package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/view"
)

// counted is a view.Store that counts what is read and committed.
type counted struct {
	view.Store
	commits, read atomic.Int64
}

func (c *counted) Commit(ctx context.Context, change view.Change) error {
	c.commits.Add(1)
	return c.Store.Commit(ctx, change)
}

func (c *counted) Scan(ctx context.Context, space string, r view.Range) iter.Seq2[view.Document, error] {
	return func(yield func(view.Document, error) bool) {
		for doc, err := range c.Store.Scan(ctx, space, r) {
			c.read.Add(1)
			if !yield(doc, err) {
				return
			}
		}
	}
}

// allParked has every event that matches fail for ever, and then no longer.
func (w *world) allParked(broken *atomic.Bool, last int64) {
	w.t.Helper()
	r, stop := w.start(annals.Query{}, refusing(broken, func(*consumer.Message) bool { return true }, nil), w.options())
	wait(w.t, r, last)
	_ = stop()
}

// refusing fails at what matches while broken is set, and else goes on to rec.
func refusing(broken *atomic.Bool, matches func(*consumer.Message) bool, rec *recorder) consumer.Handler {
	return consumer.Each(func(ctx context.Context, m *consumer.Message) error {
		if broken.Load() && matches(m) {
			return consumer.Permanent(errors.New("refused"))
		}
		if rec == nil {
			return nil
		}
		return rec.handle(ctx, m)
	})
}

// startOver is start over another view store.
func (w *world) startOver(views view.Store, h consumer.Handler, opts *consumer.Options) (*consumer.Runner, func() error) {
	other := &world{t: w.t, store: w.store, views: views, name: w.name}
	return other.start(annals.Query{}, h, opts)
}

func (w *world) retry() {
	w.t.Helper()
	if _, err := w.control().Retry(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) untilNothingIsParked() {
	w.t.Helper()
	until(w.t, "nothing is parked", func() bool {
		s, err := w.control().Status(w.t.Context())
		return err == nil && s.Parked == 0
	})
	if left := w.parked(); len(left) > 0 {
		w.t.Errorf("the record says that nothing is parked, and there are %d, first %+v", len(left), left[0])
	}
}

func TestWhileALongStreamIsRetriedOthersGoOn(t *testing.T) {
	w := newWorld(t)
	const n = 2000
	var broken atomic.Bool
	broken.Store(true)
	w.allParked(&broken, w.append("long", slices.Repeat([]string{"x"}, n)...))
	broken.Store(false)
	w.retry()

	rec := &recorder{}
	views := &counted{Store: w.views}
	r, _ := w.startOver(views, consumer.Each(func(ctx context.Context, m *consumer.Message) error {
		if m.Stream == "long" && m.Version == 1 {
			w.append("other", "x")
			w.append("long", "x")
		}
		return rec.handle(ctx, m)
	}), w.options())
	wait(t, r, n+2)
	w.untilNothingIsParked()
	handled := rec.events()
	if i := slices.Index(handled, "other@1"); i < 0 || i > n/2 {
		t.Errorf("the event of another stream was handled as number %d of %d", i+1, len(handled))
	}
	var want []string
	for v := range n + 1 {
		want = append(want, fmt.Sprintf("long@%d", v+1))
	}
	if got := slices.DeleteFunc(handled, func(e string) bool { return e == "other@1" }); !slices.Equal(got, want) {
		t.Errorf("%d events of the stream were handled, not %d in order", len(got), len(want))
	}
	if views.read.Load() >= 10*n || views.commits.Load() > 20 {
		t.Errorf("%d documents read and %d commits for %d events", views.read.Load(), views.commits.Load(), n)
	}
}

func TestARetryOfManyStreamsReadsEachParkedEventOnce(t *testing.T) {
	w := newWorld(t)
	const n = 2000
	var broken atomic.Bool
	broken.Store(true)
	var last int64
	for i := range n {
		last = w.append(fmt.Sprintf("s%d", i), "x")
	}
	w.allParked(&broken, last)
	broken.Store(false)
	w.retry()

	views, rec := &counted{Store: w.views}, &recorder{}
	var once sync.Once
	r, _ := w.startOver(views, consumer.Each(func(ctx context.Context, m *consumer.Message) error {
		once.Do(func() { w.append("other", "x") })
		return rec.handle(ctx, m)
	}), w.options())
	wait(t, r, last+1)
	w.untilNothingIsParked()
	if got := views.read.Load(); got >= 10*n {
		t.Errorf("%d documents read for %d parked events", got, n)
	}
	if i := slices.Index(rec.events(), "other@1"); i < 0 || i > n/2 {
		t.Errorf("the event of another stream was handled as number %d of %d", i+1, n)
	}
}

func TestOfTwoRunnersOneMakesARetry(t *testing.T) {
	w := newWorld(t)
	const n = 2000
	var broken atomic.Bool
	broken.Store(true)
	last := w.append("long", slices.Repeat([]string{"x"}, n)...)
	w.allParked(&broken, last)
	broken.Store(false)
	a, b := &counted{Store: w.views}, &counted{Store: w.views}
	for _, views := range []view.Store{a, b} {
		r, _ := w.startOver(views, refusing(&broken, nil, nil), w.options())
		wait(t, r, last)
	}
	w.retry()
	w.untilNothingIsParked()
	if total := a.read.Load() + b.read.Load(); total >= 10*n {
		t.Errorf("%d documents read for %d parked events", total, n)
	}
}

// narrow is a view.Store whose changes are small.
type narrow struct {
	view.Store
	most int
}

func (n narrow) MaxChange() int { return n.most }

func (n narrow) Commit(ctx context.Context, change view.Change) error {
	if err := change.CheckSize(n.most); err != nil {
		return err
	}
	return n.Store.Commit(ctx, change)
}

// A fitting handler puts one document for each event, and says so.
type fitting struct {
	consumer.Handler
	fails  func(m *consumer.Message) error
	panics bool

	mu   sync.Mutex
	most int // events of a batch
}

func (f *fitting) Fit(batch []consumer.Message, documents int) int {
	if f.panics {
		panic("no keys")
	}
	return min(len(batch), documents)
}

func (f *fitting) Handle(ctx context.Context, batch []consumer.Message) (view.Change, error) {
	f.mu.Lock()
	f.most = max(f.most, len(batch))
	f.mu.Unlock()
	var change view.Change
	for i := range batch {
		m := &batch[i]
		if err := f.fails(m); err != nil {
			return change, err
		}
		change.Put = append(change.Put, view.Put{Space: "seen", Document: view.Document{
			Key: m.Cause(), Data: fmt.Appendf(nil, `"%s %d %t"`, m.Data, m.Attempt, m.Edited), Position: m.Position,
		}})
	}
	return change, nil
}

func (f *fitting) Forget() {}

// reset returns how many events there were at once, and counts anew.
func (f *fitting) reset() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	most := f.most
	f.most = 0
	return most
}

func (w *world) seen() []string {
	w.t.Helper()
	var all []string
	for doc, err := range w.views.Scan(w.t.Context(), "seen", view.Range{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, doc.Key)
	}
	return all
}

func TestARetryStopsAtTheEventThatFailsAgain(t *testing.T) {
	w := newWorld(t)
	const n, bad = 100, 63
	var broken atomic.Bool
	broken.Store(true)
	h := &fitting{fails: func(m *consumer.Message) error {
		if broken.Load() && m.Version == 1 || m.Version == bad && !m.Edited {
			return errors.New("refused")
		}
		return nil
	}}
	last := w.append("a", slices.Repeat([]string{"x"}, n)...)
	r, _ := w.startOver(narrow{w.views, 21}, h, w.options())
	wait(t, r, last)
	broken.Store(false)
	h.reset()
	first := w.parked()[0]
	if first.Version != 1 || first.Attempts != 3 {
		t.Fatalf("parked first: %+v", first)
	}
	w.retry()
	until(t, "the retry came to the bad event", func() bool { p := w.parked(); return p[0].Version == bad && !p[0].Waiting })
	left := w.parked()
	if len(left) != n-bad+1 || left[0].Attempts != 3 || left[0].Error != "refused" || !left[1].Waiting || left[0].Since.Before(first.Since) {
		t.Errorf("%d are parked, first %+v", len(left), left[0])
	}
	if got := len(w.seen()); got != bad-1 {
		t.Errorf("%d were handled, want %d", got, bad-1)
	}
	if most := h.reset(); most != 10 {
		t.Errorf("at most %d events at once, of which each changes two documents, and there is room for 20", most)
	}
	ctx := t.Context()
	if err := w.control().Drop(ctx, left[4].Position, "not needed"); err != nil {
		t.Fatal(err)
	}
	if err := w.control().Edit(ctx, left[0].Position, []byte(`{"n":2}`), "typo"); err != nil {
		t.Fatal(err)
	}
	w.untilNothingIsParked()
	seen := w.seen()
	if len(seen) != n-1 || slices.Contains(seen, fmt.Sprintf("a@%d", bad+4)) {
		t.Errorf("%d of %d events were handled but for the one dropped: %v", len(seen), n, seen)
	}
	found, err := w.views.Get(ctx, "seen", fmt.Sprintf("a@%d", bad))
	if got := string(found[fmt.Sprintf("a@%d", bad)].Data); err != nil || got != `"{"n":2} 4 true"` {
		t.Errorf("the edited event was handled as %s, %v", got, err)
	}
}

func TestAFitThatPanicsCountsAsOne(t *testing.T) {
	w := newWorld(t)
	h := &fitting{panics: true, fails: func(*consumer.Message) error { return nil }}
	last := w.append("a", "x", "x", "x")
	r, _ := w.startOver(w.views, h, w.options())
	wait(t, r, last)
	if got, most := w.seen(), h.reset(); len(got) != 3 || most != 1 {
		t.Errorf("handled %v, at most %d at once", got, most)
	}
}

// What is parked for another store's events can't be retried.
func TestARetryOfEventsThatTheLogDoesNotHave(t *testing.T) {
	w := newWorld(t)
	var broken atomic.Bool
	broken.Store(true)
	w.allParked(&broken, w.append("a", "x", "x"))
	broken.Store(false)
	w.retry()
	other := newWorld(t)
	other.append("b", "x", "x", "x")
	other.views = w.views
	err := other.runToEnd(refusing(&broken, nil, nil), other.options())
	if !errors.Is(err, annals.ErrDamaged) || !strings.Contains(err.Error(), "stream a has no version 1 at position 1") {
		t.Errorf("Run returned %v", err)
	}
}

// What is parked, and with what data it is handled, is known of one event.
func TestParkedAtAndEdited(t *testing.T) {
	w := newWorld(t)
	var broken atomic.Bool
	broken.Store(true)
	last := w.append("s", "A", "B")
	w.allParked(&broken, last)
	c := w.control()
	p, err := c.ParkedAt(t.Context(), last)
	if err != nil || !p.Waiting || p.Version != 2 || p.Type != "B" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := c.ParkedAt(t.Context(), last+1); !errors.Is(err, annals.ErrNotFound) {
		t.Errorf("of an event that is not parked: %v", err)
	}
	if data, why, err := c.Edited(t.Context(), last); data != nil || why != "" || err != nil {
		t.Errorf("before an edit: %s %s %v", data, why, err)
	}
	if err := c.Edit(t.Context(), last, []byte(`{"mended":true}`), "it was wrong"); err != nil {
		t.Fatal(err)
	}
	if data, why, err := c.Edited(t.Context(), last); string(data) != `{"mended":true}` || why != "it was wrong" || err != nil {
		t.Errorf("after an edit: %s %s %v", data, why, err)
	}
	if err := c.Drop(t.Context(), last, "it is of no use"); err != nil {
		t.Fatal(err)
	}
	if data, _, err := c.Edited(t.Context(), last); data != nil || err != nil {
		t.Errorf("of an event that was dropped: %s %v", data, err)
	}
}

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		position, end int64
		want          int
	}{{0, 0, 100}, {0, 3, 0}, {1, 3, 33}, {999, 1000, 99}, {3, 3, 100}, {4, 3, 100}, {1 << 61, 1 << 62, 50}} {
		s := consumer.Status{Position: c.position, End: c.end}
		if got := s.Percent(); got != c.want {
			t.Errorf("%d of %d: %d %%", c.position, c.end, got)
		}
	}
}
