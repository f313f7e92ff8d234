package reversal_test

import (
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/reversal"
	"github.com/eb901187/annals/subject/subjecttest"
)

func newKeys(t *testing.T) annals.Sealer {
	t.Helper()
	k := subjecttest.Keyring(t)
	return k
}

func addErased(t *testing.T, w *world, stream, name string) {
	t.Helper()
	e := annals.Event{Type: "placed", ContentType: annals.ErasedContentType, Attributes: map[string]string{annals.SubjectAttribute: name}}
	if _, err := w.Append(t.Context(), stream, annals.Any, e); err != nil {
		t.Fatal(err)
	}
}

func TestErasedEventIsReversedByAMark(t *testing.T) {
	w := newWorld(t)
	addErased(t, w, "order-7", "p1")
	w.add(t, "order-7", `paid {"paid":true}`)
	plan, err := reversal.NewPlan(t.Context(), w.Store, reversal.Target{Stream: "order-7", Version: 1}, nil)
	if err != nil || len(plan.Streams) != 1 {
		t.Fatalf("%+v, %v", plan, err)
	}
	for _, e := range plan.Streams[0].Events {
		if len(e.Data) > 0 || e.Subject() != "p1" {
			t.Errorf("it plans %+v", e)
		}
	}
}

// What undoes the data of a subject is that subject's data too.
func TestReversalNamesTheSubject(t *testing.T) {
	for name, c := range map[string]struct {
		subjects []string
		reversed int64
		want     string // empty for a plan that is refused
	}{
		"of the event":          {[]string{"p1", "p1"}, 2, "p1"},
		"of the state restored": {[]string{"p1", ""}, 2, "p1"},
		"of two":                {[]string{"p1", "p2"}, 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Store = annals.New(w.faults, &annals.Options{Sealer: newKeys(t)})
			for i, about := range c.subjects {
				e := annals.Event{Type: "placed", Data: []byte([]string{`{"a":1}`, `{"a":2}`}[i])}
				if about != "" {
					e.Attributes = map[string]string{annals.SubjectAttribute: about}
				}
				if _, err := w.Append(t.Context(), "order-7", annals.Any, e); err != nil {
					t.Fatal(err)
				}
			}
			plan, err := reversal.NewPlan(t.Context(), w.Store, reversal.Target{Stream: "order-7", Version: c.reversed}, nil)
			if c.want == "" {
				if annals.CodeOf(err) != annals.CodeInvalid {
					t.Fatalf("%+v, %v", plan, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range plan.Streams[0].Events {
				if e.Subject() != c.want {
					t.Errorf("it plans %+v", e)
				}
			}
			if _, err := reversal.Apply(t.Context(), w.Store, plan); err != nil {
				t.Fatal(err)
			}
		})
	}
}
