package projection

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/view"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "the seed of the random tests; 0 takes one from the clock")
	chaosFlag = flag.Int("chaos", 12, "how many random runs TestChaos makes")
)

func newSeed(t *testing.T) uint64 {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: repeat with -seed %d", seed, seed)
	return seed
}

var errCrash = errors.New("the process ends here")

// A chaos is one run: a log that grows, runners that fail and end, an operator,
// and at last a comparison with a plain fold.
type chaos struct {
	t     *testing.T
	store *annals.Store
	views view.Store
	p     *Projection
	name  string // of the consumer

	mu     sync.Mutex
	rng    *rand.Rand
	crash  func(consumer.Step) bool // whether the process ends at this step; under mu
	faults float64                  // of events
	more   func() bool              // whether the log is to grow on
	want   map[string]*account
	last   int64
}

func (c *chaos) chance(p float64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rng.Float64() < p
}

// repaired is what the operator makes of poison.
const repaired = 7

// append adds an event to one of some streams; one in twenty is poison, which no
// handler can fold.
func (c *chaos) append() {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := fmt.Sprintf("account-%d", c.rng.IntN(6))
	amount, effect := 1+c.rng.IntN(100), 0
	if effect = amount; c.rng.Float64() < 0.05 {
		amount, effect = 0, repaired
	}
	a := c.want[name]
	if a == nil {
		a = &account{}
		c.want[name] = a
	}
	a.Balance += effect
	a.Versions = append(a.Versions, int64(len(a.Versions)+1))
	c.last = move(c.t, c.store, name, amount)
}

// flaky fails before or after it has folded a batch.
type flaky struct {
	consumer.Handler
	c *chaos
}

func (f flaky) Handle(ctx context.Context, batch []consumer.Message) (view.Change, error) {
	fails := false
	for range batch {
		fails = fails || f.c.chance(f.c.faults)
	}
	if fails && f.c.chance(0.5) {
		return view.Change{}, errors.New("planted before the work")
	}
	change, err := f.Handler.Handle(ctx, batch)
	if err == nil && fails {
		err = errors.New("planted behind the work")
	}
	return change, err
}

// run is one process: it starts again whenever it ends, until ctx ends.
func (c *chaos) run(ctx context.Context, id int) {
	for life := 0; ctx.Err() == nil; life++ {
		opts := &consumer.Options{
			Batch: 1 + id*3, Poll: time.Millisecond, Logger: quiet(), ID: fmt.Sprintf("%d.%d", id, life),
			Backoff: func(int) time.Duration { return time.Microsecond }, Attempts: 50,
			At: func(step consumer.Step) error {
				c.mu.Lock()
				defer c.mu.Unlock()
				if c.crash(step) {
					return errCrash
				}
				return nil
			},
		}
		handler, err := (&Set{store: c.store, views: c.views}).handler(c.p, 1)
		if err != nil {
			c.t.Error(err)
			return
		}
		r, err := consumer.New(c.store, c.views, c.name, c.p.query, flaky{handler, c}, opts)
		if err != nil {
			c.t.Error(err)
			return
		}
		if err := r.Run(ctx); !errors.Is(err, errCrash) && ctx.Err() == nil {
			c.t.Errorf("a runner ended: %v", err)
			return
		}
	}
}

// operate repairs what is parked, as an operator would, until ctx ends.
func (c *chaos) operate(ctx context.Context) {
	control := consumer.NewControl(c.store, c.views, c.name, nil)
	for ctx.Err() == nil {
		for p, err := range control.Parked(ctx) {
			if err != nil || p.Waiting || p.Retry {
				continue
			}
			if p.Stack != "" || !strings.Contains(p.Error, "nothing was moved") {
				c.t.Errorf("parked after %d attempts: %s\n%s", p.Attempts, p.Error, p.Stack)
			}
			err := control.Edit(ctx, p.Position, fmt.Appendf(nil, `{"amount":%d}`, repaired), "chaos")
			if err != nil && !errors.Is(err, annals.ErrNotFound) && ctx.Err() == nil {
				c.t.Errorf("editing: %v", err)
			}
		}
		runtime.Gosched()
	}
}

// handled waits until the event that was appended last was handled or parked.
func (c *chaos) handled() {
	control := consumer.NewControl(c.store, c.views, c.name, nil)
	for c.t.Context().Err() == nil {
		if at, err := control.Position(c.t.Context()); err == nil && at >= c.last {
			return
		}
		runtime.Gosched()
	}
}

// settled reports whether everything was folded and nothing is parked.
func (c *chaos) settled() bool {
	s, err := consumer.NewControl(c.store, c.views, c.name, nil).Status(c.t.Context())
	return err == nil && s.Position >= c.last && s.Parked == 0
}

func (c *chaos) play(runners, events int) {
	ctx, cancel := context.WithCancel(c.t.Context())
	var all sync.WaitGroup
	for id := range runners {
		all.Go(func() { c.run(ctx, id) })
	}
	all.Go(func() { c.operate(ctx) })
	for n := 0; n < events || c.more() && n < 100*events; n++ {
		c.append()
		if n >= events {
			c.handled() // the runner is to meet some of them later
		}
	}
	for deadline := time.Now().Add(time.Minute); !c.settled(); {
		if time.Now().After(deadline) {
			s, err := consumer.NewControl(c.store, c.views, c.name, nil).Status(ctx)
			c.t.Errorf("never settled: %+v %v, the log ends at %d", s, err, c.last)
			break
		}
		runtime.Gosched()
	}
	cancel()
	all.Wait()
}

// compare holds the view against a plain fold, byte for byte. The versions that an
// account lists say that each event was applied once, in order, without a gap.
func (c *chaos) compare() {
	found := map[string]string{}
	for doc, err := range c.views.Scan(context.Background(), "accounts@1", view.Range{}) {
		if err != nil {
			c.t.Fatal(err)
		}
		found[doc.Key] = string(doc.Data)
	}
	for name, a := range c.want {
		text, err := json.Marshal(a)
		if err != nil {
			c.t.Fatal(err)
		}
		if found[name] != string(text) {
			c.t.Errorf("%s is\n%s, want\n%s", name, found[name], text)
		}
		delete(found, name)
	}
	if len(found) > 0 {
		c.t.Errorf("documents of no stream: %v", found)
	}
}

func newChaos(t *testing.T, rng *rand.Rand) *chaos {
	c := &chaos{t: t, name: "accounts@1", store: newStore(t), views: newViews(t), p: accounts("1", 1), rng: rng, want: map[string]*account{}}
	c.crash = func(consumer.Step) bool { return false }
	c.more = func() bool { return false }
	return c
}

func TestChaos(t *testing.T) {
	seed := newSeed(t)
	for run := range *chaosFlag {
		rng := rand.New(rand.NewPCG(seed, uint64(run)))
		runners := 1 + rng.IntN(8)
		t.Run(fmt.Sprintf("run %d with %d runners", run, runners), func(t *testing.T) {
			c := newChaos(t, rng)
			c.faults = 0.02
			c.crash = func(consumer.Step) bool { return c.rng.Float64() < 0.02 }
			c.play(runners, 400)
			c.compare()
		})
	}
}

// A process ends at each step, and the next one at each step again.
func TestCrashesAtPairsOfSteps(t *testing.T) {
	seed := newSeed(t)
	for i, first := range consumer.Steps() {
		for j, second := range consumer.Steps() {
			t.Run(fmt.Sprintf("%s then %s", first, second), func(t *testing.T) {
				c := newChaos(t, rand.New(rand.NewPCG(seed, uint64(100*i+j))))
				plan := []consumer.Step{first, second}
				skip := c.rng.IntN(3)
				c.crash = func(step consumer.Step) bool {
					if len(plan) == 0 || step != plan[0] {
						return false
					}
					if skip--; skip >= 0 {
						return false
					}
					plan, skip = plan[1:], c.rng.IntN(2)
					return true
				}
				c.more = func() bool {
					c.mu.Lock()
					defer c.mu.Unlock()
					return len(plan) > 0
				}
				c.play(1, 30)
				c.compare()
				if len(plan) > 0 {
					t.Errorf("the run never came to %v", plan)
				}
			})
		}
	}
}

// A rebuild ends where the view is that grew with the log.
func TestRebuildEqualsIncremental(t *testing.T) {
	seed := newSeed(t)
	for i := range 1000 {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		c := newChaos(t, rng)
		c.follow("accounts@1", 1+rng.IntN(5), func() {
			for range 1 + rng.IntN(30) {
				c.append()
			}
		})
		c.follow("accounts@2", 1+rng.IntN(50), func() {})
		s := &Set{store: c.store, views: c.views}
		for pair, err := range s.pairs(t.Context(), "accounts@1", "accounts@2", view.Range{}) {
			if err != nil || string(pair.A) != string(pair.B) {
				t.Fatalf("log %d: %s is %s and rebuilt %s, %v", i, pair.Key, pair.A, pair.B, err)
			}
		}
	}
}

// follow keeps a generation up to date while f appends.
func (c *chaos) follow(name string, batch int, f func()) {
	ctx, cancel := context.WithCancel(c.t.Context())
	opts := &consumer.Options{Batch: batch, Poll: time.Millisecond, Logger: quiet()}
	r, err := consumer.New(c.store, c.views, name, c.p.query, c.p.documents(c.views, name), opts)
	if err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = r.Run(ctx) }()
	f()
	if err := r.WaitFor(ctx, c.last); err != nil {
		c.t.Fatal(err)
	}
	cancel()
	<-ended
}
