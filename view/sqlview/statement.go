package sqlview

import (
	"fmt"
	"iter"
	"strings"

	"github.com/eb901187/annals/view"
)

const (
	// maxRows is how many rows a statement writes, or keys it names, at most. All
	// its arguments are far below what any of the databases takes.
	maxRows = 512
	// maxBytes is how much data a statement writes, if it is more than one row.
	// Servers limit what they take at once, some to 4 MiB.
	maxBytes = 1 << 20
	columns  = 4
)

// roundUp and roundDown find a power of two, so that statements come in few
// lengths: connections keep those prepared that they have seen.
func roundUp(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}

func roundDown(n int) int {
	p := 1
	for 2*p <= n {
		p *= 2
	}
	return p
}

// list is the placeholders of n arguments, from the one called first.
func (d Dialect) list(b *strings.Builder, first, n int) {
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(d.Placeholder(first + i))
	}
}

// upsert writes rows. Those that are there it replaces, or else only locks, which
// an update that changes nothing does too.
func (d Dialect) upsert(rows int, replace bool) string {
	var b strings.Builder
	b.WriteString("INSERT INTO annals_documents (space, doc_key, position, data) VALUES ")
	for i := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('(')
		d.list(&b, i*columns+1, columns)
		b.WriteByte(')')
	}
	switch {
	case d == MySQL && replace:
		b.WriteString(" ON DUPLICATE KEY UPDATE position = VALUES(position), data = VALUES(data)")
	case d == MySQL:
		b.WriteString(" ON DUPLICATE KEY UPDATE position = annals_documents.position")
	case replace:
		b.WriteString(" ON CONFLICT (space, doc_key) DO UPDATE SET position = excluded.position, data = excluded.data")
	default:
		b.WriteString(" ON CONFLICT (space, doc_key) DO UPDATE SET position = excluded.position WHERE false")
	}
	return b.String()
}

// where chooses n keys of a space. PostgreSQL takes long to plan many arguments;
// there they come as one.
func (d Dialect) where(n int) string {
	if d == PostgreSQL {
		return ` WHERE space = $1 AND doc_key = ANY(string_to_array($2, E'\n'))`
	}
	var b strings.Builder
	b.WriteString(" WHERE space = " + d.Placeholder(1) + " AND doc_key IN (")
	d.list(&b, 2, n)
	b.WriteByte(')')
	return b.String()
}

// lock reads documents and keeps others from writing them until the transaction
// ends. A writer of SQLite is alone anyhow.
func (d Dialect) lock(n int) string {
	switch d {
	case PostgreSQL:
		return "SELECT doc_key, data FROM annals_documents" + d.where(n) + " ORDER BY doc_key FOR UPDATE"
	case MySQL:
		// A scan of the whole table would lock rows of others.
		return "SELECT doc_key, data FROM annals_documents FORCE INDEX (PRIMARY)" + d.where(n) + " FOR UPDATE"
	}
	return "SELECT doc_key, data FROM annals_documents" + d.where(n)
}

// page reads n documents behind a key, or from it on, and below another if bound.
func (d Dialect) page(from string, bound bool, n int) string {
	below := ""
	if bound {
		below = " AND doc_key < " + d.Placeholder(3)
	}
	return fmt.Sprintf("SELECT doc_key, position, data FROM annals_documents WHERE space = %s AND doc_key %s %s%s ORDER BY doc_key LIMIT %d",
		d.Placeholder(1), from, d.Placeholder(2), below, n)
}

// keyArguments are those of where. A list that is shorter is filled with its last
// key.
func (d Dialect) keyArguments(space string, keys []string) (n int, arguments []any) {
	if d == PostgreSQL {
		return len(keys), []any{space, strings.Join(keys, "\n")} // which no key holds
	}
	n = roundUp(len(keys))
	arguments = make([]any, 1, n+1)
	arguments[0] = d.text(space)
	for _, key := range keys {
		arguments = append(arguments, d.text(key))
	}
	for len(arguments) <= n {
		arguments = append(arguments, arguments[len(keys)])
	}
	return n, arguments
}

// keyBatches cuts keys, which are sorted, into as many of one space as a
// statement names.
func keyBatches(keys []view.Key) iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		for len(keys) > 0 {
			space, batch := keys[0].Space, []string(nil)
			for len(keys) > 0 && keys[0].Space == space && len(batch) < maxRows {
				batch, keys = append(batch, keys[0].Key), keys[1:]
			}
			if !yield(space, batch) {
				return
			}
		}
	}
}

// putBatches cuts puts into as many as a statement writes.
func putBatches(puts []view.Put) iter.Seq[[]view.Put] {
	return func(yield func([]view.Put) bool) {
		for len(puts) > 0 {
			n, size := 0, 0
			for n < min(len(puts), maxRows) && (n == 0 || size+len(puts[n].Data) <= maxBytes) {
				size += len(puts[n].Data)
				n++
			}
			n = roundDown(n)
			if !yield(puts[:n]) {
				return
			}
			puts = puts[n:]
		}
	}
}
