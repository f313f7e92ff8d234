package sqlview_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

var seed = flag.Uint64("seed", rand.Uint64(), "of random changes")

// randomChange changes some of 3,000 documents of three spaces, more than a
// statement names, and expects what is true, or not quite.
func randomChange(r *rand.Rand, model map[view.Key]string) view.Change {
	var c view.Change
	keys := r.Perm(3000)[:[]int{0, 1, 3, 700, 2500}[r.IntN(5)]]
	for _, i := range keys {
		k := view.Key{Space: []string{"a", "a@1", "b"}[i%3], Key: fmt.Sprintf("ключ-%d", i)}
		if r.IntN(4) == 0 {
			e := view.Expectation{Key: k}
			if data, there := model[k]; there {
				e.Data = []byte(data)
			}
			if r.IntN(2000) == 0 {
				e.Data = []byte(`"other"`)
			}
			c.Expect = append(c.Expect, e)
		}
		switch r.IntN(4) {
		case 0:
			c.Delete = append(c.Delete, k)
		case 1, 2:
			size := r.IntN(300)
			if r.IntN(100) == 0 {
				size = 50_000
			}
			data := fmt.Appendf(nil, `"%d%s"`, r.Uint64(), strings.Repeat("x", size))
			c.Put = append(c.Put, view.Put{Space: k.Space, Document: view.Document{Key: k.Key, Data: data}})
		}
	}
	return c
}

// apply is Commit on a map.
func apply(model map[view.Key]string, c view.Change) error {
	for _, e := range c.Expect {
		if data, there := model[e.Key]; there != (e.Data != nil) || data != string(e.Data) {
			return annals.ErrConflict
		}
	}
	for _, p := range c.Put {
		model[view.Key{Space: p.Space, Key: p.Key}] = string(p.Data)
	}
	for _, k := range c.Delete {
		delete(model, k)
	}
	return nil
}

func TestRandomChangesDoWhatTheyDoToAMap(t *testing.T) {
	onEach(t, func(t *testing.T, address string) {
		t.Logf("-seed %d makes the same changes", *seed)
		r := rand.New(rand.NewPCG(*seed, 0))
		s, model := open(t, address), map[view.Key]string{}
		for i := range 40 {
			c := randomChange(r, model)
			if err, want := s.Commit(t.Context(), c), apply(model, c); !errors.Is(err, want) {
				t.Fatalf("change %d: error %v, want %v", i, err, want)
			}
		}
		var rows int
		if err := s.DB().QueryRow("SELECT COUNT(*) FROM annals_documents").Scan(&rows); err != nil || rows != len(model) {
			t.Errorf("%d rows for %d documents, error %v", rows, len(model), err)
		}
		for _, space := range []string{"a", "a@1", "b"} {
			var keys []string
			for k := range maps.Keys(model) {
				if k.Space == space {
					keys = append(keys, k.Key)
				}
			}
			slices.Sort(keys)
			got, err := s.Get(t.Context(), space, keys...)
			if err != nil || len(got) != len(keys) {
				t.Fatalf("%d documents of %s, want %d, error %v", len(got), space, len(keys), err)
			}
			for d, err := range s.Scan(t.Context(), space, view.Range{}) {
				if err != nil || len(keys) == 0 || d.Key != keys[0] || string(d.Data) != model[view.Key{Space: space, Key: d.Key}] || !bytes.Equal(d.Data, got[d.Key].Data) {
					t.Fatalf("document %q of %s differs, error %v", d.Key, space, err)
				}
				keys = keys[1:]
			}
			if len(keys) > 0 {
				t.Fatalf("a scan of %s lacks %d documents", space, len(keys))
			}
		}
	})
}
