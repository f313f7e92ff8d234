package projection

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/eb901187/annals/view/sqlview"
	"github.com/eb901187/annals/view/sqlview/connect"
)

func sqlite(t *testing.T) *sqlview.Store {
	views, err := connect.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "views.db"))
	if err != nil {
		t.Fatal(err)
	}
	closing(t, views)
	return views
}

// A process without the Go code drops the tables too.
func TestDeleteAllByAProcessWithoutTheTables(t *testing.T) {
	store, views := newStore(t), sqlite(t)
	a, stop := open(t, store, views, quick(), totals("1", 1))
	last := move(t, store, "account-1", 5)
	caughtUp(t, a, "totals", 1, last)
	stop()
	b, err := Open(t.Context(), store, views, nil, quick())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.DeleteAll(t.Context(), "totals"); err != nil {
		t.Fatal(err)
	}
	a, _ = open(t, store, views, quick(), totals("1", 1))
	caughtUp(t, a, "totals", 2, last)
	info, _ := a.Show(t.Context(), "totals")
	if got := balances(t, views.DB(), "totals"); got["account-1"] != 5 || info.Generations[0].Status.Parked > 0 {
		t.Errorf("begun again: %v, parked %d", got, info.Generations[0].Status.Parked)
	}
	move(t, store, "account-2", 1)
}

// A rebuilt generation is deleted elsewhere: its tables stay.
func TestTablesOfADeletedGeneration(t *testing.T) {
	store, views := newStore(t), sqlite(t)
	a, stop := open(t, store, views, quick(), totals("1", 1))
	caughtUp(t, a, "totals", 1, move(t, store, "account-1", 5))
	if err := a.Define(totals("2", 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Rebuild(t.Context(), "totals"); err != nil {
		t.Fatal(err)
	}
	stop()
	b, _ := Open(t.Context(), store, views, nil, quick())
	if err := b.Delete(t.Context(), "totals", 2); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := views.DB().QueryRow("SELECT count(*) FROM sqlite_master WHERE name LIKE '%_g2'").Scan(&n); err != nil || n > 0 {
		t.Errorf("%d tables of the deleted generation are left, and nothing knows of them (%v)", n, err)
	}
}

// A new revision has one table more than the live one.
func more() *Projection {
	p := totals("2", 1)
	v := *p.sql
	v.Tables = []string{"totals", "entries", "extra"}
	create := v.Create
	v.Create = func(ctx context.Context, tx *sql.Tx, t *Tables) error {
		if err := create(ctx, tx, t); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+t.Name("extra")+" (n BIGINT)")
		return err
	}
	return SQL("totals", "2", p.query, &v)
}

func TestOneTableMore(t *testing.T) { onEach(t, oneTableMore) }

func oneTableMore(t *testing.T, views *sqlview.Store) {
	store := newStore(t)
	a, stop := open(t, store, views, quick(), totals("1", 1))
	last := move(t, store, "account-1", 5)
	caughtUp(t, a, "totals", 1, last)
	stop()
	o := quick()
	o.Rebuild = true
	s, err := Open(t.Context(), store, views, []*Projection{more(), accounts("1", 1)}, o)
	if err != nil {
		t.Fatal(err)
	}
	keepRunning(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, _, err := s.waitFor(ctx, "totals", 2, last); err != nil {
		t.Errorf("the rebuild: %v; reconcile says %v", err, s.reconcile(t.Context()))
	}
	if _, _, err := s.waitFor(ctx, "accounts", 1, last); err != nil {
		t.Errorf("another projection: %v", err)
	}
}

// Tables of a build that never came to be are in nobody's way.
func TestCrashBetweenCreateAndEdit(t *testing.T) {
	store, views := newStore(t), sqlite(t)
	s, stop := open(t, store, views, quick(), totals("1", 1))
	last := move(t, store, "account-1", 5)
	caughtUp(t, s, "totals", 1, last)
	stop()
	// Revision 2 has a table with a mistake; the process ends behind create.
	wrong := totals("2", 1)
	v := *wrong.sql
	v.Create = func(ctx context.Context, tx *sql.Tx, t *Tables) error {
		for _, name := range v.Tables {
			if _, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+t.Name(name)+" (oops BIGINT)"); err != nil {
				return err
			}
		}
		return nil
	}
	if _, err := s.makeTables(t.Context(), SQL("totals", "2", wrong.query, &v)); err != nil {
		t.Fatal(err)
	}
	o := quick()
	o.Rebuild = true
	s, _ = open(t, store, views, o, totals("3", 1))
	caughtUp(t, s, "totals", 3, last)
	if n, err := s.Switch(t.Context(), "totals", 0, false); err != nil || n != 3 {
		t.Errorf("generation %d, %v", n, err)
	}
}

// A process that read the list before a switch, and goes on behind it, does not show
// the old tables for good.
func TestALateExposeStays(t *testing.T) {
	views, err := connect.Open(t.Context(), databases["MariaDB"](t))
	if err != nil {
		t.Fatal(err)
	}
	closing(t, views)
	store := newStore(t)
	b, _ := open(t, store, views, quick(), totals("1", 1))
	last := move(t, store, "account-1", 5)
	caughtUp(t, b, "totals", 1, last)
	a := &Set{store: store, views: views, shown: map[string]int{}, opts: *quick()}
	g, err := readGenerations(t.Context(), views, "totals") // A, in Open
	if err != nil {
		t.Fatal(err)
	}
	_ = b.Define(totals("2", 10))
	_, _ = b.Rebuild(t.Context(), "totals")
	caughtUp(t, b, "totals", 2, last)
	if _, err := b.Switch(t.Context(), "totals", 0, false); err != nil {
		t.Fatal(err)
	}
	if err := a.expose(t.Context(), "totals", g); err != nil { // A goes on, and ends
		t.Fatal(err)
	}
	if got := balances(t, views.DB(), "totals"); got["account-1"] != 50 {
		t.Errorf("generation 2 is live, and the tables show %v", got)
	}
	if err := b.Delete(t.Context(), "totals", 1); err != nil {
		t.Fatal(err)
	}
	rows, err := views.DB().Query("SELECT * FROM totals")
	if err != nil {
		t.Errorf("readers after the deletion of the old generation: %v", err)
	} else {
		rows.Close()
	}
}

// Rights on a view of PostgreSQL, and views on it, outlive a switch.
func TestPostgresRights(t *testing.T) {
	views, err := connect.Open(t.Context(), databases["PostgreSQL"](t))
	if err != nil {
		t.Fatal(err)
	}
	closing(t, views)
	store := newStore(t)
	s, _ := open(t, store, views, quick(), totals("1", 1), accounts("1", 1))
	last := move(t, store, "account-1", 5)
	caughtUp(t, s, "totals", 1, last)
	db := views.DB()
	if _, err := db.Exec("GRANT SELECT ON totals TO PUBLIC"); err != nil {
		t.Fatal(err)
	}
	granted := func() (ok bool) {
		if err := db.QueryRow("SELECT relacl::text LIKE '%{=r%' OR relacl::text LIKE '%,=r%' FROM pg_class WHERE relname = 'totals'").Scan(&ok); err != nil {
			t.Log(err)
		}
		return ok
	}
	_ = s.Define(totals("2", 10))
	_, _ = s.Rebuild(t.Context(), "totals")
	caughtUp(t, s, "totals", 2, last)
	if _, err := s.Switch(t.Context(), "totals", 0, false); err != nil {
		t.Fatal(err)
	}
	if !granted() {
		t.Error("readers lost their right to the view by the switch")
	}
	if _, err := db.Exec("CREATE VIEW rich AS SELECT * FROM totals WHERE balance > 1"); err != nil {
		t.Fatal(err)
	}
	_ = s.Define(totals("3", 100))
	_, _ = s.Rebuild(t.Context(), "totals")
	caughtUp(t, s, "totals", 3, last)
	_, err = s.Switch(t.Context(), "totals", 0, false)
	info, _ := s.Show(t.Context(), "totals")
	if err != nil || info.Live != 3 || balances(t, db, "rich")["account-1"] != 500 {
		t.Errorf("a switch below a view of somebody else's: live is %d, that view shows %v, %v", info.Live, balances(t, db, "rich"), err)
	}
	// Other projections are not held up.
	if err := s.Define(accounts("2", 10)); err != nil {
		t.Fatal(err)
	}
	n, err := s.Rebuild(t.Context(), "accounts")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, _, err := s.waitFor(ctx, "accounts", n, last); err != nil {
		t.Errorf("the rebuild of another projection: %v", err)
	}
}
