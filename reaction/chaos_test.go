package reaction_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/reaction"
	"github.com/eb901187/annals/storetest"
	"github.com/eb901187/annals/view"
)

var (
	chaosRuns = flag.Int("runs", 8, "runs of TestChaos")
	chaosSeed = flag.Uint64("seed", 0, "seed of the first run of TestChaos; 0 takes the clock")
)

const chaosSagas = 12

// Sagas run beside services that answer with success, failure, both, twice, late,
// too early or never, while one to three processes crash at every step, appends
// are lost or lose their replies, and the view store fails. In the end wantOrder
// holds for each saga.
func TestChaos(t *testing.T) {
	first := *chaosSeed
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	for run := range *chaosRuns {
		seed := first + uint64(run)
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Logf("again: go test ./reaction -run TestChaos -runs 1 -seed %d", seed)
			c := newChaos(t, seed)
			c.run()
			c.check()
		})
	}
}

type chaos struct {
	*world
	seed   uint64
	calm   *reaction.Process // only read
	shaken view.Store

	mu     sync.Mutex
	random *rand.Rand
	late   map[string]reply // by the command, or what else it is about, and its number
}

// A reply is an answer that a service gives later.
type reply struct {
	due    time.Time
	stream string
	event  annals.Event
}

func newChaos(t *testing.T, seed uint64) *chaos {
	c := &chaos{world: newWorld(t), seed: seed, random: rand.New(rand.NewPCG(seed, 0)), late: map[string]reply{}}
	c.shaken = &shaky{c.views, c}
	c.faulty.before = c.dawdle
	c.calm = c.sagas(c.world.options())
	return c
}

// chance is true once in n times.
func (c *chaos) chance(n int) bool { return c.below(n) == 0 }

func (c *chaos) below(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.random.IntN(n)
}

// fate is what the seed says about key, whenever it is asked.
func (c *chaos) fate(key string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(key))
	return rand.New(rand.NewPCG(c.seed, h.Sum64()))
}

// dawdle lets others overtake an append now and then.
func (c *chaos) dawdle([]annals.Event) {
	if c.chance(8) {
		c.moment()
	}
}

// A shaky view store fails before or after it has done what it was asked for.
type shaky struct {
	view.Store
	c *chaos
}

func (s *shaky) Commit(ctx context.Context, change view.Change) error {
	if s.c.chance(40) {
		return annals.ErrUnavailable
	}
	err := s.Store.Commit(ctx, change)
	if err == nil && s.c.chance(40) {
		return annals.ErrUnknownOutcome
	}
	return err
}

var errCrash = errors.New("crash")

// options crash a process now and then, and plant faults for the next calls.
func (c *chaos) options() *reaction.Options {
	o := c.world.options()
	o.Consumer.Attempts, o.Consumer.Batch = 1000, 1+c.below(20)
	o.Consumer.At = func(consumer.Step) error {
		if c.chance(10) {
			faults := make([]storetest.Fault, 1+c.below(5))
			for i := range faults {
				faults[i] = storetest.Fault(c.below(4))
			}
			c.faulty.FailAppends(faults...)
		}
		if c.chance(20) {
			c.faulty.FailReads(storetest.None, storetest.Refused)
		}
		if c.chance(25) {
			return errCrash
		}
		return nil
	}
	return o
}

// chaosSteps are the steps; those that wait have answers of type STEP-ok and
// STEP-bad, and their compensations STEP-undone and STEP-kept.
var chaosSteps = []struct {
	name               string
	waits, undoWaits   bool
	timeout, undoLimit time.Duration
	attempts           int
}{
	{name: "s0", waits: true, undoWaits: true, undoLimit: time.Minute},
	{name: "s1", waits: true, timeout: time.Minute, attempts: 3},
	{name: "s2", undoWaits: true},
	{name: "s3", waits: true, timeout: 40 * time.Second, undoWaits: true},
}

func (c *chaos) sagas(o *reaction.Options) *reaction.Process {
	c.t.Helper()
	saga := reaction.Saga[[]string]{
		Name:   "chaos",
		ID:     func(e *annals.Event) string { return e.Stream[strings.LastIndexByte(e.Stream, '-')+1:] },
		Starts: []string{"begin"},
	}
	for _, s := range chaosSteps {
		step := reaction.Step[[]string]{Name: s.name, Do: c.action(s.name, s.waits), Undo: c.action(s.name+"/undo", s.undoWaits)}
		step.Do.Timeout, step.Do.Attempts, step.Undo.Timeout = s.timeout, s.attempts, s.undoLimit
		saga.Steps = append(saga.Steps, step)
	}
	p, err := reaction.NewProcess(c.store, c.shaken, saga, o)
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

func answers(key string) (good, bad string) {
	if step, undo := strings.CutSuffix(key, "/undo"); undo {
		return step + "-undone", step + "-kept"
	}
	return key + "-ok", key + "-bad"
}

func (c *chaos) action(key string, waits bool) reaction.Action[[]string] {
	a := reaction.Action[[]string]{
		Issue: func(ctx context.Context, cmd *reaction.Command[[]string]) error {
			stream := "commands-" + cmd.ID
			if !waits && c.fate(fmt.Sprint(stream, key, cmd.Attempt, "issue")).IntN(6) == 0 {
				return reaction.Fail("fate")
			}
			if _, err := cmd.Append(ctx, stream, annals.Any, annals.Event{Type: "command"}); err != nil {
				return err
			}
			if c.chance(15) {
				return errors.New("a slip")
			}
			return nil
		},
		Backoff: func(n int) time.Duration { return time.Duration(n-1) * 10 * time.Second },
	}
	if !waits {
		return a
	}
	good, bad := answers(key)
	a.Success, a.Failure = []string{good}, []string{bad}
	a.Keep = func(known *[]string, e *annals.Event) error {
		*known = append(*known, e.Type)
		return nil
	}
	return a
}

// service answers commands, as their fate says. An answer may come a second time,
// late, as another kind than the first, or without saying what it answers.
func (c *chaos) service(ctx context.Context, t *reaction.Turn) error {
	step, attempt := t.Attributes[reaction.AttributeStep], t.Attributes[reaction.AttributeAttempt]
	fate := c.fate(t.Stream + step + attempt)
	good, bad := answers(step)
	waits := false
	silent := 0 // in ten
	for _, s := range chaosSteps {
		waits = waits || s.name == step && s.waits || s.name+"/undo" == step && s.undoWaits
		if s.name == step && s.timeout > 0 || s.name+"/undo" == step && s.undoLimit > 0 {
			silent = 2
		}
	}
	if !waits || fate.IntN(10) < silent {
		return nil
	}
	for n := range 1 + fate.IntN(2) {
		typ := good
		if fate.IntN(4) == 0 {
			typ = bad
		}
		e := reaction.Reply(&t.Event, typ, nil)
		if fate.IntN(4) == 0 {
			e.Attributes = nil
		}
		stream := strings.Replace(t.Stream, "commands", "answers", 1)
		if delay := fate.IntN(200); fate.IntN(2) == 0 {
			c.later(fmt.Sprint(t.Cause(), n), time.Duration(delay)*time.Second, stream, e)
		} else if _, err := t.Append(ctx, stream, annals.Any, e); err != nil {
			return err
		}
	}
	return nil
}

func (c *chaos) later(key string, delay time.Duration, stream string, e annals.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.late[key]; !ok {
		e.ID = "late-" + key
		c.late[key] = reply{c.clock.Now().Add(delay), stream, e}
	}
}

// deliver gives the late answers that are due, and says how many are left.
func (c *chaos) deliver() (left int) {
	var due []reply
	now := c.clock.Now()
	c.mu.Lock()
	for key, r := range c.late {
		switch {
		case r.stream == "":
		case r.due.After(now):
			left++
		default:
			due = append(due, r)
			c.late[key] = reply{} // known, and given
		}
	}
	c.mu.Unlock()
	for _, r := range due {
		c.insist(r.stream, r.event)
	}
	return left
}

// insist appends although faults are planted.
func (c *chaos) insist(stream string, e annals.Event) {
	c.t.Helper()
	for {
		_, err := c.store.Append(c.t.Context(), stream, annals.Any, e)
		if err == nil {
			return
		}
		if !errors.Is(err, annals.ErrUnavailable) && !errors.Is(err, annals.ErrUnknownOutcome) {
			c.t.Fatal(err)
		}
	}
}

// keep runs what begin makes, again after each crash, until ctx ends.
func (c *chaos) keep(ctx context.Context, all *sync.WaitGroup, begin func() runner) {
	all.Go(func() {
		for ctx.Err() == nil {
			if err := begin().Run(ctx); !errors.Is(err, errCrash) && ctx.Err() == nil {
				c.t.Errorf("Run returned %v", err)
				return
			}
		}
	})
}

func (c *chaos) run() {
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for range 1 + c.below(3) {
		c.keep(ctx, &running, func() runner { return c.sagas(c.options()) })
	}
	c.keep(ctx, &running, func() runner {
		r, err := reaction.New(c.store, c.shaken, "service", annals.Query{Types: []string{"command"}}, c.service, c.options())
		if err != nil {
			c.t.Fatal(err)
		}
		return r
	})
	for i := range chaosSagas {
		c.insist(fmt.Sprintf("begin-%d", i), annals.Event{ID: "1", Type: "begin"})
		if fate := c.fate(fmt.Sprint("early", i)); fate.IntN(4) == 0 {
			good, _ := answers(chaosSteps[fate.IntN(len(chaosSteps))].name)
			if good == "s2-ok" {
				continue // nobody waits for that
			}
			c.later(fmt.Sprint("early", i), time.Duration(fate.IntN(60))*time.Second, fmt.Sprintf("answers-%d", i), annals.Event{Type: good})
		}
	}
	for done := false; !done; {
		if ctx.Err() != nil {
			c.dump("the sagas don't come to an end")
			return
		}
		before := c.end()
		c.moment()
		left := c.deliver()
		if c.end() == before {
			c.clock.pass(time.Duration(1+c.below(15)) * time.Second)
			done = left == 0 && c.over(ctx)
		}
	}
}

// over reports whether every saga has ended and everything was read. It resumes
// those that have failed.
func (c *chaos) over(ctx context.Context) bool {
	for i := range chaosSagas {
		id := fmt.Sprint(i)
		pr, err := c.calm.Progress(ctx, id)
		if err != nil || pr.Phase == reaction.Running || pr.Phase == reaction.Compensating {
			return false // not begun yet, a fault, or under way
		}
		if pr.Phase == reaction.Failed {
			if err := c.calm.Resume(ctx, id, "chaos"); err != nil && !errors.Is(err, annals.ErrConflict) &&
				!errors.Is(err, annals.ErrUnavailable) && !errors.Is(err, annals.ErrUnknownOutcome) && !errors.Is(err, annals.ErrInvalid) {
				c.t.Error(err)
			}
			return false
		}
	}
	for _, name := range []string{"service", c.calm.Name()} {
		position, err := consumer.NewControl(c.store, c.views, name, nil).Position(ctx)
		if err != nil || position < c.end() {
			return false
		}
	}
	return true
}

func (c *chaos) dump(why string) {
	c.t.Error(why)
	for i := range chaosSagas {
		c.t.Logf("saga %d: %s", i, c.types(fmt.Sprintf("saga-chaos/%d", i)))
	}
	for _, name := range []string{"service", c.calm.Name()} {
		s, err := consumer.NewControl(c.store, c.views, name, nil).Status(context.Background())
		c.t.Logf("%+v, %v", s, err)
	}
}

func (c *chaos) check() {
	if c.t.Failed() {
		return
	}
	c.faulty.FailReads()
	count := map[reaction.Phase]int{}
	for i := range chaosSagas {
		o := &saga{chaos: c, name: fmt.Sprintf("saga-chaos/%d", i), commands: map[string]annals.Event{}, done: map[string]bool{}, undone: map[string]bool{}}
		o.readCommands(fmt.Sprintf("commands-%d", i))
		for _, e := range c.stream(o.name) {
			o.read(&e)
		}
		o.wantEnd(fmt.Sprintf("answers-%d", i))
		count[o.phase]++
	}
	if parked := c.parked(c.calm); len(parked) > 0 {
		c.t.Errorf("parked: %+v", parked)
	}
	c.t.Logf("%v", count)
}
