package effect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eb901187/annals"
)

// The types of the events in a handler's ledger of repairs. See RepairStream.
const (
	RepairRequested       = "repair-requested"
	RepairStarted         = "repair-started"    // by each process that begins or goes on with it
	RepairProgressed      = "repair-progressed" // now and then
	RepairFinished        = "repair-finished"
	RepairFailed          = "repair-failed"
	DifferenceFound       = "difference-found"
	DifferenceSuperseded  = "difference-superseded" // the handler's code has changed again
	DifferencesApproved   = "differences-approved"
	DifferencesRejected   = "differences-rejected"
	DifferenceCorrected   = "difference-corrected"
	CorrectionFailed      = "correction-failed"
	repairStreamPrefix    = annals.OwnPrefix + "repairs/"
	correctionPrefix      = "correction/" // of the calls that a Correction makes
	unknownLedgerEventFmt = "event %s@%d is not what a ledger of repairs holds"
)

// RepairStream is the ledger of a handler's repairs: what was asked for, what was
// found, what was decided about it, and what came of that.
func RepairStream(handler string) string { return repairStreamPrefix + handler }

// A RepairRun is a replay of what a handler has handled, in which its outside calls
// are compared with the journal and not sent.
type RepairRun struct {
	ID          string      `json:"id"` // HANDLER@VERSION of the request in its RepairStream
	Handler     string      `json:"handler"`
	From        int64       `json:"from,string"` // the first position
	To          int64       `json:"to,string"`   // the last one; 0 until it has started, unless it was given
	Reason      string      `json:"reason,omitempty"`
	State       RepairState `json:"state"`
	Position    int64       `json:"position,string"` // that it has reached, as it was written down last
	Events      int64       `json:"events"`          // that were handled again, up to Position
	Differences int64       `json:"differences"`     // that it has found and no repair had before
	Error       string      `json:"error,omitempty"`
	Runner      string      `json:"runner,omitempty"` // the process that does it
	Requested   time.Time   `json:"requested"`
	Updated     time.Time   `json:"updated"`

	version int64
	starts  int
}

// A RepairState is how far a repair is.
type RepairState string

// The states of a repair.
const (
	Requested RepairState = "requested" // it begins once a process runs the handler
	Repairing RepairState = "repairing"
	Repaired  RepairState = "repaired" // its differences wait for approval
	Broken    RepairState = "failed"
)

// Over reports whether nothing more becomes of the repair.
func (r *RepairRun) Over() bool { return r.State == Repaired || r.State == Broken }

// A Finding is a Difference in the ledger, and what became of it.
type Finding struct {
	ID string `json:"id"` // HANDLER@VERSION of it in its RepairStream
	Difference
	State  FindingState `json:"state"`
	Repair string       `json:"repair"`           // the ID of the one that found it
	Reason string       `json:"reason,omitempty"` // why it was rejected
	Error  string       `json:"error,omitempty"`  // of the last correction
	Found  time.Time    `json:"found"`
	// Updated is when State was written down.
	Updated time.Time `json:"updated"`

	version  int64
	failures int
	form     string
	subject  string // that its event names
	// round numbers the calls of its correction: the version of the first finding
	// about the same call of then whose correction may have begun and is not over.
	round int64
}

// A FindingState is what became of a Finding.
type FindingState string

// The states of a finding.
const (
	Open        FindingState = "open"       // nobody has decided about it
	Approved    FindingState = "approved"   // its correction is under way
	Rejected    FindingState = "rejected"   // it stays as it is; it can still be approved
	Corrected   FindingState = "corrected"  // what was sent is in the journal
	Uncorrected FindingState = "failed"     // its correction failed; it can be approved again
	Superseded  FindingState = "superseded" // the handler's code has changed again
)

// Missing reports whether the call was never made, or had no effect, so that there
// is nothing to undo: once approved it is made as it is.
func (d *Difference) Missing() bool {
	return d.Now != nil && (d.Was == nil || d.Was.Status == Failed && d.Was.Corrected == nil)
}

// Past is the request that a call came to so far: what a correction has put in
// its place, if there was one.
func (e *Entry) Past() *Request {
	if e.Corrected != nil {
		return e.Corrected
	}
	return &e.Request
}

// form tells one difference from another of the same call. Headers don't count, as
// they don't where calls are compared.
func (d *Difference) form() string {
	bare := func(r *Request) *Request {
		if r == nil {
			return nil
		}
		c := *r
		c.Headers = nil
		return &c
	}
	var was *Request
	if d.Was != nil {
		was = bare(d.Was.Past())
	}
	text, err := json.Marshal([]any{d.Event, d.Call, d.Append, was, bare(d.Now)})
	if err != nil {
		return fmt.Sprintf("%v", err) // what can't be written is refused when it is recorded
	}
	var value any
	if err := decode(text, &value); err != nil {
		return string(text)
	}
	again, err := json.Marshal(value)
	if err != nil {
		return string(text)
	}
	return string(again)
}

// was is the form of what was asked then.
func (d *Difference) was() string {
	return (&Difference{Event: d.Event, Call: d.Call, Append: d.Append, Was: d.Was}).form()
}

// decode reads JSON and keeps numbers exact.
func decode(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(into)
}

// A note is the data of an event in the ledger: the members that apply.
type note struct {
	Repair      int64       `json:"repair,omitempty"` // the version of its request
	From        int64       `json:"from,omitempty,string"`
	To          int64       `json:"to,omitempty,string"`
	Position    int64       `json:"position,omitempty,string"`
	Events      int64       `json:"events,omitempty"`
	Differences int64       `json:"differences,omitempty"`
	Runner      string      `json:"runner,omitempty"`
	Reason      string      `json:"reason,omitempty"`
	Error       string      `json:"error,omitempty"`
	Difference  *Difference `json:"difference,omitempty"`
	Of          []int64     `json:"of,omitempty"` // the versions of the findings that it is about
}

// A book is what the events of a ledger come to.
type book struct {
	handler  string
	version  int64
	repairs  []*RepairRun
	findings []*Finding
	byRepair map[int64]*RepairRun
	byID     map[int64]*Finding
	latest   map[string]*Finding   // by event and call
	ofEvent  map[string][]*Finding // those that are latest
	times    map[string]int        // findings, by event and call
}

func newBook(handler string) *book {
	return &book{
		handler: handler, byRepair: map[int64]*RepairRun{}, byID: map[int64]*Finding{},
		latest: map[string]*Finding{}, ofEvent: map[string][]*Finding{}, times: map[string]int{},
	}
}

func callKey(event, call string) string { return event + " " + call }

func (b *book) id(version int64) string { return b.handler + "@" + strconv.FormatInt(version, 10) }

// parseID splits HANDLER@VERSION.
func parseID(id string) (handler string, version int64, err error) {
	i := strings.LastIndexByte(id, '@')
	if i > 0 {
		version, err = strconv.ParseInt(id[i+1:], 10, 64)
	}
	if i <= 0 || err != nil || version < 1 {
		return "", 0, annals.Invalid("id", "must be HANDLER@NUMBER, as annals effect diff shows it, not %q", id)
	}
	return id[:i], version, nil
}

// read takes in the next event of the ledger.
func (b *book) read(e *annals.Event) error {
	if e.Erased() && e.Version == b.version+1 {
		b.lost(e)
		return nil
	}
	var n note
	err := decode(e.Data, &n)
	if err == nil && e.Version != b.version+1 {
		err = fmt.Errorf("it does not follow version %d", b.version)
	}
	if err == nil && !b.apply(e, &n) {
		err = fmt.Errorf("its type is %s", e.Type)
	}
	if err != nil {
		return &annals.Error{
			Code: annals.CodeDamaged, Err: err, Message: fmt.Sprintf(unknownLedgerEventFmt, e.Stream, e.Version),
			Hint: "a newer program may have written it: use the same version of Annals everywhere",
		}
	}
	b.version = e.Version
	return nil
}

// lost takes in what the erasure of a subject has left of a finding about its event:
// nothing is left to decide, and what was decided has nothing to say any more.
func (b *book) lost(e *annals.Event) {
	b.version = e.Version
	if e.Type != DifferenceFound {
		return
	}
	b.byID[e.Version] = &Finding{ID: b.id(e.Version), State: Superseded, Found: e.Time, Updated: e.Time, version: e.Version}
}

// apply is what n means as the data of e. It reports whether that makes sense.
func (b *book) apply(e *annals.Event, n *note) bool {
	switch e.Type {
	case RepairRequested:
		r := &RepairRun{
			ID: b.id(e.Version), Handler: b.handler, From: n.From, To: n.To, Reason: n.Reason, State: Requested,
			Requested: e.Time, Updated: e.Time, version: e.Version,
		}
		b.repairs, b.byRepair[e.Version] = append(b.repairs, r), r
		return true
	case RepairStarted, RepairProgressed, RepairFinished, RepairFailed:
		return b.moved(e, n)
	case DifferenceFound:
		return b.found(e, n)
	case DifferenceSuperseded, DifferencesApproved, DifferencesRejected, DifferenceCorrected, CorrectionFailed:
		return b.decided(e, n)
	}
	return false
}

// moved is about a repair.
func (b *book) moved(e *annals.Event, n *note) bool {
	r := b.byRepair[n.Repair]
	if r == nil {
		return false
	}
	r.Updated = e.Time
	switch e.Type {
	case RepairStarted:
		r.State, r.To, r.Runner = Repairing, n.To, n.Runner
		r.starts++
	case RepairProgressed:
		r.Position, r.Events = n.Position, n.Events
	case RepairFinished:
		r.State, r.Position, r.Events = Repaired, r.To, n.Events
	case RepairFailed:
		r.State, r.Error = Broken, n.Error
	}
	return true
}

func (b *book) found(e *annals.Event, n *note) bool {
	if n.Difference == nil {
		return false
	}
	f := &Finding{ID: b.id(e.Version), Difference: *n.Difference, State: Open, Found: e.Time, Updated: e.Time, version: e.Version, subject: e.Subject()}
	f.form, f.round = f.Difference.form(), f.version
	if r := b.byRepair[n.Repair]; r != nil {
		r.Differences++
		f.Repair = r.ID
	}
	b.findings, b.byID[e.Version] = append(b.findings, f), f
	key := callKey(f.Event, f.Call)
	if before := b.latest[key]; before != nil {
		if before.State != Corrected {
			before.State, before.Updated = Superseded, e.Time
			if before.was() == f.was() {
				f.round = before.round
			}
		}
		list := b.ofEvent[f.Event]
		list[slices.Index(list, before)] = f
	} else {
		b.ofEvent[f.Event] = append(b.ofEvent[f.Event], f)
	}
	b.latest[key] = f
	b.times[key]++
	return true
}

// decided is about findings.
func (b *book) decided(e *annals.Event, n *note) bool {
	for _, version := range n.Of {
		f := b.byID[version]
		if f == nil {
			return false
		}
		f.Updated = e.Time
		switch e.Type {
		case DifferenceSuperseded:
			f.State = Superseded
		case DifferencesApproved:
			f.State, f.Reason, f.Error = Approved, "", ""
		case DifferencesRejected:
			f.State, f.Reason = Rejected, n.Reason
		case DifferenceCorrected:
			f.State, f.Error = Corrected, ""
		case CorrectionFailed:
			f.State, f.Error = Uncorrected, n.Error
			f.failures++
		}
	}
	return len(n.Of) > 0
}
