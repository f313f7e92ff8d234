package tracking

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/eb901187/annals"
)

// message is what a trace needs of a request or response event.
type message struct {
	at         time.Time
	position   int64
	response   bool
	callID     string
	parentID   string
	service    string
	source     string
	method     string
	path       string
	status     int
	durationMs float64 // -1 where it is not known, as are the bytes
	err        string
	errorKind  ErrorKind

	requestBytes, responseBytes int64

	counted bool // by a Board
}

// waiting are the requests that have no response yet, in order, by callId or else by
// service.
type waiting map[string][]int

func (w waiting) pop(key string) { w[key] = w[key][1:] }

// pair makes the calls of messages, which are in order of time, in the order in
// which they began. Responses look for their requests after all of these are known:
// with equal times either may stand first.
func pair(messages []message) []Call {
	calls := []Call{}
	byID, byService := waiting{}, waiting{}
	for i := range messages {
		if m := &messages[i]; !m.response {
			at := len(calls)
			calls = append(calls, Call{Service: m.service, Began: m.at, request: i, response: -1, RequestBytes: -1, ResponseBytes: -1})
			calls[at].describe(m)
			if m.callID != "" {
				byID[m.callID] = append(byID[m.callID], at)
			} else {
				byService[m.service] = append(byService[m.service], at)
			}
		}
	}
	for i := range messages {
		m := &messages[i]
		if !m.response {
			continue
		}
		at := -1
		// The clocks of two machines may put an answer before its call; a callId
		// knows better.
		if w := byID[m.callID]; m.callID != "" && len(w) > 0 {
			at = w[0]
			byID.pop(m.callID)
		} else if w := byService[m.service]; m.callID == "" && len(w) > 0 && !calls[w[0]].Began.After(m.at) {
			at = w[0]
			byService.pop(m.service)
		}
		if at < 0 {
			// A response whose request was not recorded still tells how the call went.
			at = len(calls)
			calls = append(calls, Call{Service: m.service, Began: m.at.Add(-milliseconds(m.durationMs)), request: -1, RequestBytes: -1})
		}
		calls[at].answer(m)
		calls[at].response = i
	}
	slices.SortStableFunc(calls, func(a, b Call) int { return a.Began.Compare(b.Began) })
	return calls
}

// describe takes over what m says of the call that is not known yet.
func (c *Call) describe(m *message) {
	c.CallID, c.ParentID = cmp.Or(c.CallID, m.callID), cmp.Or(c.ParentID, m.parentID)
	c.Source, c.Method, c.Path = cmp.Or(c.Source, m.source), cmp.Or(c.Method, m.method), cmp.Or(c.Path, m.path)
	c.RequestBytes = max(c.RequestBytes, m.requestBytes)
}

func (c *Call) answer(m *message) {
	c.describe(m)
	c.Ended, c.Status, c.Error, c.ErrorKind, c.ResponseBytes = m.at, m.status, m.err, m.errorKind, m.responseBytes
	c.Duration = milliseconds(m.durationMs)
	if m.durationMs < 0 {
		c.Duration = max(m.at.Sub(c.Began), 0)
	}
}

func milliseconds(n float64) time.Duration {
	if n < 0 {
		return 0
	}
	return time.Duration(n * float64(time.Millisecond))
}

// parse reads what a trace needs of an event, if it is a request or a response.
// Members of other types count as absent, for a trace must show what it can.
func parse(e *annals.Event) (message, bool) {
	m := message{
		at: e.Time, position: e.Position, response: e.Type == ResponseType, source: e.Source, service: e.Source,
		durationMs: -1, requestBytes: -1, responseBytes: -1,
	}
	if e.Type != RequestType && e.Type != ResponseType {
		return m, false
	}
	if !e.IsJSON() {
		return m, true
	}
	names := map[string]string{}
	for name, raw := range annals.JSONMembers(e.Data) {
		switch name {
		case "Name", "name", "service", "source":
			names[name], _ = annals.JSONString(raw)
		default:
			m.read(name, raw)
		}
	}
	m.service = cmp.Or(names["Name"], names["name"], names["service"], names["source"], e.Source)
	return m, true
}

// read takes in one member of the data.
func (m *message) read(name string, raw []byte) {
	s, isText := annals.JSONString(raw)
	switch name {
	case "callId":
		m.callID = identifier(raw)
	case "parentId":
		m.parentID = identifier(raw)
	case "method":
		m.method = s
	case "path":
		m.path = s
	case "status":
		if !isText {
			s = string(raw)
		}
		m.status, _ = strconv.Atoi(s) // no number is no status
	case "durationMs":
		if n, err := strconv.ParseFloat(string(raw), 64); err == nil && n <= longestCallMs {
			m.durationMs = n
		}
	case "requestBytes":
		m.requestBytes = length(raw)
	case "responseBytes":
		m.responseBytes = length(raw)
	case "error":
		m.err = errorText(raw)
	case "errorKind":
		m.errorKind = ErrorKind(s)
	}
}

// identifier is an id: a string, or the JSON of another value that is not null.
func identifier(raw []byte) string {
	if s, isText := annals.JSONString(raw); isText || string(raw) == "null" {
		return s
	}
	return string(raw)
}

// length is a number of bytes, -1 if raw is none.
func length(raw []byte) int64 {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
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
