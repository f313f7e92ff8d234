package tracking

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/eb901187/annals"
)

// The event types that make the calls of a trace.
const (
	RequestType  = "MICROSERVICE_REQUEST"
	ResponseType = "MICROSERVICE_RESPONSE"
)

// AnswerWithin is how long a call may go without a response before it counts as
// failed.
const AnswerWithin = 30 * time.Second

// noResponse is the error of a call that was not answered in time.
const noResponse = "no response"

// longestCallMs is the longest durationMs that is taken for one: ten years.
// Larger numbers are mistakes, and soon more than a time.Duration holds.
const longestCallMs = 10 * 365 * 24 * 3600 * 1000

// failedStatus is the first HTTP status that says that the service failed; 4xx
// says that the request was wrong.
const failedStatus = 500

// A Trace is the flow of one request.
type Trace struct {
	RequestID string
	// Events are all events of the request, by time and then by position.
	Events []annals.Event
	// Calls are in the order in which they began; Walk has them as a tree.
	Calls []Call
	// Faulty is the service whose call failed first, of those that did not fail
	// because a call within them did; empty if none failed. A call that was canceled
	// counts as failed here if the call that it was made within does: a caller that
	// waits no longer cancels, and fails.
	Faulty string

	faulty int // the index of its call; -1 for none
}

// A Call is one call of a service.
type Call struct {
	// CallID is the call's own id; empty if it has none.
	CallID string
	// ParentID is the id of the call within which this one was made, as its events
	// say; empty if they don't. The trace need not have that call.
	ParentID string
	// Depth is how many calls of the trace this one was made within.
	Depth   int
	Service string
	Source  string // who called, as the events' source says
	Method  string // such as GET; empty where the events don't say
	Path    string // of the URL; empty where the events don't say
	Began   time.Time
	// Ended is when the response came; zero for an open call, and AnswerWithin
	// after Began for one that was given up.
	Ended    time.Time
	Duration time.Duration // as the response says, else between its events
	Status   int           // as the response says; 0 if it does not
	Error    string        // why it failed, as the response says; "no response"
	// ErrorKind is what kind of error it is, such as timeout, as the response says.
	ErrorKind ErrorKind
	// RequestBytes and ResponseBytes are the lengths of the bodies as the events say;
	// -1 where they don't.
	RequestBytes, ResponseBytes int64
	// Request and Response are the call's own of Trace.Events; nil for one that was
	// not recorded.
	Request, Response *annals.Event

	parent            int // the index of the call that it was made within; -1 for none
	request, response int // indexes of its messages; -1 for none
}

// Failed reports whether the call failed. One that its caller gave up did not.
func (c *Call) Failed() bool { return c.Status >= failedStatus || c.Error != "" && !c.Canceled() }

// Canceled reports whether the caller went away before the answer was there.
func (c *Call) Canceled() bool { return c.ErrorKind == KindCanceled }

// Open reports whether the call waits for its response.
func (c *Call) Open() bool { return c.Ended.IsZero() }

// Read makes the trace of the request from the events with its id as
// correlation. now tells calls that wait from calls that were given up. A
// request without events is annals.ErrNotFound.
func Read(ctx context.Context, store *annals.Store, requestID string, now time.Time) (*Trace, error) {
	if requestID == "" {
		return nil, annals.Invalid("requestId", "must not be empty")
	}
	var events []annals.Event
	for e, err := range store.Log(ctx, annals.Query{Correlation: requestID}) {
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	if len(events) == 0 {
		return nil, &annals.Error{
			Code: annals.CodeNotFound, Message: "there are no events of request " + strconv.Quote(requestID),
			Hint: "annals log --json lists events; a request's id is their correlation",
		}
	}
	return New(requestID, events, now), nil
}

// New makes a trace of the events of one request, in any order. A call's parent is
// the call with the id that it names as parentId. Without one it is the call whose
// request event led to this one's, directly or by way of other events of the trace,
// as their causation says. A call without a parent in the trace stands at the top,
// and so does the first call of a ring of parents.
func New(requestID string, events []annals.Event, now time.Time) *Trace {
	t := &Trace{RequestID: requestID, Events: slices.Clone(events)}
	slices.SortStableFunc(t.Events, func(a, b annals.Event) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Position, b.Position))
	})
	var messages []message
	var of []*annals.Event // the event of each message
	for i := range t.Events {
		if m, ok := parse(&t.Events[i]); ok {
			messages, of = append(messages, m), append(of, &t.Events[i])
		}
	}
	t.Calls = pair(messages)
	for i := range t.Calls {
		c := &t.Calls[i]
		if c.request >= 0 {
			c.Request = of[c.request]
		}
		if c.response >= 0 {
			c.Response = of[c.response]
		}
	}
	linkByID(t.Calls)
	t.linkByCause()
	arrange(t.Calls)
	giveUp(t.Calls, now)
	if t.faulty = firstFailure(t.Calls); t.faulty >= 0 {
		t.Faulty = t.Calls[t.faulty].Service
	}
	return t
}

// FaultyCall is the call of the service at fault; nil if no call failed.
func (t *Trace) FaultyCall() *Call {
	if t.Faulty == "" || t.faulty >= len(t.Calls) {
		return nil
	}
	return &t.Calls[t.faulty]
}

// Walk yields the calls as a tree: each before those that were made within it, and
// these in the order in which they began.
func (t *Trace) Walk() iter.Seq[*Call] {
	return func(yield func(*Call) bool) {
		within := make([][]int, len(t.Calls)+1) // the last are those at the top
		for i := range slices.Backward(t.Calls) {
			at := t.Calls[i].parent
			if at < 0 {
				at = len(t.Calls)
			}
			within[at] = append(within[at], i)
		}
		left := within[len(t.Calls)]
		for len(left) > 0 {
			i := left[len(left)-1]
			if !yield(&t.Calls[i]) {
				return
			}
			left = append(left[:len(left)-1], within[i]...)
		}
	}
}

// MarshalJSON writes {"requestId","events","calls","faulty"}: events as
// CloudEvents; of a call "service", "status" and "durationMs" and "error", each
// null where it is not known, and "callId", "parentId", "method", "path" and
// "errorKind", each left out where it is not known; faulty null where no call failed.
func (t *Trace) MarshalJSON() ([]byte, error) {
	type call struct {
		Service    string    `json:"service"`
		Status     *int      `json:"status"`
		DurationMs *float64  `json:"durationMs"`
		Error      *string   `json:"error"`
		CallID     string    `json:"callId,omitempty"`
		ParentID   string    `json:"parentId,omitempty"`
		Method     string    `json:"method,omitempty"`
		Path       string    `json:"path,omitempty"`
		ErrorKind  ErrorKind `json:"errorKind,omitempty"`
	}
	calls := make([]call, len(t.Calls))
	for i := range t.Calls {
		c := &t.Calls[i]
		calls[i] = call{Service: c.Service, CallID: c.CallID, ParentID: c.ParentID, Method: c.Method, Path: c.Path, ErrorKind: c.ErrorKind}
		if c.Status != 0 {
			calls[i].Status = &c.Status
		}
		if !c.Open() {
			ms := float64(c.Duration) / float64(time.Millisecond)
			calls[i].DurationMs = &ms
		}
		if c.Error != "" {
			calls[i].Error = &c.Error
		}
	}
	events := make([]json.RawMessage, len(t.Events))
	for i := range t.Events {
		events[i] = t.Events[i].AppendJSON(nil, false)
	}
	var faulty *string
	if t.Faulty != "" {
		faulty = &t.Faulty
	}
	return json.Marshal(struct {
		RequestID string            `json:"requestId"`
		Events    []json.RawMessage `json:"events"`
		Calls     []call            `json:"calls"`
		Faulty    *string           `json:"faulty"`
	}{t.RequestID, events, calls, faulty})
}
