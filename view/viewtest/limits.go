package viewtest

import (
	"errors"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// bad are names that break a rule, with the error that says so.
type bad map[string]error

var badSpaces = bad{
	"": annals.ErrInvalid, "a b": annals.ErrInvalid, "ä": annals.ErrInvalid, "a\x00": annals.ErrInvalid, "a:b": annals.ErrInvalid, "a#": annals.ErrInvalid,
	strings.Repeat("s", view.MaxSpaceBytes+1): annals.ErrTooLarge,
}

var badKeys = bad{
	"": annals.ErrInvalid, "a\x00b": annals.ErrInvalid, "a\n": annals.ErrInvalid, "\x7f": annals.ErrInvalid, "\u0085": annals.ErrInvalid,
	"\xff": annals.ErrInvalid, "a\xc3": annals.ErrInvalid, "\xed\xa0\x80": annals.ErrInvalid,
	strings.Repeat("k", view.MaxKeyBytes+1): annals.ErrTooLarge,
}

var limitClauses = []clause{
	{"a change that breaks a rule is refused whole", func(t *testing.T, s view.Store) {
		good := []view.Put{put("a", "1", `1`)}
		refused := func(c view.Change, want error) {
			t.Helper()
			c.Put = append(c.Put, good...)
			if err := s.Commit(t.Context(), c); !errors.Is(err, want) {
				t.Errorf("error %v, want %v", err, want)
			}
		}
		for space, want := range badSpaces {
			refused(view.Change{Put: []view.Put{put(space, "x", `1`)}}, want)
			refused(view.Change{Delete: []view.Key{{Space: space, Key: "x"}}}, want)
			refused(view.Change{Expect: expect(space, "x", "")}, want)
		}
		for key, want := range badKeys {
			refused(view.Change{Put: []view.Put{put("a", key, `1`)}}, want)
			refused(view.Change{Delete: []view.Key{{Space: "a", Key: key}}}, want)
			refused(view.Change{Expect: expect("a", key, "")}, want)
		}
		refused(view.Change{Put: []view.Put{put("a", "x", "")}}, annals.ErrInvalid)
		refused(view.Change{Put: []view.Put{put("a", "x", "\"\xff\"")}}, annals.ErrInvalid)
		refused(view.Change{Put: []view.Put{put("a", "x", "\"\x00\"")}}, annals.ErrInvalid)
		refused(view.Change{Put: []view.Put{put("a", "x", strings.Repeat("1", view.MaxDocumentBytes+1))}}, annals.ErrTooLarge)
		refused(view.Change{Put: []view.Put{{Space: "a", Document: view.Document{Key: "x", Data: []byte(`1`), Position: -1}}}}, annals.ErrInvalid)
		empty := expect("a", "x", "")
		empty[0].Data = []byte{}
		refused(view.Change{Expect: empty}, annals.ErrInvalid)
		wantKeys(t, s.Scan(t.Context(), "a", view.Range{}))
	}},
	{"a change that names a key twice is refused", func(t *testing.T, s view.Store) {
		key := view.Key{Space: "a", Key: "1"}
		for _, c := range []view.Change{
			{Put: []view.Put{put("a", "1", `1`), put("a", "1", `1`)}},
			{Put: []view.Put{put("a", "1", `1`)}, Delete: []view.Key{key}},
			{Delete: []view.Key{key, key}},
			{Expect: append(expect("a", "1", ""), expect("a", "1", "")...), Put: []view.Put{put("a", "1", `1`)}},
		} {
			wantError(t, s.Commit(t.Context(), c), annals.ErrInvalid)
		}
		wantData(t, s, "a", "1", "")
		mustCommit(t, s, view.Change{Put: []view.Put{put("a", "1", `1`), put("b", "1", `1`)}, Delete: []view.Key{{Space: "c", Key: "1"}}})
	}},
	{"a change of more documents than the store allows is refused", func(t *testing.T, s view.Store) {
		n := s.MaxChange()
		all := puts("a", n+1)
		wantError(t, s.Commit(t.Context(), view.Change{Put: all}), annals.ErrTooLarge)
		wantError(t, s.Commit(t.Context(), view.Change{Put: all[:n], Expect: expect("b", "1", "")}), annals.ErrTooLarge)
		wantError(t, s.Commit(t.Context(), view.Change{Put: all[:n], Delete: []view.Key{{Space: "b", Key: "1"}}}), annals.ErrTooLarge)
		wantKeys(t, s.Scan(t.Context(), "a", view.Range{}))
	}},
	{"a read by a name that breaks a rule is refused", func(t *testing.T, s view.Store) {
		mustPut(t, s, put("a", "1", `1`))
		for space, want := range badSpaces {
			_, err := s.Get(t.Context(), space, "1")
			wantError(t, err, want)
			_, err = drain(s.Scan(t.Context(), space, view.Range{}))
			wantError(t, err, want)
		}
		for key, want := range badKeys {
			_, err := s.Get(t.Context(), "a", "1", key)
			wantError(t, err, want)
			if key != "" {
				_, err = drain(s.Scan(t.Context(), "a", view.Range{Prefix: key}))
				wantError(t, err, want)
				_, err = drain(s.Scan(t.Context(), "a", view.Range{After: key}))
				wantError(t, err, want)
			}
		}
		_, err := drain(s.Scan(t.Context(), "a", view.Range{Limit: -1}))
		wantError(t, err, annals.ErrInvalid)
	}},
}
