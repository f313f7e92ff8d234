package tracking

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/eb901187/annals"
)

// StreamPrefix starts the name of the stream of a recorded request: what a
// caller sends as X-Request-Id can't name, and so not write to, a stream that
// holds something else. The correlation is the request's id alone.
const StreamPrefix = "request/"

// An ErrorKind says how a call failed where no status says it.
type ErrorKind string

// The kinds of errors.
const (
	KindTimeout   ErrorKind = "timeout"    // a deadline passed, of the connection or of the call
	KindRefused   ErrorKind = "refused"    // nothing listens there
	KindReset     ErrorKind = "reset"      // the connection ended before the answer did
	KindCanceled  ErrorKind = "canceled"   // the caller went away: no fault of the service
	KindDNS       ErrorKind = "dns"        // the name has no address
	KindTLS       ErrorKind = "tls"        // no secure connection, as for an expired certificate
	KindShortBody ErrorKind = "short_body" // a body ended before its announced length
	KindOther     ErrorKind = "other"
)

// An Exchange is one HTTP request to a service and its response, as they are
// recorded. The first block is known when the call begins.
type Exchange struct {
	RequestID string // the request that the call belongs to
	CallID    string // of this call: 16 hex digits, the span id of its traceparent
	ParentID  string // CallID of the call within which this one is made; may be empty
	GivenID   string // X-Request-Id as it came, where that is not RequestID
	Service   string // who is called
	Source    string // who calls
	Method    string
	Host      string
	Path      string // without its query, which may hold secrets
	Began     time.Time

	Status        int           // HTTP status; 0 if there was no answer
	Duration      time.Duration // until the last byte of the response's body
	RequestBytes  int64         // of the body that was sent
	ResponseBytes int64         // of the body that came
	Error         string        // empty where the exchange itself went well, whatever its status
	ErrorKind     ErrorKind     // empty without Error
}

// What is recorded at most, in bytes; longer texts are cut and end in cutMark.
const (
	maxService = 256
	maxMethod  = 64
	maxHost    = 256
	maxPath    = 1024
	maxError   = 512
	maxGiven   = 256
	cutMark    = "…"
)

// Request is the event of type RequestType for x: of the stream StreamPrefix +
// RequestID, with the id CallID-request. It is the same for the same x, so
// that appending it again is harmless.
func (x *Exchange) Request() annals.Event {
	e := x.event(RequestType, "-request", x.Began)
	e.Data = append(x.appendStart(e.Data), '}')
	return e
}

// Response is the event of type ResponseType for x, with the id CallID-response
// and the time at which the exchange ended.
func (x *Exchange) Response() annals.Event {
	e := x.event(ResponseType, "-response", x.Began.Add(x.Duration))
	b := x.appendStart(e.Data)
	if x.Status != 0 {
		b = strconv.AppendInt(append(b, `,"status":`...), int64(x.Status), 10)
	}
	b = append(b, `,"durationMs":`...)
	b = strconv.AppendFloat(b, float64(x.Duration.Round(time.Microsecond))/float64(time.Millisecond), 'f', -1, 64)
	b = strconv.AppendInt(append(b, `,"requestBytes":`...), x.RequestBytes, 10)
	b = strconv.AppendInt(append(b, `,"responseBytes":`...), x.ResponseBytes, 10)
	b = appendText(b, `,"error":`, cut(x.Error, maxError))
	b = appendText(b, `,"errorKind":`, string(x.ErrorKind))
	e.Data = append(b, '}')
	return e
}

func (x *Exchange) event(typ, suffix string, at time.Time) annals.Event {
	return annals.Event{
		ID: x.CallID + suffix, Type: typ, Source: source(x.Source), Time: at.Round(0).UTC(),
		Stream: StreamPrefix + x.RequestID, Correlation: x.RequestID,
		ContentType: annals.JSONContentType, Data: make([]byte, 0, 384),
	}
}

func (x *Exchange) appendStart(b []byte) []byte {
	b = annals.AppendJSONString(append(b, `{"Name":`...), cut(x.Service, maxService))
	b = appendText(b, `,"callId":`, x.CallID)
	b = appendText(b, `,"parentId":`, x.ParentID)
	b = appendText(b, `,"givenRequestId":`, cut(x.GivenID, maxGiven))
	b = appendText(b, `,"method":`, cut(x.Method, maxMethod))
	b = appendText(b, `,"host":`, cut(x.Host, maxHost))
	return appendText(b, `,"path":`, cut(x.Path, maxPath))
}

// appendText leaves out what is empty.
func appendText(b []byte, member, text string) []byte {
	if text == "" {
		return b
	}
	return annals.AppendJSONString(append(b, member...), text)
}

func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	s = s[:limit-len(cutMark)]
	for !utf8.ValidString(s[max(0, len(s)-utf8.UTFMax):]) && len(s) > limit-2*utf8.UTFMax {
		s = s[:len(s)-1]
	}
	return s + cutMark
}

// source makes a text fit for the source of an event.
func source(s string) string {
	plain := true
	for i := range len(s) {
		plain = plain && s[i] > ' ' && s[i] < 0x7f && s[i] != ','
	}
	if !plain {
		s = strings.Map(func(r rune) rune {
			if r == utf8.RuneError || r == ',' || !strconv.IsPrint(r) {
				return '_'
			}
			return r
		}, s)
		s = strings.TrimSpace(s)
	}
	if s == "" {
		return "unknown"
	}
	return cut(s, annals.MaxSourceBytes)
}

// validRequestID reports whether id can name a request: what follows
// StreamPrefix in a stream's name, and not what the system itself may write.
func validRequestID(id string) bool {
	if len(id) == 32 && isID(id) {
		return true
	}
	return id != "" && len(id) <= maxRequestID && !strings.HasPrefix(id, annals.OwnPrefix) && annals.CheckStream(id) == nil
}

// maxRequestID leaves room for StreamPrefix, and for what tracestate holds of it.
const maxRequestID = 200
