package tracking

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// A Transport records each request that it sends, and passes the request's id
// and the call's on. A call ends when the body of its response was read to its
// end or closed; the switch to another protocol ends it at once. It is safe for
// concurrent use if its Base is.
//
// The call is made within the request that FromContext finds in the context of
// the *http.Request, else within the one that its headers name, else it begins
// a new one. Where OpenTelemetry has a TracerProvider, each call is a span, whose
// id is the call's.
type Transport struct {
	// Base sends; http.DefaultTransport by default.
	Base http.RoundTripper
	// Recorder records; nil passes ids on only.
	Recorder *Recorder
	// Service names who is called; by default the request's host.
	Service func(*http.Request) string
	// Source names who calls, as the source of the events.
	Source string
}

func (t *Transport) base() http.RoundTripper {
	if t.Base == nil {
		return http.DefaultTransport
	}
	return t.Base
}

// CloseIdleConnections closes those of Base.
func (t *Transport) CloseIdleConnections() {
	if base, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

// RoundTrip implements http.RoundTripper. Where the Recorder refuses calls, the
// error matches ErrFull and nothing was sent.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	here, ok := FromContext(ctx)
	if !ok {
		here = t.Recorder.read(req.Header)
	}
	service := hostOf(req)
	if t.Service != nil {
		service = t.Service(req)
	}
	c := &clientCall{recorder: t.Recorder}
	parent := here.CallID
	c.ctx, c.span, here = t.Recorder.startSpan(ctx, here, trace.SpanKindClient, req, service)
	c.began = t.Recorder.clock()
	var err error
	c.recording, err = t.Recorder.Begin(Exchange{
		RequestID: here.RequestID, CallID: here.SpanID, ParentID: parent, GivenID: here.GivenID,
		Service: service, Source: t.Source, Method: req.Method, Host: hostOf(req), Path: req.URL.Path, Began: c.began,
	})
	if err != nil {
		c.finish(err, 0)
		closeBody(req)
		return nil, err
	}
	if c.recording != nil {
		here.CallID = here.SpanID // else the service is told of the call around this one
	}
	return c.send(t.base(), req, &here)
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // as RoundTripper asks for; the error that matters is another
	}
}

// A clientCall is one call of a Transport.
type clientCall struct {
	ctx       context.Context
	recorder  *Recorder
	recording *Recording
	span      trace.Span
	began     time.Time

	ended  atomic.Bool
	status int
	sent   *sentBody // nil for no body
}

func (c *clientCall) send(base http.RoundTripper, req *http.Request, here *SpanContext) (*http.Response, error) {
	// Another request, for a RoundTripper must leave its own as it is.
	out := req.WithContext(c.ctx)
	out.Header = req.Header.Clone()
	if out.Header == nil {
		out.Header = http.Header{}
	}
	here.write(out.Header, c.recording != nil)
	if req.Body != nil && req.Body != http.NoBody {
		c.sent = &sentBody{ReadCloser: req.Body}
		out.Body = c.sent
	}
	resp, err := base.RoundTrip(out)
	if err != nil {
		c.finish(err, 0)
		return resp, err
	}
	c.status = resp.StatusCode
	if resp.StatusCode == http.StatusSwitchingProtocols || resp.Body == nil || resp.Body == http.NoBody {
		c.finish(nil, 0)
		return resp, nil
	}
	body := &receivedBody{ReadCloser: resp.Body, call: c, length: resp.ContentLength}
	if req.Method == http.MethodHead || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified {
		body.length = 0 // that of a body that does not come
	}
	resp.Body = body
	return resp, nil
}

// errLeft is no fault of the service.
var errLeft = fmt.Errorf("the caller closed the body before its end: %w", context.Canceled)

// finish records how the call ended, once.
func (c *clientCall) finish(err error, received int64) {
	if c.ended.Swap(true) {
		return
	}
	x := Exchange{Status: c.status, ResponseBytes: received, Duration: max(c.recorder.clock().Sub(c.began), 1)}
	if c.sent != nil {
		x.RequestBytes = c.sent.n.Load()
	}
	if err != nil {
		x.Error, x.ErrorKind = err.Error(), KindOf(c.ctx, err)
		switch {
		case c.sent != nil && c.sent.broke.Load():
			x.ErrorKind = KindCanceled // it is the caller who did not send what it announced
		case c.status == 0 && x.ErrorKind == KindShortBody && errors.Is(err, io.ErrUnexpectedEOF):
			x.ErrorKind = KindReset // no body had begun
		}
	}
	c.recording.End(x)
	endSpan(c.span, &x, http.StatusBadRequest)
}

// A sentBody counts the bytes of a request. The base may read it after it has
// returned.
type sentBody struct {
	io.ReadCloser
	n     atomic.Int64
	broke atomic.Bool // reading failed
}

func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	if err != nil && err != io.EOF {
		b.broke.Store(true)
	}
	return n, err
}

// A receivedBody ends its call when it ends.
type receivedBody struct {
	io.ReadCloser
	call   *clientCall
	length int64 // announced; -1 for unknown
	n      atomic.Int64
}

func (b *receivedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	switch err {
	case nil:
	case io.EOF:
		b.end(nil)
	default:
		b.end(err)
	}
	return n, err
}

// Close ends the call. A reader may have all that it needs without having seen
// the end; only one that leaves announced bytes, or whose context ended, gave up.
func (b *receivedBody) Close() error {
	err := b.ReadCloser.Close()
	switch gaveUp := b.call.ctx.Err(); {
	case gaveUp != nil:
		b.end(gaveUp)
	case b.n.Load() < b.length:
		b.end(errLeft)
	default:
		b.end(nil)
	}
	return err
}

func (b *receivedBody) end(err error) {
	b.call.finish(err, b.n.Load())
}
