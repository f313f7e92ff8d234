package tracking

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"time"
)

// Others stands for the services past the 500 pairs of caller and service that a
// Board tells apart.
const Others = "(others)"

const mostEdges = 500

// CallStats say how calls went over BoardWindow.
type CallStats struct {
	Calls  int
	Failed int
	// PerMinute is how many calls a minute there were, over the time that the Board
	// knows of the window.
	PerMinute float64
	// P50 and P99 are how long calls took, within 7 %; 0 without calls.
	P50, P99 time.Duration
}

// FailedShare is the part of the calls that failed, 0 to 1.
func (s CallStats) FailedShare() float64 {
	if s.Calls == 0 {
		return 0
	}
	return float64(s.Failed) / float64(s.Calls)
}

// A ServiceStats says how the calls of a service went.
type ServiceStats struct {
	Service string
	CallStats
	// Faults is in how many of the recent requests it is the service at fault.
	Faults int
}

// An EdgeStats says how one service's calls of another went. Caller is the service
// of the call within which they were made, or their events' source.
type EdgeStats struct {
	Caller, Service string
	CallStats
}

// A ServiceMap is how services call each other: both lists in order of names.
type ServiceMap struct {
	Services []ServiceStats
	Edges    []EdgeStats
}

// An edge is a caller and the service called.
type edge struct{ caller, service string }

// traffic are the calls of an edge by minute.
type traffic struct {
	minutes [minutes]*minute
}

// A minute is the calls that ended within one.
type minute struct {
	number        int64 // since 1970
	calls, failed int
	took          histogram
}

// A histogram counts durations in microseconds, by their first four binary digits.
type histogram [8 * 31]uint32

func bucket(d time.Duration) int {
	us := uint64(max(d.Microseconds(), 0))
	if us < 8 {
		return int(us)
	}
	digits := bits.Len64(us)
	return min((digits-3)*8+int(us>>(digits-4)&7), len(histogram{})-1)
}

// middle is the duration in the middle of a bucket.
func middle(bucket int) time.Duration {
	if bucket < 8 {
		return time.Duration(bucket) * time.Microsecond
	}
	shift := bucket/8 - 1
	return time.Duration((float64(8+bucket%8) + 0.5) * float64(uint64(1)<<shift) * float64(time.Microsecond))
}

// quantile is the duration below which the share q of all is.
func (h *histogram) quantile(q float64) time.Duration {
	total := 0
	for _, n := range h {
		total += int(n)
	}
	left := int(math.Ceil(q * float64(total)))
	for i, n := range h {
		if left -= int(n); left <= 0 && total > 0 {
			return middle(i)
		}
	}
	return 0
}

const (
	minutes   = int64(BoardWindow / time.Minute)
	perMinute = int64(time.Minute / time.Second)
)

// count adds a call, if it ended within the window.
func (k *knowledge) count(e edge, ended time.Time, took time.Duration, failed bool, now time.Time) {
	number, last := ended.Unix()/perMinute, now.Unix()/perMinute
	t := k.edges[e]
	if number > last+5 || number <= last-minutes {
		return
	}
	if t == nil && len(k.edges) >= mostEdges {
		e = edge{Others, Others}
		t = k.edges[e]
	}
	if t == nil {
		t = &traffic{}
		k.edges[e] = t
	}
	number = min(number, last) // a clock ahead of ours
	slot := &t.minutes[number%minutes]
	if *slot == nil || (*slot).number < number {
		*slot = &minute{number: number}
	}
	m := *slot
	m.calls++
	if failed {
		m.failed++
	}
	m.took[bucket(took)]++
}

// services sums up the window before now.
func (k *knowledge) services(now time.Time) ServiceMap {
	last := now.Unix() / perMinute
	known := now.Sub(time.Unix((last-minutes+1)*perMinute, 0))
	if k.since.IsZero() || now.Sub(k.since) < known {
		known = now.Sub(k.since)
	}
	known = max(known, time.Minute)
	services, edges := map[string]*sums{}, map[edge]*sums{}
	for e, t := range k.edges {
		edges[e] = &sums{}
		if services[e.service] == nil {
			services[e.service] = &sums{}
		}
		for _, m := range t.minutes {
			if m != nil && m.number > last-minutes {
				edges[e].add(m)
				services[e.service].add(m)
			}
		}
	}
	m := ServiceMap{Services: []ServiceStats{}, Edges: []EdgeStats{}}
	faults := map[string]int{}
	for _, r := range k.requests {
		if r.Faulty != "" && now.Sub(r.Began) <= BoardWindow {
			faults[r.Faulty]++
		}
	}
	for name, s := range services {
		if s.calls > 0 {
			m.Services = append(m.Services, ServiceStats{name, s.stats(known), faults[name]})
		}
	}
	for e, s := range edges {
		if s.calls > 0 {
			m.Edges = append(m.Edges, EdgeStats{e.caller, e.service, s.stats(known)})
		}
	}
	slices.SortFunc(m.Services, func(a, b ServiceStats) int { return cmp.Compare(a.Service, b.Service) })
	slices.SortFunc(m.Edges, func(a, b EdgeStats) int {
		return cmp.Or(cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Service, b.Service))
	})
	return m
}

// sums add up minutes.
type sums struct {
	calls, failed int
	took          histogram
}

func (s *sums) add(m *minute) {
	s.calls += m.calls
	s.failed += m.failed
	for i, n := range m.took {
		s.took[i] += n
	}
}

func (s *sums) stats(known time.Duration) CallStats {
	return CallStats{
		Calls: s.calls, Failed: s.failed, PerMinute: float64(s.calls) / known.Minutes(),
		P50: s.took.quantile(0.5), P99: s.took.quantile(0.99),
	}
}
