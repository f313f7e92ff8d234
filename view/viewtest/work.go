package viewtest

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// insert is work that adds a row to a table.
func insert(table string, n int) func(context.Context, *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO "+table+" (n) VALUES ("+strconv.Itoa(n)+")")
		return err
	}
}

// wantRows counts the rows of a table, by work of its own.
func wantRows(t *testing.T, s view.Store, table string, want int) {
	t.Helper()
	got := 0
	mustCommit(t, s, view.Change{Work: func(ctx context.Context, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table).Scan(&got)
	}})
	if got != want {
		t.Fatalf("the table has %d rows, want %d", got, want)
	}
}

// errWork is what a test's work fails with.
var errWork = errors.New("viewtest: the work failed")

func workClauses(table string) []clause {
	return []clause{
		{"work is done together with the change", func(t *testing.T, s view.Store) {
			mustCommit(t, s, view.Change{Put: []view.Put{put("a", "1", `1`)}, Work: insert(table, 1)})
			mustCommit(t, s, view.Change{Expect: expect("a", "1", `1`), Put: []view.Put{put("a", "1", `2`)}, Work: insert(table, 2)})
			mustCommit(t, s, view.Change{Work: insert(table, 3)})
			wantData(t, s, "a", "1", `2`)
			wantRows(t, s, table, 3)
		}},
		{"work that fails undoes itself and the change, and its error comes back", func(t *testing.T, s view.Store) {
			mustPut(t, s, put("a", "1", `1`))
			err := s.Commit(t.Context(), view.Change{
				Expect: expect("a", "1", `1`), Put: []view.Put{put("a", "1", `2`), put("a", "2", `2`)}, Delete: []view.Key{{Space: "a", Key: "3"}},
				Work: func(ctx context.Context, tx *sql.Tx) error { return errors.Join(insert(table, 1)(ctx, tx), errWork) },
			})
			var failed *view.WorkError
			if !errors.As(err, &failed) || !errors.Is(err, errWork) {
				t.Fatalf("error %v, want that of the work", err)
			}
			wantData(t, s, "a", "1", `1`)
			wantData(t, s, "a", "2", "")
			wantRows(t, s, table, 0)
		}},
		{"an expectation that does not hold undoes the work", func(t *testing.T, s view.Store) {
			mustPut(t, s, put("a", "1", `1`))
			wantConflict(t, s, view.Change{Expect: expect("a", "1", `2`), Put: []view.Put{put("a", "2", `2`)}, Work: insert(table, 1)})
			wantConflict(t, s, view.Change{Expect: expect("a", "1", ""), Work: insert(table, 1)})
			wantData(t, s, "a", "2", "")
			wantRows(t, s, table, 0)
		}},
		{"a change that is refused does no work", func(t *testing.T, s view.Store) {
			called := false
			err := s.Commit(t.Context(), view.Change{
				Put:  []view.Put{put("a", "", `1`)},
				Work: func(context.Context, *sql.Tx) error { called = true; return nil },
			})
			if wantError(t, err, annals.ErrInvalid); called {
				t.Fatal("the work was done")
			}
		}},
		{"of many that work under one expectation, one is done each time", func(t *testing.T, s view.Store) { raceOfWork(t, s, table) }},
	}
}

func raceOfWork(t *testing.T, s view.Store, table string) {
	const rounds = 5
	for round := range rounds {
		before := ""
		if round > 0 {
			before = strconv.Itoa(round)
		}
		var won atomic.Int32
		together(func(w int) {
			c := view.Change{Expect: expect("state", "at", before), Put: []view.Put{put("state", "at", strconv.Itoa(round+1))}, Work: insert(table, w)}
			err := s.Commit(t.Context(), c)
			for errors.Is(err, annals.ErrUnavailable) {
				err = s.Commit(t.Context(), c)
			}
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, annals.ErrConflict) {
				t.Error(err)
			}
		})
		if won.Load() != 1 {
			t.Fatalf("round %d was won by %d", round, won.Load())
		}
	}
	wantRows(t, s, table, rounds)
}
