package effect

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/eb901187/annals"
)

const effectsPrefix = annals.OwnPrefix + "effects/"

// HandlerStream is the stream that says since when a handler makes calls.
func HandlerStream(handler string) string { return effectsPrefix + handler }

// JournalStream is the stream that holds the calls which handler has made for e:
// annals.effects/HANDLER/STREAM@VERSION, or a hash in the place of STREAM@VERSION
// where that would be too long. Every event in it names e as its causation.
func JournalStream(handler string, e *annals.Event) string {
	return journalStream(handler, cause(e))
}

func journalStream(handler, event string) string {
	name := HandlerStream(handler) + "/" + event
	if len(name) <= annals.MaxStreamBytes {
		return name
	}
	sum := sha256.Sum256([]byte(event))
	hash := base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])
	return HandlerStream(handler) + "/~" + strings.ToLower(hash)
}

// cause is e as others name it: stream@version.
func cause(e *annals.Event) string { return e.Stream + "@" + strconv.FormatInt(e.Version, 10) }

func source(handler string) string { return "effect/" + handler }

// idempotencyKey is the same for every attempt of a call, in the form of a UUID of
// version 8. A call that is made again after a repair has withdrawn it gets another.
func idempotencyKey(handler string, e *annals.Event, call string, withdrawals int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%q\n%s\n%d", handler, cause(e), e.ID, call, withdrawals))
	id := sum[:16]
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	text := hex.EncodeToString(id)
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

// A record is the data of an event in a journal.
type record struct {
	Call       string    `json:"call"`
	Attempt    int       `json:"attempt,omitempty"`
	Key        string    `json:"key,omitempty"`
	Runner     string    `json:"runner,omitempty"`
	Deadline   time.Time `json:"deadline,omitzero"`
	Request    *Request  `json:"request,omitempty"`
	Response   *Response `json:"response,omitempty"`
	Error      string    `json:"error,omitempty"`
	Decision   Decision  `json:"decision,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Difference string    `json:"difference,omitempty"`
	Withdrawn  bool      `json:"withdrawn,omitempty"`
}

// id is the same whenever the same thing is recorded again, and free for everything
// else.
func (r *record) id(kind string) string {
	id := strings.TrimPrefix(kind, "effect-") + "/" + r.Call + "/" + strconv.Itoa(r.Attempt)
	if r.Difference != "" {
		id += "/" + r.Difference
	}
	return id
}

// errMoved says that a journal has events that were not read. Nothing was
// appended.
var errMoved = errors.New("the journal has moved")

func moved(err error) bool {
	return errors.Is(err, annals.ErrConflict) || errors.Is(err, annals.ErrIDReused)
}

// A journal is what the journal's stream of one event and handler says, as far as
// it was read. It is safe for concurrent use.
type journal struct {
	store       *annals.Store
	stream      string
	handler     string
	event       string
	correlation string
	subject     string           // that the event names, so that its calls die with it
	clock       func() time.Time // nil leaves the time to the store

	mu      sync.Mutex
	version int64
	entries []*Entry        // in the order of the calls
	applied map[string]bool // differences that were corrected
}

func newJournal(g *Gateway, handler string, e *annals.Event) *journal {
	j := journalOf(g.store, handler, cause(e))
	j.correlation, j.subject, j.clock = e.Correlation, e.Subject(), g.opts.Clock
	return j
}

func journalOf(store *annals.Store, handler, event string) *journal {
	return &journal{store: store, stream: journalStream(handler, event), handler: handler, event: event}
}

// load reads what is behind the version that was read last.
func (j *journal) load(ctx context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for e, err := range j.store.Stream(ctx, j.stream, &annals.StreamOptions{From: j.version + 1}) {
		if err != nil {
			return err
		}
		if err := j.apply(&e); err != nil {
			return err
		}
	}
	return nil
}

// append records r at the version that was read last. errMoved says that there is
// more to read.
func (j *journal) append(ctx context.Context, kind string, r record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := annals.Event{
		ID: r.id(kind), Type: kind, Source: source(j.handler),
		Correlation: j.correlation, Causation: j.event, Attributes: about(j.subject), Data: r.encode(),
	}
	if j.clock != nil {
		e.Time = j.clock()
	}
	commit, err := j.store.Append(ctx, j.stream, j.version, e)
	if moved(err) {
		return fmt.Errorf("%w: %w", errMoved, err)
	}
	if err != nil {
		return err
	}
	e.Stream, e.Version = j.stream, commit.Version
	return j.apply(&e)
}

// about are the attributes of what is kept of an event that names subject; nil if it
// names none.
func about(subject string) map[string]string {
	if subject == "" {
		return nil
	}
	return map[string]string{annals.SubjectAttribute: subject}
}

// encode makes the data of an event. An answer that is too large even so, by its
// headers or its escapes, is left out.
func (r *record) encode() []byte {
	data := encode(r)
	if len(data) > annals.MaxDataBytes && r.Response != nil {
		cut := *r.Response
		cut.Headers, cut.Body = nil, Body{Size: cut.Size, Sum: cut.Sum, Truncated: true}
		r.Response = &cut
		data = encode(r)
	}
	return data
}

// encode is JSON without the escapes that only HTML needs.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		// Only values that came out of JSON and plain types get here.
		panic(fmt.Sprintf("effect: a record can't be written: %v", err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func damaged(stream string, version int64, err error) error {
	return &annals.Error{
		Code: annals.CodeDamaged, Err: err,
		Message: fmt.Sprintf("event %s@%d is not what a journal of effects holds", stream, version),
		Hint:    "streams that start with annals. are not for others to append to",
	}
}

func (j *journal) find(call string) *Entry {
	i := slices.IndexFunc(j.entries, func(e *Entry) bool { return e.Call == call })
	if i < 0 {
		return nil
	}
	return j.entries[i]
}

// entry returns a copy of what is known of a call, nil for nothing.
func (j *journal) entry(call string) *Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.find(call)
	if e == nil {
		return nil
	}
	c := *e
	return &c
}

// list returns copies of all entries.
func (j *journal) list() []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := make([]Entry, len(j.entries))
	for i, e := range j.entries {
		list[i] = *e
	}
	return list
}

func (j *journal) apply(event *annals.Event) error {
	j.version = event.Version
	if event.Subject() != "" {
		j.subject = event.Subject()
	}
	if event.Erased() || !slices.Contains(kinds, event.Type) {
		return nil
	}
	var r record
	if err := decode(event.Data, &r); err != nil {
		return damaged(event.Stream, event.Version, err)
	}
	e := j.find(r.Call)
	if e == nil {
		if r.Call == "" || event.Type != EffectIntended && event.Type != EffectCorrected {
			return damaged(event.Stream, event.Version, fmt.Errorf("it is about call %q, which was never intended", r.Call))
		}
		e = &Entry{Handler: j.handler, Event: j.event, Call: r.Call}
		j.entries = append(j.entries, e)
	}
	e.fold(event, &r)
	if r.Difference != "" {
		j.corrected(r.Difference)
	}
	return nil
}

func (j *journal) corrected(difference string) {
	if j.applied == nil {
		j.applied = map[string]bool{}
	}
	j.applied[difference] = true
}

// kinds are the types that make up entries.
var kinds = []string{EffectIntended, EffectAnswered, EffectFailed, EffectUnknown, EffectResolved, EffectCorrected}

// Outcome is what became of the call, in one word: its Status, or that a repair has
// corrected or withdrawn it.
func (e *Entry) Outcome() string {
	switch {
	case e.Withdrawn:
		return "withdrawn"
	case e.Corrected != nil:
		return "corrected"
	}
	return string(e.Status)
}

// fold takes in an event about the call.
func (e *Entry) fold(event *annals.Event, r *record) {
	e.Time = event.Time
	switch event.Type {
	case EffectIntended:
		*e = Entry{
			Handler: e.Handler, Event: e.Event, Call: e.Call, Time: e.Time, withdrawals: e.withdrawals,
			Key: r.Key, Status: Intended, Attempts: r.Attempt, Deadline: r.Deadline, Runner: r.Runner,
		}
		if r.Request != nil {
			e.Request = *r.Request
		}
	case EffectAnswered:
		e.Status, e.Response, e.Error = Answered, r.Response, ""
	case EffectFailed:
		e.Status, e.Error = Failed, r.Error
	case EffectUnknown:
		e.Status, e.Error = Unknown, r.Error
	case EffectResolved:
		e.Status, e.Error = Failed, "resolved: "+string(r.Decision)+", "+r.Reason
		if r.Decision == DecideAnswered {
			e.Status, e.Response, e.Error = Answered, r.Response, ""
		}
	case EffectCorrected:
		e.Status, e.Error, e.Corrected = Answered, "", r.Request
		if e.Withdrawn = r.Withdrawn; r.Withdrawn {
			e.withdrawals++
		}
		if r.Response != nil {
			e.Response = r.Response
		}
	}
	e.version = event.Version
}
