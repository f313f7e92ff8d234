package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

// Where a view store keeps what consumers must remember.
const (
	recordSpace   = "annals.consumers"
	parkedSpace   = "annals.parked/"
	decisionSpace = "annals.decisions/"
)

// A record is what a consumer remembers, as JSON under its name. Every change of
// it replaces the very text that was read, so that it fences: whoever works on
// from an older text is refused.
type record struct {
	Position int64     `json:"position,string"`
	Revision int64     `json:"revision"` // no two texts are equal, whoever writes them
	Runner   string    `json:"runner"`
	Updated  time.Time `json:"updated"`
	Paused   bool      `json:"paused,omitempty"`
	Parked   int       `json:"parked,omitempty"`
	Asked    int64     `json:"asked,omitempty"`    // rises when a parked event is to be tried
	Answered int64     `json:"answered,omitempty"` // what Asked was when all that it asked for had been tried

	text []byte
}

// expects is the condition that the record is still as it was read.
func (r *record) expects(name string) view.Expectation {
	return view.Expectation{Key: view.Key{Space: recordSpace, Key: name}, Data: r.text}
}

// put makes the next record, in which runner and now are set.
func (r *record) put(name string) (view.Put, error) {
	r.Revision++
	text, err := json.Marshal(r)
	r.text = text
	return view.Put{Space: recordSpace, Document: view.Document{Key: name, Data: text, Position: r.Position}}, err
}

// readRecord returns a new record where there is none.
func readRecord(ctx context.Context, views view.Store, name string) (record, error) {
	found, err := views.Get(ctx, recordSpace, name)
	doc, ok := found[name]
	if err != nil || !ok {
		return record{}, err
	}
	r := record{text: doc.Data}
	if err := json.Unmarshal(doc.Data, &r); err != nil {
		return record{}, damaged(recordSpace, name, err)
	}
	return r, nil
}

func damaged(space, key string, err error) error {
	return &annals.Error{
		Code: annals.CodeDamaged, Message: fmt.Sprintf("document %q of %s is not what a consumer writes", key, space), Err: err,
		Hint: "something else has written into this view store",
	}
}

// A parkedRecord is a parked event as it is kept, under its position.
type parkedRecord struct {
	Parked
	ContentType string `json:"contentType,omitempty"`

	text []byte
}

func (c *Control) parkedKey(position int64) view.Key {
	return view.Key{Space: parkedSpace + c.name, Key: positionKey(position)}
}

// positionKey sorts as numbers do.
func positionKey(position int64) string { return fmt.Sprintf("%020d", position) }

func (p *parkedRecord) put(space string) (view.Put, error) {
	text, err := json.Marshal(p)
	return view.Put{Space: space, Document: view.Document{Key: positionKey(p.Position), Data: text, Position: p.Position}}, err
}

func parseParked(space string, doc view.Document) (parkedRecord, error) {
	p := parkedRecord{text: doc.Data}
	if err := json.Unmarshal(doc.Data, &p); err != nil {
		return p, damaged(space, doc.Key, err)
	}
	return p, nil
}

// A decision is what an operator said of an event. All generations of a
// projection share it, so that a rebuild ends where the live view is.
type decision struct {
	Position int64           `json:"position,string"`
	Drop     bool            `json:"drop,omitempty"`
	Data     json.RawMessage `json:"data,omitempty"`  // edited JSON
	Bytes    []byte          `json:"bytes,omitempty"` // edited data of another type
	Reason   string          `json:"reason,omitempty"`
	At       time.Time       `json:"at"`
}

func (d *decision) data() []byte {
	if d.Bytes != nil {
		return d.Bytes
	}
	return d.Data
}

// decisionsOf names the space of the decisions about the events of a consumer:
// one for all generations, which have numbers behind an @, and another one for a
// consumer that is called as they are without it.
func decisionsOf(name string) string {
	if i := strings.LastIndexByte(name, '@'); i >= 0 {
		name = name[:i+1]
	}
	return decisionSpace + name
}

func readDecisions(ctx context.Context, views view.Store, name string) (map[int64]decision, error) {
	all := map[int64]decision{}
	for doc, err := range views.Scan(ctx, decisionsOf(name), view.Range{}) {
		if err != nil {
			return nil, err
		}
		var d decision
		if err := json.Unmarshal(doc.Data, &d); err != nil {
			return nil, damaged(decisionsOf(name), doc.Key, err)
		}
		all[d.Position] = d
	}
	return all, nil
}

const maxNameBytes = 100

// CheckName reports what is wrong with a consumer's name: it is 1 to 100 ASCII
// letters, digits and - _ . @ and does not start with "annals.".
func CheckName(name string) error {
	bad := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.@", r))
	}
	if name == "" || len(name) > maxNameBytes || strings.ContainsFunc(name, bad) || strings.HasPrefix(name, "annals.") {
		return annals.Invalid("name", "must be 1 to %d ASCII letters, digits and - _ . @, and not start with annals.", maxNameBytes)
	}
	return nil
}

// unreachable reports whether err says that a store can't be reached, or is
// Blameless for another reason.
func unreachable(err error) bool {
	if isBlameless(err) {
		return true
	}
	for _, kind := range []error{annals.ErrUnavailable, annals.ErrUnknownOutcome, annals.ErrNoSpace, annals.ErrClosed} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}
