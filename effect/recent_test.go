package effect_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/embedded"
)

// made lets handler make a call for a new event of its own, and returns that event.
func made(t *testing.T, store *annals.Store, g *effect.Gateway, handler string, n int, outcome error) *annals.Event {
	t.Helper()
	e := place(t, store, fmt.Sprintf("order-%d", n))
	err := g.Handle(t.Context(), effect.Handling{Handler: handler, Event: e}, func(ctx context.Context) error {
		_, err := effect.Do(ctx, "charge", n, func(context.Context, string) (int, error) { return n, outcome })
		return err
	})
	if (err == nil) != (outcome == nil) {
		t.Fatal(err)
	}
	return e
}

// allPages reads every page, and checks that none is longer than asked for.
func allPages(t *testing.T, store *annals.Store, f effect.Filter, limit int) (calls []string) {
	t.Helper()
	for until := int64(0); ; {
		page, err := effect.Recent(t.Context(), store, f, until, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Entries) > limit {
			t.Fatalf("%d entries of %d", len(page.Entries), limit)
		}
		for i := range page.Entries {
			e := &page.Entries[i]
			calls = append(calls, e.Handler+" "+e.Event+" "+string(e.Status))
		}
		if page.Older == 0 {
			return calls
		}
		if until != 0 && page.Older >= until {
			t.Fatalf("the page behind %d leads to %d", until, page.Older)
		}
		until = page.Older
	}
}

func TestRecentListsEachCallOnceTheNewestFirst(t *testing.T) {
	store := openStore(t)
	g := newGateway(t, store, nil)
	unsure := errors.New("no answer")
	var e []*annals.Event
	for i, c := range []struct {
		handler string
		outcome error
	}{{"a", nil}, {"b", effect.NotSent(errors.New("refused"))}, {"a", unsure}, {"b", nil}, {"a", unsure}, {"b", unsure}} {
		e = append(e, made(t, store, g, c.handler, i, c.outcome))
	}
	// Event 1 is handled again, and then one decision makes event 2 failed.
	err := g.Handle(t.Context(), effect.Handling{Handler: "b", Event: e[1]}, func(ctx context.Context) error {
		_, err := effect.Do(ctx, "charge", 1, func(context.Context, string) (int, error) { return 1, nil })
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := effect.Resolve(t.Context(), store, "a", "order-2@1", "charge", effect.DecideNoEffect, nil, "asked"); err != nil {
		t.Fatal(err)
	}
	of := func(s ...effect.Status) []effect.Status { return s }
	for _, c := range []struct {
		f    effect.Filter
		want []string
	}{
		{effect.Filter{}, []string{"a order-2@1 failed", "b order-1@1 answered", "b order-5@1 unknown", "a order-4@1 unknown", "b order-3@1 answered", "a order-0@1 answered"}},
		{effect.Filter{Handler: "b"}, []string{"b order-1@1 answered", "b order-5@1 unknown", "b order-3@1 answered"}},
		{effect.Filter{Status: of(effect.Unknown)}, []string{"b order-5@1 unknown", "a order-4@1 unknown"}},
		{effect.Filter{Status: of(effect.Failed)}, []string{"a order-2@1 failed"}},
		{effect.Filter{Handler: "a", Status: of(effect.Answered, effect.Failed)}, []string{"a order-2@1 failed", "a order-0@1 answered"}},
		{effect.Filter{Status: of(effect.Intended)}, nil},
	} {
		for limit := 1; limit <= 7; limit++ {
			if got := allPages(t, store, c.f, limit); !slices.Equal(got, c.want) {
				t.Errorf("%+v by %d: %q, want %q", c.f, limit, got, c.want)
			}
		}
	}
	var names []string
	for name, err := range effect.HandlerNames(t.Context(), store) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if !slices.Equal(names, []string{"b", "a"}) {
		t.Errorf("handlers %q", names)
	}
	if _, err := effect.Recent(t.Context(), store, effect.Filter{}, 0, 0); !errors.Is(err, annals.ErrInvalid) {
		t.Errorf("no limit: %v", err)
	}
	if _, err := effect.Recent(t.Context(), store, effect.Filter{Handler: "a/b"}, 0, 1); !errors.Is(err, annals.ErrInvalid) {
		t.Errorf("no handler's name: %v", err)
	}
}

// A page of a large journal costs what a page of a small one does.
func TestRecentReadsAPage(t *testing.T) {
	counted := &counting{}
	store := openCounted(t, counted)
	g := newGateway(t, store, nil)
	for i := range 200 {
		made(t, store, g, "a", i, nil)
	}
	counted.events.Store(0)
	page, err := effect.Recent(t.Context(), store, effect.Filter{}, 0, 10)
	if err != nil || len(page.Entries) != 10 {
		t.Fatalf("%d, %v", len(page.Entries), err)
	}
	// Two events of a call from the log, and again from its journal.
	if n := counted.events.Load(); n > 10*4+2 {
		t.Errorf("%d events read", n)
	}
}

// A counting Driver counts the events that are read.
type counting struct {
	annals.Driver
	events atomic.Int64
}

func (c *counting) Stream(ctx context.Context, stream string, from, to int64, backward bool) iter.Seq2[annals.Event, error] {
	return c.count(c.Driver.Stream(ctx, stream, from, to, backward))
}

func (c *counting) Log(ctx context.Context, q annals.Query) iter.Seq2[annals.Event, error] {
	return c.count(c.Driver.Log(ctx, q))
}

func (c *counting) count(events iter.Seq2[annals.Event, error]) iter.Seq2[annals.Event, error] {
	return func(yield func(annals.Event, error) bool) {
		for e, err := range events {
			c.events.Add(1)
			if !yield(e, err) {
				return
			}
		}
	}
}

func openCounted(t *testing.T, c *counting) *annals.Store {
	t.Helper()
	driver, err := embedded.OpenDriver("store", &embedded.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	c.Driver = driver
	store := annals.New(c, nil)
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}
