package console

import (
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// What of the log's growth is kept: samples of the last growthSpan, growthStep apart.
const (
	growthSpan = 10 * time.Minute
	growthStep = 2 * time.Second
	growthRate = time.Minute // that the rate is taken over

	latestSteps = 5 // as figures, beside the chart
)

// growth are samples of the log's end, taken whenever somebody looks. The zero growth
// is ready for use, by any number of goroutines.
type growth struct {
	mu      sync.Mutex
	samples []growthSample
}

type growthSample struct {
	at   time.Time
	head int64
}

// An appendRate is how many events were appended a second.
type appendRate struct {
	Known bool
	Rate  string
	Over  string // how long it is taken over
	Steps []growthStepRate
}

// A growthStepRate is the rate between two samples.
type growthStepRate struct {
	At     time.Time
	Second float64
}

// Rate is the rate as text.
func (s growthStepRate) Rate() string { return rateText(s.Second) }

func (r *appendRate) set(perSecond float64, over time.Duration) {
	r.Known, r.Rate, r.Over = true, rateText(perSecond), over.Round(time.Second).String()
	if over < time.Second {
		r.Over = over.Round(time.Millisecond).String()
	}
}

// note adds a sample and says how the log grew.
func (g *growth) note(now time.Time, head int64) *appendRate {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.samples); n > 0 && head < g.samples[n-1].head {
		g.samples = nil // another store in the place of the one before
	}
	g.samples = slices.DeleteFunc(g.samples, func(s growthSample) bool { return now.Sub(s.at) > growthSpan || s.at.After(now) })
	if n := len(g.samples); n == 0 || now.Sub(g.samples[n-1].at) >= growthStep {
		g.samples = append(g.samples, growthSample{now, head})
	}
	rate := &appendRate{}
	for i := 1; i < len(g.samples); i++ {
		from, to := g.samples[i-1], g.samples[i]
		rate.Steps = append(rate.Steps, growthStepRate{to.at, float64(to.head-from.head) / to.at.Sub(from.at).Seconds()})
	}
	for _, s := range g.samples {
		if over := now.Sub(s.at); over <= growthRate && over >= growthStep {
			rate.set(float64(head-s.head)/over.Seconds(), over)
			break
		}
	}
	return rate
}

// Drawn reports whether there is enough for a line.
func (r *appendRate) Drawn() bool { return len(r.Steps) > 1 }

// Series is the rate as a chart takes it.
func (r *appendRate) Series() (string, error) {
	chart := struct {
		Labels []string    `json:"labels"`
		Data   [][]float64 `json:"data"`
	}{[]string{"events a second"}, [][]float64{{}, {}}}
	for _, s := range r.Steps {
		chart.Data[0] = append(chart.Data[0], float64(s.At.UnixMilli())/1000)
		chart.Data[1] = append(chart.Data[1], s.Second)
	}
	text, err := json.Marshal(chart)
	return string(text), err
}

// Latest are the last steps, the newest first, for who can't see the chart.
func (r *appendRate) Latest() []growthStepRate {
	last := slices.Clone(r.Steps[max(0, len(r.Steps)-latestSteps):])
	slices.Reverse(last)
	return last
}
