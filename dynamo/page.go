package dynamo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/eb901187/annals"
)

// The log table holds, by the partition key:
//
//	log    pages, by their first position
//	run    sealed runs, by their first position
//	t:… o:… c:… s:…    postings of a type, a source (origin), a correlation and a
//	       stream, by the first position of their run
//	shard  how far workers have read the table's stream
//	store  what the tables are
const (
	keyLog     = "log"
	keyRun     = "run"
	attrLast   = "last"  // position of the last event, of a page or a run
	attrRun    = "run"   // of a page: the first position of its run
	attrNth    = "nth"   // of a page: its number in the run, from 1
	attrSize   = "size"  // of a page: the bytes of its run's pages with it
	attrID     = "id"    // of a page: 8 random bytes of the sequencer that wrote it
	attrObject = "s3"    // of a page or a run: the object that holds it
	attrHash   = "hash"  // of the object
	attrTies   = "ties"  // of a page whose events are in the item: see tie; absent in pages of earlier versions
	attrSince  = "since" // of a run: the oldest time of its events, Unix seconds
	attrNew    = "new"   // of a run: the newest time of its events, Unix seconds
	attrUntil  = "until" // TTL of what is not needed any more: Unix seconds
)

// sizes bound the parts of the log.
type sizes struct {
	// A run is closed when it has reached one of these, so that a reader who joins
	// reads little more than this from unsealed pages.
	runPages, runEvents, runBytes int64 // bytes as stored, or an eighth of the lines'
	// What a sequencer puts into one page: more only if one commit has more.
	pageEvents, pageBytes int // bytes of lines
	// Up to how many write units a commit, and a page, stay in their items. In the
	// bucket a commit costs a PUT, a COPY and one unit, as much as 17 units; a page
	// costs a PUT and one unit, as much as 9.
	commitUnits, pageUnits int
	// How many requests run at once where many don't depend on each other.
	atOnce int
}

var usualSizes = sizes{
	runPages: 128, runEvents: 8192, runBytes: 1 << 20, pageEvents: 1000, pageBytes: 1 << 20, commitUnits: 17, pageUnits: 9,
	atOnce: 16,
}

// A page is a part of the log that is not sealed.
type page struct {
	first, last int64
	run, nth    int64
	size        int64 // of the run's pages with this one
	id          string
	object      string // key in the bucket, if it is there
	text        []byte
	part
	marker bool // the page is sealed, and its events are in the run
}

// next says where the page behind p belongs.
func (p *page) next(s sizes) (run, nth, size int64) {
	if p.nth >= s.runPages || p.last-p.run+1 >= s.runEvents || p.size >= s.runBytes {
		return p.last + 1, 1, 0
	}
	return p.run, p.nth + 1, p.size
}

// pageLines is the text of a page.
func pageLines(events []annals.Event) []byte {
	var b []byte
	for _, e := range events {
		e.Position = 0
		b = appendLine(b, &e)
	}
	return b
}

// parsePage decodes lines of the log from a position on.
func parsePage(text []byte, first int64, name string) ([]annals.Event, error) {
	var events []annals.Event
	for line := range lines(text) {
		e, err := parseLine(line)
		if err != nil {
			return nil, damaged(name, err)
		}
		e.Position = first + int64(len(events))
		e.Time = e.Time.UTC()
		events = append(events, e)
	}
	return events, nil
}

// page decodes the item of a page, and fetches its text if that is in the bucket.
func (c *calls) page(ctx context.Context, i item) (page, error) {
	p := page{
		first: i.number(attrAt), last: i.number(attrLast), run: i.number(attrRun), nth: i.number(attrNth),
		size: i.number(attrSize), id: string(i.bytes(attrID)), object: i.text(attrObject),
	}
	name := fmt.Sprintf("page %d of the log", p.first)
	if i[attrUntil] != nil {
		p.marker = true
		return p, nil
	}
	var err error
	if p.object != "" {
		p.text, p.ties, err = c.logObject(ctx, p.object, i.text(attrHash), name)
	} else {
		p.ties = i.bytes(attrTies)
		p.text, err = inlineText(i, name)
	}
	if err == nil {
		p.events, err = parsePage(p.text, p.first, name)
	}
	if err == nil && int64(len(p.events)) != p.last-p.first+1 {
		err = damaged(name, fmt.Errorf("it holds %d events and says %d", len(p.events), p.last-p.first+1))
	}
	return p, err
}

// logObject reads the text of a page or a run and its ties from the bucket.
func (c *calls) logObject(ctx context.Context, key, hash, name string) (text, ties []byte, err error) {
	body, err := c.getObject(ctx, key, hash)
	if err != nil {
		if errors.Is(err, errNoObject) {
			err = &annals.Error{Code: annals.CodeDamaged, Message: name + " is missing in the bucket", Err: err, Hint: "annals verify says what is damaged"}
		}
		return nil, nil, err
	}
	if text, err = unpack(body); err != nil {
		return nil, nil, damaged(name, err)
	}
	return text, tiesIn(body), nil
}

// markerLife is how long a sealed page leaves a marker. Its key must not be free
// while a sequencer may still believe that it is: sequencers look at the log
// again after tailLife.
const (
	markerLife = 30 * 24 * time.Hour
	tailLife   = time.Hour
)

func (p *page) markerItem(now time.Time) item {
	return item{
		attrKey: textValue(keyLog), attrAt: numberValue(p.first), attrLast: numberValue(p.last),
		attrRun: numberValue(p.run), attrUntil: numberValue(now.Add(markerLife).Unix()),
	}
}

// A run is a closed part of the log: its index is written, and with a bucket its
// events are in one object.
type run struct {
	first, last    int64
	oldest, newest int64  // times of its events, Unix seconds
	object, hash   string // empty where the pages still hold the events
}

// times sets the range of times from the run's events.
func (r *run) times(events []annals.Event) {
	r.oldest, r.newest = math.MaxInt64, math.MinInt64
	for i := range events {
		t := events[i].Time.Unix()
		r.oldest, r.newest = min(r.oldest, t), max(r.newest, t)
	}
}

// within reports whether events of the run may have times of the query.
func (r *run) within(q *annals.Query) bool {
	return (q.Since.IsZero() || r.newest >= q.Since.Unix()) && (q.Before.IsZero() || r.oldest <= q.Before.Unix())
}

func newRun(i item) run {
	return run{first: i.number(attrAt), last: i.number(attrLast), oldest: i.number(attrSince), newest: i.number(attrNew), object: i.text(attrObject), hash: i.text(attrHash)}
}
