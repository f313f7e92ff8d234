package kinesis

import (
	"bytes"
	"fmt"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/ingest"
)

const (
	// MaxRecordBytes is what a stream takes as one record, partition key included,
	// unless it was set up for more.
	MaxRecordBytes = 1 << 20
	// sharedBytes is up to where several events share a record: a consumer that
	// fails on one is given all of them again.
	sharedBytes = 256 << 10
)

// A Record is what a shard holds under one sequence number.
type Record struct {
	Shard    string
	Sequence string // compares as a number within its shard
	Key      string // the partition key: the stream's name where a Writer has put it
	Arrived  time.Time
	Data     []byte
	// Events are those that the data holds; none where Err says that it can't be read.
	Events []annals.Event
	Err    error // a *RecordError
}

// A RecordError says that the data of a record holds no events.
type RecordError struct {
	Stream, Shard, Sequence string
	Err                     error
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("annals: record %s of shard %s of the Kinesis stream %s holds no events: %v", e.Sequence, e.Shard, e.Stream, e.Err)
}

func (e *RecordError) Unwrap() error { return e.Err }

// ErrorCode is annals.CodeInvalid.
func (e *RecordError) ErrorCode() annals.Code { return annals.CodeInvalid }

// Decode reads the events of a record's data: what ingest.Decode takes, alone, in an
// array or one a line. Stream is set in each; Version and Position are what the data
// says. Error: of the first message that can't be read.
func Decode(data []byte) ([]annals.Event, error) {
	var events []annals.Event
	for item, err := range ingest.Items(bytes.NewReader(data)) {
		if err == nil {
			err = item.Err
		}
		if err != nil {
			return nil, err
		}
		m, err := ingest.Decode(item.Text)
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", item.Number, err)
		}
		m.Event.Stream = m.Stream
		events = append(events, m.Event)
	}
	if len(events) == 0 {
		return nil, annals.Invalid("data", "holds no message")
	}
	return events, nil
}

// Check reports what keeps an event from being put: annals.ErrInvalid where it names no
// stream, annals.ErrTooLarge where it does not fit in a record, which is MaxRecordBytes
// with all of its members as JSON.
func Check(e *annals.Event) error {
	_, err := encode(e)
	return err
}

// encode is the record of one event alone.
func encode(e *annals.Event) ([]byte, error) {
	name := e.Stream
	if e.Version > 0 {
		name = fmt.Sprintf("%s@%d", e.Stream, e.Version)
	}
	if err := annals.CheckStream(e.Stream); err != nil {
		return nil, fmt.Errorf("event %s: %w", e.ID, err)
	}
	data := append(e.AppendJSON([]byte{'['}, true), ']')
	if size := len(data) + len(e.Stream); size > MaxRecordBytes {
		return nil, &annals.Error{
			Code:    annals.CodeTooLarge,
			Message: fmt.Sprintf("event %s of stream %s takes %d bytes as a Kinesis record: the limit is %d", e.ID, name, size, MaxRecordBytes),
			Hint:    "append it to the store instead, or leave it out of the playback",
		}
	}
	return data, nil
}

// A lane holds the records of one partition key that are not accepted yet, in order.
type lane struct {
	key     string
	records []record
}

// A record is one that is to be put, with the places of its events among those given
// to Put.
type record struct {
	data   []byte
	events []int
}

// lanes gathers the events of each stream into records.
func lanes(events []annals.Event) ([]*lane, error) {
	var all []*lane
	byKey := map[string]*lane{}
	for i := range events {
		data, err := encode(&events[i])
		if err != nil {
			return nil, err
		}
		key := events[i].Stream
		l := byKey[key]
		if l == nil {
			l = &lane{key: key}
			byKey[key], all = l, append(all, l)
		}
		l.add(data, i)
	}
	return all, nil
}

func (l *lane) add(data []byte, event int) {
	if last := len(l.records) - 1; last >= 0 {
		if r := &l.records[last]; len(r.data)+len(data)+len(l.key) <= sharedBytes {
			r.data[len(r.data)-1] = ','
			r.data, r.events = append(r.data, data[1:]...), append(r.events, event)
			return
		}
	}
	l.records = append(l.records, record{data, []int{event}})
}
