package projection

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"

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
	// as it may run twice.
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

// database is the view store of a projection into tables.
func (s *Set) database(p *Projection) (*sqlview.Store, error) {
	db, ok := s.views.(*sqlview.Store)
	if !ok {
		return nil, annals.Invalid("views", "of projection %s must be over SQL: sqlite:…, postgres://… or mysql://…", p.name)
	}
	return db, nil
}

// create makes the tables of a generation.
func (s *Set) create(ctx context.Context, p *Projection, n int) error {
	if p.sql == nil {
		return nil
	}
	db, err := s.database(p)
	if err != nil {
		return err
	}
	t := &Tables{db.Dialect(), n}
	err = define(ctx, db.DB(), func(tx *sql.Tx) error { return p.sql.Create(ctx, tx, t) })
	return wrapped(err, "the tables of projection "+p.name+" can't be made")
}

// expose makes the SQL views of a projection's tables show the live generation;
// 0 removes them.
func (s *Set) expose(ctx context.Context, name string, live int) error {
	s.mu.Lock()
	p, shown := s.projections[name], s.shown[name]
	s.mu.Unlock()
	if p == nil || p.sql == nil || shown == live && live > 0 {
		return nil
	}
	db, err := s.database(p)
	if err != nil {
		return err
	}
	t := &Tables{db.Dialect(), live}
	err = define(ctx, db.DB(), func(tx *sql.Tx) error {
		for _, table := range p.sql.Tables {
			if err := show(ctx, tx, t, table); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.mu.Lock()
		s.shown[name] = live
		s.mu.Unlock()
	}
	return wrapped(err, "the SQL views of projection "+name+" can't be made")
}

func show(ctx context.Context, tx *sql.Tx, t *Tables, table string) error {
	quoted := t.Dialect.Quote(table)
	replace := "CREATE VIEW "
	// MySQL commits at each statement like these; its own one step is to replace.
	if t.Dialect == sqlview.MySQL && t.number > 0 {
		replace = "CREATE OR REPLACE VIEW "
	} else if _, err := tx.ExecContext(ctx, "DROP VIEW IF EXISTS "+quoted); err != nil {
		return err
	}
	if t.number == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, replace+quoted+" AS SELECT * FROM "+t.Name(table))
	return err
}

func (s *Set) dropTables(ctx context.Context, name string, n int) error {
	s.mu.Lock()
	p := s.projections[name]
	s.mu.Unlock()
	if p == nil || p.sql == nil {
		return nil
	}
	db, err := s.database(p)
	if err != nil {
		return err
	}
	g, err := readGenerations(ctx, s.views, name)
	if err != nil {
		return err
	}
	if err := s.expose(ctx, name, g.Live); err != nil {
		return err
	}
	t := &Tables{db.Dialect(), n}
	err = define(ctx, db.DB(), func(tx *sql.Tx) error {
		for _, table := range p.sql.Tables {
			if _, err := tx.ExecContext(ctx, "DROP TABLE IF EXISTS "+t.Name(table)); err != nil {
				return err
			}
		}
		return nil
	})
	return wrapped(err, "the tables of projection "+name+" can't be dropped")
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
	view   *SQLView
	tables *Tables
}

// Forget implements consumer.Handler: all that it knows is in the tables.
func (*sqlHandler) Forget() {}

// Handle implements consumer.Handler.
func (h *sqlHandler) Handle(_ context.Context, batch []consumer.Message) (view.Change, error) {
	return view.Change{Work: func(ctx context.Context, tx *sql.Tx) error {
		for i := range batch {
			if err := h.view.Apply(ctx, tx, h.tables, &batch[i]); err != nil {
				return err
			}
		}
		return nil
	}}, nil
}
