package projection

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/sqltest"
	"github.com/eb901187/annals/view/sqlview"
	"github.com/eb901187/annals/view/sqlview/connect"
)

// databases make an empty database each.
var databases = map[string]func(testing.TB) string{
	"SQLite":     func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "views.db") },
	"PostgreSQL": sqltest.PostgresURL,
	"MariaDB":    sqltest.MariaDBURL,
}

func onEach(t *testing.T, test func(t *testing.T, views *sqlview.Store)) {
	for name, address := range databases {
		t.Run(name, func(t *testing.T) {
			views, err := connect.Open(t.Context(), address(t))
			if err != nil {
				t.Fatal(err)
			}
			closing(t, views)
			test(t, views)
		})
	}
}

// totals keeps a table of balances, times factor, and one of the events that made
// them, whose key refuses an event that is applied twice.
func totals(revision string, factor int) *Projection {
	return SQL("totals", revision, annals.Query{Prefix: "account-"}, &SQLView{
		Tables: []string{"totals", "entries"},
		Create: func(ctx context.Context, tx *sql.Tx, t *Tables) error {
			for _, statement := range []string{
				"CREATE TABLE IF NOT EXISTS " + t.Name("totals") + " (account VARCHAR(100) PRIMARY KEY, balance BIGINT NOT NULL)",
				"CREATE TABLE IF NOT EXISTS " + t.Name("entries") + " (account VARCHAR(100), version BIGINT, PRIMARY KEY (account, version))",
			} {
				if _, err := tx.ExecContext(ctx, statement); err != nil {
					return err
				}
			}
			return nil
		},
		Apply: func(ctx context.Context, tx *sql.Tx, t *Tables, m *consumer.Message) error {
			var e moved
			if err := json.Unmarshal(m.Data, &e); err != nil {
				return err
			}
			if e.Amount == 0 {
				return consumer.Permanent(errors.New("nothing was moved"))
			}
			p := t.Dialect.Placeholder
			entry := fmt.Sprintf("INSERT INTO %s (account, version) VALUES (%s, %s)", t.Name("entries"), p(1), p(2))
			if _, err := tx.ExecContext(ctx, entry, m.Stream, m.Version); err != nil {
				return err
			}
			update := fmt.Sprintf("UPDATE %s SET balance = balance + %s WHERE account = %s", t.Name("totals"), p(1), p(2))
			done, err := tx.ExecContext(ctx, update, factor*e.Amount, m.Stream)
			if err != nil {
				return err
			}
			if n, err := done.RowsAffected(); n == 1 || err != nil {
				return err
			}
			insert := fmt.Sprintf("INSERT INTO %s (balance, account) VALUES (%s, %s)", t.Name("totals"), p(1), p(2))
			_, err = tx.ExecContext(ctx, insert, factor*e.Amount, m.Stream)
			return err
		},
	})
}

// balances reads the table as its readers do.
func balances(t *testing.T, db *sql.DB, table string) map[string]int {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT account, balance FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := map[string]int{}
	for rows.Next() {
		var account string
		var balance int
		if err := rows.Scan(&account, &balance); err != nil {
			t.Fatal(err)
		}
		found[account] = balance
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestTablesAreRebuiltBesideTheLiveOnes(t *testing.T) {
	onEach(t, func(t *testing.T, views *sqlview.Store) {
		store := newStore(t)
		s, stop := open(t, store, views, quick(), totals("1", 1))
		move(t, store, "account-1", 5)
		bad := move(t, store, "account-1", 0) // parked, and what follows waits
		move(t, store, "account-1", 2)
		last := move(t, store, "account-2", 3)
		caughtUp(t, s, "totals", 1, last)
		if got := balances(t, views.DB(), "totals"); got["account-1"] != 5 || got["account-2"] != 3 {
			t.Fatalf("live: %v", got)
		}
		if err := s.control("totals", 1).Drop(t.Context(), bad, "a test"); err != nil {
			t.Fatal(err)
		}
		s.Wake("totals@1")
		for balances(t, views.DB(), "totals")["account-1"] != 7 {
			if err := t.Context().Err(); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := s.Get(t.Context(), "totals", "account-1", nil); !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("reading tables as documents: %v", err)
		}
		if err := s.Define(totals("2", 10)); err != nil {
			t.Fatal(err)
		}
		n, err := s.Rebuild(t.Context(), "totals")
		if err != nil {
			t.Fatal(err)
		}
		caughtUp(t, s, "totals", n, last)
		if got := balances(t, views.DB(), "totals"); got["account-1"] != 7 {
			t.Errorf("before the switch: %v", got)
		}
		if _, err := s.Switch(t.Context(), "totals", 0, false); err != nil {
			t.Fatal(err)
		}
		if got := balances(t, views.DB(), "totals"); got["account-1"] != 70 || got["account-2"] != 30 {
			t.Errorf("after the switch: %v", got)
		}
		if _, err := s.Rollback(t.Context(), "totals", false); err != nil {
			t.Fatal(err)
		}
		if got := balances(t, views.DB(), "totals"); got["account-1"] != 7 {
			t.Errorf("after the rollback: %v", got)
		}
		if err := s.Delete(t.Context(), "totals", 2); err != nil {
			t.Fatal(err)
		}
		if _, err := views.DB().ExecContext(t.Context(), "SELECT 1 FROM totals_g2"); err == nil {
			t.Error("the tables of a deleted generation are left")
		}
		stop()
		if err := s.DeleteAll(t.Context(), "totals"); err != nil {
			t.Fatal(err)
		}
		if _, err := views.DB().ExecContext(t.Context(), "SELECT 1 FROM totals"); err == nil {
			t.Error("the SQL view of a deleted projection is left")
		}
	})
}

// Two runners on one database, each of which ends at random steps: what the
// tables hold is what a plain fold gives.
func TestTablesUnderChaos(t *testing.T) {
	seed := newSeed(t)
	onEach(t, func(t *testing.T, views *sqlview.Store) {
		c := newChaos(t, rand.New(rand.NewPCG(seed, 1)))
		c.views, c.p, c.name = views, totals("1", 1), "totals@1"
		c.faults = 0.02
		c.crash = func(consumer.Step) bool { return c.rng.Float64() < 0.02 }
		if _, err := Open(t.Context(), c.store, views, []*Projection{c.p}, quick()); err != nil {
			t.Fatal(err)
		}
		c.play(2, 150)
		got := balances(t, views.DB(), "totals_g1")
		for name, a := range c.want {
			if got[name] != a.Balance {
				t.Errorf("%s has %d, want %d", name, got[name], a.Balance)
			}
		}
	})
}

// Several processes that open a new projection at once make one first generation.
func TestProcessesBeginOneGeneration(t *testing.T) {
	onEach(t, func(t *testing.T, views *sqlview.Store) {
		store := newStore(t)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, err := Open(context.Background(), store, views, []*Projection{totals("1", 1)}, quick()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		s, _ := open(t, store, views, quick(), totals("1", 1))
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if info, err := s.Show(ctx, "totals"); err != nil || len(info.Generations) != 1 || info.Live != info.Generations[0].Number {
			t.Errorf("%+v, %v", info, err)
		}
	})
}
