package dynamo

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/eb901187/annals"
)

// What a commit's item holds. The sort key is the commit's FIRST version: with
// the last one, two writers that expect the same version would use two keys and
// both win.
const (
	attrStream  = "stream"
	attrVersion = "version"
	attrCount   = "count"  // of the events; 1 where absent
	attrCommit  = "commit" // 8 random bytes of the writer: tells its own lost reply from a conflict
	attrTime    = "time"   // of the first event, and of each event that has none of its own
	attrEvents  = "events" // lines: text, or packed bytes
	attrBody    = "body"   // SHA-256 of the packed lines in the bucket, in place of events
	attrIDs     = "ids"    // with a body: a hash of each event's id, where that is cheap
	attrPrev    = "prev"   // annals.Hash of the commit before it in its stream; absent in items of earlier versions
	attrDigest  = "digest" // with a body: annals.Digest, so that the next commit need not fetch the body
)

// maxBodyIDs is up to how many events a commit with its body in the bucket keeps
// hashes of their ids, so that looking for an id need not fetch the body.
const maxBodyIDs = 64

// stored is a commit as its item tells it.
type stored struct {
	stream string
	first  int64
	count  int64
	time   time.Time
	item   item

	chained          bool
	previous, digest annals.Hash // digest is zero where the item does not have it
}

// at names the commit as others name it in causations.
func (s *stored) at() string { return eventName(s.stream, s.first) }

func eventName(stream string, version int64) string { return fmt.Sprintf("%s@%d", stream, version) }

func (s *stored) last() int64 { return s.first + s.count - 1 }

func (s *stored) body() string { return s.item.text(attrBody) }

func (s *stored) name() string { return fmt.Sprintf("stream %q, version %d", s.stream, s.first) }

func newStored(i item) (stored, error) {
	s := stored{
		stream: i.text(attrStream), first: i.number(attrVersion), count: max(i.number(attrCount), 1),
		item: i,
	}
	s.chained = i[attrPrev] != nil
	t, err := time.Parse(time.RFC3339Nano, i.text(attrTime))
	if err != nil || s.stream == "" || s.first < 1 || s.count > annals.MaxCommitEvents || !i.hash(attrPrev, &s.previous) || !i.hash(attrDigest, &s.digest) {
		return s, &annals.Error{
			Code: annals.CodeDamaged, Err: err,
			Message: fmt.Sprintf("the item of %s is no commit of Annals", s.name()),
			Hint:    "see what else writes to the events table; annals verify lists every such item",
		}
	}
	s.time = t
	return s, nil
}

// newItem makes the item of a commit without its events.
func newItem(stream string, first int64, events []annals.Event, id uint64, previous annals.Hash) item {
	i := item{
		attrStream: textValue(stream), attrVersion: numberValue(first), attrPrev: bytesValue(previous[:]),
		attrCommit: bytesValue(binary.BigEndian.AppendUint64(nil, id)),
		attrTime:   textValue(events[0].Time.UTC().Format(time.RFC3339Nano)),
	}
	if len(events) > 1 {
		i[attrCount] = numberValue(int64(len(events)))
	}
	return i
}

// commitLines is the body of a commit.
func commitLines(events []annals.Event) []byte {
	var b []byte
	for _, e := range events {
		e.Stream, e.Version, e.Position = "", 0, 0
		if e.Time.Equal(events[0].Time) {
			e.Time = time.Time{}
		}
		b = appendLine(b, &e)
	}
	return b
}

// events decodes a commit, fetching its body if that is in the bucket.
func (c *calls) events(ctx context.Context, s *stored) ([]annals.Event, error) {
	events, _, err := c.eventsOf(ctx, s)
	return events, err
}

// eventsOf is events; pending says that the body is not in its lasting place yet.
func (c *calls) eventsOf(ctx context.Context, s *stored) (events []annals.Event, pending bool, err error) {
	var text []byte
	if hash := s.body(); hash != "" {
		text, pending, err = c.commitBody(ctx, s.name(), hash)
	} else {
		text, err = inlineText(s.item, s.name())
	}
	if err != nil {
		return nil, pending, err
	}
	for line := range lines(text) {
		e, err := parseLine(line)
		if err != nil {
			return nil, pending, damaged(s.name(), err)
		}
		if e.Time.IsZero() {
			e.Time = s.time
		}
		e.Time = e.Time.UTC()
		e.Stream, e.Version = s.stream, s.first+int64(len(events))
		events = append(events, e)
	}
	if int64(len(events)) != s.count {
		return nil, pending, damaged(s.name(), fmt.Errorf("it holds %d events and says %d", len(events), s.count))
	}
	return events, pending, nil
}

// inlineText is what attribute wrote.
func inlineText(i item, name string) ([]byte, error) {
	if text := i.text(attrEvents); text != "" {
		return []byte(text + "\n"), nil
	}
	text, err := unpack(i.bytes(attrEvents))
	if err != nil {
		return nil, damaged(name, err)
	}
	return text, nil
}

func damaged(name string, err error) error {
	return &annals.Error{
		Code: annals.CodeDamaged, Message: "what is stored for " + name + " can't be read", Err: err,
		Hint: "annals verify lists what is damaged; restore the table or the object from its backup or an older version",
	}
}

// idHash is what heads keep of an id. Equal hashes are looked at before they
// count as equal ids.
func idHash(id string) uint64 { return xxhash.Sum64String(id) }

// chainedCommit is the commit with its events.
func (s *stored) chainedCommit(events []annals.Event) annals.ChainedCommit {
	return annals.ChainedCommit{Previous: s.previous, Unchained: !s.chained, Events: events}
}

// facts are the hashes of a commit's ids in order of version, and, where it is the
// end of its stream, its Hash. What the item itself says of them need not be fetched.
func (c *calls) facts(ctx context.Context, s *stored, end bool) (ids []uint64, hash annals.Hash, err error) {
	own := *s
	if packed := s.item.bytes(attrIDs); len(packed) == int(8*s.count) {
		ids = make([]uint64, s.count)
		for i := range ids {
			ids[i] = binary.BigEndian.Uint64(packed[8*i:])
		}
	} else {
		events, err := c.events(ctx, s)
		if err != nil {
			return nil, hash, err
		}
		ids = make([]uint64, len(events))
		for i := range events {
			ids[i] = idHash(events[i].ID)
		}
		if end && own.digest == (annals.Hash{}) {
			own.digest = annals.Digest(s.stream, events)
		}
	}
	if end {
		hash, err = c.hash(ctx, &own)
	}
	return ids, hash, err
}

// hash is the commit's Hash, which the next one of its stream names.
func (c *calls) hash(ctx context.Context, s *stored) (annals.Hash, error) {
	digest := s.digest
	if digest == (annals.Hash{}) {
		events, err := c.events(ctx, s)
		if err != nil {
			return annals.Hash{}, err
		}
		digest = annals.Digest(s.stream, events)
	}
	return annals.Link(s.previous, s.first, int(s.count), digest), nil
}
