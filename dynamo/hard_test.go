package dynamo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streams "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

// playedWorld is an interpreter with a store, for what no stand-in can be made to do.
type playedWorld struct {
	t     *testing.T
	db    *interpreter
	s3    *interpObjects
	now   time.Time
	sizes sizes
}

func newPlayedWorld(t *testing.T, bucket bool, sizes sizes) *playedWorld {
	p := &playedWorld{t: t, db: newInterpreter(), now: storetest.Epoch, sizes: sizes}
	if bucket {
		p.s3 = newInterpObjects()
	}
	p.db.clock = func() time.Time { return p.now }
	c := p.driver().calls
	p.db.create(c.eventsTable().name, attrStream, attrVersion, true)
	p.db.create(c.logTable().name, attrKey, attrAt, false)
	return p
}

// driver is the store in another process.
func (p *playedWorld) driver() *Driver {
	address := Address{Name: "sim", Region: "us-east-1"}
	var bucket objects
	if p.s3 != nil {
		address.Bucket, bucket = "bucket", p.s3
	}
	c := newCalls(p.db, bucket, address, Options{
		Clock: func() time.Time { return p.now }, sizes: &p.sizes,
		Pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	})
	return newDriver(c, p.db, time.Millisecond)
}

func (p *playedWorld) append(d *Driver, stream string, events ...annals.Event) {
	p.t.Helper()
	if _, err := annals.New(d, nil).Append(p.t.Context(), stream, annals.Any, events...); err != nil {
		p.t.Fatal(err)
	}
}

func (p *playedWorld) step(w *Worker, n int) {
	p.t.Helper()
	for range n {
		if _, err := w.Step(p.t.Context()); err != nil {
			p.t.Fatal(err)
		}
	}
}

func TestPagesFitWithoutABucket(t *testing.T) {
	p := newPlayedWorld(t, false, usualSizes)
	d := p.driver()
	for i := range 40 {
		p.append(d, fmt.Sprint("s", i), noise("1", 15000+i))
	}
	p.step(NewWorker(d), 3)
	wantSound(t, d, 40)
}

// Data that packs a thousandfold must not make a run that nobody can unpack.
func TestRunsAreBoundedUnpacked(t *testing.T) {
	sizes := usualSizes
	sizes.runBytes = 64 << 10
	p := newPlayedWorld(t, true, sizes)
	d := p.driver()
	w := NewWorker(d)
	for i := range 20 {
		p.append(d, "s", storetest.Event("", "T", `"`+strings.Repeat("a", 200<<10)+`"`))
		p.step(w, 1)
		if held := len(w.seq.view.now.pages); held > 6 {
			t.Fatalf("after %d pages of 200 KB, %d are not sealed", i, held)
		}
	}
	wantSound(t, d, 20)
}

// A stream that always brings something must not keep a worker from what it lost.
func TestCatchingUpBesideSteadyTraffic(t *testing.T) {
	p := newPlayedWorld(t, true, usualSizes)
	d := p.driver()
	p.append(d, "lonely", storetest.Event("", "T", `1`))
	p.db.trim(p.db.nextSequence())
	p.now = p.now.Add(48 * time.Hour)
	w := NewWorker(d)
	const steps = patience + 10
	for range steps {
		p.append(d, "busy", storetest.Event("", "T", `1`))
		p.step(w, 1)
	}
	if w.lost {
		t.Error("the worker has not caught up")
	}
	wantSound(t, d, steps+1)
}

// A process that has not read the log for so long that even the markers of sealed
// pages are gone must find the runs.
func TestReaderThatWasAwayForLong(t *testing.T) {
	p := newPlayedWorld(t, true, smallSizes)
	d, away := p.driver(), p.driver()
	w := NewWorker(d)
	for i := range 62 {
		p.append(d, fmt.Sprint("x", i%3), storetest.Event("", "T", `1`))
		p.step(w, 1)
		if i == 1 {
			if _, err := away.End(t.Context(), -1); err != nil {
				t.Fatal(err)
			}
		}
	}
	table := p.db.tables["sim-log"]
	for _, r := range append([]interpRow{}, table.byName[keyLog].rows...) {
		if r.item[attrUntil] != nil {
			table.remove(interpKey{keyLog, r.sort})
		}
	}
	if end, err := away.End(t.Context(), -1); err != nil || end != 62 {
		t.Errorf("it finds the end at %d, %v", end, err)
	}
	wantSound(t, p.driver(), 62)
}

// A reader slower than those who seal gets on all the same.
func TestReaderSlowerThanSealing(t *testing.T) {
	sizes := smallSizes
	sizes.pageUnits = 0
	p := newPlayedWorld(t, true, sizes)
	d, slow := p.driver(), p.driver()
	w := NewWorker(d)
	n := 0
	more := func(k int) {
		for range k {
			n++
			p.append(d, fmt.Sprint("x", n%3), storetest.Event("", "T", `1`))
			p.step(w, 1)
		}
	}
	more(2)
	busy, races := false, 0
	p.s3.before = func(_ string, in any) error {
		if get, ok := in.(*s3.GetObjectInput); ok && !busy && races < 20 && strings.Contains(*get.Key, "/"+pagesPrefix) {
			busy = true
			races++
			more(4) // a run is sealed while the reader fetches one page
			busy = false
		}
		return nil
	}
	if end, err := slow.End(t.Context(), -1); err != nil || end < 40 {
		t.Errorf("after %d races it finds the end at %d, %v", races, end, err)
	}
}

// ghostly lists a shard that is gone.
type ghostly struct{ *interpreter }

func (g ghostly) DescribeStream(ctx context.Context, in *dynamodbstreams.DescribeStreamInput, opts ...func(*dynamodbstreams.Options)) (*dynamodbstreams.DescribeStreamOutput, error) {
	out, err := g.interpreter.DescribeStream(ctx, in, opts...)
	if err == nil {
		out.StreamDescription.Shards = append([]streams.Shard{{ShardId: aws.String("ghost")}}, out.StreamDescription.Shards...)
	}
	return out, err
}

func (g ghostly) GetShardIterator(ctx context.Context, in *dynamodbstreams.GetShardIteratorInput, opts ...func(*dynamodbstreams.Options)) (*dynamodbstreams.GetShardIteratorOutput, error) {
	if *in.ShardId == "ghost" {
		return nil, &streams.ResourceNotFoundException{Message: aws.String("Shard does not exist")}
	}
	return g.interpreter.GetShardIterator(ctx, in, opts...)
}

func TestShardThatIsGoneCostsOneScan(t *testing.T) {
	p := newPlayedWorld(t, true, usualSizes)
	d := p.driver()
	p.append(d, "s", storetest.Event("", "T", `1`))
	scans := 0
	p.db.before = func(operation string, _ any) error {
		if operation == "Scan" {
			scans++
		}
		return nil
	}
	p.step(newWorker(d.calls, ghostly{p.db}, time.Millisecond), 50)
	if scans > 2 {
		t.Errorf("%d scans of the events table", scans)
	}
	wantSound(t, d, 1)
}

// What is no commit stops the log by name, and no longer once it is taken out.
func TestItemThatIsNoCommit(t *testing.T) {
	p := newPlayedWorld(t, true, usualSizes)
	d := p.driver()
	byHand := item{attrStream: textValue("by-hand"), attrVersion: numberValue(1)}
	if err := d.calls.write(t.Context(), d.calls.eventsTable(), []item{byHand}); err != nil {
		t.Fatal(err)
	}
	p.append(d, "s", storetest.Event("", "T", `1`))
	wantMessage(t, NewWorker(d).Run(t.Context()), annals.CodeDamaged, "by-hand", "no commit")
	p.db.tables["sim-events"].remove(interpKey{"by-hand", 1})
	p.step(NewWorker(d), 3)
	wantSound(t, d, 1)
}

func TestHoleInAStreamIsAnError(t *testing.T) {
	p := newPlayedWorld(t, true, usualSizes)
	d := p.driver()
	for range 5 {
		p.append(d, "s", storetest.Event("", "T", `1`))
	}
	p.db.tables["sim-events"].remove(interpKey{"s", 3})
	for _, backward := range []bool{false, true} {
		n, last := 0, error(nil)
		for _, last = range p.driver().Stream(t.Context(), "s", 1, 5, backward) {
			n++
		}
		if n != 3 {
			t.Errorf("%d events came, and then %v", n-1, last)
		}
		wantMessage(t, last, annals.CodeDamaged, "version 4 follows version 2")
	}
}

// The log keeps a named cause before its effect, though the stream brings the
// effect first.
func TestCausesGoBeforeEffects(t *testing.T) {
	for seed := range uint64(20) {
		p := newPlayedWorld(t, true, usualSizes)
		d := p.driver()
		random := rand.New(rand.NewPCG(seed, 1))
		var causes []string
		for i := range 30 {
			stream := fmt.Sprint("s", random.IntN(5))
			e := storetest.Event(fmt.Sprint("e", i), "T", `1`)
			if len(causes) > 0 {
				e.Causation = causes[random.IntN(len(causes))]
			}
			c, err := annals.New(d, nil).Append(t.Context(), stream, annals.Any, e)
			if err != nil {
				t.Fatal(err)
			}
			causes = append(causes, fmt.Sprintf("%s@%d", stream, c.Version))
		}
		var items []item
		for i, err := range d.calls.scan(t.Context(), d.calls.eventsTable()) {
			if err != nil {
				t.Fatal(err)
			}
			items = append(items, i)
		}
		random.Shuffle(len(items), func(i, k int) { items[i], items[k] = items[k], items[i] })
		seq := NewSequencer(d)
		for _, i := range items {
			if err := seq.Sequence(t.Context(), []map[string]types.AttributeValue{i}); err != nil {
				t.Fatal(err)
			}
		}
		seen := map[string]bool{"": true}
		for e, err := range d.Log(t.Context(), annals.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			if !seen[e.Causation] {
				t.Fatalf("seed %d: %s@%d comes before its cause %s", seed, e.Stream, e.Version, e.Causation)
			}
			seen[fmt.Sprintf("%s@%d", e.Stream, e.Version)] = true
		}
		wantSound(t, d, 30)
	}
}

// A clock that stands still while a machine sleeps would hide how old a look at
// the log is.
func TestClocksRunWhileAMachineSleeps(t *testing.T) {
	for _, clock := range []func() time.Time{nil, time.Now} {
		if now := newCalls(nil, nil, Address{}, Options{Clock: clock}).clock(); strings.Contains(now.String(), "m=") {
			t.Errorf("%v has a monotonic reading", now)
		}
	}
}
