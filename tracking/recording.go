package tracking

import (
	"sync/atomic"
	"time"

	"github.com/eb901187/annals"
)

// responseRoom is held for what a response has and its request has not.
const responseRoom = 1536

// A Recording is one exchange under way, whose request is recorded. Each must
// End, for it holds room in memory.
type Recording struct {
	recorder *Recorder
	exchange Exchange
	room     int64
	ended    atomic.Bool
}

// Begin records the request of x, with a CallID, RequestID and Began of its own
// where x has none, and holds room for the response. Under Refuse, the error is
// ErrFull if there is no room, and annals.ErrClosed after Close. Under Shed there
// is no error: the Recording is nil, and nothing of the exchange is recorded.
func (r *Recorder) Begin(x Exchange) (*Recording, error) {
	if r == nil {
		return nil, nil
	}
	if x.CallID == "" {
		x.CallID = r.spanID()
	}
	if !validRequestID(x.RequestID) {
		if x.RequestID != "" {
			x.GivenID = x.RequestID
		}
		x.RequestID = r.traceID()
	}
	if x.Began.IsZero() {
		x.Began = r.opts.Clock()
	}
	request := [1]annals.Event{x.Request()}
	c := &Recording{recorder: r, exchange: x, room: sizeOf(&request[0]) + responseRoom}
	err := r.take(request[:], c.room, 0)
	switch {
	case err == nil:
		return c, nil
	case r.opts.Full == Refuse:
		return nil, err
	}
	r.mu.Lock()
	r.stats.Shed++ // the response
	r.mu.Unlock()
	return nil, nil
}

// End records the response: the fields of x from Status on, with the time since
// Began if x has no Duration. Only the first End counts. A nil Recording does
// nothing.
func (c *Recording) End(x Exchange) {
	if c == nil || c.ended.Swap(true) {
		return
	}
	e := &c.exchange
	e.Status, e.Error, e.ErrorKind = x.Status, x.Error, x.ErrorKind
	e.RequestBytes, e.ResponseBytes = x.RequestBytes, x.ResponseBytes
	if e.Duration = x.Duration; e.Duration == 0 {
		e.Duration = max(c.recorder.opts.Clock().Sub(e.Began), 0)
	}
	if e.ErrorKind != "" && e.Error == "" {
		e.Error = string(e.ErrorKind)
	}
	response := [1]annals.Event{e.Response()}
	_ = c.recorder.take(response[:], 0, c.room) // fails after Close only, and is counted
}

// clock is the time of r, also of no Recorder.
func (r *Recorder) clock() time.Time {
	if r == nil {
		return time.Now()
	}
	return r.opts.Clock()
}
