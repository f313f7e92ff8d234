package projection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/projection/fold"
	"github.com/eb901187/annals/view"
)

// op is what a fold does with its document.
type op int

const (
	keep op = iota
	put
	remove
)

// folder is one kind of document projection: in Go or in jq.
type folder[D any] struct {
	keys   func(e *annals.Event) ([]string, error)
	decode func(data []byte) (D, error)
	encode func(doc D) ([]byte, error)
	// fold changes doc, which is the zero D unless there is a document.
	fold func(doc *D, m *consumer.Message) (op, error)
}

const maxKeys = fold.MaxKeys

// documents is the Handler of a generation of documents. It keeps those that it
// used last, decoded: it is the only one that changes them, and Forget is called
// when that may not be so.
type documents[D any] struct {
	views  view.Store
	space  string
	folder folder[D]
	cache  cache[D]
	keyed  []keyed // what Fit found of the batch that comes next

	only    func(*annals.Event) bool // folds only these, if it is set
	calling *calling                 // nil where folds make no outside calls
	careful bool                     // keep each document before it is folded: a fold was suppressed
}

type keyed struct {
	position int64
	keys     []string
}

func newDocuments[D any](views view.Store, space string, f folder[D]) *documents[D] {
	return &documents[D]{views: views, space: space, folder: f}
}

// Forget implements consumer.Handler.
func (d *documents[D]) Forget() { d.cache, d.keyed = cache[D]{}, nil }

// Fit implements consumer.Fitter.
func (d *documents[D]) Fit(batch []consumer.Message, limit int) int {
	d.keyed = d.keyed[:0]
	if len(batch)*maxKeys <= limit {
		return len(batch)
	}
	seen := map[string]bool{}
	for i := range batch {
		keys, err := d.keysOf(&batch[i].Event)
		if err != nil {
			return i + 1 // Handle meets the error again and reports it
		}
		for _, key := range keys {
			seen[key] = true
		}
		if len(seen) > limit && i > 0 {
			return i
		}
		d.keyed = append(d.keyed, keyed{batch[i].Position, keys})
	}
	return len(batch)
}

func (d *documents[D]) keysOf(e *annals.Event) ([]string, error) {
	if d.only != nil && !d.only(e) {
		return nil, nil
	}
	keys, err := d.folder.keys(e)
	if err != nil {
		return nil, consumer.Permanent(err)
	}
	if len(keys) > maxKeys {
		return nil, consumer.Permanent(annals.Invalid("key", "gives %d documents for one event, the limit is %d", len(keys), maxKeys))
	}
	for i, key := range keys {
		if err := view.CheckKey(key); err != nil {
			return nil, consumer.Permanent(fmt.Errorf("document %.100q: %w", key, err))
		}
		if slices.Contains(keys[:i], key) {
			return nil, consumer.Permanent(annals.Invalid("key", "gives document %q twice for one event", key))
		}
	}
	return keys, nil
}

// Handle implements consumer.Handler.
func (d *documents[D]) Handle(ctx context.Context, batch []consumer.Message) (view.Change, error) {
	if d.calling == nil {
		return d.fold(ctx, batch, nil)
	}
	x, err := d.calling.moment(ctx, batch)
	if err != nil {
		return view.Change{}, err
	}
	change, err := d.fold(ctx, batch, x)
	if errors.Is(err, errSuppressed) {
		d.Forget()
		d.careful = true
		change, err = d.fold(ctx, batch, x)
	}
	return change, err
}

// fold folds batch; x is nil where folds make no outside calls.
func (d *documents[D]) fold(ctx context.Context, batch []consumer.Message, x *moment) (view.Change, error) {
	keys, err := d.load(ctx, batch)
	if err != nil {
		return view.Change{}, err
	}
	var changed []*entry[D]
	for i := range batch {
		if x != nil {
			if err := d.call(ctx, x, keys[i], &batch[i]); err != nil {
				return view.Change{}, err
			}
		}
		for _, key := range keys[i] {
			e := d.cache.get(key)
			if x == nil {
				if err := d.foldInto(e, &batch[i]); err != nil {
					return view.Change{}, err
				}
			}
			if e.changed && !e.listed {
				e.listed, changed = true, append(changed, e)
			}
		}
	}
	return d.change(changed)
}

func (d *documents[D]) foldInto(e *entry[D], m *consumer.Message) error {
	what, err := d.folder.fold(&e.doc, m)
	if err != nil {
		return fmt.Errorf("document %q: %w", e.key, err)
	}
	switch what {
	case put:
		e.exists, e.changed, e.position = true, true, m.Position
	case remove:
		var none D
		e.doc, e.exists, e.changed, e.position = none, false, true, m.Position
	}
	return nil
}

// load finds the keys of each event and gets their documents into the cache.
func (d *documents[D]) load(ctx context.Context, batch []consumer.Message) ([][]string, error) {
	all := make([][]string, len(batch))
	var missing []string
	d.cache.turn()
	for i := range batch {
		var err error
		if i < len(d.keyed) && d.keyed[i].position == batch[i].Position && !batch[i].Edited {
			all[i] = d.keyed[i].keys
		} else if all[i], err = d.keysOf(&batch[i].Event); err != nil {
			return nil, err
		}
		for _, key := range all[i] {
			if d.cache.get(key) == nil {
				missing = append(missing, key)
				d.cache.add(&entry[D]{key: key})
			}
		}
	}
	d.keyed = d.keyed[:0]
	if len(missing) == 0 {
		return all, nil
	}
	found, err := d.views.Get(ctx, d.space, missing...)
	if err != nil {
		return nil, consumer.Blameless(err)
	}
	for key, stored := range found {
		e := d.cache.get(key)
		if e.doc, err = d.folder.decode(stored.Data); err != nil {
			return nil, consumer.Permanent(fmt.Errorf("document %q of %s can't be read back: %w", key, d.space, err))
		}
		e.exists, e.position = true, stored.Position
		d.cache.weigh(e, len(stored.Data))
	}
	return all, nil
}

// change writes down what the batch changed.
func (d *documents[D]) change(changed []*entry[D]) (view.Change, error) {
	var c view.Change
	slices.SortFunc(changed, func(a, b *entry[D]) int { return strings.Compare(a.key, b.key) })
	for _, e := range changed {
		e.changed, e.listed = false, false
		if !e.exists {
			c.Delete = append(c.Delete, view.Key{Space: d.space, Key: e.key})
			continue
		}
		data, err := d.folder.encode(e.doc)
		if err != nil {
			return c, consumer.Permanent(fmt.Errorf("document %q can't be written: %w", e.key, err))
		}
		d.cache.weigh(e, len(data))
		c.Put = append(c.Put, view.Put{Space: d.space, Document: view.Document{Key: e.key, Data: data, Position: e.position}})
	}
	return c, nil
}
