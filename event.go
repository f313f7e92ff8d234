package annals

import "time"

// JSONContentType is the content type of an event that names none.
const JSONContentType = "application/json"

// OwnPrefix starts the names of the streams in which Annals keeps what is its own,
// such as snapshots. Consumers pass them over.
const OwnPrefix = "annals."

// An Event is one immutable fact. The first block is the author's; Stream,
// Version and Position are set by the store and ignored on append.
type Event struct {
	// ID is unique within its stream and makes appending idempotent. The store
	// gives an event without one a UUIDv7.
	ID string
	// Type says what happened, for example "order-placed". Required.
	Type string
	// Source names what the event comes from; empty takes Options.Source.
	Source string
	// Time is when it happened, kept as an instant with nanoseconds and read
	// back in UTC. Zero takes the store's clock.
	Time time.Time
	// Correlation is the request or process that the event belongs to.
	Correlation string
	// Causation is the event that led to this one, as "stream@version".
	Causation string
	// ContentType is the media type of Data; empty means JSONContentType.
	ContentType string
	// Attributes are further CloudEvents attributes, subject and dataschema
	// among them, by their lower-case names.
	Attributes map[string]string
	// Data is kept and returned byte for byte. For JSON content types it must
	// pass CheckJSON. Empty means that the event carries none.
	Data []byte

	// Stream is the stream that holds the event.
	Stream string
	// Version is the event's number in its stream, from 1.
	Version int64
	// Position is the event's number in the log, from 1. Where a driver numbers its
	// log later, events that Store.Stream reads have 0.
	Position int64
}

// A Commit is what one append stored.
type Commit struct {
	// Stream is the stream appended to.
	Stream string
	// Version is the version of the commit's last event: the stream's version
	// right after it.
	Version int64
	// Count is the number of events.
	Count int
	// Position is the log position of the last event; 0 until Store.Wait where
	// the driver numbers its log later.
	Position int64
	// Replayed says that the events had been stored before and nothing new was.
	Replayed bool
}
