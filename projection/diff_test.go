package projection

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// A comparison in parts finds what one of the whole finds, and each part reads no
// more than it compares.
func TestDiffRange(t *testing.T) {
	store, views := newStore(t), &scanned{Store: newViews(t)}
	var last int64
	for n := range 50 {
		last = move(t, store, fmt.Sprintf("account-%02d", n), 5)
		if n%3 == 0 { // what cancels out is the same, times whatever
			last = move(t, store, fmt.Sprintf("account-%02d", n), -5)
		}
	}
	s, stop := open(t, store, views, quick(), accounts("1", 1))
	caughtUp(t, s, "accounts", 1, last)
	stop()
	opts := quick()
	opts.Changed = true
	s, _ = open(t, store, views, opts, accounts("1", 1), accounts("2", 10))
	if n, err := s.Rebuild(t.Context(), "accounts"); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	caughtUp(t, s, "accounts", 1, last)
	caughtUp(t, s, "accounts", 2, last)
	whole, c := differing(t, s, view.Range{})
	if len(whole) != 33 || c.Different != 33 || c.Same != 17 || c.Next != "" {
		t.Fatalf("%d keys differ, %+v", len(whole), c)
	}
	for _, limit := range []int{1, 7, 49, 50, 51} {
		var keys []string
		parts, compared, after := 0, 0, ""
		for parts == 0 || after != "" {
			views.documents = 0
			part, c := differing(t, s, view.Range{After: after, Limit: limit})
			if views.documents > 2*(limit+1) {
				t.Errorf("a part of %d keys read %d documents", limit, views.documents)
			}
			keys, compared, after = append(keys, part...), compared+c.Same+c.Different, c.Next
			parts++
		}
		if want := (50 + limit - 1) / limit; !slices.Equal(keys, whole) || compared != 50 || parts != want {
			t.Errorf("by %d: %d of %d keys differ in %d parts, want %d", limit, len(keys), compared, parts, want)
		}
	}
	if some, _ := differing(t, s, view.Range{Prefix: "account-1"}); len(some) != 7 {
		t.Errorf("of a prefix: %v", some)
	}
}

func differing(t *testing.T, s *Set, r view.Range) ([]string, *Comparison) {
	t.Helper()
	differences, c, err := s.DiffRange(t.Context(), "accounts", 1, 2, r)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for d, err := range differences {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, d.Key)
	}
	return keys, c
}

// scanned counts the documents of accounts that were scanned. Both sides are read by
// one goroutine.
type scanned struct {
	view.Store
	documents int
}

func (s *scanned) Scan(ctx context.Context, space string, r view.Range) iter.Seq2[view.Document, error] {
	if !strings.HasPrefix(space, "accounts@") {
		return s.Store.Scan(ctx, space, r)
	}
	return func(yield func(view.Document, error) bool) {
		for doc, err := range s.Store.Scan(ctx, space, r) {
			s.documents++
			if !yield(doc, err) {
				return
			}
		}
	}
}

func TestDefinitionOfAGeneration(t *testing.T) {
	store, views := newStore(t), newViews(t)
	const text = "name: sums\nfold: merge-patch\n"
	sums, err := Parse("sums.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s, _ := open(t, store, views, quick(), sums, accounts("1", 1))
	d, err := s.Definition(t.Context(), "sums", 1)
	if err != nil || d.File != "sums.yaml" || string(d.Text) != text || d.Revision != sums.Revision() {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := s.Definition(t.Context(), "accounts", 1); err != nil || d.Text != nil || d.Revision != "1" {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := s.Definition(t.Context(), "sums", 2); !errors.Is(err, annals.ErrNotFound) {
		t.Errorf("of a generation that is not there: %v", err)
	}
}
