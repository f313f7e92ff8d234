package viewtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// Options says what a Store under test offers; nil means a Store without Work.
type Options struct {
	// Work says that the Store runs Change.Work. Any other must refuse it.
	Work bool
	// Table names the table that Work is tested with: it has one integer column
	// called n, lies in the database of each Store that open returns, and is
	// empty there. A Store without Work needs none.
	Table string
}

type clause struct {
	name string
	test func(t *testing.T, s view.Store)
}

// Test tests every clause of the contract. open returns an empty Store of the
// test's own, which Test closes.
func Test(t *testing.T, open func(t *testing.T) view.Store, opts *Options) {
	if opts == nil {
		opts = &Options{}
	}
	groups := [][]clause{readClauses, scanClauses, commitClauses, limitClauses, dropClauses, endClauses, scrubClauses, raceClauses}
	if opts.Work {
		groups = append(groups, workClauses(opts.Table))
	} else {
		groups = append(groups, noWorkClauses)
	}
	for _, c := range slices.Concat(groups...) {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("closing: %v", err)
				}
			})
			c.test(t, s)
		})
	}
}

func put(space, key, data string) view.Put {
	return view.Put{Space: space, Document: view.Document{Key: key, Data: []byte(data)}}
}

// puts makes documents "000", "001" … whose data is their number.
func puts(space string, n int) []view.Put {
	list := make([]view.Put, n)
	for i := range list {
		list[i] = put(space, numbered(i), fmt.Sprint(i))
	}
	return list
}

func numbered(i int) string { return fmt.Sprintf("%05d", i) }

func numberedKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = numbered(i)
	}
	return keys
}

// expect expects data of a document; "" expects that there is none.
func expect(space, key, data string) []view.Expectation {
	e := view.Expectation{Key: view.Key{Space: space, Key: key}}
	if data != "" {
		e.Data = []byte(data)
	}
	return []view.Expectation{e}
}

func mustCommit(t *testing.T, s view.Store, c view.Change) {
	t.Helper()
	if err := s.Commit(t.Context(), c); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

// mustPut puts documents in as many changes as the Store needs.
func mustPut(t *testing.T, s view.Store, puts ...view.Put) {
	t.Helper()
	for part := range slices.Chunk(puts, min(s.MaxChange(), 1000)) {
		mustCommit(t, s, view.Change{Put: part})
	}
}

func mustGet(t *testing.T, s view.Store, space string, keys ...string) map[string]view.Document {
	t.Helper()
	documents, err := s.Get(t.Context(), space, keys...)
	if err != nil {
		t.Fatalf("get from %s: %v", space, err)
	}
	return documents
}

// wantData wants a document's data; "" wants that there is no such document.
func wantData(t *testing.T, s view.Store, space, key, want string) {
	t.Helper()
	d, there := mustGet(t, s, space, key)[key]
	if there != (want != "") || string(d.Data) != want {
		t.Fatalf("document %q of %s is there: %t, with %q; want %q", key, space, there, d.Data, want)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

// wantKeys wants a scan to yield documents with these keys.
func wantKeys(t *testing.T, documents iter.Seq2[view.Document, error], want ...string) {
	t.Helper()
	got := []string{}
	for d, err := range documents {
		if err != nil {
			t.Fatalf("after %d documents: %v", len(got), err)
		}
		got = append(got, d.Key)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("scanned %d documents %.500q, want %d %.500q", len(got), got, len(want), want)
	}
}

// drain reads a scan to its end or its error.
func drain(documents iter.Seq2[view.Document, error]) (n int, err error) {
	for _, err := range documents {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// calls are all that can be asked of a Store, under names.
func calls(s view.Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Get": func(ctx context.Context) error {
			_, err := s.Get(ctx, "a", numbered(0))
			return err
		},
		"Scan": func(ctx context.Context) error {
			_, err := drain(s.Scan(ctx, "a", view.Range{}))
			return err
		},
		"Commit": func(ctx context.Context) error {
			return s.Commit(ctx, view.Change{Put: []view.Put{put("a", "new", `1`)}})
		},
		"Drop": func(ctx context.Context) error { return s.Drop(ctx, "a") },
	}
}

var endClauses = []clause{
	{"a context that has ended ends every call and changes nothing", func(t *testing.T, s view.Store) {
		mustPut(t, s, puts("a", 3)...)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for name, call := range calls(s) {
			if err := call(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: error %v, want that of the context", name, err)
			}
		}
		wantKeys(t, s.Scan(t.Context(), "a", view.Range{}), numberedKeys(3)...)
	}},
	{"a scan whose context ends in its middle ends in that error", func(t *testing.T, s view.Store) {
		mustPut(t, s, manyPuts(3000)...)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n, last := 0, error(nil)
		for _, err := range s.Scan(ctx, "a", view.Range{}) {
			if last = err; err == nil {
				n++
			}
			if n == 10 {
				cancel()
			}
		}
		if wantError(t, last, context.Canceled); n == 3000 {
			t.Fatal("every document came, and an error behind them")
		}
	}},
	{"a closed store says so, and may be closed again", func(t *testing.T, s view.Store) {
		mustPut(t, s, puts("a", 3)...)
		if err := s.Close(); err != nil {
			t.Fatalf("closing: %v", err)
		}
		for name, call := range calls(s) {
			if err := call(t.Context()); !errors.Is(err, annals.ErrClosed) {
				t.Errorf("%s: error %v, want that the store is closed", name, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatalf("closing again: %v", err)
		}
	}},
}

// noWorkClauses are for a Store that is not over SQL.
var noWorkClauses = []clause{
	{"a change with work is refused", func(t *testing.T, s view.Store) {
		called := false
		err := s.Commit(t.Context(), view.Change{
			Put:  []view.Put{put("a", "1", `1`)},
			Work: func(context.Context, *sql.Tx) error { called = true; return nil },
		})
		if wantError(t, err, annals.ErrInvalid); called {
			t.Fatal("the work was done")
		}
		wantData(t, s, "a", "1", "")
	}},
}
