package embedded

import (
	"context"
	"fmt"
	"iter"
	"math"
	"runtime"
	"strings"
	"time"

	"github.com/eb901187/annals"
)

// Stream implements annals.Driver.
func (d *driver) Stream(ctx context.Context, stream string, from, to int64, back bool) iter.Seq2[annals.Event, error] {
	return func(yield func(annals.Event, error) bool) {
		for p, err := range d.streamRecords(stream, from, to, direction(back)) {
			if err == nil {
				err = d.interrupted(ctx)
			}
			if err != nil {
				yield(annals.Event{}, err)
				return
			}
			if !yield(p.event(&p.header), nil) {
				return
			}
		}
		runtime.KeepAlive(d)
	}
}

// streamRecords yields the records of a stream's versions from to to, which the index
// must lead to.
func (d *driver) streamRecords(stream string, from, to int64, dir direction) iter.Seq2[placed, error] {
	return func(yield func(placed, error) bool) {
		version := from
		for address, err := range d.numbered(byStream, stream, from, to, dir) {
			p := placed{address: address}
			if err == nil {
				p.header, p.body, err = d.log.record(address)
			}
			if err == nil && (string(p.bytes(p.stream)) != stream || dir != backward && p.version != version) {
				err = damagedIndex(d.index.dir, fmt.Sprintf("the list of stream %s leads to version %d of %s", stream, p.version, p.bytes(p.stream)), nil)
			}
			if !yield(p, err) || err != nil {
				return
			}
			version++
		}
	}
}

func (d *driver) interrupted(ctx context.Context) error {
	if d.closed.Load() {
		return annals.ErrClosed
	}
	return ctx.Err()
}

// numbered yields the addresses of the entries from to to of a list that is
// numbered from 1: a stream by version, the log by position.
func (d *driver) numbered(kind indexKind, name string, from, to int64, dir direction) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		if err := d.interrupted(context.Background()); err != nil {
			yield(0, err)
			return
		}
		type run struct {
			first     int64
			addresses []int64
		}
		var inMemory [2]run
		d.mu.RLock()
		firstInMemory := int64(math.MaxInt64)
		for i, t := range [...]*tail{d.frozen, d.active} {
			if t == nil {
				continue
			}
			r := run{t.first, t.addresses}
			if kind == byStream {
				s := t.streams[name]
				if s == nil {
					continue
				}
				r = run{s.first, s.addresses}
			}
			inMemory[i], firstInMemory = r, min(firstInMemory, r.first)
		}
		d.mu.RUnlock()
		memory := func() bool {
			for i := range inMemory {
				r := inMemory[i]
				if dir == backward {
					r = inMemory[len(inMemory)-1-i]
				}
				low, high := max(from-r.first, 0), min(to-r.first+1, int64(len(r.addresses)))
				if low < high && !yieldRun(r.addresses[low:high], dir, yield) {
					return false
				}
			}
			return true
		}
		if dir == backward && !memory() {
			return
		}
		if from < firstInMemory && !d.sealedRuns(kind, name, from, min(to, firstInMemory-1), dir, yield) {
			return
		}
		if dir != backward {
			memory()
		}
	}
}

func yieldRun(addresses []int64, dir direction, yield func(int64, error) bool) bool {
	for i := range addresses {
		if dir == backward {
			i = len(addresses) - 1 - i
		}
		if !yield(addresses[i], nil) {
			return false
		}
	}
	return true
}

// sealedRuns yields what the index holds of a numbered list.
func (d *driver) sealedRuns(kind indexKind, name string, from, to int64, dir direction, yield func(int64, error) bool) (goOn bool) {
	reader, err := d.index.chunks(kind, name)
	if err != nil {
		yield(0, err)
		return false
	}
	defer func() {
		if err := reader.close(); err != nil && goOn {
			goOn = yield(0, err) && false
		}
	}()
	start := from
	if dir == backward {
		start = to
	}
	var addresses []int64
	for {
		c, ok, err := reader.advance(start, dir, addresses[:0])
		if err != nil {
			yield(0, err)
			return false
		}
		if !ok || dir != backward && c.first > to {
			return true
		}
		addresses = c.addresses
		low, high := max(from-c.first, 0), min(to-c.first+1, int64(len(addresses)))
		if low < high && !yieldRun(addresses[low:high], dir, yield) {
			return false
		}
		if dir == backward && c.first <= from {
			return true
		}
	}
}

// addressOf returns where the event at position is; the log's end for the
// position behind the last.
func (d *driver) addressOf(position int64, end logEnd) (int64, error) {
	if position > end.position {
		return end.address, nil
	}
	for address, err := range d.numbered(byPosition, "", position, position, false) {
		return address, err
	}
	return 0, damagedIndex(d.index.dir, fmt.Sprintf("position %d is missing", position), nil)
}

// Log implements annals.Driver.
func (d *driver) Log(ctx context.Context, q annals.Query) iter.Seq2[annals.Event, error] {
	return func(yield func(annals.Event, error) bool) {
		d.mu.RLock()
		end := d.end
		d.mu.RUnlock()
		first, last := q.After+1, end.position
		if q.Until > 0 {
			last = min(last, q.Until)
		}
		if err := d.interrupted(ctx); err != nil {
			yield(annals.Event{}, err)
			return
		}
		if q.After >= last {
			return
		}
		low, err := d.addressOf(first, end)
		high := end.address
		if err == nil {
			high, err = d.addressOf(last+1, end)
		}
		if err != nil {
			yield(annals.Event{}, err)
			return
		}
		m := newMatcher(q)
		records := d.log.scan(low, high, first)
		if lists := d.lists(q, low, high); lists != nil {
			records = d.listed(lists, direction(q.Backward))
		} else if q.Backward {
			records = d.reversed(first, last)
		}
		count := 0
		for p, err := range records {
			if count++; count%64 == 0 && err == nil {
				err = d.interrupted(ctx)
			}
			if err != nil {
				yield(annals.Event{}, err)
				return
			}
			if m.match(&p.header, &p.body) && !yield(p.event(&p.header), nil) {
				return
			}
		}
		runtime.KeepAlive(d)
	}
}

// lists returns the posting lists that q asks for, intersected; nil if it asks
// for none.
func (d *driver) lists(q annals.Query, low, high int64) addressSeq {
	dir := direction(q.Backward)
	var parts []addressSeq
	for _, want := range []struct {
		kind  indexKind
		names []string
	}{{byCorrelation, one(q.Correlation)}, {byType, q.Types}, {bySource, q.Sources}} {
		var same []addressSeq
		for _, name := range want.names {
			same = append(same, d.newCursor(want.kind, name, low, high, dir))
		}
		switch len(same) {
		case 0:
		case 1:
			parts = append(parts, same[0])
		default:
			parts = append(parts, &union{same, dir})
		}
	}
	switch len(parts) {
	case 0:
		return nil
	case 1:
		return parts[0]
	}
	return &intersection{parts, dir}
}

func one(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

// listed yields the records at the addresses of a sequence.
func (d *driver) listed(seq addressSeq, dir direction) iter.Seq2[placed, error] {
	return func(yield func(placed, error) bool) {
		defer seq.close()
		for {
			address, ok := seq.at()
			if !ok {
				if err := seq.err(); err != nil {
					yield(placed{}, err)
				}
				return
			}
			h, b, err := d.log.record(address)
			if !yield(placed{address, h, b}, err) || err != nil {
				return
			}
			seq.skip(dir.after(address))
		}
	}
}

// reversed yields the records of positions last to first.
func (d *driver) reversed(first, last int64) iter.Seq2[placed, error] {
	return func(yield func(placed, error) bool) {
		for address, err := range d.numbered(byPosition, "", first, last, backward) {
			var p placed
			if err == nil {
				p.address = address
				p.header, p.body, err = d.log.record(address)
			}
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

// A matcher checks a record against a query without copying it.
type matcher struct {
	types, sources map[string]bool
	correlation    string
	prefix         string
	since, before  time.Time
	timed          bool
}

func newMatcher(q annals.Query) *matcher {
	m := &matcher{
		correlation: q.Correlation, prefix: q.Prefix, since: q.Since, before: q.Before,
		types: set(q.Types), sources: set(q.Sources),
	}
	m.timed = !q.Since.IsZero() || !q.Before.IsZero()
	return m
}

func set(names []string) map[string]bool {
	if len(names) == 0 {
		return nil
	}
	m := make(map[string]bool, len(names))
	for _, name := range names {
		m[name] = true
	}
	return m
}

func (m *matcher) match(h *header, b *body) bool {
	if m.timed {
		at := time.Unix(h.seconds, int64(h.nanos))
		if !m.since.IsZero() && at.Before(m.since) || !m.before.IsZero() && !at.Before(m.before) {
			return false
		}
	}
	return (m.types == nil || m.types[string(b.bytes(b.typ))]) &&
		(m.sources == nil || m.sources[string(b.bytes(b.source))]) &&
		(m.correlation == "" || m.correlation == string(b.bytes(b.correlation))) &&
		(m.prefix == "" || strings.HasPrefix(string(b.bytes(b.stream)), m.prefix))
}
