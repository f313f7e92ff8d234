package dynamo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/eb901187/annals"
)

// A Sequencer gives the commits of the events table their positions. It may run
// anywhere, any number of times at once: the key of a page is its fence. One
// Sequencer is for one goroutine at a time.
type Sequencer struct {
	calls *calls
	view  *view

	read    time.Time        // when the log was looked at last; zero if it must be
	next    map[string]int64 // next versions of streams, as the log has them
	writing page             // what is gathered for the next page
}

// maxNext bounds the next versions in memory.
const maxNext = 200_000

// NewSequencer makes a Sequencer of the driver's store.
func NewSequencer(d *Driver) *Sequencer { return newSequencer(d.calls) }

func newSequencer(c *calls) *Sequencer {
	return &Sequencer{calls: c, view: newView(c), next: map[string]int64{}}
}

// errFence says that another sequencer has written the next page.
var errFence = errors.New("dynamo: another sequencer has written this page")

// Sequence numbers commits, given as items of the events table, in any order and
// any number of times: what is numbered already is left out, and what a commit
// follows is read from the table and numbered before it. When it returns nil,
// every commit given has its positions.
func (s *Sequencer) Sequence(ctx context.Context, items []map[string]types.AttributeValue) error {
	ctx = operation(ctx, "sequence")
	for {
		err := s.sequence(ctx, items)
		if err == nil {
			return nil
		}
		s.read = time.Time{} // what was gathered counts as next versions, and is not written
		if !errors.Is(err, errFence) {
			return err
		}
		// The other one has got on, so that somebody always does.
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func (s *Sequencer) sequence(ctx context.Context, items []map[string]types.AttributeValue) error {
	if err := s.bound(ctx); err != nil {
		return err
	}
	if err := s.look(ctx); err != nil {
		return err
	}
	s.writing = page{}
	commits, err := s.commits(ctx, items)
	if err != nil {
		return err
	}
	if err := s.lookUpAll(ctx, commits); err != nil {
		return err
	}
	for i := range commits {
		if err := s.take(ctx, &commits[i], 0); err != nil {
			return err
		}
	}
	return s.flush(ctx)
}

// commits reads items. One that is no commit stops the log, until someone has
// taken it from the table: its record stays in the stream for a day.
func (s *Sequencer) commits(ctx context.Context, items []map[string]types.AttributeValue) ([]stored, error) {
	commits := make([]stored, 0, len(items))
	for _, i := range items {
		commit, err := newStored(i)
		if err == nil {
			commits = append(commits, commit)
			continue
		}
		t := s.calls.eventsTable()
		there, gone := s.calls.get(ctx, t, item(i).text(t.pk), item(i).number(t.sk))
		if gone != nil {
			return nil, gone
		}
		if there != nil {
			return nil, err
		}
		s.calls.logger.Warn("a record of what was no commit is left out, as its item is gone", "error", err)
	}
	return commits, nil
}

// lookUpAll learns the next versions of all streams of commits at once, as one
// after the other would hold up a store with many streams.
func (s *Sequencer) lookUpAll(ctx context.Context, commits []stored) error {
	var streams []string
	seen := map[string]bool{}
	for i := range commits {
		name := commits[i].stream
		if _, known := s.next[name]; !known && !seen[name] {
			seen[name] = true
			streams = append(streams, name)
		}
	}
	next := make([]int64, len(streams))
	err := s.calls.each(len(streams), func(i int) (err error) {
		next[i], err = s.lookUp(ctx, streams[i])
		return err
	})
	if err != nil {
		return err
	}
	for i, name := range streams {
		s.next[name] = next[i]
	}
	return nil
}

// look reads what others wrote to the log, at the start, after an error and when
// the last look is old.
func (s *Sequencer) look(ctx context.Context) error {
	now := s.calls.clock()
	if age := now.Sub(s.read); age >= 0 && age < tailLife {
		return nil
	}
	first := s.view.now.end() == 0
	log, err := s.view.refresh(ctx)
	if err != nil {
		return err
	}
	// What is not in these pages is in the index of sealed runs.
	clear(s.next)
	for i := range log.pages {
		for k := range log.pages[i].events {
			e := &log.pages[i].events[k]
			s.next[e.Stream] = e.Version + 1
		}
	}
	if first {
		if err := s.finishSealing(ctx); err != nil {
			return err
		}
	}
	s.read = now
	return s.sealClosed(ctx)
}

// bound keeps next versions from filling the memory.
func (s *Sequencer) bound(ctx context.Context) error {
	if len(s.next) <= maxNext {
		return nil
	}
	s.read = time.Time{}
	return s.look(ctx)
}

// nextVersion is the version that the log expects next of a stream.
func (s *Sequencer) nextVersion(ctx context.Context, stream string) (int64, error) {
	next, err := s.lookUp(ctx, stream)
	if err == nil {
		s.next[stream] = next
	}
	return next, err
}

// lookUp is nextVersion for those who ask about many streams once.
func (s *Sequencer) lookUp(ctx context.Context, stream string) (int64, error) {
	if next, known := s.next[stream]; known {
		return next, nil
	}
	i, err := s.calls.first(ctx, s.calls.logTable(), span{pk: byStream + stream, from: 1, to: math.MaxInt64, backward: true})
	if i == nil || err != nil {
		return 1, err
	}
	p, err := newPosting(i)
	return p.version + p.count, err
}

// maxCauses bounds how far causes of causes are followed; who names causes in a
// circle gets some order.
const maxCauses = 8

// take gathers a commit for the next page, and before it what it follows in its
// stream and what it names as its causes. depth is how many effects wait for it.
func (s *Sequencer) take(ctx context.Context, commit *stored, depth int) error {
	next, err := s.nextVersion(ctx, commit.stream)
	if err != nil {
		return err
	}
	if commit.first < next && !planted.noDuplicateDrop {
		return nil
	}
	events, pending, err := s.calls.eventsOf(ctx, commit)
	if err != nil {
		return err
	}
	if pending {
		// Who appended it stopped before this, or is about to do it.
		if err := s.calls.promote(ctx, commit.body()); err != nil {
			return err
		}
	}
	if err := s.takeCauses(ctx, events, depth); err != nil {
		return err
	}
	// A cause may have followed this very commit.
	if next, err = s.nextVersion(ctx, commit.stream); err != nil || commit.first < next && !planted.noDuplicateDrop {
		return err
	}
	if commit.first > next && !planted.noHeal {
		// The stream keeps the order of one item only; what is missing is in the
		// table, or it could not have been followed.
		if next, err = s.takeUpTo(ctx, commit.stream, next, commit.first-1, depth); err != nil {
			return err
		}
		if next != commit.first {
			return damaged("stream "+commit.stream, fmt.Errorf("no commit starts at version %d, and one at version %d follows", next, commit.first))
		}
	}
	return s.gather(ctx, commit, events)
}

// takeUpTo takes the commits of a stream that hold versions from next to last, as
// far as there are any, and returns the version that the log then expects.
func (s *Sequencer) takeUpTo(ctx context.Context, stream string, next, last int64, depth int) (int64, error) {
	for commit, err := range s.calls.commits(ctx, stream, next, last, false) {
		if err == nil {
			err = s.take(ctx, &commit, depth)
		}
		if err != nil {
			return next, err
		}
	}
	return s.nextVersion(ctx, stream)
}

// takeCauses takes the events that others name as their causes, so that a view
// never meets an effect before its cause. A cause that is nowhere is left alone.
func (s *Sequencer) takeCauses(ctx context.Context, events []annals.Event, depth int) error {
	if depth >= maxCauses {
		return nil
	}
	for i := range events {
		stream, version, named := cause(&events[i])
		if !named {
			continue
		}
		next, err := s.nextVersion(ctx, stream)
		if err == nil && next <= version {
			_, err = s.takeUpTo(ctx, stream, next, version, depth+1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// cause is the event of another stream that led to e.
func cause(e *annals.Event) (stream string, version int64, named bool) {
	at := strings.LastIndexByte(e.Causation, '@')
	if at < 0 || e.Causation[:at] == e.Stream {
		return "", 0, false
	}
	version, err := strconv.ParseInt(e.Causation[at+1:], 10, 64)
	return e.Causation[:at], version, err == nil
}

// gather puts a commit behind what is gathered, and writes the page when it is
// full.
func (s *Sequencer) gather(ctx context.Context, commit *stored, events []annals.Event) error {
	text := pageLines(events)
	w := &s.writing
	if len(w.events) > 0 && (len(w.events)+len(events) > s.calls.sizes.pageEvents || len(w.text)+len(text) > s.calls.sizes.pageBytes) {
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	w.text = append(w.text, text...)
	t := commit.tie()
	w.add(part{events, t.append(nil)})
	s.next[commit.stream] = commit.last() + 1
	return nil
}

// flush writes the gathered page at the end of the log.
func (s *Sequencer) flush(ctx context.Context) error {
	p := s.writing
	s.writing = page{}
	if len(p.events) == 0 {
		return nil
	}
	log := &s.view.now // the view is this sequencer's own
	p.first = log.end() + 1
	p.last = p.first + int64(len(p.events)) - 1
	p.run, p.nth, p.size = p.first, 1, 0
	if n := len(log.pages); n > 0 {
		p.run, p.nth, p.size = log.pages[n-1].next(s.calls.sizes)
	}
	p.id = string(binary.BigEndian.AppendUint64(nil, s.calls.random()))
	for i := range p.events {
		p.events[i].Position = p.first + int64(i)
	}
	if s.calls.unmarked.Load() {
		if _, err := s.calls.mark(ctx); err != nil {
			return err
		}
	}
	if err := s.writePage(ctx, &p); err != nil {
		return err
	}
	log.pages = append(log.pages[:len(log.pages):len(log.pages)], p)
	return s.sealClosed(ctx)
}

// writePage puts a page under its position, or returns errFence if another is
// there.
func (s *Sequencer) writePage(ctx context.Context, p *page) error {
	c := s.calls
	i := item{
		attrKey: textValue(keyLog), attrAt: numberValue(p.first), attrLast: numberValue(p.last),
		attrRun: numberValue(p.run), attrNth: numberValue(p.nth), attrID: bytesValue([]byte(p.id)),
		attrSize: numberValue(p.size),
	}
	size, err := c.placePage(ctx, p, i)
	if err != nil {
		return err
	}
	// Lines that pack well must not make a run that no reader can hold. Ties do not
	// count, as shorter runs would cost more postings.
	p.size += max(size-int64(len(p.ties)), int64(len(p.text)/8))
	i[attrSize] = numberValue(p.size)
	there, _, err := c.put(ctx, c.logTable(), i)
	switch {
	case !errors.Is(err, errTaken):
		return err
	case bytes.Equal(there.bytes(attrID), []byte(p.id)):
		return nil // a reply was lost, and the request sent again
	case p.object != "":
		c.dropObject(ctx, p.object)
	}
	return errFence
}

// placePage puts the events of a page into its item or the bucket, and returns
// the bytes that they take.
func (c *calls) placePage(ctx context.Context, p *page, i item) (int64, error) {
	i[attrTies] = bytesValue(p.ties)
	i[attrEvents] = attribute(i, p.text)
	switch {
	case i.writeUnits() <= c.sizes.pageUnits || c.s3 == nil && i.size() <= maxItem:
		return int64(i.size()), nil
	case c.s3 == nil:
		return 0, &annals.Error{
			Code: annals.CodeTooLarge, Message: fmt.Sprintf("the page of the log at position %d takes %d bytes", p.first, i.size()),
			Hint: "only a store with a bucket takes commits of this size",
		}
	}
	packed := packPart(p.text, p.ties)
	// A key of its own, so that who loses the race can remove it.
	p.object = c.key(pagesPrefix, fmt.Sprintf("%019d-%x", p.first, p.id))
	delete(i, attrEvents)
	delete(i, attrTies)
	i[attrObject], i[attrHash] = textValue(p.object), textValue(hashOf(packed))
	return int64(len(packed)), c.putObject(ctx, p.object, packed)
}
