package httpapi

import (
	"context"
	"iter"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/eb901187/annals"
)

// An eventWriter writes events as a JSON array, NDJSON or server-sent events.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
	beat    time.Duration
	media   string
	exact   bool
	id      func(*annals.Event) int64 // of a server-sent event
	closed  bool                      // no later event can change what is read

	mu    sync.Mutex
	begun bool
	buf   []byte
}

const flushBytes = 32 << 10

func (s *server) newEventWriter(w http.ResponseWriter, media string, exact bool) *eventWriter {
	return &eventWriter{
		w: w, control: http.NewResponseController(w), timeout: s.opts.WriteTimeout, beat: s.opts.Heartbeat,
		media: media, exact: exact,
	}
}

func (o *eventWriter) isArray() bool { return o.media == mediaJSON || o.media == mediaBatch }

// begin starts a response that is now known to succeed.
func (o *eventWriter) begin() {
	if o.begun {
		return
	}
	o.begun = true
	o.w.Header().Set("Content-Type", o.media)
	if o.closed {
		o.w.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	} else {
		o.w.Header().Set("Cache-Control", "no-cache")
	}
	o.w.WriteHeader(http.StatusOK)
	if o.isArray() {
		o.buf = append(o.buf, '[')
	}
}

func (o *eventWriter) event(e *annals.Event) error {
	first := !o.begun
	o.begin()
	switch {
	case o.media == mediaSSE:
		o.buf = append(o.buf, "id: "...)
		o.buf = strconv.AppendInt(o.buf, o.id(e), 10)
		o.buf = append(o.buf, "\ndata: "...)
	case o.isArray() && !first:
		o.buf = append(o.buf, ",\n"...)
	}
	o.buf = e.AppendJSON(o.buf, o.exact)
	switch {
	case o.media == mediaSSE:
		o.buf = append(o.buf, "\n\n"...)
	case !o.isArray():
		o.buf = append(o.buf, '\n')
	}
	if len(o.buf) >= flushBytes {
		return o.write()
	}
	return nil
}

func (o *eventWriter) write() error {
	// A writer that can't have deadlines, as in a test, has no slow client.
	_ = o.control.SetWriteDeadline(time.Now().Add(o.timeout))
	_, err := o.w.Write(o.buf)
	o.buf = o.buf[:0]
	return err
}

func (o *eventWriter) flush() error {
	if err := o.write(); err != nil {
		return err
	}
	return o.control.Flush()
}

func (o *eventWriter) end() error {
	o.begin()
	if o.isArray() {
		o.buf = append(o.buf, "]\n"...)
	}
	return o.write()
}

// follow writes each event as it comes, and heartbeats between them: a comment
// in server-sent events, an empty line in NDJSON.
func (o *eventWriter) follow(ctx context.Context, events iter.Seq2[annals.Event, error]) error {
	stop, err := o.beating()
	if err != nil {
		return err
	}
	defer stop()
	for e, err := range events {
		if err != nil {
			if ctx.Err() != nil {
				return nil // the client is gone, or the server ends
			}
			return err
		}
		o.mu.Lock()
		err := o.event(&e)
		if err == nil {
			err = o.flush()
		}
		o.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// beating begins a response that shows that it lives, until stop is called.
func (o *eventWriter) beating() (stop func(), err error) {
	o.begin()
	if err := o.flush(); err != nil {
		return nil, err
	}
	done := make(chan struct{})
	var beating sync.WaitGroup
	beating.Go(func() { o.heartbeats(done) })
	return func() {
		close(done)
		beating.Wait()
	}, nil
}

// together writes events and flushes once behind them.
func (o *eventWriter) together(events iter.Seq2[annals.Event, error]) (n int, err error) {
	for e, err := range events {
		if err != nil {
			return n, err
		}
		o.mu.Lock()
		err := o.event(&e)
		o.mu.Unlock()
		if err != nil {
			return n, err
		}
		n++
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if n == 0 {
		return 0, nil
	}
	return n, o.flush()
}

func (o *eventWriter) heartbeats(done <-chan struct{}) {
	ticker := time.NewTicker(o.beat)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
		}
		o.mu.Lock()
		if o.media == mediaSSE {
			o.buf = append(o.buf, ": alive\n"...)
		}
		o.buf = append(o.buf, '\n')
		err := o.flush()
		o.mu.Unlock()
		if err != nil {
			return // the request's context ends with its connection
		}
	}
}
