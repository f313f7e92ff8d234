package dynamo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

// kilobyte is the data of a usual event of 1,024 bytes: an order of articles from
// a catalogue, with ids, prices and a note.
func kilobyte(n int) string {
	random := rand.New(rand.NewPCG(uint64(n), 3))
	words := strings.Fields("please leave the parcel with our neighbour if nobody is at home blue green large small cotton leather shirt shoe coat belt hat")
	var b strings.Builder
	fmt.Fprintf(&b, `{"orderId":"%016x%016x","customer":"c-%06d","lines":[`, random.Uint64(), random.Uint64(), random.IntN(1e6))
	for i := 0; b.Len() < 850; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		article := random.IntN(2000)
		fmt.Fprintf(&b, `{"article":"A-%05d","title":"%s %s","quantity":%d,"price":%d.%02d,"currency":"EUR"}`, article,
			words[article%len(words)], words[article/7%len(words)], random.IntN(3)+1, article%150, article%100)
	}
	b.WriteString(`],"note":"`)
	for b.Len() < 1010 {
		b.WriteString(words[random.IntN(len(words))] + " ")
	}
	return b.String() + strings.Repeat(".", 1022-b.Len()) + `"}`
}

func kilobytes(from, n int) []annals.Event {
	events := make([]annals.Event, n)
	for i := range events {
		events[i] = storetest.Event(fmt.Sprintf("018f0000-0000-7000-8000-%012d", from+i), "order-placed", kilobyte(from+i))
	}
	return events
}

// billed is a store whose operations are measured one by one.
type billed struct {
	*annals.Store
	t      *testing.T
	driver *Driver
}

func newBilled(t *testing.T, bucket bool) *billed {
	address := newAddress(t)
	if !bucket {
		address.Bucket, address.S3Endpoint = "", ""
	}
	mustInit(t, address)
	d := mustOpen(t, address, &Options{Poll: time.Millisecond})
	return &billed{annals.New(d, nil), t, d}
}

// colder is the same store in another process.
func (b *billed) colder() *billed {
	d := mustOpen(b.t, b.driver.Address(), &Options{Poll: time.Millisecond})
	return &billed{annals.New(d, nil), b.t, d}
}

func (b *billed) append(stream string, expected int64, events ...annals.Event) error {
	_, err := b.Append(b.t.Context(), stream, expected, events...)
	return err
}

func (b *billed) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// cost holds what f used against bounds; a bound of two equal figures is exact.
func (b *billed) cost(what string, least, most Cost, f func(ctx context.Context)) {
	b.t.Helper()
	ctx, meter := Metered(b.t.Context())
	f(ctx)
	c := meter.Cost()
	b.t.Logf("%-44s %d requests, %.1f WRU, %.1f RRU, %d PUT, %d GET: %.2f dollars a million", what, c.Requests, c.Writes, c.Reads, c.Puts, c.Gets, c.DollarsPerMillion())
	under, over := least.Minus(c), c.Minus(most)
	if under.Requests > 0 || under.Writes > 0 || under.Reads > 0 || under.Puts > 0 || under.Gets > 0 ||
		over.Requests > 0 || over.Writes > 0 || over.Reads > 0 || over.Puts > 0 || over.Gets > 0 {
		b.t.Errorf("%s used %+v, want %+v to %+v", what, c, least, most)
	}
}

func (b *billed) exactly(what string, want Cost, f func(ctx context.Context)) {
	b.t.Helper()
	b.cost(what, want, want, f)
}

// appending is an append that must end in want.
func (b *billed) appending(want error, stream string, expected int64, events ...annals.Event) func(context.Context) {
	return func(ctx context.Context) {
		b.t.Helper()
		if _, err := b.Append(ctx, stream, expected, events...); want == nil && err != nil || want != nil && !strings.Contains(fmt.Sprint(err), want.Error()) {
			b.t.Errorf("append: %v, want %v", err, want)
		}
	}
}

func small(id string) annals.Event {
	return storetest.Event(id, "order-placed", `{"order":"4711","customer":"c-12","total":129.90,"lines":[{"sku":"a-1","quantity":2}]}`)
}

// letters is an event with random letters of base64 and a correlation.
func letters(id string, n int) annals.Event {
	random := rand.New(rand.NewPCG(uint64(n), 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[random.IntN(64)]
	}
	e := storetest.Event("018f0000-0000-7000-8000-0000000000"+id, "order-placed", `"`+string(b)+`"`)
	e.Correlation = "018f0000-0000-7000-8000-000000000007"
	return e
}

// What an append costs. A regression here is one of every user's bill.
func TestBillOfAppends(t *testing.T) {
	b := newBilled(t, true)
	b.exactly("the first event of a stream", Cost{Requests: 2, Writes: 1, Reads: 1}, b.appending(nil, "a", 0, small("1")))
	b.exactly("1 event, warm head", Cost{Requests: 1, Writes: 1}, b.appending(nil, "a", 1, small("2")))
	b.exactly("1 event, warm head, any version", Cost{Requests: 1, Writes: 1}, b.appending(nil, "a", annals.Any, small("3")))
	withCorrelation := small("4")
	withCorrelation.Correlation = "request-1"
	b.exactly("1 event with a correlation", Cost{Requests: 1, Writes: 1}, b.appending(nil, "a", 3, withCorrelation))
	b.exactly("1 event of 1 KB", Cost{Requests: 1, Writes: 1}, b.appending(nil, "a", 4, kilobytes(0, 1)...))
	b.cost("10 events of 1 KB", Cost{Requests: 1, Writes: 3}, Cost{Requests: 1, Writes: 3}, b.appending(nil, "a", 5, kilobytes(10, 10)...))
	b.exactly("1,000 letters that hardly pack", Cost{Requests: 2, Writes: 1, Reads: 1}, b.appending(nil, "edge", 0, letters("l1", 1000)))
	b.exactly("1,100 of them", Cost{Requests: 1, Writes: 2}, b.appending(nil, "edge", 1, letters("l2", 1100)))
	b.exactly("cold head", Cost{Requests: 2, Writes: 1, Reads: 1}, b.colder().appending(nil, "a", 15, small("5")))
	b.exactly("stale head, exact version: a conflict", Cost{Requests: 2, Writes: 1, Reads: 1}, b.appending(&annals.ConflictError{Stream: "a", Expected: 15, Actual: 16}, "a", 15, small("6")))
	b.exactly("a conflict that is known", Cost{Requests: 1, Reads: 1}, b.appending(&annals.ConflictError{Stream: "a", Expected: 15, Actual: 16}, "a", 15, small("6")))
	b.must(b.colder().append("a", annals.Any, small("7")))
	b.exactly("stale head, any version", Cost{Requests: 3, Writes: 2, Reads: 1}, b.appending(nil, "a", annals.Any, small("8")))
	b.must(b.colder().append("a", annals.Any, small("9")))
	b.exactly("stale head, newer version", Cost{Requests: 2, Writes: 1, Reads: 1}, b.appending(nil, "a", 19, small("10")))
	b.exactly("an event that is stored", Cost{Requests: 2, Reads: 2}, b.appending(nil, "a", annals.Any, small("10")))
}

func TestBillOfLargeCommits(t *testing.T) {
	b := newBilled(t, true)
	random := rand.New(rand.NewPCG(1, 1))
	noise := annals.Event{ID: "noise", Type: "T", ContentType: "application/octet-stream", Data: make([]byte, 40<<10)}
	for i := range noise.Data {
		noise.Data[i] = byte(random.Uint32())
	}
	b.must(b.append("a", 0, small("1")))
	b.exactly("40 KB that can't be packed", Cost{Requests: 1, Writes: 1, Puts: 2}, b.appending(nil, "a", 1, noise))
	b.exactly("reading it", Cost{Requests: 1, Reads: 1, Gets: 1}, func(ctx context.Context) {
		storetest.Collect(t, b.Stream(ctx, "a", nil))
	})
	b.exactly("a cold head behind it", Cost{Requests: 2, Writes: 1, Reads: 1}, b.colder().appending(nil, "a", 2, small("2")))
}

func TestBillOfReads(t *testing.T) {
	b := newBilled(t, true)
	for i, e := range kilobytes(0, 100) {
		b.must(b.append("single", int64(i), e))
	}
	for i := range 10 {
		b.must(b.append("tens", int64(10*i), kilobytes(1000+10*i, 10)...))
	}
	read := func(stream string, opts *annals.StreamOptions) func(context.Context) {
		return func(ctx context.Context) { storetest.Collect(t, b.Stream(ctx, stream, opts)) }
	}
	b.cost("100 events of 1 KB, one by one", Cost{Requests: 1, Reads: 10}, Cost{Requests: 1, Reads: 15}, read("single", nil))
	b.cost("100 events of 1 KB, in tens", Cost{Requests: 1, Reads: 5}, Cost{Requests: 1, Reads: 15}, read("tens", nil))
	b.exactly("the newest event", Cost{Requests: 1, Reads: 1}, read("single", &annals.StreamOptions{Backward: true, Limit: 1}))
	b.exactly("an event in the middle", Cost{Requests: 1, Reads: 1}, read("single", &annals.StreamOptions{From: 50, Limit: 1}))
	b.exactly("an append behind a read", Cost{Requests: 1, Writes: 1}, b.appending(nil, "single", 100, small("x")))
	cold := b.colder()
	b.cost("an append behind a cold read", Cost{Requests: 2, Writes: 1, Reads: 10}, Cost{Requests: 2, Writes: 1, Reads: 15}, func(ctx context.Context) {
		storetest.Collect(t, cold.Stream(ctx, "single", nil))
		cold.appending(nil, "single", 101, small("y"))(ctx)
	})
}

// What the log costs: its writing, its replay, and nothing while it is idle.
func TestBillOfTheLog(t *testing.T) {
	for _, c := range []struct {
		bucket             bool
		sequencing, replay Cost
	}{
		// By stream: its large commit from the bucket, and what the log has of it.
		{true, Cost{Requests: 30, Writes: 10, Reads: 30, Puts: 2, Gets: 10}, Cost{Requests: 3, Reads: 2.5, Gets: 2}},
		{false, Cost{Requests: 30, Writes: 270, Reads: 30}, Cost{Requests: 3, Reads: 35}},
	} {
		t.Run(fmt.Sprintf("bucket %t", c.bucket), func(t *testing.T) {
			b := newBilled(t, c.bucket)
			w := NewWorker(b.driver)
			steps := func(ctx context.Context) {
				for range 20 {
					if _, err := w.Step(ctx); err != nil {
						t.Fatal(err)
					}
				}
			}
			steps(t.Context())
			b.exactly("an idle worker", Cost{}, steps)
			for i := range 10 {
				b.must(b.append(fmt.Sprint("s", i), 0, kilobytes(100*i, 100)...))
			}
			b.cost("sequencing 1,000 events of 1 KB", Cost{Requests: 3}, c.sequencing, steps)
			cold := b.colder()
			replay := func(ctx context.Context) {
				if n := len(storetest.Collect(t, cold.Log(ctx, annals.Query{}))); n != 1000 {
					t.Fatalf("read %d events", n)
				}
			}
			b.cost("replaying them", Cost{Requests: 3}, c.replay, replay)
			b.exactly("replaying them again", Cost{Requests: 1, Reads: 1}, replay)
			b.cost("their chain", Cost{Requests: 3}, c.replay, func(ctx context.Context) {
				n := 0
				for commit, err := range b.colder().Chain(ctx, 0, 1000) {
					if err != nil {
						t.Fatal(err)
					}
					n += len(commit.Events)
				}
				if n != 1000 {
					t.Fatalf("the chain has %d events", n)
				}
			})
		})
	}
}

// What the index costs, by sealed run.
func TestBillOfQueries(t *testing.T) {
	b := newBilled(t, true)
	b.driver.calls.sizes.runEvents, b.driver.calls.sizes.pageEvents = 100, 100
	for i := range 1000 {
		e := small(fmt.Sprint("e", i))
		e.Type = fmt.Sprint("type-", i%10)
		if i%500 == 0 {
			e.Type = "rare"
		}
		e.Correlation = fmt.Sprint("request-", i/10)
		b.must(b.append(fmt.Sprint("s", i/100), annals.Any, e))
	}
	w := NewWorker(b.driver)
	b.cost("sequencing and sealing 1,000 small events", Cost{Writes: 200}, Cost{Requests: 200, Writes: 700, Reads: 200, Puts: 20}, func(ctx context.Context) {
		for range 5 {
			if _, err := w.Step(ctx); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, q := range []struct {
		name  string
		query annals.Query
		found int
		most  Cost
		plan  Plan
	}{
		{"the events of a request", annals.Query{Correlation: "request-7"}, 10, Cost{Requests: 5, Reads: 6, Gets: 1}, Plan{Index: "correlation", Read: 1}},
		{"a rare type", annals.Query{Types: []string{"rare"}}, 2, Cost{Requests: 5, Reads: 6, Gets: 2}, Plan{Index: "type", Read: 2}},
		{"everything", annals.Query{}, 1000, Cost{Requests: 3, Reads: 10, Gets: 9}, Plan{Read: 9}},
	} {
		cold := b.colder()
		ctx, meter := Metered(t.Context())
		b.cost(q.name, Cost{Requests: 1}, q.most, func(within context.Context) {
			ctx, meter = Metered(within)
			if n := len(storetest.Collect(t, cold.Log(ctx, q.query))); n != q.found {
				t.Errorf("%s: found %d events, want %d", q.name, n, q.found)
			}
			meterOf(within).add(meter.Cost())
		})
		if p := meter.Plan(); p.Index != q.plan.Index || p.Read != q.plan.Read || p.Found != q.found {
			t.Errorf("%s: plan %+v", q.name, p)
		}
	}
}
