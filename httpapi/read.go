package httpapi

import (
	"context"
	"iter"
	"math"
	"net/http"

	"github.com/eb901187/annals"
)

func (s *server) readStream(w http.ResponseWriter, r *request) error {
	a := args{r: r}
	opts := annals.StreamOptions{
		From: a.number("from"), To: a.number("to"), Backward: a.flag("backward"), Limit: a.small("limit", math.MaxInt),
	}
	exact := a.flag("exact")
	if last, ok := a.resume(); ok {
		if opts.Backward {
			a.bad("Last-Event-ID", "can't resume a read from the end")
		}
		opts.From = max(opts.From, min(last, math.MaxInt64-1)+1)
	}
	if err := a.err(); err != nil {
		return err
	}
	media, err := accepted(r.Header, eventMedia)
	if err != nil {
		return err
	}
	version, err := s.version(r.Context(), r.vars[0])
	if err != nil {
		return err
	}
	tag := `"` + number(version) + `"`
	w.Header().Set("ETag", tag)
	// The version says nothing about an erasure.
	if r.Header.Get("If-None-Match") == tag && !s.erasable() {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	out := s.newEventWriter(w, media, exact)
	out.id = func(e *annals.Event) int64 { return e.Version }
	out.closed = 0 < opts.To && opts.To <= version
	if err := out.all(s.store.Stream(r.Context(), r.vars[0], &opts)); err != nil {
		return err
	}
	return out.end()
}

// version returns the version of a stream that exists.
func (s *server) version(ctx context.Context, stream string) (int64, error) {
	for e, err := range s.store.Stream(ctx, stream, &annals.StreamOptions{Backward: true, Limit: 1}) {
		return e.Version, err
	}
	return 0, noStream(stream)
}

func (s *server) readLog(w http.ResponseWriter, r *request) error {
	a := args{r: r}
	q := annals.Query{
		Types: a.list("types"), Sources: a.list("sources"), Correlation: a.text("correlation"), Prefix: a.text("prefix"),
		Since: a.time("since"), Before: a.time("before"), After: a.number("after"), Until: a.number("until"),
		Backward: a.flag("backward"), Limit: a.small("limit", math.MaxInt),
	}
	exact, follow := a.flag("exact"), a.flag("follow")
	if last, ok := a.resume(); ok {
		if q.Backward {
			a.bad("Last-Event-ID", "can't resume a read from the end")
		}
		q.After = max(q.After, last)
	}
	if follow && q.Backward {
		a.bad("follow", "can't go backward")
	}
	if err := a.err(); err != nil {
		return err
	}
	offered := eventMedia
	if follow {
		offered = []string{mediaNDJSON, mediaSSE}
	}
	media, err := accepted(r.Header, offered)
	if err != nil {
		return err
	}
	out := s.newEventWriter(w, media, exact)
	out.id = func(e *annals.Event) int64 { return e.Position }
	if follow {
		if r.Method == http.MethodHead {
			out.begin() // which is all of the answer; what follows would never end
			return out.flush()
		}
		ctx, cancel := s.untilEnding(r)
		defer cancel()
		if s.opts.LongPoll > 0 {
			return s.poll(ctx, out, q)
		}
		if err := s.followLog(ctx, out, q); err != nil {
			return err
		}
		select {
		case <-s.opts.Ending:
			panic(http.ErrAbortHandler) // cut off, so that it does not pass for the end of the events
		default:
			return nil
		}
	}
	end, err := s.store.End(r.Context())
	if err != nil {
		return err
	}
	out.closed = 0 < q.Until && q.Until <= end
	if err := out.all(s.store.Log(r.Context(), q)); err != nil {
		return err
	}
	return out.end()
}

// What one poll of a follower brings at most: an answer of AWS Lambda holds 6 MB, in
// JSON, which escapes the quotes of events.
const (
	pollLimit = 1000
	pollBytes = 1 << 20 // that are passed once at most
)

// poll answers a follower as a whole: it waits for the first event and adds those
// that the log holds behind it by then.
func (s *server) poll(ctx context.Context, out *eventWriter, q annals.Query) error {
	out.begin()
	for e, err := range s.store.Follow(ctx, q) {
		if err == nil {
			err = out.event(&e)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		more := pollLimit - 1
		if q.Limit > 0 {
			more = min(more, q.Limit-1)
		}
		if q.After, q.Limit = e.Position, more; err == nil && more > 0 {
			if err := out.some(s.store.Log(ctx, q), pollBytes-len(e.Data)); err != nil && ctx.Err() == nil {
				return err
			}
		}
		break
	}
	return out.end()
}

// all writes events until they end or fail.
func (o *eventWriter) all(events iter.Seq2[annals.Event, error]) error {
	return o.some(events, math.MaxInt)
}

// some is all until the events' data has passed so many bytes.
func (o *eventWriter) some(events iter.Seq2[annals.Event, error], bytes int) error {
	for e, err := range events {
		if err == nil && bytes <= 0 {
			return nil
		}
		if err == nil {
			err = o.event(&e)
		}
		if err != nil {
			return err
		}
		bytes -= len(e.Data)
	}
	return nil
}
