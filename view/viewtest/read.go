package viewtest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/eb901187/annals/view"
)

var readClauses = []clause{
	{"a get answers with the documents that exist", func(t *testing.T, s view.Store) {
		if got := mustGet(t, s, "a", "1"); len(got) != 0 {
			t.Fatalf("an empty store has %v", got)
		}
		mustPut(t, s, put("a", "1", `1`), put("a", "2", `2`))
		got := mustGet(t, s, "a", "1", "3", "2")
		if len(got) != 2 || string(got["1"].Data) != `1` || string(got["2"].Data) != `2` || got["1"].Key != "1" {
			t.Fatalf("got %v", got)
		}
		if got := mustGet(t, s, "b", "1", "2"); len(got) != 0 {
			t.Fatalf("another space has %v", got)
		}
	}},
	{"a get of no keys answers with nothing", func(t *testing.T, s view.Store) {
		mustPut(t, s, put("a", "1", `1`))
		if got := mustGet(t, s, "a"); len(got) != 0 {
			t.Fatalf("got %v", got)
		}
	}},
	{"a get takes any number of keys, and one of them twice", func(t *testing.T, s view.Store) {
		mustPut(t, s, puts("a", 700)...)
		keys := numberedKeys(1200)
		keys = append(keys, keys[:300]...)
		slices.Reverse(keys)
		got := mustGet(t, s, "a", keys...)
		for i := range 700 {
			if d := got[numbered(i)]; string(d.Data) != fmt.Sprint(i) {
				t.Fatalf("document %d has %q", i, d.Data)
			}
		}
		if len(got) != 700 {
			t.Fatalf("got %d documents", len(got))
		}
	}},
	{"a document comes back byte for byte, with its position", func(t *testing.T, s view.Store) {
		for i, data := range []string{
			`{"b": 1.0,  "a":1e400, "b":-0}`, "\t[\n]\r\n ", `"ü€😀\u0000\ud83d\ude00"`, `null`, `"'` + "`" + `;--\\%_"`, `12345678901234567890.0`, "\"\u007f\u0085\u2028\ufeff\"",
		} {
			for _, position := range []int64{0, 1, 1<<53 + 1, math.MaxInt64} {
				p := put("a", fmt.Sprint(i), data)
				p.Position = position
				mustCommit(t, s, view.Change{Put: []view.Put{p}})
				if d := mustGet(t, s, "a", p.Key)[p.Key]; string(d.Data) != data || d.Position != position || d.Key != p.Key {
					t.Fatalf("%q at %d came back as %q at %d", data, position, d.Data, d.Position)
				}
				for d, err := range s.Scan(t.Context(), "a", view.Range{Prefix: p.Key}) {
					if err != nil || string(d.Data) != data || d.Position != position || d.Key != p.Key {
						t.Fatalf("%q at %d was scanned as %q at %d, %v", data, position, d.Data, d.Position, err)
					}
				}
			}
		}
	}},
	{"a document may be as large as its limits say", func(t *testing.T, s view.Store) {
		space, key := strings.Repeat("s", view.MaxSpaceBytes), strings.Repeat("k", view.MaxKeyBytes-2)+"é"
		data := `"` + strings.Repeat("é", view.MaxDocumentBytes/2-1) + `"`
		mustPut(t, s, put(space, key, data))
		wantData(t, s, space, key, data)
		wantKeys(t, s.Scan(t.Context(), space, view.Range{Prefix: key}), key)
		mustCommit(t, s, view.Change{Expect: expect(space, key, data), Delete: []view.Key{{Space: space, Key: key}}})
		wantData(t, s, space, key, "")
	}},
	{"a put replaces a document whole", func(t *testing.T, s view.Store) {
		long := put("a", "1", `{"long":true}`)
		long.Position = 9
		mustPut(t, s, long)
		mustPut(t, s, put("a", "1", `1`))
		if d := mustGet(t, s, "a", "1")["1"]; string(d.Data) != `1` || d.Position != 0 {
			t.Fatalf("got %q at %d", d.Data, d.Position)
		}
	}},
	{"a key may hold whatever is allowed, and differs from others by every byte", func(t *testing.T, s view.Store) {
		for part := range slices.Chunk(odd, min(s.MaxChange(), 50)) {
			c := view.Change{}
			for _, key := range part {
				c.Put = append(c.Put, put("a", key, fmt.Sprintf("%q", key)))
			}
			mustCommit(t, s, c)
		}
		for _, key := range odd {
			wantData(t, s, "a", key, fmt.Sprintf("%q", key))
		}
		for _, key := range odd[1:] {
			mustCommit(t, s, view.Change{Delete: []view.Key{{Space: "a", Key: key}}})
		}
		wantKeys(t, s.Scan(t.Context(), "a", view.Range{}), odd[0])
	}},
	{"what a reader does to an answer changes nothing stored", func(t *testing.T, s view.Store) {
		mustPut(t, s, puts("a", 2)...)
		for range 2 {
			got := mustGet(t, s, "a", numbered(0), numbered(1))
			got[numbered(0)].Data[0], got[numbered(1)].Data[0] = 'x', 'x'
			_ = append(got[numbered(0)].Data, "and more"...)
			for d, err := range s.Scan(t.Context(), "a", view.Range{}) {
				if err != nil {
					t.Fatal(err)
				}
				d.Data[0] = 'y'
				_ = append(d.Data, "and more"...)
			}
		}
		wantData(t, s, "a", numbered(0), `0`)
		wantData(t, s, "a", numbered(1), `1`)
	}},
	{"what the caller does to a change after its commit changes nothing stored", func(t *testing.T, s view.Store) {
		mustPut(t, s, put("a", "1", `1`))
		c := view.Change{Expect: expect("a", "1", `1`), Put: []view.Put{put("a", "2", `2`), put("a", "3", `3`)}}
		mustCommit(t, s, c)
		c.Expect[0].Data[0], c.Put[0].Data[0] = 'x', 'x'
		c.Put[1] = put("b", "4", `4`)
		wantData(t, s, "a", "1", `1`)
		wantData(t, s, "a", "2", `2`)
		wantData(t, s, "a", "3", `3`)
		wantData(t, s, "b", "4", "")
	}},
}

// odd are keys that a Store may confuse, with others or with its own syntax:
// every printable character of ASCII, neighbours in case, in accents, in blanks
// at the end, and characters on both sides of where UTF-16 and UTF-8 disagree
// about order.
var odd = func() []string {
	keys := []string{
		"A", "a ", "a  ", " a", " ", "a\u00a0", "ab", "aB", "ä", "a\u0308", "Ä", "ß", "ss", "SS", "ı", "I", "i", "İ", "é", "e\u0301", "\u200b", "\ufeff",
		"\uffff", "\ufffd", "\ue000", "\U00010000", "😀", "\U0010ffff", "\U0010ffff\U0010ffff", "日本", "0", "00", "null", "..", "../a", "a/b/", "//",
		`a"b`, `'; DROP TABLE documents; --`, "$1", "?", ":data", "#p", "%", "%%", "a_", "a%", `\`, `\\`, `\%`, "{}", "a\u00adb",
	}
	for c := '!'; c <= '~'; c++ {
		if key := "x" + string(c); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return append([]string{"a"}, keys...)
}()
