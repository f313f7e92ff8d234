package gateway

import (
	"io"
	"sync/atomic"
	"time"
)

// A requestBody is what a client sends. Neither the client nor the service may
// stand still for longer than the service's idle time: the client's share is a
// deadline of its connection, the service's is what passes between two reads.
type requestBody struct {
	io.ReadCloser
	call  *call
	watch *time.Timer // nil without an idle time
	// closed: what a read says then is no word of the client's.
	closed atomic.Bool
	ended  atomic.Bool // it was read whole
}

func newRequestBody(body io.ReadCloser, c *call) *requestBody {
	b := &requestBody{ReadCloser: body, call: c}
	if idle := c.way.service.Idle; idle > 0 {
		b.watch = time.AfterFunc(idle, func() { c.cancel(errIdle) })
	}
	return b
}

// A clientError is that a client did not send its body.
type clientError struct{ error }

func (e *clientError) Unwrap() error { return e.error }

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	idle := b.call.way.service.Idle
	if idle > 0 {
		b.watch.Stop()
		// A connection without deadlines is not watched.
		_ = b.call.client.SetReadDeadline(time.Now().Add(idle))
	}
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == io.EOF:
		b.ended.Store(true)
		_ = b.call.client.SetReadDeadline(time.Time{})
	case err != nil:
		if b.closed.Load() {
			break
		}
		b.call.broken.CompareAndSwap(nil, &clientError{err})
	case idle > 0:
		b.watch.Reset(idle)
	}
	return n, err
}

// Close implements io.Closer.
func (b *requestBody) Close() error {
	b.closed.Store(true)
	if b.watch != nil {
		b.watch.Stop()
	}
	return b.ReadCloser.Close()
}

// An answerBody is what a service sends, watched in the same way with the roles
// changed: the service's share is the read, the client's the write that follows.
type answerBody struct {
	io.ReadCloser
	call  *call
	watch *time.Timer
}

func newAnswerBody(body io.ReadCloser, c *call) io.ReadCloser {
	idle := c.way.service.Idle
	if idle == 0 {
		return body
	}
	_ = c.client.SetWriteDeadline(time.Now().Add(idle))
	return &answerBody{ReadCloser: body, call: c}
}

// Read implements io.Reader.
func (b *answerBody) Read(p []byte) (int, error) {
	idle := b.call.way.service.Idle
	if b.watch == nil {
		b.watch = time.AfterFunc(idle, func() { b.call.cancel(errIdle) })
	} else {
		b.watch.Reset(idle)
	}
	n, err := b.ReadCloser.Read(p)
	b.watch.Stop()
	_ = b.call.client.SetWriteDeadline(time.Now().Add(idle))
	return n, err
}
