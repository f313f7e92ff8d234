package effect

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/failsafe-go/failsafe-go/timeout"
)

// An exchange is one attempt of a request, with as many tries as the policies make.
type exchange struct {
	t       *Transport
	request *http.Request // of the caller, who keeps it
	body    []byte
	key     string // Idempotency-Key; empty leaves the header as it is

	mu    sync.Mutex
	tries []*try
	over  bool // the policies have come to an end
}

// A try is one time that a request was handed to Base.
type try struct {
	status   Status
	unsent   bool // certainly
	response *http.Response
	body     []byte // what was read of the response
	whole    bool   // that was all of it
	rest     io.Closer
}

// run sends the request by the policies. Of the answer it reads up to limit bytes, and
// one more to know whether that is all; below 0 it reads nothing.
func (x *exchange) run(ctx context.Context, limit int) (*http.Response, error) {
	r, err := failsafe.With(x.policies()...).WithContext(ctx).GetWithExecution(
		func(e failsafe.Execution[*http.Response]) (*http.Response, error) { return x.try(e.Context(), limit) })
	x.mu.Lock()
	x.over = true
	x.mu.Unlock()
	for _, y := range x.made() {
		if y.rest != nil && y.response != r {
			y.rest.Close()
		}
	}
	if err != nil && r != nil {
		r.Body.Close()
		r = nil
	}
	if r != nil {
		r.Request = x.request
	}
	return r, err
}

// made returns the tries, as far as they have come.
func (x *exchange) made() []try {
	x.mu.Lock()
	defer x.mu.Unlock()
	tries := make([]try, len(x.tries))
	for i, y := range x.tries {
		tries[i] = *y
	}
	return tries
}

// try makes one try, beside others where a policy hedges.
func (x *exchange) try(ctx context.Context, limit int) (*http.Response, error) {
	underWay := &try{status: failedOrUnknown(idempotent(x.request.Method))}
	x.mu.Lock()
	x.tries = append(x.tries, underWay)
	x.mu.Unlock()
	var y try
	r, err := x.send(ctx, limit, &y)
	x.mu.Lock()
	*underWay = y
	late := x.over
	x.mu.Unlock()
	if late && y.rest != nil {
		y.rest.Close()
	}
	return r, err
}

func (x *exchange) send(ctx context.Context, limit int, y *try) (*http.Response, error) {
	// The context of a try ends with its policies; that of an answer whose body goes on
	// ends when the body is closed.
	lasting, cancel := context.WithCancelCause(x.request.Context())
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	defer stop()
	var connected atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	r, err := x.t.base.RoundTrip(x.outgoing(httptrace.WithClientTrace(lasting, trace)))
	if err != nil {
		cancel(nil)
		y.unsent = x.t.reports && !connected.Load() || beforeSending(err)
		y.status = failedOrUnknown(y.unsent || idempotent(x.request.Method))
		if cause := context.Cause(ctx); cause != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = cause
		}
		return nil, err
	}
	y.response, y.rest = r, closing{r.Body, func() { cancel(nil) }}
	y.status = x.t.judge(x.request.Method, r)
	if err := y.read(limit); err != nil {
		y.status = failedOrUnknown(idempotent(x.request.Method))
		return nil, err
	}
	return r, nil
}

// outgoing is a copy of the request to be sent.
func (x *exchange) outgoing(ctx context.Context) *http.Request {
	r := x.request.Clone(ctx)
	r.Body, r.GetBody = http.NoBody, nil
	if len(x.body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(x.body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(x.body)), nil }
	}
	r.ContentLength, r.TransferEncoding = int64(len(x.body)), nil
	if r.Header == nil {
		r.Header = http.Header{}
	}
	if x.key != "" {
		r.Header.Set(keyHeader, x.key)
	}
	if x.t.reports && !idempotent(r.Method) {
		hideKeys(r.Header)
	}
	return r
}

// hideKeys writes the names of idempotency keys in lower case, which is the same to the
// other side. By the names as they are, net/http takes a request for one that it may
// send again by itself when the connection was lost after it was sent.
func hideKeys(h http.Header) {
	for _, name := range []string{keyHeader, "X-Idempotency-Key"} {
		if values := h[name]; values != nil {
			delete(h, name)
			h[strings.ToLower(name)] = values
		}
	}
}

// read takes in the start of the answer's body, and leaves the response with all of it.
func (y *try) read(limit int) error {
	if limit < 0 {
		y.response.Body = readCloser{y.response.Body, y.rest}
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(y.response.Body, int64(limit)+1))
	if err != nil {
		y.rest.Close()
		return err
	}
	y.body, y.whole = body, len(body) <= limit
	if y.whole {
		y.rest.Close()
		y.response.Body = io.NopCloser(bytes.NewReader(body))
		return nil
	}
	y.response.Body = readCloser{io.MultiReader(bytes.NewReader(body), y.response.Body), y.rest}
	return nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// closing is a Closer with something more to do.
type closing struct {
	io.Closer
	then func()
}

func (c closing) Close() error {
	defer c.then()
	return c.Closer.Close()
}

// outcome is what the attempt came to, by all its tries.
func (x *exchange) outcome(r *http.Response, err error, s *sieve, max int) outcome {
	tries := x.made()
	unsure := slices.ContainsFunc(tries, func(y try) bool {
		return y.status == Unknown || err != nil && y.status == Answered
	})
	out := outcome{status: failedOrUnknown(!unsure), err: err}
	if err != nil {
		out.text = s.message(err)
		return out
	}
	i := slices.IndexFunc(tries, func(y try) bool { return y.response == r })
	if i >= 0 && tries[i].status == Answered {
		return outcome{status: Answered, response: s.kept(r, tries[i].body, tries[i].whole, max)}
	}
	out.text = "status " + r.Status
	return out
}

func failedOrUnknown(failed bool) Status {
	if failed {
		return Failed
	}
	return Unknown
}

// idempotent reports whether a method is by RFC 9110, so that another try of it does
// no harm.
func idempotent(method string) bool {
	switch cmp.Or(method, http.MethodGet) {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// resendIdempotent is the default of Options.Unknown.
func resendIdempotent(e *Entry) Policy {
	if e.Request.Method != "" && idempotent(e.Request.Method) {
		return Resend
	}
	return Park
}

// judge says what an answer means for its call.
func (t *Transport) judge(method string, r *http.Response) Status {
	if t.Final != nil {
		if t.Final(r) {
			return Answered
		}
		return Failed
	}
	switch r.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusServiceUnavailable:
		return Failed
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return failedOrUnknown(idempotent(method))
	}
	return Answered
}

// beforeSending reports whether err says by itself that no request was sent.
func beforeSending(err error) bool {
	var (
		op     *net.OpError
		name   *net.DNSError
		cert   *tls.CertificateVerificationError
		header tls.RecordHeaderError
	)
	return errors.Is(err, ErrForbidden) || errors.As(err, &op) && op.Op == "dial" ||
		errors.As(err, &name) || errors.As(err, &cert) || errors.As(err, &header)
}

const (
	maxTries      = 3
	maxRetryAfter = 5 * time.Second
	tryTimeout    = 10 * time.Second
)

// policies are those of the Transport, or the default ones.
func (x *exchange) policies() []failsafe.Policy[*http.Response] {
	if x.t.Policies != nil {
		return x.t.Policies
	}
	retry := retrypolicy.NewBuilder[*http.Response]().
		WithMaxAttempts(maxTries).
		WithBackoff(100*time.Millisecond, 2*time.Second).WithJitterFactor(.25).
		WithDelayFunc(func(e failsafe.ExecutionAttempt[*http.Response]) time.Duration {
			if d, ok := retryAfter(e.LastResult()); ok {
				return d
			}
			return -1
		}).
		HandleIf(func(r *http.Response, err error) bool { return x.again(r, err) }).
		ReturnLastFailure().Build()
	return []failsafe.Policy[*http.Response]{
		retry, x.t.breakers.of(x.request.URL.Host), timeout.New[*http.Response](tryTimeout),
	}
}

// again reports whether another try is safe and may help.
func (x *exchange) again(r *http.Response, err error) bool {
	if errors.Is(err, circuitbreaker.ErrOpen) || errors.Is(err, ErrForbidden) || errors.Is(err, context.Canceled) {
		return false
	}
	tries := x.made()
	if len(tries) == 0 {
		return false
	}
	last := tries[len(tries)-1]
	if last.status != Failed {
		return false
	}
	if r == nil {
		return last.unsent || idempotent(x.request.Method)
	}
	if d, ok := retryAfter(r); ok {
		return d <= maxRetryAfter
	}
	return idempotent(x.request.Method)
}

// retryAfter is what a 429 or 503 asks to wait, in seconds.
func retryAfter(r *http.Response) (time.Duration, bool) {
	if r == nil || r.StatusCode != http.StatusTooManyRequests && r.StatusCode != http.StatusServiceUnavailable {
		return 0, false
	}
	seconds, err := strconv.Atoi(r.Header.Get("Retry-After"))
	if err != nil || seconds < 0 || seconds > 1<<30 {
		return 0, false
	}
	return time.Duration(seconds) * time.Second, true
}

// breakers are the circuit breakers of a Transport, by host.
type breakers struct {
	mu sync.Mutex
	by map[string]circuitbreaker.CircuitBreaker[*http.Response]
}

func (b *breakers) of(host string) circuitbreaker.CircuitBreaker[*http.Response] {
	const maxHosts = 10_000
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.by[host]
	if c == nil {
		if b.by == nil || len(b.by) >= maxHosts {
			b.by = map[string]circuitbreaker.CircuitBreaker[*http.Response]{}
		}
		c = circuitbreaker.NewBuilder[*http.Response]().
			WithFailureRateThreshold(.5, 10, 30*time.Second).WithDelay(5 * time.Second).
			HandleIf(func(r *http.Response, err error) bool {
				return err != nil && !errors.Is(err, context.Canceled) || r != nil && r.StatusCode >= 500
			}).Build()
		b.by[host] = c
	}
	return c
}
