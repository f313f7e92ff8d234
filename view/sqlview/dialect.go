package sqlview

import (
	"strconv"
	"strings"

	"github.com/eb901187/annals"
)

// A Dialect is the SQL that a database speaks.
type Dialect int

// The dialects. MariaDB speaks MySQL's.
const (
	SQLite Dialect = iota + 1
	PostgreSQL
	MySQL
)

// String is the name of the database.
func (d Dialect) String() string {
	switch d {
	case SQLite:
		return "SQLite"
	case PostgreSQL:
		return "PostgreSQL"
	case MySQL:
		return "MySQL"
	}
	return "Dialect(" + strconv.Itoa(int(d)) + ")"
}

func (d Dialect) check() error {
	if d < SQLite || d > MySQL {
		return annals.Invalid("dialect", "must be SQLite, PostgreSQL or MySQL, it is %v", d)
	}
	return nil
}

// Placeholder stands for the nth argument of a statement, from 1. Where it is ?,
// arguments count in the order in which they stand there.
func (d Dialect) Placeholder(n int) string {
	if d == PostgreSQL {
		return "$" + strconv.Itoa(n)
	}
	return "?"
}

// Quote makes any name without zero bytes one that a statement can hold as a
// table, a column or an index. Whether upper and lower case differ there is the
// database's affair.
func (d Dialect) Quote(name string) string {
	quote := `"`
	if d == MySQL {
		quote = "`"
	}
	return quote + strings.ReplaceAll(name, quote, quote+quote) + quote
}

// text is s as an argument. MySQL's columns hold bytes, which a driver must not
// send as text of a connection's character set.
func (d Dialect) text(s string) any {
	if d == MySQL {
		return []byte(s)
	}
	return s
}
