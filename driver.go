package annals

import (
	"context"
	"iter"
)

// A Driver stores events for a Store. The Store validates and stamps events,
// resolves repeated and unknown appends and checks arguments; a Driver only
// stores and reads. The tests of package storetest hold this contract; a Driver
// is safe for concurrent use.
//
// A returned error that a caller can act on is one of this package's types, or
// wraps the context's error.
type Driver interface {
	// Append stores events at the end of stream, all or none, and returns once
	// they are durable. The events are valid and have ids and times.
	//
	// Where the stream already holds the id of an event, Append returns a
	// *DuplicateError for the first such event, whatever expected is. Where
	// expected is not Any and not the stream's version, it returns a
	// *ConflictError. Neither changes anything. Where it can't tell whether the
	// events were stored, the error matches ErrUnknownOutcome. The Driver may
	// keep the Data of the events only until Append returns.
	Append(ctx context.Context, stream string, expected int64, events []Event) (Commit, error)

	// Stream yields the events of stream with from ≤ version ≤ to, in order of
	// version or, with backward, in reverse. It sees every append that had
	// returned when it was called. An unknown stream has no events. A Sequencer
	// may leave their positions 0.
	Stream(ctx context.Context, stream string, from, to int64, backward bool) iter.Seq2[Event, error]

	// Log yields the events that match q in order of position, or in reverse
	// with q.Backward, up to the end of the log as it is at the call.
	Log(ctx context.Context, q Query) iter.Seq2[Event, error]

	// End returns the position of the log's last event, 0 for an empty log. It
	// returns at once when that is past after, and else waits for it or for
	// ctx. With after < 0 it never waits.
	End(ctx context.Context, after int64) (int64, error)

	// Close releases the store. Reads under way end in ErrClosed.
	Close() error
}

// A Sequencer is a Driver that numbers its log some time after the append.
type Sequencer interface {
	// Wait returns commit with its Position once the log holds it.
	Wait(ctx context.Context, commit Commit) (Commit, error)
}
