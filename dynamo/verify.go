package dynamo

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/eb901187/annals"
)

// A Report is what Verify found.
type Report struct {
	Events  int64
	Streams int64
	// Waiting is how many commits are not sequenced yet. They are no problem
	// while a sequencer runs.
	Waiting  int64
	Problems []string // the first maxProblems
}

const maxProblems = 100

func (r *Report) problem(format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// Verify reads both tables and the bucket: every commit of the events table can
// be read, names the hash of the one before it, and stands in the log once, in the
// order of its stream; the log has no gap; every run has the postings that its
// events make, and no others. What a stream's last commit says is held against the
// log alone, as no commit names its hash yet. progress, if it is not nil, is told
// how many events were checked. An error is one of reading, not a finding.
func (d *Driver) Verify(ctx context.Context, progress func(int64)) (Report, error) {
	ctx, done, err := d.begin(ctx, "verify")
	if err != nil {
		return Report{}, err
	}
	defer done()
	v := verifier{calls: d.calls, progress: progress, streams: map[string]*history{}, postings: map[string]uint64{}}
	for _, step := range []func(context.Context) error{v.log, v.index, v.events} {
		if err := step(ctx); err != nil {
			return v.report, d.ended(err)
		}
	}
	v.report.Streams = int64(len(v.streams))
	return v.report, nil
}

type verifier struct {
	calls    *calls
	progress func(int64)
	report   Report
	streams  map[string]*history
	postings map[string]uint64 // hashes of the postings that runs must have
	sealed   int64
}

// log checks the order of streams in the log. Its positions have no gap, or
// reading it fails.
func (v *verifier) log(ctx context.Context) error {
	log, err := newView(v.calls).refresh(ctx)
	if err != nil {
		return v.finding(err)
	}
	v.sealed = log.sealed()
	for _, r := range log.runs {
		held, err := v.calls.runPart(ctx, r)
		if err = v.finding(err); err != nil {
			return err
		}
		events := held.events
		v.part(held)
		if timed := r; len(events) > 0 {
			if timed.times(events); timed != r {
				v.report.problem("the run at position %d says that its events are of other times than they are", r.first)
			}
		}
		for _, p := range indexRun(r, events) {
			v.postings[postingName(p.key, p.run)] = itemSum(p.item())
		}
	}
	for _, p := range log.pages {
		v.part(p.part)
	}
	return nil
}

// part takes in a part of the log.
func (v *verifier) part(p part) {
	if len(p.events) == 0 {
		return
	}
	ties, err := p.parse()
	if err != nil {
		v.report.problem("%s", strings.TrimPrefix(err.Error(), "annals: "))
		ties = []tie{{count: int64(len(p.events)), kind: inItems}}
	}
	events := p.events
	for _, t := range ties {
		own := events[:t.count]
		events = events[t.count:]
		for i := range own {
			v.event(&own[i])
			if t.kind == inItems {
				v.streams[own[i].Stream].known = false
			}
		}
		if t.kind != inItems {
			c := annals.ChainedCommit{Previous: t.previous, Unchained: t.kind == untied, Events: own}
			v.link(v.streams[own[0].Stream], &c, "the log")
		}
	}
}

// link checks the hash that a commit names.
func (v *verifier) link(h *history, c *annals.ChainedCommit, where string) {
	if problem := h.link(c); problem != "" {
		v.report.problem("in %s %s", where, problem)
	}
}

// finding turns damage into a problem of the report.
func (v *verifier) finding(err error) error {
	if err != nil && annals.CodeOf(err) == annals.CodeDamaged {
		v.report.problem("%s", strings.TrimPrefix(err.Error(), "annals: "))
		return nil
	}
	return err
}

func (v *verifier) event(e *annals.Event) {
	h := v.streams[e.Stream]
	if h == nil {
		h = newHistory()
		v.streams[e.Stream] = h
	}
	if e.Version != h.next {
		v.report.problem("position %d holds %s@%d, and version %d must come next", e.Position, e.Stream, e.Version, h.next)
	}
	h.add(e)
	if v.report.Events++; v.progress != nil {
		v.progress(v.report.Events)
	}
}

func postingName(key string, run int64) string { return fmt.Sprintf("%s at position %d", key, run) }

// isPosting reports whether an item of the log table is one.
func isPosting(i item) bool {
	key := i.text(attrKey)
	return len(key) > 1 && slices.Contains([]string{byType, bySource, byCorrelation, byStream}, key[:2])
}

func itemSum(i item) uint64 {
	return xxhash.Sum64(fmt.Appendf(bytes.Clone(i.bytes(attrPlaces)), "|%d|%d|%t", i.number(attrNumber), i.number(attrFrom), i[attrPlaces] != nil))
}

// index compares the postings with those that the runs make. A run that is
// sealed meanwhile is left out.
func (v *verifier) index(ctx context.Context) error {
	for i, err := range v.calls.scan(ctx, v.calls.logTable()) {
		if err != nil {
			return err
		}
		if !isPosting(i) || i.number(attrAt) > v.sealed {
			continue
		}
		name := postingName(i.text(attrKey), i.number(attrAt))
		switch sum, due := v.postings[name]; {
		case !due:
			v.report.problem("the posting %s belongs to no event of its run", name)
		case sum != itemSum(i):
			v.report.problem("the posting %s differs from the events of its run", name)
		}
		delete(v.postings, name)
	}
	for name := range v.postings {
		v.report.problem("the posting %s is missing", name)
	}
	return nil
}

// events compares the events table with the log. A scan gives the items of one
// stream together and in order.
func (v *verifier) events(ctx context.Context) error {
	var stream string
	seen := newHistory()
	inTable := map[string]bool{}
	for i, err := range v.calls.scan(ctx, v.calls.eventsTable()) {
		if err != nil {
			return err
		}
		s, err := newStored(i)
		if err == nil && s.stream != stream {
			v.compare(stream, seen)
			stream, seen = s.stream, newHistory()
			inTable[stream] = true
		}
		if err == nil {
			err = v.commit(ctx, &s, seen)
		}
		if err = v.finding(err); err != nil {
			return err
		}
	}
	v.compare(stream, seen)
	for stream := range v.streams {
		if !inTable[stream] {
			v.report.problem("the log holds stream %s, and the events table does not", stream)
		}
	}
	return nil
}

// commit takes in a commit of the events table.
func (v *verifier) commit(ctx context.Context, s *stored, seen *history) error {
	if s.first != seen.next {
		v.report.problem("%s is in the events table where version %d must come next: a commit was removed, or one was put there", s.at(), seen.next)
	}
	events, err := v.calls.events(ctx, s)
	if err == nil {
		c := s.chainedCommit(events)
		v.link(seen, &c, "the events table")
		if s.digest != (annals.Hash{}) && s.digest != annals.Digest(s.stream, events) {
			v.report.problem("the item of %s names %s as the digest of its events, and they make another", s.at(), s.digest)
		}
	} else {
		seen.known = false
	}
	if logged := v.streams[s.stream]; logged == nil || s.first >= logged.next {
		v.report.Waiting++
	} else {
		for k := range events {
			seen.add(&events[k])
		}
		seen.logged, seen.loggedKnown = seen.hash, seen.known
	}
	seen.next = s.last() + 1
	return err
}

// compare compares what the table and the log say of a stream, as far as the log
// has it.
func (v *verifier) compare(stream string, seen *history) {
	logged := v.streams[stream]
	switch {
	case logged == nil:
	case seen.next < logged.next:
		v.report.problem("the log holds stream %s up to version %d, and the events table up to %d", stream, logged.next-1, seen.next-1)
	case seen.sum != logged.sum:
		v.report.problem("the events of stream %s differ between the log and the events table", stream)
	case logged.known && seen.loggedKnown && seen.logged != logged.hash:
		v.report.problem("%s has another hash in the log than in the events table: they differ in the hashes that commits name, or in which events are one commit", eventName(stream, logged.last))
	}
}
