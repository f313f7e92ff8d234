package playback

import (
	"errors"
	"strings"
	"time"

	"github.com/eb901187/annals"
)

const (
	// RecordPrefix starts the names of the streams in which playbacks are recorded,
	// each under its id.
	RecordPrefix = annals.OwnPrefix + "playbacks/"
	// StreamPrefix starts the names of the streams that playbacks are sent to; see
	// ToStream.
	StreamPrefix = annals.OwnPrefix + "playback/"
)

// The types of the events that record a playback.
const (
	Started    = "playback-started"
	Progressed = "playback-progressed"
	Stopped    = "playback-stopped"
	Resumed    = "playback-resumed"
	Finished   = "playback-finished"
	Failed     = "playback-failed"
)

// A State is what becomes of a playback.
type State string

// The states.
const (
	StateRunning     State = "running"
	StateInterrupted State = "interrupted" // nobody has recorded progress for Silence: its process died, or can't reach the store
	StateStopped     State = "stopped"
	StateFinished    State = "finished"
	StateFailed      State = "failed"     // Error says why
	StateUnreadable  State = "unreadable" // something else has written to its record; Error says what, and only List gives it
)

// Silence is how long a playback may go without a record before it counts as
// interrupted.
const Silence = 30 * time.Second

// A Playback is a selection that was sent or is being sent, as the store has it
// recorded. What it says of progress is what the target durably holds.
type Playback struct {
	ID        string      `json:"id"`
	State     State       `json:"state"`
	Selection Selection   `json:"selection"`
	End       int64       `json:"end,string"` // the last position that is looked at
	Target    Destination `json:"target"`
	Rate      float64     `json:"rate,omitempty"` // the most events a second; 0 is no limit
	By        string      `json:"by"`             // who started it
	Started   time.Time   `json:"started"`
	Place
	Runner  string    `json:"runner"`           // who recorded last
	Updated time.Time `json:"updated"`          // when
	Reason  string    `json:"reason,omitempty"` // why it was stopped
	Error   string    `json:"error,omitempty"`  // why it failed

	version int64 // of the last record
}

// A Place is how far a playback has come.
type Place struct {
	Position int64 `json:"position,string"` // all that is selected up to here is done
	Count    int64 `json:"events"`          // how many events that is
	Bytes    int64 `json:"bytes,omitempty"` // the length of a file
}

// A Destination says what a playback is sent to. Kind is empty for one that only has
// subscribers.
type Destination struct {
	Kind Kind `json:"kind,omitempty"`
	// Name is the path of a file, the address of a store without secrets, or the name of
	// a stream, of Kinesis too, or of a projection.
	Name string `json:"name,omitempty"`
}

// A Kind is a sort of target.
type Kind string

// The kinds.
const (
	KindFile       Kind = "file"
	KindStore      Kind = "store"
	KindStream     Kind = "stream"
	KindProjection Kind = "projection"
	KindKinesis    Kind = "kinesis" // a data stream of AWS Kinesis; see package kinesis
)

func (d Destination) String() string {
	if d.Kind == "" {
		return "subscribers"
	}
	return string(d.Kind) + " " + d.Name
}

var (
	// ErrNothing: no event matches the selection, so that there is nothing to do.
	ErrNothing = errors.New("no event matches the selection")
	// ErrNotOwner: a playback was stopped, or resumed elsewhere, while it ran.
	ErrNotOwner = errors.New("somebody else has stopped or resumed it")
)

// maxIDBytes leaves room for the position in the ids of events in a stream.
const maxIDBytes = 60

func checkID(id string) error {
	bad := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
	}
	if id == "" || len(id) > maxIDBytes || strings.ContainsFunc(id, bad) {
		return annals.Invalid("id", "of a playback must be 1 to %d of letters, digits, - and _", maxIDBytes)
	}
	return nil
}
