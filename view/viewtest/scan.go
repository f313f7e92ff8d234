package viewtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// manyPuts makes documents of space a that together are more than one reply of a
// database brings.
func manyPuts(n int) []view.Put {
	list := puts("a", n)
	for i := range list {
		list[i].Data = fmt.Appendf(nil, `{"n":%d,"fill":"%s"}`, i, strings.Repeat("x", 500))
	}
	return list
}

func oddPuts(space string) []view.Put {
	var list []view.Put
	for _, key := range odd {
		list = append(list, put(space, key, `1`))
	}
	return list
}

var scanClauses = []clause{
	{"a scan of an empty space yields nothing", func(t *testing.T, s view.Store) {
		mustPut(t, s, put("a", "1", `1`))
		wantKeys(t, s.Scan(t.Context(), "b", view.Range{}))
		wantKeys(t, s.Scan(t.Context(), "b", view.Range{Prefix: "1", After: "0", Limit: 3}))
	}},
	{"a scan is in the order of the keys' bytes", func(t *testing.T, s view.Store) {
		mustPut(t, s, oddPuts("a")...)
		sorted := slices.Sorted(slices.Values(odd))
		wantKeys(t, s.Scan(t.Context(), "a", view.Range{}), sorted...)
		for i, key := range sorted {
			wantKeys(t, s.Scan(t.Context(), "a", view.Range{After: key, Limit: 3}), sorted[i+1:min(i+4, len(sorted))]...)
		}
	}},
	{"a scan by prefix finds the keys that start with it", func(t *testing.T, s view.Store) {
		mustPut(t, s, oddPuts("a")...)
		sorted := slices.Sorted(slices.Values(odd))
		for _, prefix := range append([]string{"b", "x!!", "\U0010ffff\U0010ffff\U0010ffff"}, odd...) {
			var want []string
			for _, key := range sorted {
				if strings.HasPrefix(key, prefix) {
					want = append(want, key)
				}
			}
			wantKeys(t, s.Scan(t.Context(), "a", view.Range{Prefix: prefix}), want...)
		}
	}},
	{"prefix, after and limit hold together", func(t *testing.T, s view.Store) {
		mustPut(t, s, put("a", "k", `1`), put("a", "k/1", `1`), put("a", "k/2", `1`), put("a", "k/3", `1`), put("a", "l", `1`))
		for _, c := range []struct {
			r    view.Range
			want []string
		}{
			{view.Range{Prefix: "k/", After: "k/1"}, []string{"k/2", "k/3"}},
			{view.Range{Prefix: "k/", After: "k/1x"}, []string{"k/2", "k/3"}},
			{view.Range{Prefix: "k/", After: "k/3"}, nil},
			{view.Range{Prefix: "k/", After: "a"}, []string{"k/1", "k/2", "k/3"}},
			{view.Range{Prefix: "k/", After: "k"}, []string{"k/1", "k/2", "k/3"}},
			{view.Range{Prefix: "k/", After: "l"}, nil},
			{view.Range{Prefix: "k", After: "k"}, []string{"k/1", "k/2", "k/3"}},
			{view.Range{Prefix: "k", After: "k", Limit: 2}, []string{"k/1", "k/2"}},
			{view.Range{After: "k/2"}, []string{"k/3", "l"}},
			{view.Range{After: "l"}, nil},
			{view.Range{Limit: 1}, []string{"k"}},
			{view.Range{Limit: 5}, []string{"k", "k/1", "k/2", "k/3", "l"}},
			{view.Range{Limit: 9}, []string{"k", "k/1", "k/2", "k/3", "l"}},
			{view.Range{Prefix: "k/", Limit: 2}, []string{"k/1", "k/2"}},
		} {
			t.Logf("%+v", c.r)
			wantKeys(t, s.Scan(t.Context(), "a", c.r), c.want...)
		}
	}},
	{"spaces do not see each other, though one's name begins with the other's", func(t *testing.T, s view.Store) {
		spaces := []string{"a", "a@1", "a/b", "a@10", "a-", "A", "a.b", "a_b", "b"}
		for _, space := range spaces {
			mustPut(t, s, put(space, "of "+space, `1`), put(space, "same", `"`+space+`"`))
		}
		for _, space := range spaces {
			wantKeys(t, s.Scan(t.Context(), space, view.Range{}), "of "+space, "same")
			wantData(t, s, space, "same", `"`+space+`"`)
		}
		mustCommit(t, s, view.Change{Delete: []view.Key{{Space: "a", Key: "same"}}})
		for _, space := range spaces[1:] {
			wantData(t, s, space, "same", `"`+space+`"`)
		}
	}},
	{"a scan reads to the last page", func(t *testing.T, s view.Store) {
		mustPut(t, s, manyPuts(3000)...)
		keys := numberedKeys(3000)
		wantKeys(t, s.Scan(t.Context(), "a", view.Range{}), keys...)
		wantKeys(t, s.Scan(t.Context(), "a", view.Range{Limit: 2500}), keys[:2500]...)
		wantKeys(t, s.Scan(t.Context(), "a", view.Range{Prefix: "0", After: keys[17]}), keys[18:]...)
	}},
	{"no key is lost between two pages, however close it is to another", func(t *testing.T, s view.Store) {
		var keys []string
		var all []view.Put
		for i := range 1000 {
			for _, end := range []string{"", " ", "  "} {
				keys = append(keys, numbered(i)+end)
				all = append(all, put("a", numbered(i)+end, `"`+strings.Repeat("x", 500)+`"`))
			}
		}
		mustPut(t, s, all...)
		wantKeys(t, s.Scan(t.Context(), "a", view.Range{}), keys...)
	}},
	{"a scan may be left early, read twice, and hold other calls", func(t *testing.T, s view.Store) {
		mustPut(t, s, puts("a", 20)...)
		scan := s.Scan(t.Context(), "a", view.Range{})
		for d, err := range scan {
			if err != nil {
				t.Fatal(err)
			}
			wantData(t, s, "a", d.Key, string(d.Data))
			for inner, err := range s.Scan(t.Context(), "a", view.Range{After: d.Key}) {
				if err != nil || inner.Key <= d.Key {
					t.Fatalf("behind %s: %s, %v", d.Key, inner.Key, err)
				}
				break
			}
			mustCommit(t, s, view.Change{Put: []view.Put{put("b", d.Key, `1`)}})
			if d.Key == numbered(9) {
				break
			}
		}
		wantKeys(t, s.Scan(t.Context(), "b", view.Range{}), numberedKeys(10)...)
		wantKeys(t, scan, numberedKeys(20)...)
	}},
	{"a scan sees every commit that had returned", func(t *testing.T, s view.Store) {
		for i := range 30 {
			mustPut(t, s, put("a", numbered(i), `1`))
			wantKeys(t, s.Scan(t.Context(), "a", view.Range{}), numberedKeys(i+1)...)
		}
	}},
}

var dropClauses = []clause{
	{"a drop removes the documents of one space", func(t *testing.T, s view.Store) {
		spaces := []string{"a", "a@1", "a/b", "A", "b"}
		for _, space := range spaces {
			mustPut(t, s, oddPuts(space)...)
		}
		if err := s.Drop(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		wantKeys(t, s.Scan(t.Context(), "a", view.Range{}))
		wantData(t, s, "a", odd[0], "")
		for _, space := range spaces[1:] {
			wantKeys(t, s.Scan(t.Context(), space, view.Range{}), slices.Sorted(slices.Values(odd))...)
		}
	}},
	{"a drop removes many documents, may be repeated, and leaves the space to new ones", func(t *testing.T, s view.Store) {
		mustPut(t, s, manyPuts(3000)...)
		for range 2 {
			if err := s.Drop(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			wantKeys(t, s.Scan(t.Context(), "a", view.Range{}))
		}
		mustCommit(t, s, view.Change{Expect: expect("a", numbered(1), ""), Put: []view.Put{put("a", numbered(1), `"new"`)}})
		wantKeys(t, s.Scan(t.Context(), "a", view.Range{}), numbered(1))
		wantData(t, s, "a", numbered(1), `"new"`)
	}},
	{"a drop of a space that has nothing is no error", func(t *testing.T, s view.Store) {
		if err := s.Drop(t.Context(), "never"); err != nil {
			t.Fatal(err)
		}
	}},
	{"a drop of a space without a valid name is refused", func(t *testing.T, s view.Store) {
		wantError(t, s.Drop(t.Context(), ""), annals.ErrInvalid)
		wantError(t, s.Drop(t.Context(), "a b"), annals.ErrInvalid)
	}},
}
