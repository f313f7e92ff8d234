package effect

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/eb901187/annals"
)

// HandlerNames yields the names of the handlers that a store knows, the newest
// first, without reading their ledgers as Handlers does.
func HandlerNames(ctx context.Context, store *annals.Store) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		query := annals.Query{Types: []string{EffectsBegan}, Prefix: HandlerStream(""), Backward: true}
		for e, err := range store.Log(ctx, query) {
			name := strings.TrimPrefix(e.Stream, query.Prefix)
			if err == nil && (e.Version != 1 || strings.Contains(name, "/")) {
				continue
			}
			if !yield(name, err) || err != nil {
				return
			}
		}
	}
}

// A Page is a part of the calls of all journals.
type Page struct {
	Entries []Entry // those that changed last come first
	// Older is the position of the log behind which the next older page begins; 0
	// where there is none.
	Older int64
}

// scannedPerEntry bounds what Recent reads of the log, for each entry asked for.
const scannedPerEntry = 4

// Recent reads the calls that match f, those first of which something was journaled
// last: at most limit of them, and of what was journaled up to the position until, 0
// for the end of the log. Its cost is that of the page: it reads the log backward,
// at most four events for each entry asked for, and the journals of what it finds
// there, so that a page may hold fewer entries than limit, or none, and still have
// older ones behind it. Each call is on one page, as long as none is journaled
// meanwhile. Where a driver numbers its log later, a call is missing until the log
// has what its journal has.
func Recent(ctx context.Context, store *annals.Store, f Filter, until int64, limit int) (Page, error) {
	if limit < 1 {
		return Page{}, annals.Invalid("limit", "must be at least 1")
	}
	q := annals.Query{Types: f.lastTypes(), Prefix: effectsPrefix, Until: until, Backward: true, Limit: scannedPerEntry*limit + 1}
	if f.Handler != "" {
		if err := checkHandler(f.Handler); err != nil {
			return Page{}, err
		}
		q.Prefix, q.Sources = HandlerStream(f.Handler)+"/", []string{source(f.Handler)}
	}
	page, journals, scanned := Page{}, map[string]*journal{}, 0
	for e, err := range store.Log(ctx, q) {
		if err != nil {
			return Page{}, err
		}
		if len(page.Entries) == limit || scanned == scannedPerEntry*limit {
			page.Older = e.Position
			break
		}
		scanned++
		j := journals[e.Stream]
		if j == nil {
			handler, _, _ := strings.Cut(strings.TrimPrefix(e.Stream, effectsPrefix), "/")
			j = journalOf(store, handler, e.Causation)
			if err := j.load(ctx); err != nil {
				return Page{}, err
			}
			journals[e.Stream] = j
		}
		if last := j.lastAt(e.Version); last != nil && f.match(last.Status) {
			page.Entries = append(page.Entries, *last)
		}
	}
	return page, nil
}

// lastAt is the entry of which the event with this version is the last; nil for
// none.
func (j *journal) lastAt(version int64) *Entry {
	i := slices.IndexFunc(j.entries, func(e *Entry) bool { return e.version == version })
	if i < 0 {
		return nil
	}
	return j.entries[i]
}

// lastTypes are those that the last event about a matching call may have.
func (f Filter) lastTypes() []string {
	last := map[Status][]string{
		Intended: {EffectIntended},
		Answered: {EffectAnswered, EffectResolved, EffectCorrected},
		Failed:   {EffectFailed, EffectResolved},
		Unknown:  {EffectUnknown},
	}
	var types []string
	for _, s := range f.Status {
		types = append(types, last[s]...)
	}
	if len(types) == 0 {
		return kinds
	}
	slices.Sort(types)
	return slices.Compact(types)
}
