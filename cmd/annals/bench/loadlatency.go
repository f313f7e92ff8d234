package bench

import (
	"math/bits"
	"time"
)

// latencies counts durations in buckets of which each is at most 1/32 wide, so
// that an hour of them takes as much memory as a second. The zero value is ready.
// It is not safe for concurrent use.
type latencies struct {
	counts []int64
	n      int64
	max    time.Duration
}

const bucketBits = 5

// bucket is the number of the bucket that d falls into.
func bucket(d time.Duration) int {
	ns := uint64(max(d, 0))
	shift := max(0, bits.Len64(ns)-bucketBits-1)
	return shift<<bucketBits + int(ns>>shift)
}

// bucketEnd is the longest duration of a bucket.
func bucketEnd(i int) time.Duration {
	shift := max(0, i>>bucketBits-1)
	return time.Duration((i-shift<<bucketBits+1)<<shift - 1)
}

func (l *latencies) add(d time.Duration) {
	i := bucket(d)
	for len(l.counts) <= i {
		l.counts = append(l.counts, 0)
	}
	l.counts[i]++
	l.n++
	l.max = max(l.max, d)
}

func (l *latencies) merge(other *latencies) {
	for len(l.counts) < len(other.counts) {
		l.counts = append(l.counts, 0)
	}
	for i, n := range other.counts {
		l.counts[i] += n
	}
	l.n += other.n
	l.max = max(l.max, other.max)
}

// at is the duration that a share p of all is not over, at most 1/32 too long; 0
// if there are none.
func (l *latencies) at(p float64) time.Duration {
	rank := int64(p*float64(l.n-1)) + 1
	for i, n := range l.counts {
		if rank -= n; rank <= 0 && n > 0 {
			return min(bucketEnd(i), l.max)
		}
	}
	return l.max
}

// Latency is a distribution of times, in milliseconds. Of the percentiles each is
// at most 1/32 too long.
type Latency struct {
	Requests int64   `json:"requests"`
	P50Ms    float64 `json:"p50Ms"`
	P90Ms    float64 `json:"p90Ms"`
	P99Ms    float64 `json:"p99Ms"`
	MaxMs    float64 `json:"maxMs"`
}

func (l *latencies) summary() Latency {
	return Latency{Requests: l.n, P50Ms: millis(l.at(0.5)), P90Ms: millis(l.at(0.9)), P99Ms: millis(l.at(0.99)), MaxMs: millis(l.max)}
}

// millis drops what is below a microsecond.
func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
