package sqlview

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/eb901187/annals/view"
)

// attempts is how often a transaction is tried that the server gave up so that
// others could go on.
const attempts = 10

// retry calls f again while it ends in a deadlock or the like.
func (s *Store) retry(f func() error) (err error) {
	for range attempts {
		if err = f(); err == nil || !s.dialect.deadlock(err) {
			break
		}
	}
	return err
}

// Commit makes a change in one transaction. A change without Work is tried again
// where it ran into a deadlock; one with Work then fails with
// annals.ErrUnavailable.
func (s *Store) Commit(ctx context.Context, c view.Change) error {
	if err := c.Check(); err != nil {
		return err
	}
	if err := c.CheckSize(maxChange); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	if c.Work != nil {
		return s.commit(ctx, &c)
	}
	return s.retry(func() error { return s.commit(ctx, &c) })
}

func (s *Store) commit(ctx context.Context, c *view.Change) error {
	tx, err := s.transact(ctx, c.Durable)
	if err != nil {
		return s.failed(ctx, "beginning a transaction", err)
	}
	defer tx.end()
	claimed, err := s.expect(ctx, tx, c.Expect)
	if err != nil {
		return s.failed(ctx, "reading what a change expects", err)
	}
	if c.Work != nil {
		if err := s.work(ctx, tx, c.Work); err != nil {
			return err
		}
	}
	if err := s.write(ctx, tx, c, claimed); err != nil {
		return s.failed(ctx, "writing documents", err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.committed(ctx, tx.Commit(), c.Work != nil)
}

// expect locks the documents that are expected, those that should not be there
// too, and compares them. To lock a key that has no document it is claimed: a row
// without data, which stands for no document, is put there and deleted in the
// end. All transactions lock in the order of keys.
func (s *Store) expect(ctx context.Context, tx *transaction, expected []view.Expectation) (claimed []view.Key, err error) {
	keys := make([]view.Key, len(expected))
	var claims []view.Put
	for i, e := range expected {
		keys[i] = e.Key
		if e.Data == nil {
			claims = append(claims, view.Put{Space: e.Space, Document: view.Document{Key: e.Key.Key}})
			claimed = append(claimed, e.Key)
		}
	}
	if err := s.put(ctx, tx, claims, false); err != nil {
		return nil, err
	}
	slices.SortFunc(keys, compareKeys)
	found := make(map[view.Key][]byte, len(keys))
	for space, batch := range keyBatches(keys) {
		if err := s.lock(ctx, tx, space, batch, found); err != nil {
			return nil, err
		}
	}
	for _, e := range expected {
		if !bytes.Equal(found[e.Key], e.Data) {
			return nil, view.Conflict(e.Key)
		}
	}
	slices.SortFunc(claimed, compareKeys)
	return claimed, nil
}

// lock locks documents of a space and adds their data to found.
func (s *Store) lock(ctx context.Context, tx *transaction, space string, keys []string, found map[view.Key][]byte) error {
	n, arguments := s.dialect.keyArguments(space, keys)
	rows, err := tx.QueryContext(ctx, s.dialect.lock(n), arguments...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		var data []byte
		if err := rows.Scan(&key, &data); err != nil {
			return err
		}
		found[view.Key{Space: space, Key: key}] = data
	}
	return rows.Err()
}

// write puts and deletes documents, and deletes claims that did not become one.
func (s *Store) write(ctx context.Context, tx *transaction, c *view.Change, claimed []view.Key) error {
	if err := s.put(ctx, tx, slices.Clone(c.Put), true); err != nil {
		return err
	}
	deleted := slices.Clone(c.Delete)
	slices.SortFunc(deleted, compareKeys)
	if err := s.delete(ctx, tx, deleted, ""); err != nil {
		return err
	}
	return s.delete(ctx, tx, claimed, " AND data = ''")
}

// put sorts puts and writes them: over documents that are there, or only where
// there is none.
func (s *Store) put(ctx context.Context, tx *transaction, puts []view.Put, replace bool) error {
	slices.SortFunc(puts, func(a, b view.Put) int {
		return compareKeys(view.Key{Space: a.Space, Key: a.Key}, view.Key{Space: b.Space, Key: b.Key})
	})
	d := s.dialect
	for batch := range putBatches(puts) {
		arguments := make([]any, 0, len(batch)*columns)
		for _, p := range batch {
			arguments = append(arguments, d.text(p.Space), d.text(p.Key), p.Position, d.text(string(p.Data)))
		}
		if _, err := tx.ExecContext(ctx, d.upsert(len(batch), replace), arguments...); err != nil {
			return err
		}
	}
	return nil
}

// delete deletes documents, whose keys are sorted, if they meet a condition.
func (s *Store) delete(ctx context.Context, tx *transaction, keys []view.Key, condition string) error {
	for space, batch := range keyBatches(keys) {
		n, arguments := s.dialect.keyArguments(space, batch)
		if _, err := tx.ExecContext(ctx, "DELETE FROM annals_documents"+s.dialect.where(n)+condition, arguments...); err != nil {
			return err
		}
	}
	return nil
}

func compareKeys(a, b view.Key) int {
	return cmp.Or(cmp.Compare(a.Space, b.Space), cmp.Compare(a.Key, b.Key))
}
