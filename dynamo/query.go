package dynamo

import (
	"bytes"
	"context"
	"iter"
	"maps"
	"slices"

	"github.com/eb901187/annals"
)

// Log implements annals.Driver. Sealed runs are chosen by the index where it
// helps; the pages behind them are in memory, as far as this process has seen
// them.
func (d *Driver) Log(ctx context.Context, q annals.Query) iter.Seq2[annals.Event, error] {
	return func(yield func(annals.Event, error) bool) {
		ctx, done, err := d.begin(ctx, "log")
		if err != nil {
			yield(annals.Event{}, err)
			return
		}
		defer done()
		now, err := d.view.refresh(ctx)
		if err != nil {
			yield(annals.Event{}, d.ended(err))
			return
		}
		if end := now.end(); q.Until == 0 || q.Until > end {
			q.Until = end
		}
		s := search{d: d, q: q, meter: meterOf(ctx)}
		s.plan(now)
		for e, err := range s.events(ctx, now) {
			if err == nil {
				err = context.Cause(ctx)
			}
			if err != nil {
				yield(annals.Event{}, d.ended(err))
				return
			}
			if !yield(owned(e), nil) {
				return
			}
		}
	}
}

// owned is a copy that its reader may change.
func owned(e *annals.Event) annals.Event {
	c := *e
	c.Data, c.Attributes = bytes.Clone(e.Data), maps.Clone(e.Attributes)
	return c
}

// search is one query.
type search struct {
	d     *Driver
	q     annals.Query
	meter *Meter
	runs  []run    // sealed, between the query's positions
	keys  []string // of the index, by which runs are chosen; none to read them all
}

func (s *search) events(ctx context.Context, now snapshot) iter.Seq2[*annals.Event, error] {
	return func(yield func(*annals.Event, error) bool) {
		if s.q.Until <= s.q.After {
			return
		}
		parts := []func() bool{
			func() bool { return s.sealed(ctx, yield) },
			func() bool { return s.tail(now.pages, yield) },
		}
		if s.q.Backward {
			slices.Reverse(parts)
		}
		for _, part := range parts {
			if !part() {
				return
			}
		}
	}
}

// tail yields the matching events of pages that are not sealed.
func (s *search) tail(pages []page, yield func(*annals.Event, error) bool) bool {
	for i := range pages {
		p := &pages[i]
		if s.q.Backward {
			p = &pages[len(pages)-1-i]
		}
		if p.last <= s.q.After || p.first > s.q.Until {
			continue
		}
		s.meter.change(func(plan *Plan) { plan.Tail++ })
		if !s.matching(p.events, yield) {
			return false
		}
	}
	return true
}

func (s *search) matching(events []annals.Event, yield func(*annals.Event, error) bool) bool {
	s.meter.change(func(p *Plan) { p.Events += len(events) })
	for i := range events {
		e := &events[i]
		if s.q.Backward {
			e = &events[len(events)-1-i]
		}
		if !s.q.Match(e) {
			continue
		}
		s.meter.change(func(p *Plan) { p.Found++ })
		if !yield(e, nil) {
			return false
		}
	}
	return true
}

// plan decides how the sealed runs are chosen.
func (s *search) plan(now snapshot) {
	s.runs = slices.DeleteFunc(slices.Clone(between(now.runs, s.q.After+1, s.q.Until)), func(r run) bool { return !r.within(&s.q) })
	keys, name := s.indexKeys()
	if len(s.runs) <= 1 || len(keys) > maxIndexKeys {
		keys, name = nil, ""
	}
	s.keys = keys
	s.meter.change(func(p *Plan) { *p = Plan{Index: name, Runs: len(s.runs)} })
}

// sealed yields the matching events of runs. It looks the index up for a window
// of runs at a time, larger each time, as the reader may soon have enough.
func (s *search) sealed(ctx context.Context, yield func(*annals.Event, error) bool) bool {
	runs := s.runs
	for size := 4; len(runs) > 0; size *= 4 {
		n := min(size, len(runs))
		part, rest := runs[:n], runs[n:]
		if s.q.Backward {
			part, rest = runs[len(runs)-n:], runs[:len(runs)-n]
		}
		runs = rest
		chosen := part
		if len(s.keys) > 0 {
			var err error
			if chosen, err = s.choose(ctx, part); err != nil {
				yield(nil, err)
				return false
			}
		}
		if !s.read(ctx, chosen, yield) {
			return false
		}
	}
	return true
}

// between are the runs that hold positions from first to last.
func between(runs []run, first, last int64) []run {
	from, _ := slices.BinarySearchFunc(runs, first, func(r run, first int64) int { return int(max(-1, min(1, r.last-first))) })
	to := from
	for to < len(runs) && runs[to].first <= last {
		to++
	}
	return runs[from:to]
}

// maxIndexKeys is how many keys a query may have for the index to be asked: each
// costs a request for every window of runs.
const maxIndexKeys = 8

// indexKeys are those of the field that selects best.
func (s *search) indexKeys() (keys []string, name string) {
	prefixed := func(prefix string, names []string) []string {
		keys := make([]string, len(names))
		for i, n := range names {
			keys[i] = prefix + n
		}
		slices.Sort(keys)
		return slices.Compact(keys)
	}
	switch {
	case s.q.Correlation != "":
		return []string{byCorrelation + s.q.Correlation}, "correlation"
	case len(s.q.Types) > 0:
		return prefixed(byType, s.q.Types), "type"
	case len(s.q.Sources) > 0:
		return prefixed(bySource, s.q.Sources), "source"
	}
	return nil, ""
}

// choose returns those of the runs that hold events of the query's keys, and, where the
// posting names positions, some between the query's.
func (s *search) choose(ctx context.Context, runs []run) ([]run, error) {
	c := s.d.calls
	hit := map[int64]bool{}
	for _, key := range s.keys {
		for i, err := range c.query(ctx, c.logTable(), span{pk: key, from: runs[0].first, to: runs[len(runs)-1].first}) {
			if err != nil {
				return nil, err
			}
			p, err := newPosting(i)
			if err != nil {
				return nil, err
			}
			hit[p.run] = hit[p.run] || p.places == nil || slices.ContainsFunc(p.places, func(at int64) bool { return at > s.q.After && at <= s.q.Until })
		}
	}
	return slices.DeleteFunc(slices.Clone(runs), func(r run) bool { return !hit[r.first] }), nil
}

func (s *search) read(ctx context.Context, runs []run, yield func(*annals.Event, error) bool) bool {
	if s.q.Backward {
		runs = slices.Clone(runs)
		slices.Reverse(runs)
	}
	for _, r := range runs {
		s.meter.change(func(p *Plan) { p.Read++ })
		held, err := s.d.view.run(ctx, r)
		if err != nil {
			yield(nil, err)
			return false
		}
		if !s.matching(held.events, yield) {
			return false
		}
	}
	return true
}
