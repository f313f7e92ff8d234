package subject

import (
	"context"
	"time"
)

// A Request asks for the erasure of a subject.
type Request struct {
	Subject string `json:"subject"`
	// Reason says why, for those who come later. It is kept for ever, and so must say
	// nothing of the person.
	Reason string `json:"reason,omitempty"`
	// DryRun reports what would be done, and does nothing.
	DryRun bool `json:"-"`
	// By is who asks, for the receipt; empty for the owner of the process.
	By string `json:"-"`
}

// An Eraser does it. After an error or a crash the same Request is to be made again: it
// ends the same.
type Eraser func(ctx context.Context, r Request) (Receipt, error)

// A Receipt says what an erasure did, without any data of the subject but its name.
type Receipt struct {
	Subject string `json:"subject"`
	Reason  string `json:"reason,omitempty"`
	By      string `json:"by,omitempty"`
	DryRun  bool   `json:"dryRun,omitempty"`
	// Complete says that nothing that Annals knows of holds data of the subject any
	// more, but for what NotCovered lists; Views, InClear and OtherKeys tell what is left otherwise.
	Complete bool      `json:"complete"`
	Begun    time.Time `json:"begun"`
	Done     time.Time `json:"done,omitzero"`
	// Key is what became of the key, in Keys, wrapped by the master key Master.
	Key    KeyReceipt `json:"key"`
	Keys   string     `json:"keys"`
	Master string     `json:"master"`
	// Events is how many events name the subject, Copies those in Annals' own streams
	// left out; Streams is in how many streams they are, and ByStream in which, of the
	// first MaxStreams.
	Events   int64         `json:"events"`
	Streams  int           `json:"streams"`
	ByStream []StreamCount `json:"byStream,omitempty"`
	// InClear is how many events name the subject and were not sealed when they were
	// stored, as before there were keys: they are readable for ever. A dry run can't tell.
	InClear int64 `json:"inClear"`
	// OtherKeys is how many events name the subject and are sealed with a key that Keys
	// never had: whoever has it may read them. A dry run can't tell.
	OtherKeys int64 `json:"otherKeys"`
	// Copies are events of Annals itself that were sealed with the same key: snapshots,
	// journals of outside calls, findings of repairs.
	Copies []CopyCount `json:"copies,omitempty"`
	// Edits is how many edits by operators and texts of errors were removed from the
	// views.
	Edits int `json:"edits"`
	// Views says what became of each projection.
	Views []ViewReceipt `json:"views,omitempty"`
	// Scrubbed says that the files of the views were written anew, so that they don't
	// hold what was deleted.
	Scrubbed bool `json:"scrubbed"`
	// LogEnd is the position up to which the log was searched.
	LogEnd int64 `json:"logEnd,string"`
	// NotCovered lists what Annals can't reach.
	NotCovered []string `json:"notCovered"`
}

// MaxStreams is how many streams a Receipt names.
const MaxStreams = 1000

// A KeyReceipt is what became of a subject's key.
type KeyReceipt struct {
	State       State     `json:"state"`
	Fingerprint string    `json:"fingerprint,omitempty"` // empty where there never was one
	Created     time.Time `json:"created,omitzero"`
	Fenced      time.Time `json:"fenced,omitzero"`
	Destroyed   time.Time `json:"destroyed,omitzero"`
}

// Receipt is r without the key.
func (r Record) Receipt() KeyReceipt {
	return KeyReceipt{r.State, r.Fingerprint, r.Created, r.Fenced, r.Destroyed}
}

// A StreamCount is how many events of a stream name the subject.
type StreamCount struct {
	Stream string `json:"stream"`
	Events int64  `json:"events"`
}

// A CopyCount is how many events of Annals itself, of the streams that Kind starts,
// name the subject.
type CopyCount struct {
	Kind   string `json:"kind"`
	Events int64  `json:"events"`
}

// A ViewReceipt is what became of the views of a projection.
type ViewReceipt struct {
	Projection string  `json:"projection"`
	Outcome    Outcome `json:"outcome"`
	// Generation is the one that is live now, Deleted those that were removed.
	Generation int    `json:"generation,omitempty"`
	Deleted    []int  `json:"deleted,omitempty"`
	Note       string `json:"note,omitempty"` // what is to be done
}

// An Outcome is what became of the views of a projection.
type Outcome string

// The outcomes.
const (
	// Untouched: it folds no event of the subject.
	Untouched Outcome = "untouched"
	// Planned: it would be rebuilt.
	Planned Outcome = "to be rebuilt"
	// Rebuilt: a new generation is live, and the older ones are deleted.
	Rebuilt Outcome = "rebuilt"
	// Left: its views may hold data of the subject. Note says what to do.
	Left Outcome = "left"
)
