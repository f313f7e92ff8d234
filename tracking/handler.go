package tracking

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/felixge/httpsnoop"
	"go.opentelemetry.io/otel/trace"
)

// HandlerOptions changes how Handler works; nil and zero fields mean the
// defaults.
type HandlerOptions struct {
	// Source names the callers, which a service does not know; "client" by default.
	Source string
	// Public is for a service that anybody can call: its calls are recorded though
	// a caller claims to have done so.
	Public bool
}

// Handler records each request to service that next answers, unless its caller
// has recorded it, and lets FromContext and a Transport find the request. A nil
// recorder only does the latter. Where the recorder refuses calls, the answer is
// 503. Where OpenTelemetry has a TracerProvider, each request is a span.
//
// The http.ResponseWriter that next gets can do what that of the server can:
// flush, hijack, read from.
func Handler(next http.Handler, service string, recorder *Recorder, opts *HandlerOptions) http.Handler {
	h := &handler{next: next, service: service, recorder: recorder}
	if opts != nil {
		h.opts = *opts
	}
	if h.opts.Source == "" {
		h.opts.Source = "client"
	}
	return h
}

type handler struct {
	next     http.Handler
	service  string
	recorder *Recorder
	opts     HandlerOptions
}

func (h *handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	here := h.recorder.read(req.Header)
	recorded := here.marked && here.CallID == here.SpanID && !h.opts.Public
	parent := here.CallID
	ctx, span, here := h.recorder.startSpan(req.Context(), here, trace.SpanKindServer, req, h.service)
	s := &serverCall{req: req, span: span, began: h.recorder.clock(), recorder: h.recorder}
	if !recorded {
		var err error
		s.recording, err = h.recorder.Begin(Exchange{
			RequestID: here.RequestID, CallID: here.SpanID, ParentID: parent, GivenID: here.GivenID,
			Service: h.service, Source: h.opts.Source, Method: req.Method, Host: req.Host, Path: req.URL.Path, Began: s.began,
		})
		if err != nil {
			http.Error(w, "this call can't be recorded, and is not answered unrecorded: try again later", http.StatusServiceUnavailable)
			s.status.Store(http.StatusServiceUnavailable)
			s.finish(nil)
			return
		}
	}
	if s.recording != nil {
		here.CallID = here.SpanID // else that of the caller is this very call, or the one around it
	}
	s.serve(h.next, w, req.WithContext(NewContext(ctx, here)))
}

// A serverCall is one request that a handler answers.
type serverCall struct {
	req       *http.Request
	recorder  *Recorder
	recording *Recording
	span      trace.Span
	began     time.Time

	ended    atomic.Bool
	status   atomic.Int64
	written  atomic.Int64
	received sentBody
	failed   error // of the first write that failed
}

func (s *serverCall) serve(next http.Handler, w http.ResponseWriter, req *http.Request) {
	if req.Body != nil && req.Body != http.NoBody {
		s.received.ReadCloser = req.Body
		req.Body = &s.received
	}
	defer func() {
		panicked := recover()
		switch {
		case panicked == nil:
			s.finish(s.outcome(w.Header()))
			return
		case panicked == http.ErrAbortHandler:
			s.finish(errors.Join(http.ErrAbortHandler, context.Cause(s.req.Context())))
		default:
			s.status.CompareAndSwap(0, http.StatusInternalServerError)
			s.finish(fmt.Errorf("the handler panicked: %v", panicked))
		}
		panic(panicked)
	}()
	next.ServeHTTP(httpsnoop.Wrap(w, s.hooks()), req)
}

func (s *serverCall) hooks() httpsnoop.Hooks {
	return httpsnoop.Hooks{
		WriteHeader: func(next httpsnoop.WriteHeaderFunc) httpsnoop.WriteHeaderFunc {
			return func(code int) {
				if code >= http.StatusOK || code == http.StatusSwitchingProtocols { // others are informational
					s.status.CompareAndSwap(0, int64(code))
				}
				next(code)
			}
		},
		Write: func(next httpsnoop.WriteFunc) httpsnoop.WriteFunc {
			return func(b []byte) (int, error) {
				n, err := next(b)
				s.wrote(int64(n), err)
				return n, err
			}
		},
		WriteString: func(next httpsnoop.WriteStringFunc) httpsnoop.WriteStringFunc {
			return func(text string) (int, error) {
				n, err := next(text)
				s.wrote(int64(n), err)
				return n, err
			}
		},
		ReadFrom: func(next httpsnoop.ReadFromFunc) httpsnoop.ReadFromFunc {
			return func(src io.Reader) (int64, error) {
				n, err := next(src)
				s.wrote(n, err)
				return n, err
			}
		},
		Hijack: func(next httpsnoop.HijackFunc) httpsnoop.HijackFunc {
			return func() (net.Conn, *bufio.ReadWriter, error) {
				conn, rw, err := next()
				if err == nil { // what follows is another protocol
					s.status.CompareAndSwap(0, http.StatusSwitchingProtocols)
					s.finish(nil)
				}
				return conn, rw, err
			}
		},
	}
}

func (s *serverCall) wrote(n int64, err error) {
	s.status.CompareAndSwap(0, http.StatusOK)
	if s.req.Method != http.MethodHead { // whose bodies go nowhere
		s.written.Add(n)
	}
	// The answer is whole without a body that it may not have.
	if err != nil && s.failed == nil && !errors.Is(err, http.ErrBodyNotAllowed) {
		s.failed = err
	}
}

// outcome is what went wrong with a response that its handler has ended.
func (s *serverCall) outcome(header http.Header) error {
	switch announced, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64); {
	case s.failed != nil && s.req.Context().Err() != nil:
		return fmt.Errorf("%w: %w", context.Cause(s.req.Context()), s.failed)
	case s.failed != nil:
		return s.failed
	case s.req.Context().Err() != nil:
		return context.Cause(s.req.Context())
	case err == nil && s.written.Load() < announced && s.req.Method != http.MethodHead && s.status.Load() != http.StatusNotModified && !s.ended.Load():
		return fmt.Errorf("%d of %d bytes were written: %w", s.written.Load(), announced, io.ErrUnexpectedEOF)
	}
	return nil
}

func (s *serverCall) finish(err error) {
	if s.ended.Swap(true) {
		return
	}
	s.status.CompareAndSwap(0, http.StatusOK)
	x := Exchange{
		Status: int(s.status.Load()), RequestBytes: s.received.n.Load(), ResponseBytes: s.written.Load(),
		Duration: max(s.recorder.clock().Sub(s.began), 1),
	}
	if err != nil {
		x.Error, x.ErrorKind = err.Error(), KindOf(s.req.Context(), err)
	}
	s.recording.End(x)
	endSpan(s.span, &x, failedStatus)
}
