package reversal

import (
	"context"
	"encoding/json"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/projection/fold"
)

// Types of the events that a plan appends where no inverse is declared.
const (
	// EventReversed holds a merge patch, or no data where nothing is to be changed.
	EventReversed = "annals.event-reversed"
	// StateRestored holds a whole state. Package fold says how it is folded.
	StateRestored = fold.StateRestored
)

// Attributes of events.
const (
	// AttributeReverse is what the author of an event stores with it to undo it: the
	// JSON {"type": …, "data": …}, where type is the event's own if left out, or an
	// array of these.
	AttributeReverse = "reverse"
	// AttributeReverses names what an event reverses: "order-7@3", or several of the
	// stream as in "order-7@3,5,9-12".
	AttributeReverses = "reverses"
	// AttributeReversal is the Plan.ID of the reversal that appended an event.
	AttributeReversal = "reversal"
	// AttributeWay is the Way in which an event reverses.
	AttributeWay = "reversalway"
	// AttributeReason is the Plan.Reason.
	AttributeReason = "reason"
)

// A Way is how an event is reversed.
type Way string

// The ways, in the order in which they are tried.
const (
	Declared   Way = "declared"    // by the inverse that was declared for it
	MergePatch Way = "merge-patch" // by the inverse of its merge patch
	Replay     Way = "replay"      // by the state that results without it
)

// Words says how w reverses, such as "by its declared inverse".
func (w Way) Words() string {
	switch w {
	case Declared:
		return "by its declared inverse"
	case MergePatch:
		return "by the inverse of its merge patch"
	case Replay:
		return "by the state without it"
	}
	return string(w)
}

// A Target says which events are to be reversed. One of these is given: Stream
// with Version or EventID, EventID alone, Query, or Reversal.
type Target struct {
	// Stream and Version name one event.
	Stream  string
	Version int64
	// EventID is the event's id, in Stream, or in the one stream of the log that has
	// it. Without Stream the whole log is read.
	EventID string
	// Query chooses events of the log. Those that are reversed already, that belong
	// to a reversal themselves or that stand in Annals' own streams are passed over.
	Query *annals.Query
	// Reversal takes back all that the reversal of this id appended, in every stream.
	// The whole log is read for it.
	Reversal string
}

// An Inverse says what happened that undoes e: the events to append, with types
// and data. before is the state of e's stream before e, by Options.Fold; null if
// there was none. Plan gives the events their ids and causation, and, where they
// have none, the source and correlation of e. No events mean that nothing needs
// to be done. It must depend on its arguments only, and change nothing.
type Inverse func(ctx context.Context, before json.RawMessage, e *annals.Event) ([]annals.Event, error)

// Options changes how events are reversed; nil means the defaults.
type Options struct {
	// ID names the reversal: 1 to 256 bytes. Planning again with the same ID goes on
	// where an interrupted Apply has stopped. A random one by default.
	ID string
	// Reason says why, in at most 1,024 bytes.
	Reason string
	// Inverses are declared by event type. They come before the attribute "reverse".
	Inverses map[string]Inverse
	// Fold makes the state of a stream; by default its latest state, by merge patch.
	Fold *Fold
	// NewID makes the default for ID.
	NewID func() string
}

// A Plan is what a reversal is going to append. Apply changes nothing of it. It can
// be kept as JSON and applied later.
type Plan struct {
	ID     string `json:"id"`
	Reason string `json:"reason,omitempty"`
	// Streams are in the order in which the log names them first. None means that
	// there is nothing to do.
	Streams []StreamPlan `json:"streams"`
	// Passed are the events of the target that are left alone.
	Passed []Passed `json:"passed"`
}

// A StreamPlan is the part of a plan that is one commit.
type StreamPlan struct {
	Stream string `json:"stream"`
	// Version is that of the stream when the plan was made. Apply appends at it.
	Version  int64      `json:"version,string"`
	Reversed []Reversed `json:"reversed"` // in order of version
	// Before and After are the states before and after the append; null for none.
	Before json.RawMessage `json:"before"`
	After  json.RawMessage `json:"after"`
	// Events are to be appended. The store stamps their times.
	Events []annals.Event `json:"events"`
}

// A Reversed event is one that a plan reverses.
type Reversed struct {
	Version int64  `json:"version,string"`
	ID      string `json:"id"`
	Type    string `json:"type"`
	Way     Way    `json:"way"`
}

// A Passed event is one that a plan leaves alone.
type Passed struct {
	Stream  string `json:"stream"`
	Version int64  `json:"version,string"`
	Why     string `json:"why"`
}
