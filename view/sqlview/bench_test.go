package sqlview_test

import (
	"fmt"
	"testing"

	"github.com/eb901187/annals/view"
)

// change puts n documents of 200 bytes and moves a checkpoint, as a projection
// does.
func change(n, round int) view.Change {
	at := func(round int) []byte { return fmt.Appendf(nil, `{"position":"%d"}`, round) }
	c := view.Change{
		Expect: []view.Expectation{{Key: view.Key{Space: "consumer", Key: "at"}, Data: at(round - 1)}},
		Put:    []view.Put{{Space: "consumer", Document: view.Document{Key: "at", Data: at(round)}}},
	}
	if round == 1 {
		c.Expect[0].Data = nil
	}
	for i := range n {
		c.Put = append(c.Put, view.Put{Space: "orders", Document: view.Document{
			Key: fmt.Sprintf("order-%d", (round*n+i*7919)%20_000), Position: int64(round), Data: fmt.Appendf(nil, `{"round":%-190d}`, round),
		}})
	}
	return c
}

func BenchmarkCommit(b *testing.B) {
	for name, address := range addresses {
		for _, n := range []int{1, 1000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				s := open(b, address(b))
				round := 0
				for b.Loop() {
					round++
					if err := s.Commit(b.Context(), change(n, round)); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(n*round)/b.Elapsed().Seconds(), "documents/s")
			})
		}
	}
}

func BenchmarkGet(b *testing.B) {
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprintf("order-%d", i*7919%20_000)
	}
	for name, address := range addresses {
		b.Run(name, func(b *testing.B) {
			s := open(b, address(b))
			for round := 1; round <= 20; round++ {
				if err := s.Commit(b.Context(), change(1000, round)); err != nil {
					b.Fatal(err)
				}
			}
			n := 0
			for b.Loop() {
				n++
				if got, err := s.Get(b.Context(), "orders", keys...); err != nil || len(got) == 0 {
					b.Fatal(len(got), err)
				}
			}
			b.ReportMetric(float64(n*len(keys))/b.Elapsed().Seconds(), "documents/s")
		})
	}
}
