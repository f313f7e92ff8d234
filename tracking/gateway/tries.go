package gateway

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/eb901187/annals/tracking"
)

const (
	// longestReplay is the longest body that is kept for another try.
	longestReplay = 64 << 10
	// againAfter is how long a try on the same target waits for it.
	againAfter = 50 * time.Millisecond
)

// RoundTrip implements http.RoundTripper for the proxy: it picks the target, and
// another one where that gives no answer and the call may be made again.
func (g *Gateway) RoundTrip(out *http.Request) (*http.Response, error) {
	ctx := out.Context()
	c := callOf(ctx)
	s := c.way.service
	tries := 1
	body, err := replayable(out)
	switch {
	case err != nil:
		return nil, err
	case body != nil:
		tries += s.Retries
	}
	var last *target
	for try := 1; ; try++ {
		t := s.next(last)
		if t == last && !wait(ctx, againAfter) {
			return nil, context.Cause(ctx)
		}
		last = t
		request := out
		if try < tries {
			request = out.WithContext(ctx) // a copy, as the next try needs the URL as it is
		}
		to := *out.URL
		request.URL = &to
		if c.way.toward(&to, t.url); len(body) > 0 {
			request.Body = io.NopCloser(bytes.NewReader(body))
		}
		answer, err := s.transport.RoundTrip(request)
		if err == nil {
			t.answered()
			return g.answered(c, answer), nil
		}
		if errors.Is(err, tracking.ErrFull) || ctx.Err() != nil && context.Cause(ctx) != error(errIdle) || c.broken.Load() != nil {
			return nil, err // none of the target's doing
		}
		g.blame(s, t, err)
		if try == tries || ctx.Err() != nil || isTimeout(err) {
			return nil, err
		}
		s.calls.retried.Inc()
	}
}

// answered is an answer that is watched on its way to the client.
func (g *Gateway) answered(c *call, answer *http.Response) *http.Response {
	s := c.way.service
	s.calls.answered(answer.StatusCode, g.clock().Sub(c.began))
	if _, has := answer.Header["X-Request-Id"]; !has {
		answer.Header["X-Request-Id"] = []string{tracking.RequestID(answer.Request.Context())}
	}
	if answer.StatusCode == http.StatusSwitchingProtocols {
		// Where nobody asked for it, the proxy leaves the connection open.
		body := answer.Body
		context.AfterFunc(answer.Request.Context(), func() { _ = body.Close() })
	} else {
		answer.Body = newAnswerBody(answer.Body, c)
	}
	return answer
}

// blame counts a try that a target failed.
func (g *Gateway) blame(s *service, t *target, err error) {
	if s.failed(t) {
		g.logger.Warn("a target fails and is left alone for a while", "service", s.Name, "target", t.url.String(), "for", restTime, "error", err)
	}
}

// replayable returns the body of a call that may be made again, empty for none;
// nil if the call may not.
func replayable(out *http.Request) ([]byte, error) {
	switch out.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
	default:
		return nil, nil
	}
	if out.Body == nil || out.Body == http.NoBody {
		return []byte{}, nil
	}
	if out.ContentLength < 0 || out.ContentLength > longestReplay || len(out.Trailer) > 0 || out.Header["Expect"] != nil {
		return nil, nil
	}
	return io.ReadAll(out.Body) // to its end, so that nobody waits for more of it
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// wait returns false if ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
