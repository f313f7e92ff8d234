package lambda

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

var (
	disorders    = flag.Int("disorders", 2, "how many rounds TestSequenceOfDisorderedBatches does")
	disorderSeed = flag.Uint64("disorder", 0, "the seed of its first round, the next one has the next seed; 0 takes the clock")
)

// Lambda gives three functions of the sequencing role what a table's stream has: in
// batches that overlap, come in any order, come again, come late, and run out of
// time. At every moment the log that is read is the start of that which is read
// later, and in the end it has each commit once, whole, in the order of its stream,
// at positions without a gap.
func TestSequenceOfDisorderedBatches(t *testing.T) {
	seed := *disorderSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	for i := range uint64(*disorders) {
		t.Run(fmt.Sprint("seed ", seed+i), func(t *testing.T) {
			t.Logf("repeat with -run TestSequenceOfDisorderedBatches -disorders 1 -disorder %d", seed+i)
			d := disorder{stage: newStage(t), t: t, random: rand.New(rand.NewPCG(seed+i, 4))}
			d.run()
		})
	}
}

type disorder struct {
	*stage
	t      *testing.T
	random *rand.Rand
	want   map[string]int64 // versions of streams
	events int
}

// delivery is a batch for a function, with the time that it leaves it.
type delivery struct {
	records []json.RawMessage
	within  time.Duration
}

func (d *disorder) run() {
	store := d.store()
	d.appendAll(store)
	queue := d.deliveries()
	var next, ended atomic.Int64
	var all sync.WaitGroup
	for range 3 {
		f := d.function(Sequence, nil)
		all.Go(func() {
			defer ended.Add(1)
			for i := next.Add(1) - 1; i < int64(len(queue)); i = next.Add(1) - 1 {
				if err := d.deliver(f, queue[i]); err != nil {
					d.t.Error(err)
					return
				}
			}
		})
	}
	seen := []string{}
	for done := false; !done; {
		done = ended.Load() == 3
		now := d.read(store)
		if len(now) < len(seen) || !slices.Equal(now[:len(seen)], seen) {
			d.t.Errorf("the log was %v and is %v", seen, now)
			break
		}
		seen = now
	}
	all.Wait()
	if d.t.Failed() {
		return
	}
	if len(seen) != d.events {
		d.t.Fatalf("the log holds %d of %d events", len(seen), d.events)
	}
	heads := map[string]annals.Hash{}
	for c, err := range store.Chain(d.t.Context(), 0, 0) {
		if err != nil {
			d.t.Fatal(err)
		}
		e := &c.Events[0]
		if c.Unchained || c.Previous != heads[e.Stream] {
			d.t.Errorf("%s@%d names the hash %s, unchained %t, and before it is %s", e.Stream, e.Version, c.Previous, c.Unchained, heads[e.Stream])
		}
		heads[e.Stream] = c.Hash()
		d.want[e.Stream] -= int64(len(c.Events))
	}
	for stream, left := range d.want {
		if left != 0 {
			d.t.Errorf("of %s the log leaves out %d events", stream, left)
		}
	}
}

// appendAll appends commits to few streams, some of them with their body in the
// bucket, some with causes.
func (d *disorder) appendAll(store *annals.Store) {
	d.want = map[string]int64{}
	for range 80 {
		stream := fmt.Sprint("s", d.random.IntN(5))
		var events []annals.Event
		for range 1 + d.random.IntN(3) {
			e := annals.Event{Type: "T", Data: []byte(`{}`)}
			if cause := fmt.Sprint("s", d.random.IntN(5)); d.random.IntN(3) == 0 && d.want[cause] > 0 {
				e.Causation = fmt.Sprintf("%s@%d", cause, 1+d.random.Int64N(d.want[cause]))
			}
			if d.random.IntN(20) == 0 {
				e.ContentType, e.Data = "application/octet-stream", make([]byte, 30_000)
				for i := range e.Data {
					e.Data[i] = byte(d.random.Uint32())
				}
			}
			events = append(events, e)
		}
		c, err := store.Append(d.t.Context(), stream, d.want[stream], events...)
		if err != nil {
			d.t.Fatal(err)
		}
		d.want[stream] = c.Version
		d.events += len(events)
	}
}

// deliveries are batches of the stream's records out of order. Each record is in one
// at least.
func (d *disorder) deliveries() (queue []delivery) {
	var given struct{ Records []json.RawMessage }
	if err := json.Unmarshal([]byte(d.batch("stage-events")), &given); err != nil {
		d.t.Fatal(err)
	}
	records := given.Records
	add := func(part []json.RawMessage) {
		one := delivery{records: slices.Clone(part), within: 30 * time.Second}
		if d.random.IntN(2) == 0 {
			d.random.Shuffle(len(part), func(i, k int) { one.records[i], one.records[k] = one.records[k], one.records[i] })
		}
		if d.random.IntN(6) == 0 {
			one.within = time.Nanosecond
		}
		queue = append(queue, one)
	}
	for from := 0; from < len(records); {
		to := min(len(records), from+1+d.random.IntN(12))
		for range 1 + d.random.IntN(2) {
			add(records[from:to])
		}
		from = to
	}
	for range 6 {
		from := d.random.IntN(len(records))
		add(records[from:min(len(records), from+20)])
	}
	d.random.Shuffle(len(queue), func(i, k int) { queue[i], queue[k] = queue[k], queue[i] })
	return queue
}

// deliver gives a function a batch until it has taken all of it: what it does not
// take comes again from there.
func (d *disorder) deliver(f *Function, one delivery) error {
	for tries := 0; len(one.records) > 0; tries++ {
		if tries > 100 {
			return fmt.Errorf("a batch is not taken: %d records are left", len(one.records))
		}
		payload, err := json.Marshal(map[string]any{"Records": one.records})
		if err != nil {
			return err
		}
		text, err := d.invokeWithin(f, string(payload), one.within)
		one.within = 30 * time.Second
		if err != nil {
			continue // Lambda gives the whole batch again
		}
		var answered batchAnswer
		if err := json.Unmarshal([]byte(text), &answered); err != nil {
			return err
		}
		if len(answered.Failures) == 0 {
			return nil
		}
		from := slices.IndexFunc(one.records, func(r json.RawMessage) bool { return sequenceNumber(r) == answered.Failures[0].ID })
		if from < 0 {
			return fmt.Errorf("%s names no record of the batch", text)
		}
		one.records = one.records[from:]
	}
	return nil
}

func sequenceNumber(record json.RawMessage) string {
	var r struct {
		DynamoDB struct{ SequenceNumber string }
	}
	_ = json.Unmarshal(record, &r) // a record of this test's own
	return r.DynamoDB.SequenceNumber
}

// read is the log as it is now: every event at its position, in the order of its
// stream.
func (d *disorder) read(store *annals.Store) (all []string) {
	next := map[string]int64{}
	for e, err := range store.Log(d.t.Context(), annals.Query{}) {
		if err != nil {
			d.t.Error(err)
			return all
		}
		all = append(all, fmt.Sprintf("%s@%d", e.Stream, e.Version))
		if next[e.Stream]++; e.Position != int64(len(all)) || e.Version != next[e.Stream] {
			d.t.Errorf("at place %d of the log is %s@%d with position %d", len(all), e.Stream, e.Version, e.Position)
		}
	}
	return all
}
