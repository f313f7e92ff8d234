package playback

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/eb901187/annals"
)

// A Selection says which events of the log to play back. What is set must match all
// at once; the zero Selection is the whole log. Annals' own streams, which start with
// annals.OwnPrefix, are left out unless Streams names them by that prefix.
type Selection struct {
	// Streams are names of streams, or what names start with and a trailing *, such
	// as order-*; at most MaxStreams. An event matches any of them.
	Streams []string `json:"streams,omitempty"`
	// Types and Sources each match any of their values; at most annals.MaxQueryNames.
	Types   []string `json:"types,omitempty"`
	Sources []string `json:"sources,omitempty"`
	// Correlation matches the events of one request.
	Correlation string `json:"correlation,omitempty"`
	// Since and Until bound the events' own times, both included.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// From and To bound positions, both included; 0 means from the start, to the end
	// of the log as it is when the playback is started.
	From int64 `json:"from,string,omitempty"`
	To   int64 `json:"to,string,omitempty"`
}

// MaxStreams is how many streams and prefixes a Selection may name.
const MaxStreams = 1000

// Check reports what is wrong with the selection by itself: an *annals.InvalidError
// that lists every violation.
func (s *Selection) Check() error {
	var all []annals.Violation
	bad := func(field, format string, args ...any) {
		all = append(all, annals.Violation{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	if len(s.Streams) > MaxStreams {
		bad("streams", "are %d, the limit is %d", len(s.Streams), MaxStreams)
	}
	for i, name := range s.Streams {
		checkPattern(fmt.Sprintf("streams[%d]", i), name, bad)
	}
	for field, names := range map[string][]string{"types": s.Types, "sources": s.Sources} {
		if len(names) > annals.MaxQueryNames {
			bad(field, "are %d, the limit is %d", len(names), annals.MaxQueryNames)
		}
		if slices.Contains(names, "") {
			bad(field, "must not hold an empty name")
		}
	}
	if !s.Since.IsZero() && !s.Until.IsZero() && s.Until.Before(s.Since) {
		bad("until", "must not be before since")
	}
	if s.From < 0 || s.To < 0 {
		bad("from", "and to must be positions from 1")
	} else if s.To > 0 && s.From > s.To {
		bad("to", "must not be before from: %d is before %d", s.To, s.From)
	}
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(a, b annals.Violation) int { return strings.Compare(a.Field, b.Field) })
	return &annals.InvalidError{Violations: all}
}

func checkPattern(field, pattern string, bad func(field, format string, args ...any)) {
	prefix, isPrefix := strings.CutSuffix(pattern, "*")
	switch {
	case pattern == "":
		bad(field, "must not be empty; leave streams out for all of them")
	case strings.Contains(prefix, "*"):
		bad(field, "%.80q may have its * at the end only", pattern)
	case isPrefix:
		// Whatever a prefix leaves open can be the rest of a name.
		if prefix != "" && (len(prefix) > annals.MaxStreamBytes || annals.CheckStream(strings.TrimRight(prefix, "/.")+"x") != nil) {
			bad(field, "%.80q starts no stream's name", pattern)
		}
	case annals.CheckStream(pattern) != nil:
		bad(field, "%.80q is no stream's name", pattern)
	}
}

// Match reports whether e is selected. It does not look at the end of the log.
func (s *Selection) Match(e *annals.Event) bool {
	q := s.query(0, 0)
	return q.Match(e) && (s.From == 0 || e.Position >= s.From) && (s.To == 0 || e.Position <= s.To) && s.matchStream(e.Stream)
}

// matchStream reports whether a stream's events are selected, as far as its name goes.
func (s *Selection) matchStream(name string) bool {
	own := strings.HasPrefix(name, annals.OwnPrefix)
	if len(s.Streams) == 0 {
		return !own
	}
	return slices.ContainsFunc(s.Streams, func(pattern string) bool {
		prefix, isPrefix := strings.CutSuffix(pattern, "*")
		if own && !strings.HasPrefix(prefix, annals.OwnPrefix) {
			return false
		}
		return name == prefix || isPrefix && strings.HasPrefix(name, prefix)
	})
}

// query reads from the log what may match, behind after and up to end: matchStream
// has the last word.
func (s *Selection) query(after, end int64) annals.Query {
	q := annals.Query{
		Types: s.Types, Sources: s.Sources, Correlation: s.Correlation, Since: s.Since,
		After: max(after, s.From-1), Until: end, Prefix: commonPrefix(s.Streams),
	}
	if !s.Until.IsZero() {
		q.Before = s.Until.Add(1)
	}
	return q
}

// commonPrefix is what the names of all streams of patterns start with.
func commonPrefix(patterns []string) string {
	if len(patterns) == 0 {
		return ""
	}
	common := strings.TrimSuffix(patterns[0], "*")
	for _, pattern := range patterns[1:] {
		n := 0
		for n < min(len(common), len(pattern)) && common[n] == pattern[n] {
			n++
		}
		common = common[:n]
	}
	return common
}

// read yields the selected events behind after, up to end, in order of position.
func (s *Selection) read(ctx context.Context, store *annals.Store, after, end int64) iter.Seq2[annals.Event, error] {
	return func(yield func(annals.Event, error) bool) {
		for e, err := range store.Log(ctx, s.query(after, end)) {
			if (err != nil || s.matchStream(e.Stream)) && !yield(e, err) {
				return
			}
		}
	}
}

// bounds finds where a playback that is started now ends, and refuses positions that
// the log does not have.
func (s *Selection) bounds(ctx context.Context, store *annals.Store) (end int64, err error) {
	if err := s.Check(); err != nil {
		return 0, err
	}
	if end, err = store.End(ctx); err != nil {
		return 0, err
	}
	if past := max(s.From, s.To); past > end {
		return 0, &annals.Error{
			Code: annals.CodeInvalid, Message: fmt.Sprintf("position %d is past the end of the log, which is at %d", past, end),
			Hint: fmt.Sprintf("choose positions up to %d, or leave the end out", end),
		}
	}
	if s.To > 0 {
		end = s.To
	}
	return end, nil
}

// nothing is the error of a selection without events.
func nothing(end int64) error {
	return &annals.Error{
		Code: annals.CodeNotFound, Message: fmt.Sprintf("nothing to do up to position %d", end), Err: ErrNothing,
		Hint: "annals log, with the same --types and --sources, shows what there is",
	}
}

// Counts is what a selection holds.
type Counts struct {
	Events  int64            `json:"events"`
	Bytes   int64            `json:"bytes"`   // of the events' data
	Streams int64            `json:"streams"` // how many have a selected event
	Types   map[string]int64 `json:"types"`   // events by type
	First   int64            `json:"first,string"`
	Last    int64            `json:"last,string"` // positions of the first and the last event
	End     int64            `json:"end,string"`  // of the log that was looked at
}

// Count says what a playback of the selection would send if it were started now. It
// changes nothing, reads the whole selection, and keeps the name of each of its streams
// in memory meanwhile. Errors: those of Start; ErrNothing where no event matches.
func Count(ctx context.Context, store *annals.Store, selection Selection) (Counts, error) {
	end, err := selection.bounds(ctx, store)
	if err != nil {
		return Counts{}, err
	}
	c := Counts{Types: map[string]int64{}, End: end}
	streams := map[string]struct{}{}
	for e, err := range selection.read(ctx, store, 0, end) {
		if err != nil {
			return Counts{}, err
		}
		if c.Events == 0 {
			c.First = e.Position
		}
		c.Events, c.Bytes, c.Last = c.Events+1, c.Bytes+int64(len(e.Data)), e.Position
		c.Types[e.Type]++
		streams[e.Stream] = struct{}{}
	}
	if c.Events == 0 {
		return Counts{}, nothing(end)
	}
	c.Streams = int64(len(streams))
	return c, nil
}
