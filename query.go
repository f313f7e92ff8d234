package annals

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Query says which events of the log to read. Every field that is set must
// match; the zero Query is the whole log.
type Query struct {
	// Types and Sources each match any of their values.
	Types   []string
	Sources []string
	// Correlation matches the events of one request.
	Correlation string
	// Prefix matches the streams whose names start with it.
	Prefix string
	// Since and Before bound the events' own times: Since ≤ time < Before.
	Since  time.Time
	Before time.Time
	// After and Until bound positions: After < position ≤ Until. Until 0 means
	// to the end.
	After int64
	Until int64
	// Backward reads from the end to the start.
	Backward bool
	// Limit is the most events to read; 0 means all.
	Limit int
}

// Match reports whether the fields that q sets, but for Limit and Backward,
// match e.
func (q Query) Match(e *Event) bool {
	return (len(q.Types) == 0 || slices.Contains(q.Types, e.Type)) &&
		(len(q.Sources) == 0 || slices.Contains(q.Sources, e.Source)) &&
		(q.Correlation == "" || q.Correlation == e.Correlation) &&
		strings.HasPrefix(e.Stream, q.Prefix) &&
		(q.Since.IsZero() || !e.Time.Before(q.Since)) &&
		(q.Before.IsZero() || e.Time.Before(q.Before)) &&
		e.Position > q.After && (q.Until == 0 || e.Position <= q.Until)
}

// MaxQueryNames is how many types, and how many sources, a query may name.
const MaxQueryNames = 100

func (q Query) check() error {
	var v violations
	for name, list := range map[string][]string{"types": q.Types, "sources": q.Sources} {
		v.when(len(list) > MaxQueryNames, name, "must not name more than "+strconv.Itoa(MaxQueryNames))
	}
	for name, t := range map[string]time.Time{"since": q.Since, "before": q.Before} {
		v.when(t.UTC().Year() < 0 || t.UTC().Year() > 9999, name, "must lie in the years 0 to 9999")
	}
	for _, t := range q.Types {
		v.name("", "types", t, MaxTypeBytes, typeRune)
	}
	for _, s := range q.Sources {
		v.name("", "sources", s, MaxSourceBytes, sourceRune)
	}
	if q.Correlation != "" {
		v.name("", "correlation", q.Correlation, MaxIDBytes, printable)
	}
	if q.Prefix != "" {
		v.name("", "prefix", q.Prefix, MaxStreamBytes, streamRune)
	}
	v.when(q.After < 0, "after", "must be 0 or a position")
	v.when(q.Until < 0, "until", "must be 0 or a position")
	v.when(q.Limit < 0, "limit", "must not be negative")
	return v.err()
}

// StreamOptions bounds a read of one stream. The zero value and nil read all of
// it, forwards.
type StreamOptions struct {
	// From and To bound versions, both included; 0 means from the start, to the
	// end.
	From, To int64
	// Backward reads from To down to From.
	Backward bool
	// Limit is the most events to read; 0 means all.
	Limit int
}
