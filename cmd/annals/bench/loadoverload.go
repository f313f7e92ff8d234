package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
)

const (
	overloadFactor    = 10
	normalShare       = 0.3 // of the capacity, before and after
	overloadWires     = 2048
	calibrationWires  = 64
	overloadPatience  = time.Second      // of a client that finds no connection free
	overloadBound     = 2 * time.Second  // p99 of what is accepted, with the wait for a connection
	recoveryBound     = 30 * time.Second // until it is as before
	recoverySlack     = 2                // times the p99 before, or promptly if that is more
	overloadMark      = "overload-"
	overloadQuerySize = 3000
)

// An overloadMix is requests of which half are dear, since the generator must be able
// to send ten times as many as are answered from the same cores: of ten, four append
// an event, one loads an aggregate, and five read 3,000 events of the log. It
// remembers what was told of each event.
type overloadMix struct {
	aggregates int
	mu         sync.Mutex
	fates      fates
	sent       int
}

func (m *overloadMix) do(ctx context.Context, w *wire, a arrival) outcome {
	switch n := a.i % 10; {
	case n < 4:
		return m.append(ctx, w)
	case n < 5:
		o, _ := w.ask(ctx, "load", w.request("GET", "/v1/streams/"+aggregateName(rand.IntN(m.aggregates))+"/events", "", nil))
		return o
	}
	after := rand.IntN(m.aggregates*aggregateSize - overloadQuerySize)
	o, _ := w.ask(ctx, "query", w.request("GET", fmt.Sprintf("/v1/events?after=%d&limit=%d", after, overloadQuerySize), "", nil))
	return o
}

func (m *overloadMix) append(ctx context.Context, w *wire) outcome {
	m.mu.Lock()
	i := m.sent
	m.sent++
	m.mu.Unlock()
	body := appendEvent(nil, overloadMark+strconv.Itoa(i))
	o, _ := w.ask(ctx, "append", w.request("POST", "/v1/streams/"+aggregateName(rand.IntN(m.aggregates))+"/events", "", body))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fates.tell(i, o.told())
	return o
}

// account reads the whole log from the server and says what became of the events.
func (m *overloadMix) account(ctx context.Context, address string) (a Account, err error) {
	store, err := client.Open(address, nil)
	if err != nil {
		return a, err
	}
	defer store.Close()
	for e, err := range store.Log(ctx, annals.Query{}) {
		if err != nil {
			return a, err
		}
		number, ours := strings.CutPrefix(e.ID, overloadMark)
		if !ours {
			continue
		}
		i, err := strconv.Atoi(number)
		if err != nil {
			return a, fmt.Errorf("the log holds an event that was never sent: %s", e.ID)
		}
		m.fates.find(i)
	}
	return m.fates.account(), nil
}

// overload finds out how much the server can do, asks ten times as much of it for
// some minutes, and looks how soon it is as before and whether it lost anything.
func (l *loader) overload(ctx context.Context) (p LoadPart, err error) {
	n := l.Options.size(aggregates, aggregates/10)
	return p, l.serving(ctx, "overload", n, func(server *Served) error {
		mix := &overloadMix{aggregates: n}
		if err := l.overloads(ctx, server, mix, &p); err != nil {
			return err
		}
		l.Say("overload: looking for every event")
		account, err := mix.account(ctx, server.Address)
		p.Account = &account
		p.Judged = append(p.Judged, account.judge())
		return err
	})
}

func (l *loader) overloads(ctx context.Context, server *Served, mix *overloadMix, p *LoadPart) error {
	l.Say("overload: finding the capacity")
	wires := newWires(server.Address, overloadWires)
	defer closeWires(wires)
	do := func(worker int, a arrival) outcome { return mix.do(ctx, wires[worker], a) }
	capacity, t := saturated(ctx, calibrationWires, l.duration(10*time.Second, 500*time.Millisecond), do)
	p.Rows = append(p.Rows, t.row("capacity, 64 clients"))
	if capacity == 0 {
		return fmt.Errorf("no request was answered: %s", t.said())
	}
	l.Say("overload: a normal rate before")
	window := l.duration(time.Second, 100*time.Millisecond)
	normal := openRun{rate: normalShare * capacity, lasting: l.duration(10*time.Second, 500*time.Millisecond), workers: rateWires, window: window}
	before := normal.run(ctx, do)
	p.Rows = append(p.Rows, before.row("0.3 × capacity, before"))

	l.Say("overload: ten times the capacity")
	over := openRun{rate: overloadFactor * capacity, lasting: l.lasting(5*time.Minute, 2*time.Second), patience: overloadPatience, workers: overloadWires}
	during, samples, err := l.sampled(ctx, server, l.duration(time.Second, 100*time.Millisecond), func(t *outcomes) { over.into(ctx, t, do) })
	if err != nil {
		return err
	}
	rows := during.rows("10 × capacity")
	rows[0].ServerCores = cores(samples[len(samples)-1].CPU-samples[0].CPU, during.elapsed)
	p.Rows = append(p.Rows, rows...)
	p.Rows = append(p.Rows, LoadRow{Load: "10 × capacity, refused", PerSecond: tenths(float64(during.shed.n) / during.elapsed.Seconds()), Latency: during.shed.summary()})
	p.Samples = samples

	l.Say("overload: the normal rate again")
	normal.lasting = l.duration(recoveryBound+recoveryWindows*time.Second, 1500*time.Millisecond)
	after := normal.run(ctx, do)
	p.Rows = append(p.Rows, after.row("0.3 × capacity, after"))
	p.judgeOverload(before, during, after, over.rate)
	return nil
}

func (p *LoadPart) judgeOverload(before, during, after *outcomes, rate float64) {
	asked := float64(during.sent()) / (during.elapsed.Seconds() * rate)
	p.Judged = append(p.Judged, Judgement{
		Asked:    "the generator sends at least 0.9 of ten times the capacity",
		Measured: fmt.Sprintf("%.2f of %.0f/s", asked, rate), Met: asked >= 0.9, Timed: true,
	}, Judgement{
		Asked: "some of it is refused", Measured: fmt.Sprintf("%d of %d", during.shed.n, during.sent()), Met: during.shed.n > 0,
	}, during.onlyCodes("200", "201", "429", "503", gaveUp), Judgement{
		Asked:    fmt.Sprintf("p99 of what is accepted at most %v", overloadBound),
		Measured: fmt.Sprintf("%.0f ms", millis(during.good.at(0.99))), Met: during.good.n > 0 && during.good.at(0.99) <= overloadBound, Timed: true,
	})
	var own []float64
	for _, s := range p.Samples {
		own = append(own, float64(s.Anonymous>>10)/1024)
	}
	p.Judged = append(p.Judged, flat("the server's own memory meanwhile", " MiB", own, 32))
	limit := max(promptly, recoverySlack*before.good.at(0.99))
	windows, ok := recovered(after.p99s(), limit)
	took := time.Duration(windows) * after.window
	j := Judgement{
		Asked:    fmt.Sprintf("p99 at most %.1f ms again within %v, for %d × %v", millis(limit), recoveryBound, recoveryWindows, after.window),
		Measured: fmt.Sprintf("after %v, %d errors", took, after.failures()), Met: ok && took <= recoveryBound, Timed: true,
	}
	if !ok {
		j.Measured = fmt.Sprintf("not within %v", after.elapsed.Round(time.Second))
	}
	p.Judged = append(p.Judged, j)
}

// sampled runs a load and meanwhile takes samples of the server's process, the first
// before it and the last after it.
func (l *loader) sampled(ctx context.Context, server *Served, every time.Duration, load func(*outcomes)) (*outcomes, []ProcessUsage, error) {
	first, err := server.usage(ctx)
	if err != nil {
		return nil, nil, err
	}
	samples := []ProcessUsage{first}
	t, ended := newOutcomes(), make(chan struct{})
	go func() {
		defer close(ended)
		load(t)
	}()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for running := true; running; {
		select {
		case <-ticker.C:
		case <-ended:
			running = false
		}
		u, failed := server.usage(ctx)
		if failed != nil && err == nil {
			err = failed
		}
		samples = append(samples, u)
	}
	return t, samples, err
}
