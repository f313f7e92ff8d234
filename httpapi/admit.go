package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
)

// AdmissionLimits say how much a server does at a time. What is 0 or less is not
// limited, but for Waiting and Wait, with which nobody waits.
type AdmissionLimits struct {
	// Requests is how many are at work. Those of GroupProcess, such as health and
	// metrics, are let in besides.
	Requests int
	// Waiting is how many wait for one of those places, first come first served, and
	// Wait for how long at most.
	Waiting int
	Wait    time.Duration
	// Followers is how many have no end of their own: they follow the log or a
	// playback, wait for a position, or erase. They don't count as Requests.
	Followers int
}

// DefaultLimits are those of annals serve.
var DefaultLimits = AdmissionLimits{Requests: 64, Waiting: 512, Wait: 500 * time.Millisecond, Followers: 2000}

// Admission refuses what is more than a server can do, before its body is read, with
// annals.CodeOverloaded and a Retry-After. A request whose client keeps it waiting, for
// its body or to take its answer, gives its place away after a second, and takes it back
// behind that, so that slow clients hold none. It is safe for concurrent use, and a
// collector of metrics.
type Admission struct {
	limits AdmissionLimits

	mu        sync.Mutex
	working   int
	followers int
	queue     []chan struct{} // who waits, first come first; closed when the place is given

	shed    *prometheus.CounterVec
	metrics []prometheus.Collector
}

// NewAdmission makes an Admission.
func NewAdmission(limits AdmissionLimits) *Admission {
	a := &Admission{limits: limits, shed: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "annals_http_shed_total", Help: "Requests refused because there was too much to do, by the limit.",
	}, []string{"limit"})}
	gauge := func(name, help string, value func() int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			a.mu.Lock()
			defer a.mu.Unlock()
			return float64(value())
		})
	}
	a.metrics = []prometheus.Collector{
		a.shed,
		gauge("annals_http_working", "Requests at work, followers not counted.", func() int { return a.working }),
		gauge("annals_http_waiting", "Requests that wait for a place.", func() int { return len(a.queue) }),
		gauge("annals_http_followers", "Requests that follow, or wait for a position.", func() int { return a.followers }),
	}
	return a
}

// Describe implements prometheus.Collector.
func (a *Admission) Describe(to chan<- *prometheus.Desc) {
	for _, m := range a.metrics {
		m.Describe(to)
	}
}

// Collect implements prometheus.Collector.
func (a *Admission) Collect(to chan<- prometheus.Metric) {
	for _, m := range a.metrics {
		m.Collect(to)
	}
}

// retrySeconds is how long who was refused should wait.
const retrySeconds = 1

func (a *Admission) refuse(limit string) error {
	a.shed.WithLabelValues(limit).Inc()
	return &annals.Error{Code: annals.CodeOverloaded, Message: "the server has as many " + limit + " as it takes"}
}

// follow takes a follower's place; leave gives it back.
func (a *Admission) follow() (leave func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limits.Followers > 0 && a.followers >= a.limits.Followers {
		return nil, a.refuse("followers")
	}
	a.followers++
	return func() {
		a.mu.Lock()
		a.followers--
		a.mu.Unlock()
	}, nil
}

// enter takes a place at work, or waits for one.
func (a *Admission) enter(ctx context.Context) (*place, error) {
	a.mu.Lock()
	if a.limits.Requests <= 0 || a.working < a.limits.Requests && len(a.queue) == 0 {
		a.working++
		a.mu.Unlock()
		return &place{of: a, held: true}, nil
	}
	if len(a.queue) >= a.limits.Waiting || a.limits.Wait <= 0 {
		a.mu.Unlock()
		return nil, a.refuse("requests")
	}
	given := make(chan struct{})
	a.queue = append(a.queue, given)
	a.mu.Unlock()
	timer := time.NewTimer(a.limits.Wait)
	defer timer.Stop()
	select {
	case <-given:
	case <-timer.C:
	case <-ctx.Done():
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-given: // perhaps in the last moment
		return &place{of: a, held: true}, nil
	default:
	}
	a.queue = slices.DeleteFunc(a.queue, func(one chan struct{}) bool { return one == given })
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, a.refuse("requests")
}

// Enter takes a place at work for what is served beside the interface, such as a page of
// the console, or waits for one; leave gives it back. A nil Admission has room for all.
// Errors: one of annals.CodeOverloaded; ctx's.
func (a *Admission) Enter(ctx context.Context) (leave func(), err error) {
	if a == nil {
		return func() {}, nil
	}
	p, err := a.enter(ctx)
	if err != nil {
		return nil, err
	}
	return p.leave, nil
}

// give frees a place, for who has waited longest if there is room.
func (a *Admission) give() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.working--
	for len(a.queue) > 0 && a.working < a.limits.Requests {
		a.working++
		close(a.queue[0])
		a.queue = slices.Delete(a.queue, 0, 1)
	}
}

// take takes a place back, whether there is room or not.
func (a *Admission) take() {
	a.mu.Lock()
	a.working++
	a.mu.Unlock()
}

// A place is what a request at work has.
type place struct {
	of *Admission

	mu      sync.Mutex
	held    bool
	ended   bool
	blocked int // waits for the client
	timer   *time.Timer
}

// slow is for how long a client may keep a place by making the server wait.
const slow = time.Second

// wait goes around what waits for the client; proceed ends it.
func (p *place) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.blocked++; p.blocked > 1 || p.ended {
		return
	}
	if p.timer == nil {
		p.timer = time.AfterFunc(slow, p.lend)
	} else {
		p.timer.Reset(slow)
	}
}

// lend gives the place away while the client is waited for.
func (p *place) lend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.blocked > 0 && p.held {
		p.held = false
		p.of.give()
	}
}

func (p *place) proceed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.blocked--; p.blocked > 0 || p.ended {
		return
	}
	p.timer.Stop()
	if !p.held {
		p.held = true
		p.of.take()
	}
}

// leave gives the place away for good.
func (p *place) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended = true; p.held {
		p.held = false
		p.of.give()
	}
}

// A placedBody lends the place of its request while the client is slow to send it.
type placedBody struct {
	io.ReadCloser
	place *place
}

// Read implements io.Reader.
func (b *placedBody) Read(p []byte) (int, error) {
	b.place.wait()
	defer b.place.proceed()
	return b.ReadCloser.Read(p)
}

// waits reports whether the request has no end of its own: it follows, waits for a
// position, as one that names a version does for a second at least, or for the views
// that an erasure builds anew.
func (r *request) waits() bool {
	a := args{r: r}
	return r.route.follows || r.route.group == GroupErase || a.flag("follow") || r.params.Has("wait") || r.params.Has("version")
}

// enter takes the place that the request needs; leave gives it back.
func (s *server) enter(w *answered, r *request) (leave func(), err error) {
	switch {
	case s.opts.Admission == nil || r.route.group == GroupProcess:
		return func() {}, nil
	case r.waits():
		return s.opts.Admission.follow()
	}
	p, err := s.opts.Admission.enter(r.Context())
	if err != nil {
		return nil, err
	}
	w.place = p
	if r.Body != nil && r.Body != http.NoBody {
		r.Request = r.WithContext(r.Context()) // a copy, whose body is another one
		r.Body = &placedBody{r.Body, p}
	}
	return p.leave, nil
}

// RetryLater tells who was refused for now when to come again: it sets Retry-After where
// err says that there was too much to do, or too much by one token.
func RetryLater(w http.ResponseWriter, err error) {
	var limit *access.LimitError
	switch {
	case errors.As(err, &limit):
		w.Header().Set("Retry-After", strconv.Itoa(limit.Seconds()))
	case annals.CodeOf(err) == annals.CodeOverloaded:
		w.Header().Set("Retry-After", strconv.Itoa(retrySeconds))
	}
}
