package reversal_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/projection/fold"
	"github.com/eb901187/annals/reversal"
	"github.com/eb901187/annals/storetest"
)

// A world is a store in memory whose driver fails on demand.
type world struct {
	*annals.Store
	faults *storetest.Faulty
	now    time.Time
}

func newWorld(t testing.TB) *world {
	t.Helper()
	d, err := embedded.OpenDriver("store", &embedded.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{faults: &storetest.Faulty{Driver: d}, now: storetest.Epoch}
	w.Store = annals.New(w.faults, &annals.Options{
		Clock: func() time.Time { w.now = w.now.Add(time.Second); return w.now }, Pause: func(context.Context, int) {}, Attempts: 1,
	})
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// add appends events of the type of the word before each data: "placed {…}".
func (w *world) add(t testing.TB, stream string, events ...string) {
	t.Helper()
	for _, text := range events {
		eventType, data, _ := strings.Cut(text, " ")
		e := annals.Event{Type: eventType, Data: []byte(data), Correlation: "r-1", Source: "shop"}
		if _, err := w.Append(t.Context(), stream, annals.Any, e); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) events(t testing.TB, stream string) []annals.Event {
	t.Helper()
	return storetest.Collect(t.(*testing.T), w.Stream(t.Context(), stream, nil))
}

// state is the latest state of a stream as JSON.
func (w *world) state(t testing.TB, stream string, rules *fold.Rules) string {
	t.Helper()
	if rules == nil {
		rules = fold.MergePatchRules()
	}
	doc, _, _, err := fold.State(w.Stream(t.Context(), stream, nil), rules, stream)
	if err != nil {
		t.Fatal(err)
	}
	return encoded(t, doc)
}

func encoded(t testing.TB, doc any) string {
	t.Helper()
	text, err := fold.Encode(doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (w *world) plan(t testing.TB, target reversal.Target, opts *reversal.Options) *reversal.Plan {
	t.Helper()
	p, err := reversal.NewPlan(t.Context(), w.Store, target, opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// reverse plans and applies.
func (w *world) reverse(t testing.TB, target reversal.Target, opts *reversal.Options) *reversal.Plan {
	t.Helper()
	p := w.plan(t, target, opts)
	if _, err := reversal.Apply(t.Context(), w.Store, p); err != nil {
		t.Fatal(err)
	}
	return p
}

func at(stream string, version int64) reversal.Target {
	return reversal.Target{Stream: stream, Version: version}
}

// A past is the model: what was appended and what reverses what, folded anew
// each time.
type past struct{ all []*happening }

type happening struct {
	version  int64
	data     any
	reverses []*happening // of a reversal
}

func (p *past) stands(h *happening) bool {
	for _, other := range p.all {
		if slices.Contains(other.reverses, h) && p.stands(other) {
			return false
		}
	}
	return true
}

// state is the fold of the events that stand.
func (p *past) state() (doc any) {
	for _, h := range p.all {
		if patch, object := h.data.(map[string]any); object && p.stands(h) {
			doc = fold.MergePatch(doc, patch)
		}
	}
	return doc
}

// standing are those that could be reversed.
func (p *past) standing() (all []*happening) {
	for _, h := range p.all {
		if p.stands(h) {
			all = append(all, h)
		}
	}
	return all
}

var names = []string{"a", "b", "c", "é\u2028"}

// randomValue is JSON with nested objects, arrays that hold nulls, and numbers
// whose digits count.
func randomValue(r *rand.Rand, depth int) any {
	switch n := r.IntN(10); {
	case n < 2:
		return nil
	case n < 6 && depth > 0:
		object := map[string]any{}
		for range r.IntN(4) {
			object[names[r.IntN(len(names))]] = randomValue(r, depth-1)
		}
		return object
	case n == 6:
		return []any{randomValue(r, 0), nil, map[string]any{"x": nil}}
	case n == 7:
		return json.RawMessage([]string{"1.0", "9007199254740993", "0.10", "-0", "1e3", "12345678901234567890123"}[r.IntN(6)])
	case n == 8:
		return r.IntN(2) == 0
	}
	return fmt.Sprint("s", r.IntN(3))
}

// randomData is the data of an event, which is mostly an object.
func randomData(r *rand.Rand) string {
	switch r.IntN(12) {
	case 0:
		return ""
	case 1:
		return "{}"
	case 2:
		return []string{"null", "[1]", `"text"`, "7", "false"}[r.IntN(5)]
	}
	object := map[string]any{}
	for range 1 + r.IntN(3) {
		object[names[r.IntN(len(names))]] = randomValue(r, 3)
	}
	text, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func decoded(t testing.TB, text string) any {
	t.Helper()
	if text == "" {
		return nil
	}
	v, err := fold.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func ways(s *reversal.StreamPlan) map[int64]reversal.Way {
	all := map[int64]reversal.Way{}
	for _, r := range s.Reversed {
		all[r.Version] = r.Way
	}
	return all
}

func wantWays(t testing.TB, s *reversal.StreamPlan, want map[int64]reversal.Way) {
	t.Helper()
	if got := ways(s); !maps.Equal(got, want) {
		t.Errorf("ways %v, want %v", got, want)
	}
}
