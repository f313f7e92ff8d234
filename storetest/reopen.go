package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/eb901187/annals"
)

// reopenClauses hold what a store keeps when it is closed and opened again.
var reopenClauses = []struct {
	name string
	test func(t *testing.T, open func() *annals.Store)
}{
	{"what was appended is there after the store was opened again", func(t *testing.T, open func() *annals.Store) {
		s := open()
		forty(t, s, 0)
		before := Collect(t, s.Log(t.Context(), annals.Query{}))
		closeStore(t, s)
		s = open()
		after := Collect(t, s.Log(t.Context(), annals.Query{}))
		if !slices.EqualFunc(before, after, func(a, b annals.Event) bool {
			return a.ID == b.ID && a.Stream == b.Stream && a.Version == b.Version && a.Position == b.Position && string(a.Data) == string(b.Data)
		}) {
			t.Fatalf("%d events before, %d after, or others", len(before), len(after))
		}
		forty(t, s, 40)
		wantVersion(t, s, "stream-3", 16)
	}},
	{"streams are listed after the store was opened again", func(t *testing.T, open func() *annals.Store) {
		s := open()
		if !lists(t, s) {
			return
		}
		want := []string{}
		for round := range 3 {
			forty(t, s, 40*round)
			want = want[:0]
			for i := range 5 {
				want = append(want, fmt.Sprintf("stream-%d@%d", i, 8*(round+1)))
			}
			wantStreams(t, s, annals.StreamsQuery{}, want...)
			closeStore(t, s)
			s = open()
			wantStreams(t, s, annals.StreamsQuery{}, want...)
		}
	}},
	{"ids and versions count after the store was opened again", func(t *testing.T, open func() *annals.Store) {
		s := open()
		forty(t, s, 0)
		for range 2 {
			closeStore(t, s)
			s = open()
			for i := range 40 {
				stream, e := nth(i)
				if c := mustAppend(t, s, stream, annals.Any, e); !c.Replayed || c.Version != int64(i/5+1) {
					t.Fatalf("%s of %s again: %+v", e.ID, stream, c)
				}
				if c := mustAppend(t, s, stream, int64(i/5), e); !c.Replayed {
					t.Fatalf("%s of %s again at its version: %+v", e.ID, stream, c)
				}
				e.Data = []byte(`"other"`)
				_, err := s.Append(t.Context(), stream, annals.Any, e)
				wantError(t, err, annals.ErrIDReused)
			}
			_, err := s.Append(t.Context(), "stream-1", 7, Event("", "T", `1`))
			wantConflict(t, err, 7, 8)
			wantVersion(t, s, "stream-1", 8)
		}
	}},
	{"a chain goes on after the store was opened again", chainReopenClause},
}

// forty appends forty events, one by one, to five streams in turn.
func forty(t *testing.T, s *annals.Store, from int) {
	t.Helper()
	for i := from; i < from+40; i++ {
		stream, e := nth(i)
		mustAppend(t, s, stream, int64(i/5), e)
	}
}

func nth(i int) (stream string, e annals.Event) {
	return fmt.Sprint("stream-", i%5), Event(fmt.Sprint("event-", i), "T", fmt.Sprint(i))
}

func closeStore(t *testing.T, s *annals.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("closing: %v", err)
	}
}
