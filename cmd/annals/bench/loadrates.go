package bench

import (
	"context"
	"fmt"
	"time"
)

const (
	seedRate    = 170 // clients a second, of the article
	higherRate  = 2000
	promptly    = 10 * time.Millisecond // the article's, here for the 99th percentile
	rateWires   = 64
	searchWires = 256
)

// rates measures the article's load, a higher one, and the highest whose answers
// come promptly.
func (l *loader) rates(ctx context.Context) (p LoadPart, err error) {
	return p, l.serving(ctx, "rates", aggregates, func(server *Served) error {
		mix := newSeedMix("rates", aggregates)
		first := 0
		step := func(rate float64, wires int, lasting time.Duration) (*outcomes, float64, error) {
			l.Say(fmt.Sprintf("rates: %.0f/s", rate))
			began := first
			first += int(rate * lasting.Seconds())
			return l.atRate(ctx, server, rate, wires, lasting, func(w *wire, a arrival) outcome {
				a.i += began
				return mix.do(ctx, w, a)
			})
		}
		if _, _, err := step(higherRate, rateWires, l.duration(5*time.Second, time.Second)); err != nil { // warms up
			return err
		}
		for _, rate := range []float64{seedRate, higherRate} {
			t, busy, err := step(rate, rateWires, l.lasting(30*time.Second, time.Second))
			if err != nil {
				return err
			}
			rows := t.rows(fmt.Sprintf("%.0f/s", rate))
			rows[0].ServerCores = busy
			p.Rows = append(p.Rows, rows...)
			p.Judged = append(p.Judged, Judgement{
				Asked:    fmt.Sprintf("%.0f/s: p99 under %v, no errors", rate, promptly),
				Measured: fmt.Sprintf("p99 %.2f ms, %d errors", millis(t.good.at(0.99)), t.failures()),
				Met:      t.prompt(rate), Timed: true,
			})
		}
		return l.highest(&p, step)
	})
}

// atRate sends requests at a rate over so many connections, and returns how many
// cores the server kept busy with them.
func (l *loader) atRate(ctx context.Context, server *Served, rate float64, n int, lasting time.Duration, do func(*wire, arrival) outcome) (*outcomes, float64, error) {
	wires := newWires(server.Address, n)
	defer closeWires(wires)
	before, err := usageOf(server.PID)
	if err != nil {
		return nil, 0, err
	}
	t := openRun{rate: rate, lasting: lasting, workers: n}.run(ctx, func(worker int, a arrival) outcome { return do(wires[worker], a) })
	after, err := usageOf(server.PID)
	return t, cores(after.CPU-before.CPU, t.elapsed), err
}

// prompt says whether all were answered, promptly, and at the rate.
func (t *outcomes) prompt(rate float64) bool {
	return t.failures() == 0 && t.good.at(0.99) < promptly && float64(t.good.n)/t.elapsed.Seconds() > 0.98*rate
}

// highest searches for the highest rate that is answered promptly: it doubles the
// rate while that holds, and then halves the distance between what does and what
// does not.
func (l *loader) highest(p *LoadPart, step func(rate float64, wires int, lasting time.Duration) (*outcomes, float64, error)) error {
	good, bad := 0.0, 0.0
	var best *outcomes
	var busy float64
	lasting := l.duration(10*time.Second, time.Second)
	for range l.Options.size(12, 5) {
		rate := 2 * good
		switch {
		case bad > 0:
			rate = (good + bad) / 2
		case good == 0:
			rate = higherRate
		}
		if bad > 0 && bad-good < good/20 {
			break
		}
		t, cpu, err := step(rate, searchWires, lasting)
		if err != nil {
			return err
		}
		if !t.prompt(rate) {
			bad = rate
			continue
		}
		good, best, busy = rate, t, cpu
	}
	j := Judgement{Asked: fmt.Sprintf("the highest rate with a p99 under %v", promptly), Measured: "none", Met: best != nil, Timed: true}
	if best != nil {
		rows := best.rows(fmt.Sprintf("%.0f/s", good))
		rows[0].ServerCores, rows[0].Note = busy, "the highest"
		p.Rows = append(p.Rows, rows...)
		j.Measured = fmt.Sprintf("%.0f/s; not %.0f/s", good, bad)
	}
	p.Judged = append(p.Judged, j)
	return nil
}
