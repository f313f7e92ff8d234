package dynamo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streams "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"github.com/eb901187/annals"
)

// A simulation runs the real driver, sequencer and worker as actors over the
// interpreter. One actor runs at a time, from one of its calls to the next; which
// one, and what becomes of the call, a seed decides. So a schedule repeats.
type simulation struct {
	random *rand.Rand
	world  *interpreter
	s3     *interpObjects
	now    time.Time
	actors []*actor
	active *actor // who runs
	lose   *actor // whose reply is lost
	calm   bool   // no faults any more

	history []appended
	ids     int
	seen    []string // of the log, by position, as readers saw it
	failure error
}

// appended is an append as its caller saw it end.
type appended struct {
	stream  string
	ids     []string
	version int64 // of the last event; 0 where the outcome is unknown
	refused bool
}

// An actor is a process: it starts with empty memory, and again after a crash.
type actor struct {
	name    string
	run     func(context.Context, *actor) error
	verdict chan error // what becomes of the call that it is parked at
	parked  chan bool  // false when the process has ended
	cancel  context.CancelFunc
	crashed bool
	ended   bool
}

var (
	errLost  = errors.New("simulation: the connection broke")
	errCrash = errors.New("simulation: the process crashed")
)

const simStreams = 3

var simSizes = sizes{runPages: 3, runEvents: 12, runBytes: 1 << 20, pageEvents: 4, pageBytes: 1 << 20, commitUnits: 17, pageUnits: 9}

func newSimulation(seed uint64) *simulation {
	s := &simulation{
		random: rand.New(rand.NewPCG(seed, 7)), world: newInterpreter(), s3: newInterpObjects(),
		now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if s.random.IntN(4) == 0 {
		s.s3 = nil // a store without a bucket
	}
	s.world.clock = func() time.Time { return s.now }
	s.world.byPartition = s.random.IntN(2) == 0
	s.world.pageBytes = []int{1 << 20, 700}[s.random.IntN(2)]
	s.world.unprocessed = func(_ string, n int) int {
		if s.calm {
			return 0
		}
		return max(0, s.random.IntN(n+8)-8)
	}
	c := s.calls()
	s.world.create(c.eventsTable().name, attrStream, attrVersion, true)
	s.world.create(c.logTable().name, attrKey, attrAt, false)
	s.world.before, s.world.after = s.before, s.after
	if s.s3 != nil {
		s.s3.before, s.s3.after = s.before, s.after
	}
	return s
}

// calls are those of a process: its own memory, the shared world. Clocks of
// processes differ by up to an hour.
func (s *simulation) calls() *calls {
	skew := time.Duration(s.random.IntN(7200)-3600) * time.Second
	address := Address{Name: "sim", Region: "here"}
	var bucket objects
	if s.s3 != nil {
		address.Bucket, bucket = "bucket", s.s3
	}
	sizes := simSizes
	if s.random.IntN(3) == 0 {
		sizes.commitUnits, sizes.pageUnits = 0, 0 // all bodies in the bucket
	}
	return newCalls(s.world, bucket, address, Options{
		Clock:  func() time.Time { return s.now.Add(skew) },
		Random: s.random.Uint64,
		Pause:  func(ctx context.Context, _ time.Duration) error { _ = s.park(); return ctx.Err() },
		sizes:  &sizes,
	})
}

// park stops the actor that runs until the scheduler lets it go on, and returns
// what becomes of its call. Outside of a schedule everything passes.
func (s *simulation) park() error {
	a := s.active
	if a == nil {
		return nil
	}
	a.parked <- true
	return <-a.verdict
}

// lostReply says that a call takes effect and its reply is lost.
var errLostReply = errors.New("simulation: the reply is lost")

func (s *simulation) before(string, any) error {
	if s.active == nil {
		return nil
	}
	err := s.park()
	if errors.Is(err, errLostReply) {
		s.active.crashed = false
		s.lose = s.active
		return nil
	}
	return err
}

func (s *simulation) after(string, any) error {
	if s.lose != nil && s.lose == s.active {
		s.lose = nil
		return errLost
	}
	return nil
}

// start makes a process of an actor.
func (s *simulation) start(a *actor) {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel, a.ended, a.crashed = cancel, false, false
	a.verdict, a.parked = make(chan error), make(chan bool)
	verdict, parked := a.verdict, a.parked
	go func() {
		<-verdict
		if err := a.run(ctx, a); err != nil && !errors.Is(err, errCrash) && !errors.Is(err, context.Canceled) && s.failure == nil {
			s.failure = fmt.Errorf("%s: %w", a.name, err)
		}
		a.ended = true
		parked <- false
	}()
}

// step lets one actor run to its next call.
func (s *simulation) step(a *actor) {
	s.active = a
	a.verdict <- s.fate(a)
	if !<-a.parked {
		a.cancel()
		if a.crashed && !s.calm {
			s.start(a)
		}
	}
	s.active = nil
}

// fate is what becomes of the call that an actor is parked at.
func (s *simulation) fate(a *actor) error {
	if a.crashed {
		return errCrash
	}
	if s.calm {
		return nil
	}
	switch n := s.random.IntN(100); {
	case n < 4:
		return errLost
	case n < 8:
		return errLostReply
	case n < 10:
		a.crashed = true
		a.cancel()
		return errCrash
	}
	return nil
}

// GetRecords, as one shard gives records: those of different items in any order.
type shuffled struct {
	*interpreter
	s *simulation
}

func (r shuffled) GetRecords(ctx context.Context, in *dynamodbstreams.GetRecordsInput, opts ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetRecordsOutput, error) {
	if r.s.random.IntN(20) == 0 && !r.s.calm {
		return nil, &streams.ExpiredIteratorException{}
	}
	if r.s.random.IntN(10) == 0 && !r.s.calm {
		return &dynamodbstreams.GetRecordsOutput{NextShardIterator: in.ShardIterator}, nil
	}
	limit := int32(1 + r.s.random.IntN(4))
	short := *in
	short.Limit = &limit
	out, err := r.interpreter.GetRecords(ctx, &short, opts...)
	if err == nil && !r.interpreter.byPartition {
		r.s.random.Shuffle(len(out.Records), func(i, k int) {
			a, b := out.Records[i].Dynamodb, out.Records[k].Dynamodb
			a.NewImage, b.NewImage = b.NewImage, a.NewImage
		})
	}
	return out, err
}

// environment is what happens to the stream besides.
func (s *simulation) environment() {
	switch n := s.random.IntN(400); {
	case n < 4:
		shards := s.world.openShards(s.calls().eventsTable().name)
		if len(shards) < 6 {
			s.world.split(shards[s.random.IntN(len(shards))])
		}
	case n < 6:
		s.now = s.now.Add(25 * time.Hour)
		s.world.trim(s.world.nextSequence())
	case n < 60:
		s.now = s.now.Add(time.Duration(s.random.IntN(20)) * time.Second)
	}
}

// run runs a schedule: writers, readers, two workers, and in half of the schedules two
// functions that are given batches, with faults; then, in peace, one worker that must
// bring all to its end.
func (s *simulation) run(steps int) error {
	for i := range 2 + s.random.IntN(2) {
		s.add(fmt.Sprint("writer ", i), s.writer)
	}
	s.add("reader", s.reader)
	s.add("worker 1", s.worker)
	if s.add("worker 2", s.worker); s.random.IntN(2) == 0 {
		s.add("pushed 1", s.pushed)
		s.add("pushed 2", s.pushed)
	}
	for range steps {
		s.environment()
		alive := slices.DeleteFunc(slices.Clone(s.actors), func(a *actor) bool { return a.ended })
		if len(alive) == 0 {
			break
		}
		if s.step(alive[s.random.IntN(len(alive))]); s.failure != nil {
			break
		}
	}
	s.stop()
	if s.failure != nil {
		return s.failure
	}
	return s.settle()
}

func (s *simulation) add(name string, run func(context.Context, *actor) error) {
	a := &actor{name: name, run: run}
	s.actors = append(s.actors, a)
	s.start(a)
}

// stop crashes all processes.
func (s *simulation) stop() {
	s.calm = true
	for _, a := range s.actors {
		for !a.ended {
			a.crashed = true
			a.cancel()
			s.step(a)
		}
	}
}

// settle lets a fresh worker finish and checks everything.
func (s *simulation) settle() error {
	c := s.calls()
	w := newWorker(c, shuffled{s.world, s}, time.Second)
	for quiet := 0; quiet < 3; {
		s.now = s.now.Add(time.Minute)
		n, err := w.Step(context.Background())
		if err != nil {
			return fmt.Errorf("the last worker: %w", err)
		}
		if quiet++; n > 0 {
			quiet = 0
		}
	}
	return s.check(newDriver(c, nil, time.Second))
}

// nextID names an event that was never named before.
func (s *simulation) nextID() string {
	s.ids++
	return fmt.Sprint("e", s.ids)
}

func simEvent(id string, n int) annals.Event {
	return annals.Event{
		ID: id, Type: fmt.Sprint("type-", n%3), Source: "sim", Correlation: fmt.Sprint("request-", n%5),
		Time: time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC), ContentType: annals.JSONContentType, Data: []byte(`{}`),
	}
}
