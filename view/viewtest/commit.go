package viewtest

import (
	"fmt"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// wantConflict wants that a change is refused for one of its expectations.
func wantConflict(t *testing.T, s view.Store, c view.Change) {
	t.Helper()
	wantError(t, s.Commit(t.Context(), c), annals.ErrConflict)
}

var commitClauses = []clause{
	{"a change that expects what is there is made", func(t *testing.T, s view.Store) {
		mustPut(t, s, put("a", "1", `{"v":1}`))
		mustCommit(t, s, view.Change{Expect: expect("a", "1", `{"v":1}`), Put: []view.Put{put("a", "2", `2`)}})
		mustCommit(t, s, view.Change{Expect: expect("a", "1", `{"v":1}`), Put: []view.Put{put("a", "1", `{"v":2}`)}})
		wantData(t, s, "a", "1", `{"v":2}`)
		wantData(t, s, "a", "2", `2`)
	}},
	{"a change that expects other data is refused, and changes nothing", func(t *testing.T, s view.Store) {
		mustPut(t, s, put("a", "1", `{"v":1}`))
		for _, data := range []string{`{"v":2}`, `{"v": 1}`, `{"v":1} `, `1`} {
			wantConflict(t, s, view.Change{Expect: expect("a", "1", data), Put: []view.Put{put("a", "1", `3`)}})
			wantConflict(t, s, view.Change{Expect: expect("a", "1", data), Put: []view.Put{put("a", "2", `3`)}})
			wantConflict(t, s, view.Change{Expect: expect("a", "1", data), Delete: []view.Key{{Space: "a", Key: "1"}}})
		}
		wantData(t, s, "a", "1", `{"v":1}`)
		wantData(t, s, "a", "2", "")
	}},
	{"a change that expects a document which is not there is refused", func(t *testing.T, s view.Store) {
		wantConflict(t, s, view.Change{Expect: expect("a", "1", `1`), Put: []view.Put{put("a", "1", `1`)}})
		wantConflict(t, s, view.Change{Expect: expect("a", "1", `1`), Put: []view.Put{put("a", "2", `1`)}})
		wantConflict(t, s, view.Change{Expect: expect("a", "1", `1`), Delete: []view.Key{{Space: "a", Key: "1"}}})
		wantKeys(t, s.Scan(t.Context(), "a", view.Range{}))
	}},
	{"a change that expects no document is made once", func(t *testing.T, s view.Store) {
		mustCommit(t, s, view.Change{Expect: expect("a", "1", ""), Put: []view.Put{put("a", "1", `1`)}})
		wantConflict(t, s, view.Change{Expect: expect("a", "1", ""), Put: []view.Put{put("a", "1", `2`)}})
		wantConflict(t, s, view.Change{Expect: expect("a", "1", ""), Put: []view.Put{put("a", "2", `2`)}})
		mustCommit(t, s, view.Change{Expect: expect("a", "3", ""), Put: []view.Put{put("a", "4", `4`)}})
		mustCommit(t, s, view.Change{Expect: expect("a", "3", ""), Delete: []view.Key{{Space: "a", Key: "3"}, {Space: "a", Key: "4"}}})
		wantData(t, s, "a", "1", `1`)
		wantKeys(t, s.Scan(t.Context(), "a", view.Range{}), "1")
	}},
	{"a change may expect and change nothing", func(t *testing.T, s view.Store) {
		mustPut(t, s, put("a", "1", `1`), put("a", "2", `2`))
		both := append(expect("a", "1", `1`), expect("a", "2", `2`)...)
		mustCommit(t, s, view.Change{})
		mustCommit(t, s, view.Change{Expect: both[:1]})
		mustCommit(t, s, view.Change{Expect: both})
		mustCommit(t, s, view.Change{Expect: expect("a", "3", "")})
		wantConflict(t, s, view.Change{Expect: expect("a", "1", "")})
		wantConflict(t, s, view.Change{Expect: expect("a", "3", `1`)})
		both[1].Data = []byte(`3`)
		wantConflict(t, s, view.Change{Expect: both})
	}},
	{"one expectation that does not hold stops the whole change", func(t *testing.T, s view.Store) {
		mustPut(t, s, put("a", "1", `1`), put("b", "1", `1`), put("b", "2", `2`))
		for i := range 3 {
			e := append(expect("a", "1", `1`), append(expect("a", "none", ""), expect("b", "2", `2`)...)...)
			e[i].Data = []byte(`"other"`)
			wantConflict(t, s, view.Change{
				Expect: e, Put: []view.Put{put("a", "1", `9`), put("b", "3", `9`), put("c", "1", `9`)},
				Delete: []view.Key{{Space: "b", Key: "1"}, {Space: "b", Key: "2"}},
			})
		}
		wantKeys(t, s.Scan(t.Context(), "b", view.Range{}), "1", "2")
		wantKeys(t, s.Scan(t.Context(), "c", view.Range{}))
		wantData(t, s, "a", "1", `1`)
	}},
	{"a change puts and deletes in several spaces at once", func(t *testing.T, s view.Store) {
		mustPut(t, s, put("a", "1", `1`), put("a", "2", `2`), put("b", "1", `1`))
		mustCommit(t, s, view.Change{
			Expect: append(expect("a", "1", `1`), expect("b", "1", `1`)...),
			Put:    []view.Put{put("a", "1", `"one"`), put("b", "2", `"two"`), put("c", "3", `"three"`)},
			Delete: []view.Key{{Space: "a", Key: "2"}, {Space: "b", Key: "1"}},
		})
		wantKeys(t, s.Scan(t.Context(), "a", view.Range{}), "1")
		wantKeys(t, s.Scan(t.Context(), "b", view.Range{}), "2")
		wantKeys(t, s.Scan(t.Context(), "c", view.Range{}), "3")
		wantData(t, s, "a", "1", `"one"`)
	}},
	{"deleting what is not there is no error", func(t *testing.T, s view.Store) {
		mustCommit(t, s, view.Change{Delete: []view.Key{{Space: "a", Key: "1"}}})
		mustCommit(t, s, view.Change{Delete: []view.Key{{Space: "a", Key: "1"}, {Space: "b", Key: "1"}}, Put: []view.Put{put("a", "2", `2`)}})
		wantKeys(t, s.Scan(t.Context(), "a", view.Range{}), "2")
	}},
	{"a durable change is made like any other", func(t *testing.T, s view.Store) {
		mustCommit(t, s, view.Change{Expect: expect("a", "1", ""), Put: []view.Put{put("a", "1", `1`)}, Durable: true})
		wantConflict(t, s, view.Change{Expect: expect("a", "1", ""), Put: []view.Put{put("a", "1", `2`)}, Durable: true})
		wantData(t, s, "a", "1", `1`)
	}},
	{"a change may be as large as the store says, and is still made whole or not at all", func(t *testing.T, s view.Store) {
		n := s.MaxChange()
		all := puts("a", n)
		for i := range all {
			all[i].Position = int64(i)
		}
		wantConflict(t, s, view.Change{Expect: expect("a", numbered(n-1), `"other"`), Put: all})
		wantKeys(t, s.Scan(t.Context(), "a", view.Range{}))
		mustCommit(t, s, view.Change{Expect: expect("a", numbered(n-1), ""), Put: all})
		wantKeys(t, s.Scan(t.Context(), "a", view.Range{}), numberedKeys(n)...)
		var deletes []view.Key
		for i := range n - 1 {
			deletes = append(deletes, view.Key{Space: "a", Key: numbered(i)})
		}
		wantConflict(t, s, view.Change{Expect: expect("a", numbered(n-1), "0.5"), Delete: deletes})
		wantKeys(t, s.Scan(t.Context(), "a", view.Range{}), numberedKeys(n)...)
		mustCommit(t, s, view.Change{Expect: expect("a", numbered(n-1), fmt.Sprint(n-1)), Delete: deletes})
		wantKeys(t, s.Scan(t.Context(), "a", view.Range{}), numbered(n-1))
	}},
}
