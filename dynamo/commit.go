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
}

func (s *stored) last() int64 { return s.first + s.count - 1 }

func (s *stored) body() string { return s.item.text(attrBody) }

func (s *stored) name() string { return fmt.Sprintf("stream %q, version %d", s.stream, s.first) }

func newStored(i item) (stored, error) {
	s := stored{
		stream: i.text(attrStream), first: i.number(attrVersion), count: max(i.number(attrCount), 1),
		item: i,
	}
	t, err := time.Parse(time.RFC3339Nano, i.text(attrTime))
	if err != nil || s.stream == "" || s.first < 1 || s.count > annals.MaxCommitEvents {
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
func newItem(stream string, first int64, events []annals.Event, id uint64) item {
	i := item{
		attrStream: textValue(stream), attrVersion: numberValue(first),
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

// idHashes lists the hashes of a commit's ids in order of version.
func (c *calls) idHashes(ctx context.Context, s *stored) ([]uint64, error) {
	if ids := s.item.bytes(attrIDs); len(ids) == int(8*s.count) {
		hashes := make([]uint64, s.count)
		for i := range hashes {
			hashes[i] = binary.BigEndian.Uint64(ids[8*i:])
		}
		return hashes, nil
	}
	events, err := c.events(ctx, s)
	hashes := make([]uint64, len(events))
	for i := range events {
		hashes[i] = idHash(events[i].ID)
	}
	return hashes, err
}
