package console

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/eb901187/annals/consumer"
)

// What of the lag is kept: samples of the last trendSpan, trendStep apart.
const (
	trendSpan = 10 * time.Minute
	trendStep = 5 * time.Second
	rateSpan  = 30 * time.Second // that rates are taken over
)

// lags are samples of where consumers stood, taken whenever somebody looks. The zero
// lags is ready for use, by any number of goroutines.
type lags struct {
	mu      sync.Mutex
	samples map[string][]lagSample // by the page that takes them
}

type lagSample struct {
	at time.Time
	of []consumer.Status
}

// A trend is the samples of the consumers of one page, the last one taken just now.
type trend struct{ samples []lagSample }

// note adds a sample of a page's consumers, and drops what is too old, of pages that
// nobody looks at too.
func (l *lags) note(page string, now time.Time, of []consumer.Status) *trend {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.samples == nil {
		l.samples = map[string][]lagSample{}
	}
	for name, all := range l.samples {
		all = slices.DeleteFunc(all, func(s lagSample) bool { return now.Sub(s.at) > trendSpan })
		if l.samples[name] = all; len(all) == 0 {
			delete(l.samples, name)
		}
	}
	kept, sample := l.samples[page], lagSample{now, of}
	shown := append(slices.Clip(slices.Clone(kept)), sample)
	if len(kept) == 0 || now.Sub(kept[len(kept)-1].at) >= trendStep {
		l.samples[page] = append(kept, sample)
	}
	return &trend{shown}
}

// standing is where a consumer stood; nil if the sample has it not.
func (s *lagSample) standing(name string) *consumer.Status {
	i := slices.IndexFunc(s.of, func(of consumer.Status) bool { return of.Name == name })
	if i < 0 {
		return nil
	}
	return &s.of[i]
}

func (t *trend) last() *lagSample { return &t.samples[len(t.samples)-1] }

// Series is the trend as a chart takes it: names, and the times in Unix seconds with
// the lag of each consumer at them.
func (t *trend) Series() (string, error) {
	chart := struct {
		Labels []string     `json:"labels"`
		Data   [][]*float64 `json:"data"`
	}{Data: [][]*float64{{}}}
	samples := t.charted()
	for i := range samples {
		chart.Data[0] = append(chart.Data[0], new(float64(samples[i].at.UnixMilli())/1000))
	}
	for _, of := range t.last().of {
		line := make([]*float64, len(samples))
		for i := range samples {
			if s := samples[i].standing(of.Name); s != nil {
				line[i] = new(float64(s.Lag))
			}
		}
		chart.Labels, chart.Data = append(chart.Labels, of.Name), append(chart.Data, line)
	}
	text, err := json.Marshal(chart)
	return string(text), err
}

// charted are the samples without the last one where it is near the one before and
// says the same: a chart where nothing moves is not drawn again all the time.
func (t *trend) charted() []lagSample {
	n := len(t.samples)
	if n == 1 || t.last().at.Sub(t.samples[n-2].at) >= trendStep {
		return t.samples
	}
	same := func(x, y consumer.Status) bool { return x.Name == y.Name && x.Lag == y.Lag }
	if slices.EqualFunc(t.last().of, t.samples[n-2].of, same) {
		return t.samples[:n-1]
	}
	return t.samples
}

// A lagRow is a line of the table beside the chart.
type lagRow struct {
	At  time.Time
	Ago string
	Of  []*consumer.Status // in the order of Names; nil where it is not known
}

// Names are the consumers of the trend.
func (t *trend) Names() []string {
	names := make([]string, len(t.last().of))
	for i, of := range t.last().of {
		names[i] = of.Name
	}
	return names
}

// Rows are the figures of the chart, now and some minutes ago.
func (t *trend) Rows() []lagRow {
	var rows []lagRow
	now := t.last().at
	for _, minutes := range []int{0, 1, 2, 5, 10} {
		ago := time.Duration(minutes) * time.Minute
		at := slices.IndexFunc(t.samples, func(s lagSample) bool { return now.Sub(s.at) < ago+trendStep })
		if minutes == 0 {
			at = len(t.samples) - 1
		}
		sample := &t.samples[at]
		if now.Sub(sample.at) < ago-trendStep {
			break // there was nobody who looked
		}
		row := lagRow{At: sample.at, Ago: "now"}
		if minutes > 0 {
			row.Ago = fmt.Sprintf("%d min ago", minutes)
		}
		for _, of := range t.last().of {
			row.Of = append(row.Of, sample.standing(of.Name))
		}
		rows = append(rows, row)
	}
	return rows
}

// A rate is how fast a consumer moves.
type rate struct {
	PerSecond float64       // events
	Left      time.Duration // until it has caught up, at this rate; 0 if that is not known
}

// rate is that of a consumer over the last rateSpan; nil if nothing is known of it.
func (t *trend) rate(name string) *rate {
	now := t.last()
	to := now.standing(name)
	if to == nil {
		return nil
	}
	for i := range t.samples[:len(t.samples)-1] {
		from := t.samples[i].standing(name)
		span := now.at.Sub(t.samples[i].at)
		if from == nil || span > rateSpan || span <= 0 || from.Position > to.Position {
			continue
		}
		r := &rate{PerSecond: float64(to.Position-from.Position) / span.Seconds()}
		if left := float64(to.Lag) / r.PerSecond; r.PerSecond > 0 && left < math.MaxInt32 {
			r.Left = time.Duration(left * float64(time.Second)).Round(time.Second)
		}
		return r
	}
	return nil
}

// Speed is the rate as a page shows it.
func (r *rate) Speed() string { return fmt.Sprintf("%.0f events/s", r.PerSecond) }
