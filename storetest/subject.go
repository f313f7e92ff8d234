package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/eb901187/annals"
)

// A Keeper is a Sealer that can erase a subject, at once.
type Keeper interface {
	annals.Sealer
	Erase(ctx context.Context, subject string) error
}

// OpenSealing opens a new store that seals with sealer, and reads and appends the same
// log without keys through bare: the Store's own driver, or that of its server.
type OpenSealing func(t *testing.T, sealer annals.Sealer) (sealing, bare *annals.Store)

// RunSubjects tests what holds of events that name a data subject, on stores that open
// makes. keys makes a Keeper for each.
func RunSubjects(t *testing.T, keys func(t *testing.T) Keeper, open OpenSealing) {
	for _, c := range subjectClauses {
		t.Run(c.name, func(t *testing.T) {
			k := keys(t)
			s, bare := open(t, k)
			c.test(t, &sealing{Store: s, bare: bare, keys: k})
		})
	}
}

// sealing is what the clauses work on.
type sealing struct {
	*annals.Store
	bare *annals.Store
	keys Keeper
}

// About is an event that names a data subject.
func About(subject, id, data string) annals.Event {
	e := Event(id, "T", data)
	e.Attributes = map[string]string{annals.SubjectAttribute: subject}
	return e
}

const secret = "a secret that is looked for"

func about(subject, id string) annals.Event { return About(subject, id, `"`+secret+`"`) }

// wantStored reads the one event of stream without keys.
func (s *sealing) wantStored(t *testing.T, stream string) annals.Event {
	t.Helper()
	stored := Collect(t, s.bare.Stream(t.Context(), stream, nil))
	if len(stored) != 1 || stored[0].ContentType != annals.SealedContentType || bytes.Contains(stored[0].Data, []byte(secret)) {
		t.Fatalf("without keys %s reads as %+v", stream, stored)
	}
	return stored[0]
}

func wantCode(t *testing.T, err error, want annals.Code) {
	t.Helper()
	if annals.CodeOf(err) != want {
		t.Fatalf("error %v, want one of code %s", err, want)
	}
}

var subjectClauses = []struct {
	name string
	test func(t *testing.T, s *sealing)
}{
	{"data of a subject is sealed where it lies and read in clear", func(t *testing.T, s *sealing) {
		in := []annals.Event{about("p1", "1"), {
			ID: "2", Type: "T", ContentType: "text/plain; charset=utf-8", Data: []byte("\x00\xff" + secret),
			Attributes: map[string]string{annals.SubjectAttribute: "ä person", "other": "1"}, Correlation: "r", Causation: "a@1",
		}, {ID: "3", Type: "T", Attributes: map[string]string{annals.SubjectAttribute: "p1"}}, Event("4", "T", `1`)}
		mustAppend(t, s.Store, "a", 0, in...)
		for name, out := range map[string][]annals.Event{
			"stream": Collect(t, s.Stream(t.Context(), "a", nil)), "log": Collect(t, s.Log(t.Context(), annals.Query{})),
			"follow": Collect(t, s.Follow(t.Context(), annals.Query{Limit: 4})),
		} {
			for i := range in {
				got := out[i]
				want := in[i]
				if want.ContentType == "" {
					want.ContentType = annals.JSONContentType
				}
				if got.ID != want.ID || !bytes.Equal(got.Data, want.Data) || got.ContentType != want.ContentType || !reflect.DeepEqual(got.Attributes, want.Attributes) || got.Correlation != want.Correlation || got.Erased() {
					t.Fatalf("the %s has %+v, want %+v", name, got, want)
				}
			}
		}
		for i, e := range Collect(t, s.bare.Log(t.Context(), annals.Query{})) {
			if sealed := e.ContentType == annals.SealedContentType; sealed != (i < 3) || bytes.Contains(e.Data, []byte(secret)) || i < 3 && e.Subject() != in[i].Subject() {
				t.Fatalf("without keys event %d is %+v", i, e)
			}
		}
	}},
	{"appending again what was sealed returns its commit", func(t *testing.T, s *sealing) {
		mustAppend(t, s.Store, "a", 0, about("p1", "1"), Event("2", "T", `2`), about("p2", "3"))
		for _, expected := range []int64{annals.Any, 0} {
			if c := mustAppend(t, s.Store, "a", expected, about("p1", "1"), Event("2", "T", `2`), about("p2", "3")); !c.Replayed || c.Version != 3 {
				t.Fatalf("got %+v", c)
			}
		}
		batch := []annals.Append{of("a", annals.Any, about("p1", "1"), Event("2", "T", `2`), about("p2", "3")), of("b", 0, about("p1", "1"))}
		if commits := appendAll(t, s.Store, batch); !commits[0].Replayed || commits[1].Replayed {
			t.Fatalf("got %+v", commits)
		}
		for _, other := range []annals.Event{About("p1", "1", `"other"`), about("p2", "1"), Event("1", "T", `"`+secret+`"`)} {
			_, err := s.Append(t.Context(), "a", annals.Any, other)
			wantError(t, err, annals.ErrIDReused)
		}
	}},
	{"the same data is sealed otherwise in another event", func(t *testing.T, s *sealing) {
		other := about("p1", "1")
		other.Type = "U"
		for stream, e := range map[string]annals.Event{"a": about("p1", "1"), "b": about("p1", "1"), "c": about("p1", "2"), "d": about("p2", "1"), "e": other} {
			mustAppend(t, s.Store, stream, 0, e)
		}
		seen := map[string]string{}
		for _, stream := range []string{"a", "b", "c", "d", "e"} {
			e := s.wantStored(t, stream)
			if at := seen[string(e.Data)]; at != "" {
				t.Fatalf("%s and %s have the same sealed data", at, stream)
			}
			seen[string(e.Data)] = stream
		}
	}},
	{"a commit with a subject's events at every limit is stored", func(t *testing.T, s *sealing) {
		const half = annals.MaxDataBytes / 2
		big := about("p1", "big")
		big.ContentType, big.Data = "text/plain", bytes.Repeat([]byte("x"), annals.MaxDataBytes)
		mustAppend(t, s.Store, "a", 0, big)
		over := about("p1", "over")
		over.ContentType, over.Data = "text/plain", bytes.Repeat([]byte("x"), annals.MaxDataBytes+1)
		_, err := s.Append(t.Context(), "a", 1, over)
		wantError(t, err, annals.ErrTooLarge)
		var many []annals.Event
		for i := range 7 {
			e := about("p1", fmt.Sprint(i))
			e.ContentType, e.Data = "text/plain", bytes.Repeat([]byte("y"), half)
			many = append(many, e)
		}
		mustAppend(t, s.Store, "b", 0, many...)
		if got := Collect(t, s.Stream(t.Context(), "b", nil)); len(got) != 7 || len(got[6].Data) != half {
			t.Fatalf("read %d events", len(got))
		}
	}},
	{"limits and rules are those of what is sealed", func(t *testing.T, s *sealing) {
		_, err := s.Append(t.Context(), "a", 0, About("p1", "1", `{`))
		wantError(t, err, annals.ErrInvalidJSON)
		_, err = s.Append(t.Context(), "a", 0, About(strings.Repeat("p", annals.MaxAttributeBytes+1), "1", `1`))
		wantError(t, err, annals.ErrTooLarge)
		mustAppend(t, s.Store, "a", 0, About(strings.Repeat("p", annals.MaxAttributeBytes), "1", `1`))
	}},
	{"an erased subject's events have no data, and the others theirs", func(t *testing.T, s *sealing) {
		mustAppend(t, s.Store, "a", 0, about("p1", "1"), about("p2", "2"), Event("3", "T", `3`))
		if err := s.keys.Erase(t.Context(), "p1"); err != nil {
			t.Fatal(err)
		}
		for name, out := range map[string][]annals.Event{
			"stream": Collect(t, s.Stream(t.Context(), "a", nil)), "log": Collect(t, s.Log(t.Context(), annals.Query{})),
		} {
			if e := out[0]; !e.Erased() || len(e.Data) > 0 || e.ID != "1" || e.Subject() != "p1" || e.Version != 1 {
				t.Fatalf("the %s has %+v", name, e)
			}
			if string(out[1].Data) != `"`+secret+`"` || string(out[2].Data) != "3" {
				t.Fatalf("the %s has %+v", name, out[1:])
			}
		}
	}},
	{"nothing is stored for an erased subject", func(t *testing.T, s *sealing) {
		mustAppend(t, s.Store, "a", 0, about("p1", "1"))
		for _, gone := range []string{"p1", "never seen"} {
			if err := s.keys.Erase(t.Context(), gone); err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{"1", "2"} { // stored before, and not
				for _, expected := range []int64{annals.Any, 0, 1} {
					_, err := s.Append(t.Context(), "a", expected, about(gone, id))
					wantCode(t, err, annals.CodeErased)
				}
			}
		}
		commits, err := s.AppendAll(t.Context(), []annals.Append{of("b", 0, Event("1", "T", `1`)), of("c", 0, about("p1", "1")), of("d", 0, Event("1", "T", `1`))})
		if wantCode(t, err, annals.CodeErased); len(commits) != 1 {
			t.Fatalf("got %+v", commits)
		}
		wantVersion(t, s.Store, "a", 1)
		wantVersion(t, s.Store, "c", 0)
	}},
	{"a copy takes sealed data as it is, and refuses what it can't open", func(t *testing.T, s *sealing) {
		mustAppend(t, s.Store, "a", 0, about("p1", "1"))
		stored := s.wantStored(t, "a")
		if c := mustAppend(t, s.Store, "a", annals.Any, stored); !c.Replayed {
			t.Fatalf("got %+v", c)
		}
		moved, forged, retyped := stored, stored, stored
		moved.ID = "2"
		forged.Data = append(bytes.Clone(stored.Data[:len(stored.Data)-1]), stored.Data[len(stored.Data)-1]^1)
		retyped.Type = "U"
		for i, bad := range []annals.Event{moved, forged, retyped} {
			if _, err := s.Append(t.Context(), "b", annals.Any, bad); !errors.Is(err, annals.ErrInvalid) {
				t.Fatalf("case %d: %v", i, err)
			}
		}
		if err := s.keys.Erase(t.Context(), "p1"); err != nil {
			t.Fatal(err)
		}
		_, err := s.Append(t.Context(), "a", annals.Any, stored)
		wantCode(t, err, annals.CodeErased)
	}},
	{"a copy takes events that are erased", func(t *testing.T, s *sealing) {
		gone := about("p1", "1")
		gone.ContentType, gone.Data = annals.ErasedContentType, nil
		mustAppend(t, s.Store, "a", 0, gone)
		if e := Collect(t, s.Stream(t.Context(), "a", nil))[0]; !e.Erased() || e.Subject() != "p1" {
			t.Fatalf("got %+v", e)
		}
		for _, spoil := range []func(*annals.Event){
			func(e *annals.Event) { e.Data = []byte("1") }, func(e *annals.Event) { e.Attributes = nil },
			func(e *annals.Event) { e.ContentType = annals.SealedContentType },
		} {
			bad := gone
			bad.ID = "2"
			spoil(&bad)
			_, err := s.Append(t.Context(), "a", annals.Any, bad)
			wantError(t, err, annals.ErrInvalid)
		}
	}},
}

// RunUnsealed tests that a store without keys takes nothing in clear that names a data
// subject. open is that of Run.
func RunUnsealed(t *testing.T, open Open) {
	s := newStore(t, open(t, t.TempDir()))
	_, err := s.Append(t.Context(), "a", 0, about("p1", "1"))
	wantCode(t, err, annals.CodeUsage)
	_, err = s.AppendAll(t.Context(), []annals.Append{of("b", 0, Event("1", "T", `1`)), of("a", 0, about("p1", "1"))})
	wantCode(t, err, annals.CodeUsage)
	wantVersion(t, s, "a", 0)
	wantVersion(t, s, "b", 1)
}
