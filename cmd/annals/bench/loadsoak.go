package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
)

const (
	soakRate      = 300 // requests a second: loads, change sets and, of each twenty, one query
	soakWires     = 32
	soakFollowers = 8
	soakView      = "soak"
	// So many have an index of twice what the server keeps of it in memory, which
	// would else fill for hours.
	soakAggregates = 400_000
	soakSamples    = 10 * time.Second
)

// soakDefinition is the projection that is kept and rebuilt: the number of orders and
// their total, of one aggregate in 18.
const soakDefinition = `query: {prefix: aggregate-7}
fold:
  ` + eventType + `: '{orders: ((.orders // 0) + 1), total: ((.total // 0) + $event.data.total)}'
`

// A soak is everything that goes on beside the requests.
type soak struct {
	server     *Served
	aggregates int
	mu         sync.Mutex
	errs       []error // of followers and rebuilds, the first few
	failed     atomic.Int64
	came       atomic.Int64 // followers
	delivered  atomic.Int64 // events to them
	rebuilt    atomic.Int64
}

func (s *soak) fail(err error) {
	s.failed.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.errs) < 5 {
		s.errs = append(s.errs, err)
	}
}

// soak lets everything happen at once for an hour: appends, loads, queries, followers
// that come and go, a live view, and a rebuild of it, one after the other.
func (l *loader) soak(ctx context.Context) (p LoadPart, err error) {
	definitions := filepath.Join(l.dir, "projections")
	if err := os.Mkdir(definitions, 0o700); err != nil {
		return p, err
	}
	if err := os.WriteFile(filepath.Join(definitions, soakView+".yaml"), []byte(soakDefinition), 0o600); err != nil {
		return p, err
	}
	n := l.Options.size(soakAggregates, aggregates/20)
	return p, l.serving(ctx, "soak", n, func(server *Served) error {
		return l.soaked(ctx, &soak{server: server, aggregates: n}, &p)
	}, "--projections", definitions)
}

func (l *loader) soaked(ctx context.Context, s *soak, p *LoadPart) error {
	run := openRun{rate: soakRate, lasting: l.lasting(time.Hour, 4*time.Second), workers: soakWires}
	mix := newSeedMix("soak", s.aggregates)
	wires := newWires(s.server.Address, soakWires)
	defer closeWires(wires)
	beside, stop := context.WithCancel(ctx)
	var others sync.WaitGroup
	for i := range soakFollowers {
		others.Go(func() { s.comeAndGo(beside, run.lasting, i) })
	}
	others.Go(func() { s.rebuilds(beside) })
	others.Go(func() { l.tell(beside, s, time.Minute) })
	t, samples, err := l.sampled(ctx, s.server, l.duration(soakSamples, 200*time.Millisecond), func(t *outcomes) {
		run.into(ctx, t, func(worker int, a arrival) outcome {
			if a.i%20 == 0 {
				after := rand.IntN(s.aggregates * aggregateSize)
				o, _ := wires[worker].ask(ctx, "query", wires[worker].request("GET", fmt.Sprintf("/v1/events?types=%s&after=%d&limit=100", eventType, after), "", nil))
				return o
			}
			return mix.do(ctx, wires[worker], a)
		})
	})
	stop()
	others.Wait()
	if err != nil {
		return err
	}
	p.Rows, p.Samples = t.rows(fmt.Sprintf("%d/s for %v", soakRate, run.lasting)), samples
	p.Rows[0].ServerCores = cores(samples[len(samples)-1].CPU-samples[0].CPU, t.elapsed)
	p.judgeSoak(t, s)
	return nil
}

func (p *LoadPart) judgeSoak(t *outcomes, s *soak) {
	own, heap, fds, goroutines := make([]float64, 0, len(p.Samples)), []float64{}, []float64{}, []float64{}
	for _, u := range p.Samples {
		own, heap = append(own, float64(u.Anonymous)/(1<<20)), append(heap, float64(u.Heap)/(1<<20))
		fds, goroutines = append(fds, float64(u.FDs-u.Tables)), append(goroutines, float64(u.Goroutines))
	}
	last := p.Samples[len(p.Samples)-1]
	p.fact("%d followers came and went, who were given %d events; %d rebuilds were finished", s.came.Load(), s.delivered.Load(), s.rebuilt.Load())
	p.fact("in the end: %d MiB of its own, %d MiB resident, %d file handles, %d goroutines", last.Anonymous>>20, last.RSS>>20, last.FDs, last.Goroutines)
	// The index has up to two more for each 64 MiB of log, which no soak can call flat.
	p.fact("of these handles %d are tables of Pebble, and %d were at the start; it keeps at most 1,000 open for the index, and as many for the views", last.Tables, p.Samples[0].Tables)
	errs := Judgement{
		Asked:    "no request fails, no follower misses an event, no rebuild fails",
		Measured: fmt.Sprintf("%s; %d failures beside", t.said(), s.failed.Load()), Met: t.failures() == 0 && s.failed.Load() == 0,
	}
	if err := errors.Join(s.errs...); err != nil {
		errs.Measured += ": " + err.Error()
	}
	p.Judged = append(p.Judged, errs, Judgement{
		Asked: "a rebuild is finished, and followers are given events", Measured: fmt.Sprintf("%d, %d", s.rebuilt.Load(), s.delivered.Load()),
		Met: s.rebuilt.Load() > 0 && s.delivered.Load() > 0,
	}, flat("the server's own memory", " MiB", own, 8), flat("its heap", " MiB", heap, 8), flat("its file handles, but for tables", "", fds, 8), flat("its goroutines", "", goroutines, 8))
}

// comeAndGo follows the log from its end for some seconds, goes, and comes again.
func (s *soak) comeAndGo(ctx context.Context, lasting time.Duration, n int) {
	stay := min(20*time.Second, lasting/4)
	for ctx.Err() == nil {
		err := s.visit(ctx, stay+time.Duration(n)*stay/soakFollowers)
		if err != nil && ctx.Err() == nil {
			s.fail(fmt.Errorf("a follower: %w", err))
			pause(100 * time.Millisecond) // not again and again at once
		}
	}
}

func (s *soak) visit(ctx context.Context, stay time.Duration) error {
	end, err := s.end(ctx)
	if err != nil {
		return err
	}
	f, err := follow(ctx, s.server.Address, end)
	if err != nil {
		return err
	}
	defer f.wire.close()
	// It leaves in the middle, as a client does that is ended.
	gone := context.AfterFunc(ctx, func() { _ = f.wire.c.SetReadDeadline(time.Unix(1, 0)) })
	defer gone()
	until := time.Now().Add(stay)
	if err := f.wire.c.SetReadDeadline(until); err != nil {
		return err
	}
	s.came.Add(1)
	for {
		err := f.next(func([]byte) { s.delivered.Add(1) })
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && (f.seen > 0 || ctx.Err() != nil):
			return nil
		case err != nil:
			return fmt.Errorf("after %d events from position %d: %w", f.seen, end, err)
		}
	}
}

// end is the position of the log's last event.
func (s *soak) end(ctx context.Context) (int64, error) {
	metrics, err := s.server.metrics(ctx)
	return int64(metrics["annals_log_position"]), err
}

// rebuilds builds the view anew, switches to it, and begins again.
func (s *soak) rebuilds(ctx context.Context) {
	projections, err := client.OpenProjections(s.server.Address, nil)
	if err != nil {
		s.fail(err)
		return
	}
	defer projections.Close()
	for ctx.Err() == nil {
		if err := rebuildOnce(ctx, projections); err != nil {
			if ctx.Err() == nil {
				s.fail(fmt.Errorf("a rebuild: %w", err))
				pause(time.Second)
			}
			continue
		}
		s.rebuilt.Add(1)
	}
}

// rebuildOnce builds a generation beside the live one and returns when reads are
// answered from it.
func rebuildOnce(ctx context.Context, projections *client.Projections) error {
	const poll = 50 * time.Millisecond
	// While the first generation is built there is none beside it.
	for built := false; !built; pause(poll) {
		info, err := projections.Rebuild(ctx, soakView)
		if err != nil {
			return err
		}
		built = info.Building() != nil
	}
	for {
		_, err := projections.Switch(ctx, soakView, 0, false)
		if err == nil || annals.CodeOf(err) != annals.CodeConflict {
			return err
		}
		pause(poll) // it is behind
	}
}

// tell says how the soak stands.
func (l *loader) tell(ctx context.Context, s *soak, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		u, err := s.server.usage(ctx)
		if err != nil {
			continue // sampled ends the run with it
		}
		l.Log(fmt.Sprintf("soak: %v, %d MiB of its own, heap %d MiB, %d handles, %d goroutines; %d rebuilds, %d failures beside",
			time.Since(began).Round(time.Second), u.Anonymous>>20, u.Heap>>20, u.FDs, u.Goroutines, s.rebuilt.Load(), s.failed.Load()))
	}
}
