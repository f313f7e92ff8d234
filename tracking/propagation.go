package tracking

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// A SpanContext says where in a request some code runs: what traceparent,
// tracestate and X-Request-Id carry from one service to the next.
//
// The member "annals" of tracestate holds the CallID, and the RequestID where
// that is not the trace id, so that both come through services that make spans
// of their own.
type SpanContext struct {
	RequestID string // what the request is recorded under
	CallID    string // the recorded call within which the code runs; may be empty
	GivenID   string // X-Request-Id as it came, where that is not RequestID
	TraceID   string // 32 hex digits
	SpanID    string // parent-id: CallID, or a span that others made; may be empty
	Flags     byte   // trace-flags: 1 sampled, 2 random
	State     string // tracestate of others

	marked bool // CallID is from tracestate: its caller records calls
}

const (
	headerParent  = "Traceparent"
	headerState   = "Tracestate"
	headerRequest = "X-Request-Id"

	stateKey     = "annals"
	maxMembers   = 32  // of a tracestate
	maxState     = 256 // bytes of a member's value
	sampled      = byte(trace.FlagsSampled)
	knownFlags   = sampled | 2
	parentLength = 55
)

type contextKey struct{}

// FromContext says where the code with ctx runs: as NewContext was told, else
// as a span of OpenTelemetry says, else nowhere.
func FromContext(ctx context.Context) (SpanContext, bool) {
	if s, ok := ctx.Value(contextKey{}).(*SpanContext); ok {
		return *s, true
	}
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return SpanContext{}, false
	}
	s := SpanContext{TraceID: span.TraceID().String(), SpanID: span.SpanID().String(), Flags: byte(span.TraceFlags()), State: span.TraceState().String()}
	s.settle("", "")
	return s, true
}

// NewContext lets FromContext find s.
func NewContext(ctx context.Context, s SpanContext) context.Context {
	return context.WithValue(ctx, contextKey{}, &s)
}

// RequestID is the id of the request that ctx belongs to; empty for none.
func RequestID(ctx context.Context) string {
	s, _ := FromContext(ctx)
	return s.RequestID
}

// Incoming reads where req, as a server has it, stands, and returns its context
// with that. The request's id is the trace id of a valid traceparent, else
// a usable X-Request-Id, else made new. An X-Request-Id is usable if it has at
// most 200 bytes and passes annals.CheckStream. Nothing is recorded.
func (r *Recorder) Incoming(req *http.Request) context.Context {
	return NewContext(req.Context(), r.read(req.Header))
}

// Outgoing sets traceparent, tracestate and X-Request-Id for a request that
// code with ctx sends by other means than a Transport. Without a request in ctx
// it does nothing. A usable X-Request-Id that stands there stays.
func Outgoing(ctx context.Context, header http.Header) {
	s, ok := FromContext(ctx)
	if !ok {
		return
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() && span.TraceID().String() == s.TraceID {
		s.SpanID = span.SpanID().String() // a span within the call
	} else if s.CallID != "" {
		s.SpanID = s.CallID
	}
	if s.SpanID == "" {
		var r *Recorder
		s.SpanID = r.spanID() // traceparent can't do without
	}
	s.write(header, false)
}

// read never fails: what is missing is made new.
func (r *Recorder) read(header http.Header) SpanContext {
	given := header.Get(headerRequest)
	var s SpanContext
	if parents := header[headerParent]; len(parents) == 1 && s.parse(parents[0]) {
		s.State = strings.Join(header[headerState], ",")
		s.settle(given, "")
		return s
	}
	s = SpanContext{Flags: sampled}
	if validRequestID(given) {
		s.RequestID, s.TraceID = given, traceOf(given)
		return s
	}
	s.TraceID, s.GivenID = r.traceID(), given
	s.RequestID = s.TraceID
	return s
}

// parse reads a traceparent; false if it is not valid.
func (s *SpanContext) parse(text string) bool {
	if len(text) < parentLength || text[2] != '-' || text[35] != '-' || text[52] != '-' ||
		!isHex(text[:2]) || !isHex(text[53:55]) || !isID(text[3:35]) || !isID(text[36:52]) {
		return false
	}
	version := text[:2]
	if version == "ff" || version == "00" && len(text) != parentLength || len(text) > parentLength && text[parentLength] != '-' {
		return false
	}
	flags, _ := hex.DecodeString(text[53:55]) // it was checked
	s.TraceID, s.SpanID, s.Flags = text[3:35], text[36:52], flags[0]&knownFlags
	return true
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isID(s string) bool { return isHex(s) && strings.Trim(s, "0") != "" }

// settle takes our member out of State, and decides on CallID and RequestID:
// that of the member, else the X-Request-Id that the trace id was made of, else
// the trace id.
func (s *SpanContext) settle(given, request string) {
	s.CallID = s.SpanID
	if s.State != "" {
		state, err := trace.ParseTraceState(s.State)
		if err != nil {
			s.State = "" // as W3C asks for; traceparent holds
		} else {
			call, id, _ := strings.Cut(state.Get(stateKey), ":")
			if len(call) == 16 && isID(call) {
				s.CallID, s.marked = call, true
				request = strings.ReplaceAll(id, "!", "=")
			}
			s.State = state.Delete(stateKey).String()
		}
	}
	switch {
	case validRequestID(request):
		s.RequestID = request
	case validRequestID(given) && traceOf(given) == s.TraceID:
		s.RequestID = given
	default:
		s.RequestID = s.TraceID
	}
	if given != s.RequestID {
		s.GivenID = given
	}
}

// write sets the headers; SpanID must be set. With recorded, the request that
// they go with is itself the call CallID.
func (s *SpanContext) write(header http.Header, recorded bool) {
	b := make([]byte, 0, parentLength)
	b = append(append(b, "00-"...), s.TraceID...)
	b = append(append(append(b, '-'), s.SpanID...), '-')
	b = hex.AppendEncode(b, []byte{s.Flags})
	header[headerParent] = []string{string(b)}

	state := s.State
	if s.CallID != "" && (recorded || s.SpanID != s.CallID) { // both alike say that it is recorded
		member := stateKey + "=" + s.CallID
		if s.RequestID != s.TraceID && len(s.CallID)+1+len(s.RequestID) <= maxState {
			member += ":" + strings.ReplaceAll(s.RequestID, "=", "!")
		}
		if strings.Count(state, ",") >= maxMembers-1 {
			state = state[:strings.LastIndexByte(state, ',')]
		}
		if state != "" {
			member += "," + state
		}
		state = member
	}
	if state == "" {
		delete(header, headerState)
	} else {
		header[headerState] = []string{state}
	}
	if !validRequestID(header.Get(headerRequest)) {
		header[headerRequest] = []string{s.RequestID}
	}
}

// traceOf is the trace id of a request that has none of its own: the same for
// the same id wherever it arrives, and the id itself if it has the form.
func traceOf(id string) string {
	if len(id) == 32 && isID(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:16])
}

func (r *Recorder) traceID() string {
	b := make([]byte, 0, 32)
	return string(r.appendID(r.appendID(b)))
}

func (r *Recorder) spanID() string { return string(r.appendID(make([]byte, 0, 16))) }

// appendID appends 16 hex digits that are not all 0.
func (r *Recorder) appendID(b []byte) []byte {
	draw := rand.Uint64
	if r != nil {
		draw = r.opts.Rand
	}
	n := draw()
	for n == 0 {
		n = draw()
	}
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[n>>shift&15])
	}
	return b
}
