package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/view"
	"github.com/eb901187/annals/view/sqlview"
)

// An SQLView is a view in tables of a program's own making. Each generation has
// tables of its own; readers use an SQL view of each table's name, which shows the
// live generation's and moves with Switch and Rollback.
type SQLView struct {
	// Tables are the names of the tables, each 1 to 50 of a-z, 0-9 and _, not
	// starting with a digit.
	Tables []string
	// Create makes the tables of a generation. It says CREATE TABLE IF NOT EXISTS,
	// as it may run again after it failed.
	Create func(ctx context.Context, tx *sql.Tx, t *Tables) error
	// Apply changes the tables by one event, in the transaction that moves the
	// checkpoint. It must depend on the tables and m alone.
	Apply func(ctx context.Context, tx *sql.Tx, t *Tables, m *consumer.Message) error
}

// Tables are those of one generation.
type Tables struct {
	// Dialect is that of the database.
	Dialect sqlview.Dialect
	number  int
}

// Name is the generation's own name of a table, quoted for use in a statement.
func (t *Tables) Name(table string) string { return t.Dialect.Quote(t.plain(table)) }

func (t *Tables) plain(table string) string { return fmt.Sprintf("%s_g%d", table, t.number) }

// SQL is a projection into tables. It needs a view store over SQL: views of
// package sqlview. revision must change whenever v changes what the same log
// makes.
func SQL(name, revision string, q annals.Query, v *SQLView) *Projection {
	return &Projection{name: name, revision: revision, query: q, sql: v}
}

var tableName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,49}$`)

func (v *SQLView) check(name string) error {
	if len(v.Tables) == 0 || v.Create == nil || v.Apply == nil {
		return annals.Invalid("sql", "of projection %s must have Tables, Create and Apply", name)
	}
	for _, table := range v.Tables {
		if !tableName.MatchString(table) {
			return annals.Invalid("sql", "of projection %s has table %q: a name is 1 to 50 of a-z, 0-9 and _, not starting with a digit", name, table)
		}
	}
	return nil
}

// database is the view store of projections into tables.
func (s *Set) database(name string) (*sqlview.Store, error) {
	db, ok := s.views.(*sqlview.Store)
	if !ok {
		return nil, annals.Invalid("views", "must be over SQL for projections into tables (%s): sqlite:…, postgres://… or mysql://…", name)
	}
	return db, nil
}

// makeTables makes the tables of a generation, under a number that is reserved for
// it: whatever becomes of this process, no other generation gets these tables.
func (s *Set) makeTables(ctx context.Context, p *Projection) (number int, err error) {
	db, err := s.database(p.name)
	if err != nil {
		return 0, err
	}
	g, err := s.edit(ctx, p.name, func(g *generations, _ *view.Change) error { g.Last++; return nil })
	if err != nil {
		return 0, err
	}
	t := &Tables{db.Dialect(), g.Last}
	err = define(ctx, db.DB(), func(tx *sql.Tx) error { return p.sql.Create(ctx, tx, t) })
	if err != nil {
		err = errors.Join(wrapped(err, "the tables of projection "+p.name+" can't be made"), s.dropTables(ctx, p.sql.Tables, g.Last))
	}
	return g.Last, err
}

// An exposure is what the SQL views of a projection's tables are to show.
type exposure struct {
	tables *Tables  // of the live generation
	show   []string // the tables that it has
	hide   []string // those that only others have
}

func (g *generations) exposure(d sqlview.Dialect) exposure {
	e := exposure{tables: &Tables{d, g.Live}}
	if live := g.find(g.Live); live != nil {
		e.show = live.Tables
	}
	for i := range g.List {
		for _, table := range g.List[i].Tables {
			if !slices.Contains(e.show, table) && !slices.Contains(e.hide, table) {
				e.hide = append(e.hide, table)
			}
		}
	}
	return e
}

// hasTables reports whether a generation is kept in tables.
func (g *generations) hasTables() bool {
	return slices.ContainsFunc(g.List, func(of generation) bool { return len(of.Tables) > 0 })
}

// moveViews has c make the SQL views show the live generation, in the transaction
// that makes it live. MySQL can't: see expose.
func (s *Set) moveViews(g *generations, c *view.Change) error {
	if !g.hasTables() {
		return nil
	}
	db, err := s.database("")
	if err != nil || db.Dialect() == sqlview.MySQL {
		return err
	}
	e := g.exposure(db.Dialect())
	c.Work = e.apply
	return nil
}

// expose makes MySQL's SQL views show the live generation: it commits at every
// statement of this kind, so that they follow the switch at once but one by one.
// Another process may switch meanwhile; then it is done again.
func (s *Set) expose(ctx context.Context, name string, g *generations) error {
	if !g.hasTables() {
		return nil
	}
	db, err := s.database(name)
	if err != nil || db.Dialect() != sqlview.MySQL {
		return err
	}
	for {
		s.mu.Lock()
		shown := s.shown[name]
		s.mu.Unlock()
		if shown == g.Live && g.Live > 0 {
			return nil
		}
		e := g.exposure(db.Dialect())
		if err := define(ctx, db.DB(), func(tx *sql.Tx) error { return e.apply(ctx, tx) }); err != nil {
			return wrapped(err, "the SQL views of projection "+name+" can't be made")
		}
		after, err := readGenerations(ctx, s.views, name)
		if err != nil {
			return err
		}
		if after.Live == g.Live {
			s.mu.Lock()
			s.shown[name] = g.Live
			s.mu.Unlock()
			return nil
		}
		g = after
	}
}

func (e *exposure) apply(ctx context.Context, tx *sql.Tx) error {
	d := e.tables.Dialect
	run := func(statement string) error {
		_, err := tx.ExecContext(ctx, statement)
		return err
	}
	for _, table := range e.hide {
		if err := run("DROP VIEW IF EXISTS " + d.Quote(table)); err != nil {
			return err
		}
	}
	for _, table := range e.show {
		as := d.Quote(table) + " AS SELECT * FROM " + e.tables.Name(table)
		switch d {
		case sqlview.MySQL:
			if err := run("CREATE OR REPLACE VIEW " + as); err != nil {
				return err
			}
		case sqlview.PostgreSQL:
			if err := e.replace(run, d.Quote(table), as); err != nil {
				return err
			}
		default:
			if err := errors.Join(run("DROP VIEW IF EXISTS "+d.Quote(table)), run("CREATE VIEW "+as)); err != nil {
				return err
			}
		}
	}
	return nil
}

// replace keeps the rights on a view of PostgreSQL, and what is built on it, where
// its columns are still there; otherwise it has to be made anew.
func (e *exposure) replace(run func(string) error, view, as string) error {
	if err := run("SAVEPOINT annals_replace"); err != nil {
		return err
	}
	if run("CREATE OR REPLACE VIEW "+as) == nil {
		return run("RELEASE SAVEPOINT annals_replace")
	}
	for _, statement := range []string{"ROLLBACK TO SAVEPOINT annals_replace", "DROP VIEW IF EXISTS " + view, "CREATE VIEW " + as} {
		if err := run(statement); err != nil {
			return err
		}
	}
	return nil
}

func (s *Set) dropTables(ctx context.Context, tables []string, n int) error {
	if len(tables) == 0 || n == 0 {
		return nil
	}
	db, err := s.database("")
	if err != nil {
		return err
	}
	t := &Tables{db.Dialect(), n}
	err = define(ctx, db.DB(), func(tx *sql.Tx) error {
		for _, table := range tables {
			if _, err := tx.ExecContext(ctx, "DROP TABLE IF EXISTS "+t.Name(table)); err != nil {
				return err
			}
		}
		return nil
	})
	return wrapped(err, fmt.Sprintf("the tables of generation %d can't be dropped", n))
}

// define runs statements that make or drop tables and views, none of which does
// harm when it runs again. Where several processes do the same at once, databases
// refuse some of them, which then find it done.
func define(ctx context.Context, db *sql.DB, f func(*sql.Tx) error) (err error) {
	const tries = 10
	for range tries {
		if err = inTransaction(ctx, db, f); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func inTransaction(ctx context.Context, db *sql.DB, f func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback() // the first error says what is wrong
		return err
	}
	return tx.Commit()
}

func wrapped(err error, message string) error {
	if err == nil {
		return nil
	}
	return &annals.Error{Code: annals.CodeUnavailable, Message: message, Err: err}
}

// sqlHandler is the Handler of a generation of tables.
type sqlHandler struct {
	view    *SQLView
	tables  *Tables
	only    func(*annals.Event) bool // applies only these, if it is set
	calling *calling                 // nil where the view makes no outside calls
}

// Forget implements consumer.Handler: all that it knows is in the tables.
func (*sqlHandler) Forget() {}

// Handle implements consumer.Handler.
func (h *sqlHandler) Handle(ctx context.Context, batch []consumer.Message) (view.Change, error) {
	if batch = h.selected(batch); len(batch) == 0 {
		return view.Change{}, nil
	}
	if h.calling != nil {
		return h.call(ctx, batch)
	}
	return view.Change{Work: func(ctx context.Context, tx *sql.Tx) error {
		for i := range batch {
			if err := h.view.Apply(ctx, tx, h.tables, &batch[i]); err != nil {
				return err
			}
		}
		return nil
	}}, nil
}

// call works on a batch that may make outside calls. What it must know of the
// generations is read before the transaction.
func (h *sqlHandler) call(ctx context.Context, batch []consumer.Message) (view.Change, error) {
	x, err := h.calling.moment(ctx, batch)
	if err != nil {
		return view.Change{}, err
	}
	return view.Change{Work: func(ctx context.Context, tx *sql.Tx) error {
		for i := range batch {
			if err := h.callFor(ctx, tx, x, &batch[i]); err != nil {
				return err
			}
		}
		return nil
	}}, nil
}

// callFor applies m. A savepoint takes back what it has changed where a call was
// suppressed.
func (h *sqlHandler) callFor(ctx context.Context, tx *sql.Tx, x *moment, m *consumer.Message) error {
	run := func(statement string) error {
		_, err := tx.ExecContext(ctx, statement)
		return err
	}
	if err := run("SAVEPOINT annals_event"); err != nil {
		return err
	}
	suppressed, err := x.handle(ctx, m, func(ctx context.Context) error {
		return h.view.Apply(ctx, tx, h.tables, m.WithContext(ctx))
	})
	if err == nil && suppressed {
		err = run("ROLLBACK TO SAVEPOINT annals_event")
	}
	if err != nil {
		return err
	}
	return run("RELEASE SAVEPOINT annals_event")
}
