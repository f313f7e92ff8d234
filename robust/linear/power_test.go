package linear

import (
	"context"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/embedded/crashfs"
	"github.com/eb901187/annals/httpapi"
)

// power is an embedded store on a file system that loses what was not synced whenever
// its power is cut, as a driver.
type power struct {
	annals.Driver // the log, which nobody reads here
	*dice
	t       *testing.T
	random  *rand.Rand // of the cuts
	every   int        // calls between two of them
	calls   counter
	end     chan struct{}
	cutting sync.WaitGroup

	mu   sync.RWMutex
	cuts int
	fs   *crashfs.FS
	open *annals.Store
}

const powerCut = "power cut"

func newPower(t *testing.T, seed uint64, every int) *power {
	t.Helper()
	p := &power{dice: newDice(seed, powerCut), t: t, random: rand.New(rand.NewPCG(seed, 5)), every: every}
	t.Cleanup(p.off)
	return p
}

// begin starts with an empty store and cuts the power until stop.
func (p *power) begin() {
	p.mu.Lock()
	p.off()
	p.fs = crashfs.New()
	p.on()
	p.mu.Unlock()
	p.end = make(chan struct{})
	p.cutting.Go(func() {
		for {
			select {
			case <-p.calls.after(p.every/2 + p.random.IntN(p.every)):
				p.cut()
			case <-p.end:
				return
			}
		}
	})
}

func (p *power) stop() {
	close(p.end)
	p.cutting.Wait()
}

func (p *power) on() {
	store, err := embedded.Open("store", &embedded.Options{
		FS: p.fs, Logger: slog.New(slog.DiscardHandler), Store: p.options(),
	})
	if err != nil {
		store = annals.New(&failing{err: err}, p.options())
	}
	p.open = store
}

// failing is a store that can't be opened, as its clients see it.
type failing struct {
	annals.Driver // the log, which nobody reads here
	err           error
}

func (f *failing) Append(context.Context, string, int64, []annals.Event) (annals.Commit, error) {
	return annals.Commit{}, f.err
}

func (f *failing) Stream(context.Context, string, int64, int64, bool) iter.Seq2[annals.Event, error] {
	return func(yield func(annals.Event, error) bool) { yield(annals.Event{}, f.err) }
}

func (f *failing) Close() error { return nil }

func (p *power) off() {
	if p.open != nil {
		_ = p.open.Close() // what it says of a file system that is thrown away
	}
}

// cut takes the power away and gives it back. What was not synced is lost, at first all
// of it, later half or nothing too.
func (p *power) cut() {
	p.note(powerCut)
	p.mu.Lock()
	defer p.mu.Unlock()
	percent := 0
	if p.cuts++; p.cuts > 1 {
		percent = []int{0, 50, 100}[p.random.IntN(3)]
	}
	p.fs = p.fs.Crash(vfs.CrashCloneCfg{
		UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(p.random.Uint64(), 1)),
	})
	p.off() // on the file system of before
	p.on()
}

func (p *power) now() (*annals.Store, int) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.open, p.cuts
}

// Append drops the answer of a store that has lost its power since.
func (p *power) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	defer p.calls.add()
	store, cuts := p.now()
	c, err := store.Append(ctx, stream, expected, events...)
	if _, now := p.now(); now != cuts {
		return annals.Commit{}, annals.ErrUnknownOutcome
	}
	return c, err
}

func (p *power) Stream(ctx context.Context, stream string, from, to int64, backward bool) iter.Seq2[annals.Event, error] {
	return func(yield func(annals.Event, error) bool) {
		defer p.calls.add()
		store, cuts := p.now()
		for e, err := range store.Stream(ctx, stream, &annals.StreamOptions{From: from, To: to, Backward: backward}) {
			if _, now := p.now(); now != cuts {
				yield(annals.Event{}, annals.ErrUnavailable)
				return
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// served is a power behind the HTTP API and a proxy. The clocks of clients and server
// jump.
type served struct {
	*proxy
	power   *power
	handler http.Handler
}

func newServed(t *testing.T, seed uint64, clients, every int) *served {
	t.Helper()
	w := &served{power: newPower(t, seed, every)}
	w.handler = httpapi.New(annals.New(w.power, w.power.options()), &httpapi.Options{
		Clock: w.power.jumping, Logger: slog.New(slog.DiscardHandler),
	})
	w.proxy = newProxy(t, seed, w.serve)
	w.stores(t, clients)
	w.start()
	return w
}

func (w *served) serve(r *http.Request) (*answer, error) {
	out := httptest.NewRecorder()
	w.handler.ServeHTTP(out, r)
	return &answer{out.Code, out.Header(), out.Body.Bytes()}, nil
}

func (w *served) begin(int) {
	w.power.begin()
	w.quiet(false)
}

func (w *served) planted() map[string]int { return both(w.counts(), w.power.counts()) }

func (w *served) calm() *annals.Store {
	w.quiet(true)
	w.power.stop()
	w.late.Wait()
	return w.steady
}

// inProcess is a power under weather, without HTTP: many operations in a short time.
type inProcess struct {
	*direct
	power *power
}

func newInProcess(t *testing.T, seed uint64, every int) *inProcess {
	t.Helper()
	p := newPower(t, seed, every)
	return &inProcess{newDirect(p, seed), p}
}

func (w *inProcess) begin(clients int) {
	w.power.begin()
	w.direct.begin(clients)
}

func (w *inProcess) planted() map[string]int { return both(w.counts(), w.power.counts()) }

func (w *inProcess) calm() *annals.Store {
	w.power.stop()
	return w.direct.calm()
}

func both(a, b map[string]int) map[string]int {
	for name, n := range b {
		a[name] += n
	}
	return a
}
