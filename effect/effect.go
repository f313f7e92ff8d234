package effect

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/eb901187/annals"
)

// A Mode says what becomes of a handler's outside calls.
type Mode int

const (
	// Live sends a call once and journals it; one that the journal has is answered
	// from there.
	Live Mode = iota
	// Replay answers from the journal and sends nothing. A call that the journal
	// has not got is suppressed: what makes it did not exist when the event was
	// handled.
	Replay
	// Repair is Replay that also collects each call that is not what the journal
	// has: see Handling.Differs.
	Repair
)

// A Handling is one handler's work on one event.
type Handling struct {
	// Handler is the handler's name, the same for all generations of a projection.
	Handler string
	// Event is the event at hand.
	Event *annals.Event
	Mode  Mode
	// Reached, in Replay, is the position that the handler which makes the live
	// calls has reached. A call for an event behind it, in the log, is not
	// suppressed but waited for: Handle returns a consumer.Blameless error. Nil
	// means that there is nothing to wait for.
	Reached func(ctx context.Context) (int64, error)
	// Strict, in Replay, makes a call that asks otherwise than the journal has it a
	// consumer.Permanent error, as in Live. Without it such a call is suppressed.
	Strict bool
	// Differs, in Repair, is told of each difference, in the order of the calls,
	// once the handler has returned without an error.
	Differs func(ctx context.Context, d Difference) error
	// Send, in Repair, reports whether a call without an answer in the journal is
	// sent nevertheless, as in Live, because this very request was approved. now
	// is the request as the journal would keep it. Nil sends nothing.
	Send func(call string, now *Request) bool
	// Prefix, in Live, starts the names of all calls, so that those of a
	// correction are not those of the handler. It ends in a slash.
	Prefix string
}

// A Request is an outside call as the journal keeps it: bounded and without
// secrets. Of an HTTP request Method and URL are set, of a call by Do Data.
type Request struct {
	Method  string      `json:"method,omitempty"`
	URL     string      `json:"url,omitempty"`
	Headers http.Header `json:"headers,omitempty"`
	Body
}

// A Response is an answer as the journal keeps it.
type Response struct {
	Status  int         `json:"status,omitempty"` // of HTTP
	Headers http.Header `json:"headers,omitempty"`
	Body
	// Error is what a call by Do returned for good, see Final.
	Error string `json:"error,omitempty"`
}

// A Body is what a request or a response carries: one of Data, Text and Bytes,
// or none.
type Body struct {
	Data      any    `json:"data,omitempty"` // JSON, numbers as json.Number
	Text      string `json:"text,omitempty"` // other UTF-8
	Bytes     []byte `json:"bytes,omitempty"`
	Size      int64  `json:"size,omitempty"`   // in bytes, of the whole
	Sum       string `json:"sha256,omitempty"` // of the whole, where Truncated
	Truncated bool   `json:"truncated,omitempty"`
}

// An Entry is what the journal says of one call.
type Entry struct {
	Handler  string    `json:"handler"`
	Event    string    `json:"event"` // stream@version of the event at hand
	Call     string    `json:"call"`  // "0", "1", … in order, or "name", "name#1", …; see Named
	Key      string    `json:"key"`   // the Idempotency-Key, the same for every attempt
	Status   Status    `json:"status"`
	Attempts int       `json:"attempts"`
	Request  Request   `json:"request"` // of the last attempt
	Response *Response `json:"response,omitempty"`
	Error    string    `json:"error,omitempty"` // of the last attempt, where it failed or is unknown
	Time     time.Time `json:"time"`            // of what was journaled last
	Deadline time.Time `json:"deadline"`        // when the attempt that is under way is given up
	Runner   string    `json:"runner"`          // the process that made the last attempt
	// Corrected is the request that a repair has put in the place of Request, with
	// Response as what it is answered by; with Withdrawn the call is not made any
	// more.
	Corrected *Request `json:"corrected,omitempty"`
	Withdrawn bool     `json:"withdrawn,omitempty"`

	withdrawals int   // how often a repair has withdrawn the call
	version     int64 // of the journal's last event about the call
}

// A Status is what became of a call.
type Status string

const (
	Intended Status = "intended" // under way, or its process died
	Answered Status = "answered" // for good
	Failed   Status = "failed"   // it had no effect and may be made again
	Unknown  Status = "unknown"  // it may have had its effect
)

// A Difference is an outside call of the past that the handler's code of today
// would not make, or would make otherwise.
type Difference struct {
	Handler  string   `json:"handler"`
	Event    string   `json:"event"` // stream@version
	Position int64    `json:"position,string"`
	Call     string   `json:"call"`
	Was      *Entry   `json:"was"` // nil: no such call was made then
	Now      *Request `json:"now"` // nil: no such call would be made now
	// Append says that the call is an append of a reaction, with the events as
	// CloudEvents in the Data of its requests; see package reaction.
	Append string `json:"append,omitempty"` // the stream
}

// A Policy says what to do about a call whose outcome is unknown.
type Policy int

const (
	// Park ends the handling with a consumer.Permanent *UnknownError: the event is
	// parked until Resolve says what became of the call.
	Park Policy = iota
	// Resend makes the call again with the same Idempotency-Key.
	Resend
)

// An Ask finds out what became of a call, by a query of its own. A nil Response
// says that the call had no effect, so that it is made again; an error, that it
// can't be found out now. Its own HTTP requests through a Transport are not
// journaled.
type Ask func(ctx context.Context, e *Entry) (*Response, error)

// Options changes how a Gateway works; nil means the defaults.
type Options struct {
	// Timeout is how long one attempt of a call may take, its retries by the
	// Transport included, before another process calls its outcome unknown; 30 s
	// by default.
	Timeout time.Duration
	// MaxBody is how many bytes of a body the journal keeps; 256 KiB by default, at
	// most 700 KiB. A larger answer can't be given again.
	MaxBody int
	// Redact adds to what the journal leaves out; see Redaction.
	Redact Redaction
	// Unknown is the policy for calls whose outcome is unknown. By default HTTP
	// methods that are idempotent by RFC 9110 are sent again and all else is parked.
	Unknown func(e *Entry) Policy
	// Ask, by the handler's name, is asked before the policy.
	Ask map[string]Ask
	// Corrections, by the handler's name, put right what a repair has found and
	// somebody has approved; see Correction. Without one, calls that were missing
	// are made by the handler's own code, and other differences stay as they are.
	Corrections map[string]Correction
	// SendFromFork lets a store that was made by a fork send calls; by default it
	// suppresses them, because a test environment must not reach the outside.
	SendFromFork bool
	// ID names this process in the journal, and must be another one for each process
	// and Gateway that run at the same time; random by default.
	ID string
	// Clock measures deadlines; time.Now by default. Handlers never see it.
	Clock func() time.Time
	// Logger is told what was suppressed and what is unknown; slog.Default by
	// default.
	Logger *slog.Logger
	// At, in tests, is called at each Step; an error stops the call there as a
	// crash would.
	At func(Step) error
}

// A Step is a point between two actions of a call, for tests that crash it there.
type Step string

const (
	StepLoaded   Step = "loaded"   // the journal was read
	StepIntended Step = "intended" // the intent was journaled
	StepSent     Step = "sent"     // the other side has answered
	StepAnswered Step = "answered" // the result was journaled
	StepMarked   Step = "marked"   // an unknown outcome was journaled
)

// Steps lists every Step.
func Steps() []Step { return []Step{StepLoaded, StepIntended, StepSent, StepAnswered, StepMarked} }

// The types of the events in a journal. See JournalStream.
const (
	EffectIntended  = "effect-intended"
	EffectAnswered  = "effect-answered"
	EffectFailed    = "effect-failed"
	EffectUnknown   = "effect-unknown"
	EffectResolved  = "effect-resolved"  // an operator's decision
	EffectCorrected = "effect-corrected" // by a repair
	// EffectsBegan, in HandlerStream, says behind which position a handler's calls
	// are live.
	EffectsBegan = "effects-began"
)

// ForkStream exists in stores that were made by a fork; its first event is the
// fork's manifest. A Gateway over such a store suppresses what it would send.
const ForkStream = annals.OwnPrefix + "fork"

var (
	// ErrSuppressed: a call was not sent, because it belongs to a replay. A handler
	// that returns it has handled its event, without the call: Handle then
	// returns nil, and what the handler did before stands.
	ErrSuppressed error = suppressed{}
	// ErrNoHandling: a context knows of no event at hand, so that the call could
	// not be journaled. Nothing was sent.
	ErrNoHandling = errors.New("effect: an outside call needs the context that its handler was given")
	// ErrForbidden: the address that a call would reach is refused; see Addresses.
	ErrForbidden = errors.New("this address is not allowed")
)

type suppressed struct{}

func (suppressed) Error() string { return "the outside call is suppressed, as this is a replay" }

// CanceledError keeps the AWS SDK from trying again.
func (suppressed) CanceledError() bool { return true }

// An UnknownError says that a call may have had its effect, and that its policy is
// to wait for Resolve.
type UnknownError struct {
	Entry Entry
}
