package access

import (
	"container/list"
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/eb901187/annals"
)

// A Rate is how many requests somebody may make. The zero Rate limits nothing.
type Rate struct {
	PerSecond float64 // in the long run
	Burst     int     // at once, after a rest
}

// ParseRate reads a Rate such as "100/s", or "100/s:200" with a burst of 200; without
// one the burst is a second's requests. Error: *annals.InvalidError.
func ParseRate(text string) (Rate, error) {
	const most = 1e6
	requests, burst, more := strings.Cut(text, ":")
	digits, isRate := strings.CutSuffix(requests, "/s")
	perSecond, err := strconv.ParseFloat(digits, 64)
	r := Rate{PerSecond: perSecond, Burst: int(math.Ceil(min(perSecond, most)))}
	if err == nil && more {
		r.Burst, err = strconv.Atoi(burst)
	}
	if err != nil || !isRate || !(perSecond > 0 && perSecond <= most) || r.Burst < 1 || r.Burst > most {
		return Rate{}, annals.Invalid("rate", "must be like 100/s, or 100/s:200 with a burst of 200, both up to %d, not %.40q", int(most), text)
	}
	return r, nil
}

// String is what ParseRate reads.
func (r Rate) String() string {
	return fmt.Sprintf("%s/s:%d", strconv.FormatFloat(r.PerSecond, 'f', -1, 64), r.Burst)
}

// A LimitError says that somebody asks too often, and for how long to wait. Its code is
// annals.CodeRateLimited.
type LimitError struct {
	After time.Duration // until one more request is let in
	err   *annals.Error
}

func (e *LimitError) Error() string { return e.err.Error() }
func (e *LimitError) Unwrap() error { return e.err }

// Seconds is e.After for a header Retry-After: at least 1.
func (e *LimitError) Seconds() int { return max(1, int(math.Ceil(e.After.Seconds()))) }

// Limits are those of a Limited.
type Limits struct {
	// Each is for everybody whose Principal has no Rate of its own.
	Each Rate
	// Strangers is for tokens that are not known, by the address that they come from,
	// as WithAddress said; the addresses of one /64 count as one.
	Strangers Rate
}

// Limited is an Authenticator in front of another one that lets nobody ask too often:
// the error is then a *LimitError. It keeps at most 10,000 names and as many addresses,
// those that asked last.
type Limited struct {
	inner  Authenticator
	limits Limits
	clock  func() time.Time
	names  buckets
	places buckets
}

// NewLimited makes a Limited over inner; clock is time.Now if it is nil.
func NewLimited(inner Authenticator, limits Limits, clock func() time.Time) *Limited {
	if clock == nil {
		clock = time.Now
	}
	return &Limited{inner: inner, limits: limits, clock: clock}
}

// Authenticate implements Authenticator. A known token is limited by its name and its
// Rate, never by its address.
func (l *Limited) Authenticate(ctx context.Context, token string) (Principal, error) {
	who, err := l.inner.Authenticate(ctx, token)
	if annals.CodeOf(err) == annals.CodeUnauthorized {
		if wait := l.places.take(network(addressOf(ctx)), l.limits.Strangers, l.clock()); wait > 0 {
			err = &LimitError{After: wait, err: &annals.Error{
				Code: annals.CodeRateLimited, Message: "too many tokens that are not known came from this address", Hint: "send a token that the server knows",
			}}
		}
	}
	if err != nil {
		return Principal{}, err
	}
	r := who.Rate
	if r == (Rate{}) {
		r = l.limits.Each
	}
	if wait := l.names.take(who.Name, r, l.clock()); wait > 0 {
		return Principal{}, &LimitError{After: wait, err: &annals.Error{
			Code: annals.CodeRateLimited, Message: fmt.Sprintf("%s may send %g requests a second", who.Name, r.PerSecond),
			Hint: "send fewer, and try again when Retry-After says",
		}}
	}
	return who, nil
}

// maxBuckets is how many names, and addresses, are kept.
const maxBuckets = 10_000

// buckets are rate limiters, of which those that were used last are kept.
type buckets struct {
	mu   sync.Mutex
	all  map[bucketKey]*list.Element
	used list.List // of *bucket, the last used first
}

// A bucketKey has the rate too: a name may have tokens with different ones.
type bucketKey struct {
	name string
	rate Rate
}

type bucket struct {
	key     bucketKey
	limiter *rate.Limiter
}

// take takes one request of a name; wait is 0, or how long it comes too early.
func (b *buckets) take(name string, r Rate, now time.Time) (wait time.Duration) {
	if r == (Rate{}) {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	key := bucketKey{name, r}
	e, known := b.all[key]
	if known {
		b.used.MoveToFront(e)
	} else {
		if b.used.Len() >= maxBuckets {
			delete(b.all, b.used.Remove(b.used.Back()).(*bucket).key)
		}
		e = b.used.PushFront(&bucket{key, rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst)})
		if b.all == nil {
			b.all = map[bucketKey]*list.Element{}
		}
		b.all[key] = e
	}
	one := e.Value.(*bucket).limiter.ReserveN(now, 1)
	if wait = one.DelayFrom(now); wait > 0 {
		one.CancelAt(now)
	}
	return wait
}

type addressKey struct{}

// WithAddress is ctx for what comes from a remote address.
func WithAddress(ctx context.Context, address string) context.Context {
	return context.WithValue(ctx, addressKey{}, address)
}

func addressOf(ctx context.Context) string {
	address, _ := ctx.Value(addressKey{}).(string)
	return address
}

// RemoteAddress is where a request comes from, without the port: the address of
// WithAddress, or else of the connection. It is empty within a process.
func RemoteAddress(r *http.Request) string {
	if address := addressOf(r.Context()); address != "" {
		return address
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// network is what an address counts as: whoever has one address of IPv6 has a /64.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Unmap().Is4() {
		return address
	}
	return netip.PrefixFrom(ip.WithZone(""), 64).Masked().String()
}
