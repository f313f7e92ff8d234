package sqlview_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/sqlview"
)

// A change with Work is not tried again, so a deadlock would show.
func TestChangesThatExpectTheSameDocumentsDoNotDeadlock(t *testing.T) {
	onEach(t, func(t *testing.T, address string) {
		t.Logf("-seed %d draws the same orders", *seed)
		for round, present := range []func(i int) bool{
			func(int) bool { return true },
			func(i int) bool { return i%2 == 0 },
		} {
			var expected []view.Expectation
			for i := range 6 {
				space, key := fmt.Sprintf("%d-%d", round, i%3), fmt.Sprint(i)
				expected = append(expected, expect(space, key, nil)...)
				if present(i) {
					expected[i].Data = []byte(`1`)
					if err := open(t, address).Commit(t.Context(), view.Change{Put: puts(space, key, `1`)}); err != nil {
						t.Fatal(err)
					}
				}
			}
			expectInAnyOrder(t, address, expected)
		}
	})
}

// expectInAnyOrder commits the same expectations from many sides at once.
func expectInAnyOrder(t *testing.T, address string, expected []view.Expectation) {
	t.Helper()
	var running sync.WaitGroup
	for w := range processes {
		s, r := open(t, address), rand.New(rand.NewPCG(*seed, uint64(w)))
		running.Go(func() {
			for range increments {
				var c view.Change
				for _, i := range r.Perm(len(expected)) {
					c.Expect = append(c.Expect, expected[i])
				}
				c.Work = func(context.Context, *sql.Tx) error { return nil }
				if err := s.Commit(t.Context(), c); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
}

// What a transaction locks are its own documents, though they be most of a table.
func TestChangesOfOtherDocumentsDoNotWait(t *testing.T) {
	onServers(t, func(t *testing.T, address string) {
		s, other := open(t, address), open(t, address)
		c := view.Change{Put: puts("a", "last", `1`, "new", `1`)}
		for i := range 9 {
			key := fmt.Sprint(i)
			c.Put = append(c.Put, puts("a", key, `1`)...)
			c.Expect = append(c.Expect, expect("a", key, []byte(`1`))...)
		}
		if err := s.Commit(t.Context(), view.Change{Put: c.Put}); err != nil {
			t.Fatal(err)
		}
		c.Put = puts("a", "3", `2`)
		last := view.Change{Expect: expect("a", "last", []byte(`1`)), Put: puts("a", "last", `2`)}
		last.Work = func(ctx context.Context, _ *sql.Tx) error {
			ctx, cancel := context.WithTimeout(ctx, 20*time.Second) // far beyond what it takes, so that waiting fails
			defer cancel()
			return other.Commit(ctx, c)
		}
		if err := s.Commit(t.Context(), last); err != nil {
			t.Fatal(err)
		}
	})
}

// Whatever a database's default is, Work reads what has been committed.
func TestWorkReadsWhatIsCommitted(t *testing.T) {
	onServers(t, func(t *testing.T, address string) {
		s := open(t, address)
		execute(t, s.DB(), "CREATE TABLE numbers (n integer)", "INSERT INTO numbers VALUES (1)")
		if s.Dialect() == sqlview.PostgreSQL {
			setDefault(t, s, "default_transaction_isolation", "serializable")
		}
		s = open(t, address)
		var before, after int
		err := s.Commit(t.Context(), view.Change{Work: func(ctx context.Context, tx *sql.Tx) error {
			err := tx.QueryRowContext(ctx, "SELECT n FROM numbers").Scan(&before)
			_, changed := s.DB().ExecContext(ctx, "UPDATE numbers SET n = 2")
			return errors.Join(err, changed, tx.QueryRowContext(ctx, "SELECT n FROM numbers").Scan(&after))
		}})
		if err != nil || before != 1 || after != 2 {
			t.Fatalf("read %d, then %d, error %v", before, after, err)
		}
	})
}
