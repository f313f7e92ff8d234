package dynamo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
)

// A view is what this process knows of the log. What it holds never changes in
// the tables, but that pages become runs; refreshing adds what is new.
type view struct {
	calls *calls
	turn  chan struct{} // holds one value; who takes it may change what follows

	now   snapshot
	times int64 // that it was read
	// decoded runs, the last read first
	recent []decodedRun
}

// A snapshot is the log at one moment: runs from position 1 on, and behind them
// pages up to the end. It may be shared, as nobody changes it.
type snapshot struct {
	runs  []run
	pages []page
}

func (s snapshot) end() int64 {
	switch {
	case len(s.pages) > 0:
		return s.pages[len(s.pages)-1].last
	case len(s.runs) > 0:
		return s.runs[len(s.runs)-1].last
	}
	return 0
}

func (s snapshot) sealed() int64 {
	if len(s.runs) == 0 {
		return 0
	}
	return s.runs[len(s.runs)-1].last
}

func newView(c *calls) *view {
	v := &view{calls: c, turn: make(chan struct{}, 1)}
	v.turn <- struct{}{}
	return v
}

// refresh reads what is new and returns the log as it is now.
func (v *view) refresh(ctx context.Context) (snapshot, error) {
	log, _, err := v.since(ctx, math.MaxInt64)
	return log, err
}

// since reads what is new unless another has done so since the log was read so
// many times; those who wait for the log share requests so. It returns how often
// it was read now.
func (v *view) since(ctx context.Context, times int64) (snapshot, int64, error) {
	select {
	case <-v.turn:
	case <-ctx.Done():
		return snapshot{}, 0, ctx.Err()
	}
	defer func() { v.turn <- struct{}{} }()
	if v.times > times {
		return v.now, v.times, nil
	}
	log, err := v.update(ctx)
	if err == nil {
		v.times++
	}
	return log, v.times, err
}

func (v *view) update(ctx context.Context) (snapshot, error) {
	cold := v.now.end() == 0
	if cold {
		// At half the price: what was only just written comes with the strong read.
		if err := v.readRuns(ctx); err != nil {
			return snapshot{}, err
		}
		if again, err := v.readPages(ctx, true); err != nil {
			return snapshot{}, err
		} else if !again {
			cold = false
		}
	}
	for idle := 0; idle < 8; idle++ {
		end, sealed := v.now.end(), v.now.sealed()
		if cold || v.closedRun() {
			if err := v.readRuns(ctx); err != nil {
				return snapshot{}, err
			}
			cold = false
		}
		again, err := v.readPages(ctx, false)
		if err != nil {
			return snapshot{}, err
		}
		if !again {
			return v.now, nil
		}
		cold = true
		if v.now.end() > end || v.now.sealed() > sealed {
			idle = 0 // others seal faster than this reads, but it gets on
		}
	}
	return snapshot{}, damaged("the log", fmt.Errorf("behind position %d pages are missing or sealed, and no run holds them", v.now.end()))
}

// closedRun reports whether the pages in memory hold a run that may be sealed.
func (v *view) closedRun() bool {
	p := v.now.pages
	return len(p) > 0 && p[0].run != p[len(p)-1].run
}

// readRuns reads the runs sealed since, and drops their pages.
func (v *view) readRuns(ctx context.Context) error {
	runs := v.now.runs[:len(v.now.runs):len(v.now.runs)]
	for i, err := range v.calls.query(ctx, v.calls.logTable(), span{pk: keyRun, from: v.now.sealed() + 1, to: math.MaxInt64}) {
		if err != nil {
			return err
		}
		r := newRun(i)
		if last := (snapshot{runs: runs}).sealed(); r.first != last+1 {
			return damaged("the log", fmt.Errorf("the run at position %d follows position %d", r.first, last))
		}
		runs = append(runs, r)
	}
	sealed := (snapshot{runs: runs}).sealed()
	rest := slices.IndexFunc(v.now.pages, func(p page) bool { return p.first > sealed })
	if rest < 0 {
		rest = len(v.now.pages)
	}
	v.now = snapshot{runs: runs, pages: slices.Clone(v.now.pages[rest:])}
	return nil
}

// readPages reads the pages behind the end. again says that a page was sealed
// meanwhile, so that its run must be read first. An eventually consistent read may
// stop short of the end.
func (v *view) readPages(ctx context.Context, eventual bool) (again bool, err error) {
	end := v.now.end()
	pages := v.now.pages[:len(v.now.pages):len(v.now.pages)]
	for i, err := range v.calls.query(ctx, v.calls.logTable(), span{pk: keyLog, from: end + 1, to: math.MaxInt64, eventual: eventual}) {
		if err != nil {
			return false, err
		}
		p, err := v.calls.page(ctx, i)
		if errors.Is(err, errNoObject) || p.marker {
			v.now = snapshot{runs: v.now.runs, pages: pages}
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if p.first > end+1 {
			// Not there yet, or sealed so long ago that even the markers are gone.
			v.now = snapshot{runs: v.now.runs, pages: pages}
			return !eventual, nil
		}
		if p.first != end+1 || p.last < p.first {
			return false, damaged("the log", fmt.Errorf("the page at position %d follows position %d", p.first, end))
		}
		end = p.last
		pages = append(pages, p)
	}
	v.now = snapshot{runs: v.now.runs, pages: pages}
	return false, nil
}

type decodedRun struct {
	first int64
	part
}

// recentRuns bounds the decoded runs in memory: who reads the log in small
// parts, as over HTTP, reads a run many times.
const recentRuns = 4

// run returns what a run holds.
func (v *view) run(ctx context.Context, r run) (part, error) {
	select {
	case <-v.turn:
	case <-ctx.Done():
		return part{}, ctx.Err()
	}
	at := slices.IndexFunc(v.recent, func(d decodedRun) bool { return d.first == r.first })
	var found decodedRun
	if at >= 0 {
		found = v.recent[at]
		v.recent = slices.Insert(slices.Delete(v.recent, at, at+1), 0, found)
	}
	v.turn <- struct{}{}
	if at >= 0 {
		return found.part, nil
	}
	held, err := v.calls.runPart(ctx, r)
	if err != nil {
		return part{}, err
	}
	select {
	case <-v.turn:
		v.recent = slices.Insert(v.recent, 0, decodedRun{r.first, held})
		v.recent = v.recent[:min(len(v.recent), recentRuns)]
		v.turn <- struct{}{}
	default:
	}
	return held, nil
}

// runPart reads what a run holds from its object or its pages.
func (c *calls) runPart(ctx context.Context, r run) (part, error) {
	name := fmt.Sprintf("the run of positions %d to %d", r.first, r.last)
	var held part
	var err error
	if r.object != "" {
		var text []byte
		if text, held.ties, err = c.logObject(ctx, r.object, r.hash, name); err == nil {
			held.events, err = parsePage(text, r.first, name)
		}
	} else {
		for _, eventual := range []bool{true, false} { // the second time if the first came too early
			if held, err = c.pagesOf(ctx, r, eventual); int64(len(held.events)) == r.last-r.first+1 {
				break
			}
		}
	}
	if err == nil && int64(len(held.events)) != r.last-r.first+1 {
		err = damaged(name, fmt.Errorf("it holds %d events", len(held.events)))
	}
	return held, err
}

// pagesOf reads a run that no bucket took.
func (c *calls) pagesOf(ctx context.Context, r run, eventual bool) (held part, err error) {
	for i, err := range c.query(ctx, c.logTable(), span{pk: keyLog, from: r.first, to: r.last, eventual: eventual}) {
		var p page
		if err == nil {
			p, err = c.page(ctx, i)
		}
		if err != nil {
			return part{}, err
		}
		held.add(p.part)
	}
	return held, nil
}
