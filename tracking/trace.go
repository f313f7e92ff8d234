package tracking

import (
	"cmp"
	"context"
	"encoding/json"
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
	// Calls are in the order in which they began.
	Calls []Call
	// Faulty is the service whose call failed first; empty if none did.
	Faulty string
}

// A Call is one call of a service.
type Call struct {
	Service string
	Began   time.Time
	// Ended is when the response came; zero for an open call, and AnswerWithin
	// after Began for one that was given up.
	Ended    time.Time
	Duration time.Duration // as the response says, else between its events
	Status   int           // as the response says; 0 if it does not
	Error    string        // why it failed, as the response says; "no response"
}

// Failed reports whether the call failed.
func (c *Call) Failed() bool { return c.Status >= failedStatus || c.Error != "" }

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

// New makes a trace of the events of one request, in any order.
func New(requestID string, events []annals.Event, now time.Time) *Trace {
	t := &Trace{RequestID: requestID, Events: slices.Clone(events), Calls: []Call{}}
	slices.SortStableFunc(t.Events, func(a, b annals.Event) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Position, b.Position))
	})
	t.pair()
	var earliest time.Time
	for i := range t.Calls {
		c := &t.Calls[i]
		if c.Open() && !now.Before(c.Began.Add(AnswerWithin)) {
			c.Ended, c.Duration, c.Error = c.Began.Add(AnswerWithin), AnswerWithin, noResponse
		}
		if c.Failed() && (t.Faulty == "" || c.Ended.Before(earliest)) {
			t.Faulty, earliest = c.Service, c.Ended
		}
	}
	return t
}

// message is the data of a request or response event.
type message struct {
	callID     string
	service    string
	status     int
	durationMs float64
	err        string
}

// pair makes the calls. Responses look for their requests after all of these
// are known: with equal times either may stand first.
func (t *Trace) pair() {
	var requests []message
	for i := range t.Events {
		if e := &t.Events[i]; e.Type == RequestType {
			m := parse(e)
			requests = append(requests, m)
			t.Calls = append(t.Calls, Call{Service: m.service, Began: e.Time})
		}
	}
	answered := make([]bool, len(requests))
	for i := range t.Events {
		e := &t.Events[i]
		if e.Type != ResponseType {
			continue
		}
		m := parse(e)
		at := slices.IndexFunc(indexes(len(requests)), func(k int) bool {
			if answered[k] || m.callID != requests[k].callID {
				return false
			}
			// The clocks of two machines may put an answer before its call; a
			// callId knows better.
			return m.callID != "" || m.service == requests[k].service && !t.Calls[k].Began.After(e.Time)
		})
		if at < 0 {
			// A response whose request was not recorded still tells how the call went.
			began := e.Time.Add(-milliseconds(m.durationMs))
			t.Calls = append(t.Calls, Call{Service: m.service, Began: began})
			at = len(t.Calls) - 1
		} else {
			answered[at] = true
		}
		t.Calls[at].answer(m, e.Time)
	}
	slices.SortStableFunc(t.Calls, func(a, b Call) int { return a.Began.Compare(b.Began) })
}

func indexes(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func (c *Call) answer(m message, at time.Time) {
	c.Ended, c.Status, c.Error = at, m.status, m.err
	c.Duration = milliseconds(m.durationMs)
	if m.durationMs < 0 {
		c.Duration = max(at.Sub(c.Began), 0)
	}
}

func milliseconds(n float64) time.Duration {
	if n < 0 {
		return 0
	}
	return time.Duration(n * float64(time.Millisecond))
}

// parse reads what a trace needs of an event; members of other types count as
// absent, for a trace must show what it can.
func parse(e *annals.Event) message {
	m := message{durationMs: -1}
	if !e.IsJSON() {
		m.service = e.Source
		return m
	}
	names := map[string]string{}
	for name, raw := range annals.JSONMembers(e.Data) {
		s, isText := annals.JSONString(raw)
		switch name {
		case "callId":
			if m.callID = s; !isText && string(raw) != "null" {
				m.callID = string(raw)
			}
		case "Name", "name", "service", "source":
			if isText {
				names[name] = s
			}
		case "status":
			if !isText {
				s = string(raw)
			}
			m.status, _ = strconv.Atoi(s) // no number is no status
		case "durationMs":
			if n, err := strconv.ParseFloat(string(raw), 64); err == nil && n <= longestCallMs {
				m.durationMs = n
			}
		case "error":
			m.err = errorText(raw)
		}
	}
	m.service = cmp.Or(names["Name"], names["name"], names["service"], names["source"], e.Source)
	return m
}

// errorText is what an error member says: a string, or any other value that is
// not null, false, or an empty object or array, as its JSON.
func errorText(raw []byte) string {
	if s, ok := annals.JSONString(raw); ok {
		return s
	}
	switch s := string(raw); s {
	case "null", "false", "{}", "[]":
		return ""
	default:
		return s
	}
}

// MarshalJSON writes {"requestId","events","calls","faulty"}: events as
// CloudEvents; of a call "service", "status" and "durationMs" and "error", each
// null where it is not known; faulty null where no call failed.
func (t *Trace) MarshalJSON() ([]byte, error) {
	type call struct {
		Service    string   `json:"service"`
		Status     *int     `json:"status"`
		DurationMs *float64 `json:"durationMs"`
		Error      *string  `json:"error"`
	}
	calls := make([]call, len(t.Calls))
	for i := range t.Calls {
		c := &t.Calls[i]
		calls[i].Service = c.Service
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
