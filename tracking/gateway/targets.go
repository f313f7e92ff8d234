package gateway

import (
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// A service is one of Config.Services at work. Its methods are safe for
// concurrent use.
type service struct {
	Service
	targets []*target
	// transport makes one try, and records it.
	transport http.RoundTripper
	turn      atomic.Uint64
	clock     func() time.Time
	calls     *counters
}

// A target is one address of a service.
type target struct {
	url      *url.URL
	failures atomic.Int32 // calls that failed in a row
	rests    atomic.Int64 // until when, in Unix nanoseconds, it is left alone
	ill      atomic.Bool  // the last health check failed
}

const (
	failuresToRest = 3
	restTime       = 5 * time.Second
)

// next picks the target for a try: the healthy ones in turn. Where none is
// healthy all are taken in turn, for a wrong guess costs less than refusing every
// call. avoid, which may be nil, is passed over if there is another healthy one.
func (s *service) next(avoid *target) *target {
	start := s.turn.Add(1)
	n := uint64(len(s.targets))
	if n == 1 {
		return s.targets[0]
	}
	now := s.clock().UnixNano()
	for i := range n {
		if t := s.targets[(start+i)%n]; t != avoid && t.well(now) {
			return t
		}
	}
	if avoid != nil && avoid.well(now) {
		return avoid
	}
	return s.targets[start%n]
}

func (t *target) well(now int64) bool { return !t.ill.Load() && t.rests.Load() <= now }

// failed counts a call that got no answer. Several in a row leave the target
// alone for a while; after that, each single one does. It reports whether the
// target was not left alone before.
func (s *service) failed(t *target) (first bool) {
	n := t.failures.Add(1)
	if n >= failuresToRest {
		t.rests.Store(s.clock().Add(restTime).UnixNano())
	}
	return n == failuresToRest
}

func (t *target) answered() {
	if t.failures.Load() != 0 {
		t.failures.Store(0)
		t.rests.Store(0)
	}
}
