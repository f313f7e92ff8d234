package pebbleview

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/eb901187/annals/view"
)

const (
	benchDocuments = 200_000 // of 200 bytes: more than cache and memtable hold
	benchChange    = 1000
)

func benchKey(i int) string { return fmt.Sprintf("order-%08d", i) }

func benchPut(i int) view.Put {
	data := fmt.Sprintf(`{"order":%d,"customer":"c-%06x","total":%d.%02d,"note":"`, i, i*7919%(1<<24), i%1000, i%100)
	data += strings.Repeat("leave it with the neighbour ", 6)
	return view.Put{Space: "orders", Document: view.Document{Key: benchKey(i), Data: []byte(data[:198] + `"}`), Position: int64(i)}}
}

// fill puts the documents in changes of 1,000.
func fill(b *testing.B, s *Store) {
	b.Helper()
	for i := 0; i < benchDocuments; i += benchChange {
		var c view.Change
		for k := range benchChange {
			c.Put = append(c.Put, benchPut(i+k))
		}
		if err := s.Commit(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}

// Changes of 1,000 documents of 200 bytes under an expectation, as a projection
// makes them: over and over a space that has 200,000.
func BenchmarkCommit(b *testing.B) {
	for _, durable := range []bool{false, true} {
		b.Run(fmt.Sprintf("durable %t", durable), func(b *testing.B) {
			s := mustOpen(b, b.TempDir(), nil)
			fill(b, s)
			all := make([]view.Put, benchDocuments)
			for i := range all {
				all[i] = benchPut(i)
			}
			random := rand.New(rand.NewPCG(1, 1))
			random.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
			before, n := []byte(nil), 0
			for b.Loop() {
				at := n * (benchChange - 1) % (benchDocuments - benchChange)
				state := view.Put{Space: "consumer", Document: view.Document{Key: "orders", Data: fmt.Appendf(nil, `{"at":%d}`, n)}}
				err := s.Commit(b.Context(), view.Change{
					Expect: []view.Expectation{{Key: view.Key{Space: "consumer", Key: "orders"}, Data: before}},
					Put:    append(all[at:at+benchChange-1:at+benchChange-1], state), Durable: durable,
				})
				if err != nil {
					b.Fatal(err)
				}
				before = state.Data
				n++
			}
			b.ReportMetric(float64(n)*benchChange/b.Elapsed().Seconds(), "puts/s")
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	s := mustOpen(b, b.TempDir(), nil)
	fill(b, s)
	random := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct{ keys, within int }{{1, 10_000}, {1000, 10_000}, {1000, benchDocuments}} {
		b.Run(fmt.Sprintf("%d of %d", c.keys, c.within), func(b *testing.B) {
			sets := make([][]string, 1000)
			for i := range sets {
				sets[i] = make([]string, c.keys)
				for k := range sets[i] {
					sets[i][k] = benchKey(random.IntN(c.within))
				}
			}
			n := 0
			for b.Loop() {
				got, err := s.Get(b.Context(), "orders", sets[n%len(sets)]...)
				if err != nil || len(got) == 0 {
					b.Fatal(len(got), err)
				}
				n++
			}
			b.ReportMetric(float64(n*c.keys)/b.Elapsed().Seconds(), "gets/s")
		})
	}
	b.Run("scan", func(b *testing.B) {
		n := 0
		for b.Loop() {
			for _, err := range s.Scan(b.Context(), "orders", view.Range{}) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "documents/s")
	})
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
