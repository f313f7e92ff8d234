package linear

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

var (
	operations = flag.Int("ops", 0, "operations of TestLinearizable, over all its stores; 0 for the few of make test")
	seedFlag   = flag.Uint64("seed", 0, "seed of what clients do and of the faults; 0 takes the clock")
	results    = flag.String("results", "", "file for the figures of TestLinearizable, as JSON")
)

func seed(t *testing.T) uint64 {
	t.Helper()
	s := *seedFlag
	if s == 0 {
		s = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: repeat with -run '%s$' -seed %d", s, t.Name(), s)
	return s
}

// A world is a store under faults. Each stream is used in one round only.
type world interface {
	// begin starts the faults of a round, for so many clients.
	begin(clients int)
	// store is what a client uses next.
	store(client int) *annals.Store
	// calm ends the faults of the round, waits for what they have held back, and
	// returns a store without any.
	calm() *annals.Store
	// planted counts the faults by name.
	planted() map[string]int
}

// A plan is how many rounds a world gets, and how large they are. There are as many
// more as it takes for want operations.
type plan struct {
	rounds, streams, clients, operations int
	want                                 int
	mistaken, large                      int
	timeout                              time.Duration
}

// run runs the rounds of a plan and checks their histories.
func run(t *testing.T, w world, p plan, seed uint64) *Report {
	t.Helper()
	all := &Report{Illegal: []string{}, Undecided: []string{}}
	for round := 0; round < p.rounds || all.Operations < p.want; round++ {
		all.Add(runRound(t, w, p, seed+uint64(round)*1000, round))
		if len(all.Illegal)+len(all.Undecided) > 0 || t.Failed() {
			break
		}
	}
	return all
}

func runRound(t *testing.T, w world, p plan, seed uint64, round int) *Report {
	t.Helper()
	w.begin(p.streams * p.clients)
	recorded := make([]*Recorded, p.streams)
	var working sync.WaitGroup
	for i := range recorded {
		work := &Workload{
			Stream: fmt.Sprintf("s-%d-%d", round, i), Seed: seed + uint64(i), Clients: p.clients, Operations: p.operations,
			Mistaken: p.mistaken, Large: p.large, Timeout: p.timeout,
			Store: func(c int) *annals.Store { return w.store(i*p.clients + c) },
		}
		working.Go(func() { recorded[i] = work.Run(t.Context()) })
	}
	working.Wait()
	last := w.calm()
	histories := make([]*History, len(recorded))
	for i, r := range recorded {
		h, err := r.Finish(t.Context(), last)
		if err != nil {
			t.Fatal(err)
		}
		histories[i] = h
	}
	return Check(histories, time.Minute)
}

// wantLinearizable fails the test unless all was linearizable, under enough of what
// makes that hard.
func wantLinearizable(t *testing.T, r *Report, w world) {
	t.Helper()
	t.Logf("%d operations on %d streams: %d acknowledged (%d replayed), %.1f %% conflicts, %.1f %% unknown (%d of them landed), %d reads; %d told nothing; %d illegal, %d undecided; checked in %.1f s",
		r.Operations, r.Streams, r.Acknowledged, r.Replayed, 100*r.Share(r.Conflicts), 100*r.Share(r.Unknown), r.Landed, r.Reads, r.Refused, len(r.Illegal), len(r.Undecided), r.Checking)
	t.Logf("errors %v, faults %v", r.Causes, w.planted())
	if len(r.Illegal)+len(r.Undecided) > 0 {
		t.Errorf("not linearizable: %s; not decided: %q", strings.Join(r.Illegal, "\n"), r.Undecided)
	}
	if r.Share(r.Conflicts) < 0.3 || r.Share(r.Unknown) < 0.05 {
		t.Errorf("%.3f of the operations were conflicts and %.3f unknown, want 0.3 and 0.05 at least", r.Share(r.Conflicts), r.Share(r.Unknown))
	}
	if r.Landed == r.Unknown || r.Replayed == 0 {
		t.Errorf("of %d unknown appends %d landed, and %d were replayed: not all of them should, and some be known again", r.Unknown, r.Landed, r.Replayed)
	}
	for name, n := range w.planted() {
		if n == 0 {
			t.Errorf("the fault %q was never planted", name)
		}
	}
}

// A figure is what is written down of a run.
type figure struct {
	*Report
	Store     string         `json:"store"`
	Seed      uint64         `json:"seed"`
	Conflicts float64        `json:"conflict_share"`
	Unknown   float64        `json:"unknown_share"`
	Seconds   float64        `json:"seconds"`
	Planted   map[string]int `json:"faults"`
}

func write(t *testing.T, figures []figure) {
	t.Helper()
	if *results == "" {
		return
	}
	text, err := json.MarshalIndent(figures, "", "\t")
	if err == nil {
		err = os.WriteFile(*results, append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
}

// dice are random numbers for several goroutines, and the count of what they chose.
type dice struct {
	mu     sync.Mutex
	random *rand.Rand
	count  map[string]int
	throws int
	still  bool // no faults now
}

func newDice(seed uint64, names ...string) *dice {
	d := &dice{random: rand.New(rand.NewPCG(seed, 99)), count: map[string]int{}}
	for _, name := range names {
		d.count[name] = 0
	}
	return d
}

func (d *dice) below(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.random.IntN(n)
}

func (d *dice) note(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count[name]++
}

// A chance is how many of 1,000 calls get a fault.
type chance struct {
	name string
	of   int
}

// certain is by how many throws each fault has come, whatever the seed.
const certain = 300

// fall chooses one of the faults, or none.
func (d *dice) fall(chances []chance) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.still {
		return ""
	}
	n := d.random.IntN(1000)
	d.throws++
	for _, c := range chances {
		if n -= c.of; n < 0 || d.count[c.name] == 0 && d.throws > certain {
			d.count[c.name]++
			return c.name
		}
	}
	return ""
}

func (d *dice) quiet(still bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.still = still
}

func (d *dice) counts() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	counts := map[string]int{}
	for name, n := range d.count {
		counts[name] = n
	}
	return counts
}

// jumping is a clock that jumps by up to an hour, back and forth, at every look.
func (d *dice) jumping() time.Time {
	return time.Now().Add(time.Duration(d.below(7200)-3600) * time.Second)
}

// options are those of a client's Store: it tries once, so that outcomes stay unknown.
func (d *dice) options() *annals.Options {
	return &annals.Options{Attempts: 1, Clock: d.jumping, Pause: func(context.Context, int) {}}
}

// A counter lets wait for so many calls, in place of a time.
type counter struct {
	mu      sync.Mutex
	n       int
	free    bool // nobody has to wait
	waiting map[chan struct{}]int
}

// hold makes those wait who come from now on.
func (c *counter) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free = false
}

func (c *counter) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	for ch, n := range c.waiting {
		if c.n >= n {
			close(ch)
			delete(c.waiting, ch)
		}
	}
}

// after is closed once n more calls were counted, or all are let go.
func (c *counter) after(n int) <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan struct{})
	if c.free {
		close(ch)
		return ch
	}
	if c.waiting == nil {
		c.waiting = map[chan struct{}]int{}
	}
	c.waiting[ch] = c.n + n
	return ch
}

// release lets go all who wait, and those who come before the next hold.
func (c *counter) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free = true
	for ch := range c.waiting {
		close(ch)
		delete(c.waiting, ch)
	}
}
