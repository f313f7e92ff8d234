package reversal_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/projection/fold"
	"github.com/eb901187/annals/reversal"
)

// Of 1,000 random streams of merge patches, the state after a reversal is the fold
// without what it reverses: of single events, of reversals of reversals, and with
// events appended between them.
func TestStateAfterReversalIsTheFoldWithoutTheEvent(t *testing.T) {
	w := newWorld(t)
	counts := map[reversal.Way]int{}
	restored, none := 0, 0
	for seed := range uint64(1000) {
		stream := fmt.Sprint("s-", seed)
		r := rand.New(rand.NewPCG(seed, 7))
		var p past
		appended := int64(0)
		for step := range 4 + r.IntN(10) {
			standing := p.standing()
			if step < 2 || len(standing) == 0 || r.IntN(2) == 0 {
				data := randomData(r)
				w.add(t, stream, "changed "+data)
				appended++
				p.all = append(p.all, &happening{version: appended, data: decoded(t, data)})
			} else {
				h := standing[r.IntN(len(standing))]
				before := encoded(t, p.state())
				plan := w.reverse(t, at(stream, h.version), nil)
				s := &plan.Streams[0]
				next := &happening{version: appended + 1, reverses: []*happening{h}}
				appended += int64(len(s.Events))
				p.all = append(p.all, next)
				counts[s.Reversed[0].Way]++
				if s.Events[0].Type == reversal.StateRestored {
					restored++
				}
				if want := encoded(t, p.state()); string(s.After) != want || string(s.Before) != before {
					t.Fatalf("seed %d: reversing %d of %v is planned to make\n%s of\n%s, not\n%s of\n%s", seed, h.version, w.events(t, stream), s.After, s.Before, want, before)
				}
			}
			want := encoded(t, p.state())
			if got := w.state(t, stream, nil); got != want {
				t.Fatalf("seed %d: %v make %s, want %s", seed, w.events(t, stream), got, want)
			}
			if want == "null" {
				none++
			}
		}
	}
	t.Logf("ways %v, %d states restored whole, %d times no state", counts, restored, none)
	if counts[reversal.MergePatch] < 1000 || counts[reversal.Replay] < 50 || restored < 50 || none < 100 {
		t.Errorf("too little of some of them was tried: %v, %d, %d", counts, restored, none)
	}
}

// The inverse of a patch alone, by the state before it, is enough wherever a patch
// can express the state.
func TestReplayIsForWhatNoInverseOfAPatchExpresses(t *testing.T) {
	w := newWorld(t)
	for seed := range uint64(300) {
		stream := fmt.Sprint("s-", seed)
		r := rand.New(rand.NewPCG(seed, 8))
		w.add(t, stream, "changed {}")
		n := 2 + r.IntN(6)
		for range n {
			w.add(t, stream, "changed "+randomData(r))
		}
		plan := w.plan(t, at(stream, 2+r.Int64N(int64(n))), nil)
		if way := plan.Streams[0].Reversed[0].Way; way != reversal.MergePatch {
			t.Fatalf("seed %d: %v: %s", seed, w.events(t, stream), way)
		}
	}
}

// Random sets of events, chosen by a query over several streams, are reversed as
// one plan; then the whole reversal is taken back, and that again.
func TestRandomSets(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 9))
		w := newWorld(t)
		pasts := map[string]*past{}
		for range 5 + r.IntN(30) {
			stream := fmt.Sprint("s-", r.IntN(4))
			if pasts[stream] == nil {
				pasts[stream] = &past{}
			}
			data := randomData(r)
			p := pasts[stream]
			p.all = append(p.all, &happening{version: int64(len(p.all) + 1), data: decoded(t, data)})
			w.add(t, stream, fmt.Sprintf("type-%d %s", r.IntN(3), data))
		}
		check := func(what string) {
			t.Helper()
			for stream, p := range pasts {
				if got, want := w.state(t, stream, nil), encoded(t, p.state()); got != want {
					t.Fatalf("seed %d: %s: %s is %s, want %s: %v", seed, what, stream, got, want, w.events(t, stream))
				}
			}
		}
		q := annals.Query{Types: []string{"type-0", "type-1"}}
		taken := map[string][]*happening{}
		for e, err := range w.Log(t.Context(), q) {
			if err != nil {
				t.Fatal(err)
			}
			taken[e.Stream] = append(taken[e.Stream], pasts[e.Stream].all[e.Version-1])
		}
		if len(taken) == 0 {
			continue
		}
		ids := []string{"reversal-0", "reversal-1", "reversal-2"}
		plan := w.reverse(t, reversal.Target{Query: &q}, &reversal.Options{ID: ids[0]})
		if len(plan.Streams) != len(taken) {
			t.Fatalf("seed %d: %d streams, want %d", seed, len(plan.Streams), len(taken))
		}
		last := map[string]*happening{}
		for stream, reversed := range taken {
			last[stream] = &happening{reverses: reversed}
			pasts[stream].all = append(pasts[stream].all, last[stream])
		}
		check("reversed")
		if again := w.plan(t, reversal.Target{Query: &q}, nil); len(again.Streams) != 0 || len(again.Passed) == 0 {
			t.Fatalf("seed %d: the same again: %+v", seed, again)
		}
		for i := range 2 {
			w.reverse(t, reversal.Target{Reversal: ids[i]}, &reversal.Options{ID: ids[i+1]})
			for stream, h := range last {
				last[stream] = &happening{reverses: []*happening{h}}
				pasts[stream].all = append(pasts[stream].all, last[stream])
			}
			check(fmt.Sprint("taken back ", i+1))
		}
	}
}

const orders = `
name: orders
fold:
  placed: '{total: $event.data.total, items: ($event.data.items // []), seen: 1}'
  added: '.items = ((.items // []) + [$event.data.item]) | .seen = (.seen // 0) + 1'
  paid: 'if . == null then empty else .paid = true | .total = null end'
delete: [removed]
`

func orderEvent(r *rand.Rand) string {
	return []string{
		fmt.Sprintf(`placed {"total":%d.50}`, r.IntN(9)), fmt.Sprintf(`added {"item":{"n":%d,"x":null}}`, r.IntN(9)), "paid {}", "removed {}", `noted {"ignored":1}`,
	}[r.IntN(5)]
}

// A fold in jq has the state restored that it makes without the event, and folds
// on from there.
func TestStateAfterReversalByACustomFold(t *testing.T) {
	d, err := fold.Parse("orders.yaml", []byte(orders))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	opts := &reversal.Options{Fold: reversal.FoldBy(d)}
	restored := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 10))
		stream := fmt.Sprint("s-", seed)
		n := int64(2 + r.IntN(7))
		var texts []string
		for range n {
			texts = append(texts, orderEvent(r))
		}
		w.add(t, stream, texts...)
		out := r.Int64N(n)
		plan := w.reverse(t, at(stream, out+1), opts)
		later := []string{orderEvent(r), orderEvent(r)}
		w.add(t, stream, later...)

		plain := stream + "-without"
		w.add(t, plain, append(append(append([]string{}, texts[:out]...), texts[out+1:]...), later...)...)
		if got, want := w.state(t, stream, d.Rules), w.state(t, plain, d.Rules); got != want {
			t.Fatalf("seed %d: without %d of %q: %s, want %s\n%v", seed, out+1, texts, got, want, w.events(t, stream))
		}
		if plan.Streams[0].Events[0].Type == reversal.StateRestored {
			restored++
		}
		// Taking the reversal back makes the state that there would be with the event.
		w.reverse(t, at(stream, n+1), opts)
		whole := stream + "-with"
		w.add(t, whole, append(append([]string{}, texts...), later...)...)
		if got, want := w.state(t, stream, d.Rules), w.state(t, whole, d.Rules); got != want {
			t.Fatalf("seed %d: the reversal of %d of %q taken back: %s, want %s", seed, out+1, texts, got, want)
		}
	}
	if restored < 50 {
		t.Errorf("only %d states were restored", restored)
	}
}
