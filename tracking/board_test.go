package tracking

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest/stores"
)

// A clock is set by hand.
type clock struct{ at atomic.Int64 }

func clockAt(at time.Time) *clock {
	c := &clock{}
	c.at.Store(at.UnixNano())
	return c
}
func (c *clock) now() time.Time                 { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) pass(d time.Duration)           { c.at.Add(int64(d)) }
func quiet() *slog.Logger                       { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
func soon(ctx context.Context, _ time.Duration) { runtime.Gosched() }

// boardOver makes a Board that rests for no time.
func boardOver(t *testing.T, store *annals.Store, c *clock) *Board {
	t.Helper()
	b := NewBoard(store, &BoardOptions{Clock: c.now, Logger: quiet(), Sleep: soon})
	t.Cleanup(b.Close)
	return b
}

// until waits for what another goroutine does.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// store keeps events of a request.
func keep(t *testing.T, s *annals.Store, id string, events ...annals.Event) {
	t.Helper()
	for i := range events {
		events[i].Correlation = id
	}
	for part := range slices.Chunk(events, annals.MaxCommitEvents) {
		if _, err := s.Append(t.Context(), "request/"+id, annals.Any, part...); err != nil {
			t.Fatal(err)
		}
	}
}

// complete is what the Board lists once it has read all that there is.
func complete(t *testing.T, b *Board, q RequestQuery) []Request {
	t.Helper()
	var list []Request
	until(t, "the log is read", func() bool {
		found, _, state, err := b.Requests(t.Context(), q)
		if err != nil || state.Problem != nil {
			t.Fatal(err, state.Problem)
		}
		list = found
		return !state.Reading
	})
	return list
}

func ids(list []Request) (all []string) {
	for _, r := range list {
		all = append(all, r.ID)
	}
	return all
}

func TestBoard(t *testing.T) {
	s, c := stores.Memory(t, nil), clockAt(start.Add(time.Minute))
	keep(t, s, "r1", slices.Concat(call(0, 90, "a", "", `,"method":"GET","path":"/orders","status":502`), call(10, 80, "b", "a", bad))...)
	keep(t, s, "r2", slices.Concat(call(1000, 1005, "a", "", `,"status":200`), call(1001, 1003, "b", "a", ""))...)
	keep(t, s, "r3", request(59_000, `{"Name":"C"}`))
	keep(t, s, "other", at(2000, "ORDERED", `{}`))
	b := boardOver(t, s, c)

	list := complete(t, b, RequestQuery{})
	if got := ids(list); !slices.Equal(got, []string{"r3", "r2", "r1"}) {
		t.Fatal(got)
	}
	want := Request{ID: "r1", Method: "GET", Path: "/orders", Began: start, Duration: 90 * time.Millisecond, Status: 502, Failed: true, Faulty: "B", Services: []string{"A", "B"}, Failing: []string{"A", "B"}, Calls: 2}
	if got := list[2]; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got\n%+v\nwant\n%+v", got, want)
	}
	if !list[0].Open || list[1].Status != 200 || list[1].Failed {
		t.Fatalf("%+v", list)
	}

	keep(t, s, "r4", slices.Concat(call(59_001, 59_005, "b", "", bad), call(59_001, 59_003, "c", "b", ""))...)
	until(t, "what is appended shows", func() bool { return len(complete(t, b, RequestQuery{})) == 4 })
	for q, want := range map[RequestQuery]string{
		{Failing: true}:               "[r4 r1]",
		{Service: "C"}:                "[r4 r3]",
		{Service: "C", Failing: true}: "[]",
		{Service: "A", Failing: true}: "[r1]",
		{Prefix: "r2"}:                "[r2]",
		{Limit: 2}:                    "[r4 r3]",
		{Before: start.Add(59 * time.Second), BeforeID: "r3"}:     "[r2 r1]",
		{Before: start.Add(time.Second), BeforeID: "z", Limit: 1}: "[r2]",
	} {
		if got := fmt.Sprint(ids(complete(t, b, q))); got != want {
			t.Errorf("%+v: %s, want %s", q, got, want)
		}
	}
	c.pass(AnswerWithin) // r3 is given up
	m, state, err := b.Services(t.Context())
	if err != nil || !state.Since.Equal(start) {
		t.Fatal(err, state)
	}
	var got strings.Builder
	for _, s := range m.Services {
		fmt.Fprintf(&got, "%s %d/%d %d; ", s.Service, s.Failed, s.Calls, s.Faults)
	}
	for _, e := range m.Edges {
		fmt.Fprintf(&got, "%s>%s %d/%d; ", e.Caller, e.Service, e.Failed, e.Calls)
	}
	if want := "A 1/2 0; B 2/3 2; C 1/2 1; A>B 1/2; B>C 0/1; Gateway>A 1/2; Gateway>B 1/1; Gateway>C 1/1; "; got.String() != want {
		t.Fatalf("got  %s\nwant %s", got.String(), want)
	}
	if per := m.Services[0].PerMinute; per < 1.3 || per > 1.4 { // two calls in 90 s
		t.Errorf("%v calls a minute", per)
	}
}

// What a Board says of a request is what its trace says, whatever came first.
func TestBoardAgreesWithTraces(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s, c := stores.Memory(t, nil), clockAt(start.Add(10*time.Second))
	var all []annals.Event
	randomCall := func(id string, i int) []annals.Event {
		from := random.IntN(20_000) - 10_000
		data := fmt.Sprintf(`{"Name":"%c","callId":"%d","parentId":"%d","status":%d}`, 'A'+rune(random.IntN(5)), i, random.IntN(12), 200+300*(random.IntN(4)/3))
		if random.IntN(4) == 0 {
			data = fmt.Sprintf(`{"Name":"Z","status":%d}`, 200+300*random.IntN(2))
		}
		events := []annals.Event{request(from, data), response(from+random.IntN(100), data)}
		for k := range events {
			events[k].ID, events[k].Correlation = fmt.Sprintf("%s-%d-%d", id, i, k), id
		}
		return events[random.IntN(8)/7 : 2-random.IntN(8)/7]
	}
	for r := range 200 {
		for i := range 1 + random.IntN(8) {
			all = append(all, randomCall(fmt.Sprint("r", r), i)...)
		}
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	b := boardOver(t, s, c)
	for i, e := range all {
		if i == len(all)/2 {
			complete(t, b, RequestQuery{}) // the first half is read backward
		}
		keep(t, s, e.Correlation, e)
	}
	known := func() (n int) {
		for _, r := range complete(t, b, RequestQuery{Limit: 1000}) {
			n += r.Calls
		}
		return n
	}
	end, err := s.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	until(t, "all is read", func() bool {
		known()
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.now.seen >= end
	})
	c.pass(AnswerWithin)
	calls, failed := 0, 0
	traces := map[string]*Trace{}
	for _, e := range all {
		if traces[e.Correlation] == nil {
			tr, err := Read(t.Context(), s, e.Correlation, c.now())
			if err != nil {
				t.Fatal(err)
			}
			traces[e.Correlation] = tr
			for i := range tr.Calls {
				// Without callIds, which response is whose depends on what came first.
				if c := &tr.Calls[i]; c.Service != "Z" {
					calls++
					if c.Failed() {
						failed++
					}
				}
			}
		}
	}
	for _, r := range complete(t, b, RequestQuery{Limit: 1000}) {
		tr := traces[r.ID]
		open := slices.ContainsFunc(tr.Calls, func(c Call) bool { return c.Open() })
		if r.Faulty != tr.Faulty || r.Calls != len(tr.Calls) || r.Failed != (tr.Faulty != "") || r.Open != open || !r.Began.Equal(tr.Calls[0].Began) {
			t.Errorf("the Board says %+v\nof %s", r, tree(tr))
		}
	}
	c.pass(parentWithin)
	m, _, err := b.Services(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range m.Services {
		if s.Service != "Z" {
			calls -= s.Calls
			failed -= s.Failed
		}
	}
	if calls != 0 || failed != 0 {
		t.Errorf("%d calls and %d failures are missing", calls, failed)
	}
	for _, e := range m.Edges {
		if i := slices.IndexFunc(m.Services, func(s ServiceStats) bool { return s.Service == e.Service }); i >= 0 {
			m.Services[i].Calls -= e.Calls
		}
	}
	if i := slices.IndexFunc(m.Services, func(s ServiceStats) bool { return s.Calls != 0 }); i >= 0 {
		t.Errorf("the edges to %s differ from it by %d calls", m.Services[i].Service, m.Services[i].Calls)
	}
}

func TestBoardIsBounded(t *testing.T) {
	k, now := newKnowledge(), start.Add(time.Minute)
	hear := func(id string, forward bool, events ...annals.Event) {
		if !forward {
			slices.Reverse(events)
		}
		for i := range events {
			m, _ := parse(&events[i])
			k.shorten(&m)
			k.take(&heard{m, id}, forward, now)
		}
		k.settleAll(now)
	}
	long := strings.Repeat("ü", 100_000)
	for i := range 2 * BoardRequests {
		hear(fmt.Sprint("r", i), i%2 == 0, call(i, i+1, "a", "", fmt.Sprintf(`,"source":"s%d","path":%q,"method":%q,"error":%q`, i, long[:20+i%2*300], long[:20], long[:300]))...)
	}
	if n := len(k.newer) + len(k.older); n > BoardRequests+slack || len(k.passing) > slack || n+len(k.passing) != len(k.requests) {
		t.Errorf("%d requests, %d + %d to stay", len(k.requests), len(k.newer), len(k.older))
	}
	m := k.services(now)
	if m.Services[0].Calls != 2*BoardRequests {
		t.Errorf("%d of %d calls counted", m.Services[0].Calls, 2*BoardRequests)
	}
	var calls []annals.Event
	for i := range 5 * mostOfRequest {
		calls = append(calls, call(i, i+1, fmt.Sprint("c", i), "a", "")...)
	}
	for part := range slices.Chunk(calls, mostOfRequest) {
		hear("big", true, part...)
	}
	list, _ := k.list(RequestQuery{Prefix: "big"})
	if n := len(k.requests["big"].messages); n > 2*mostOfRequest || len(list) != 1 || !list[0].Partial || list[0].Open || list[0].Failed {
		t.Errorf("%d messages of one request: %+v", n, list)
	}
	var flat []annals.Event
	for i := range 2 * mostOfRequest {
		flat = append(flat, request(i%2*mostOfRequest, `{"Name":"flat"}`))
	}
	hear("flat", true, flat...)
	hear("flat", true, response(5000, `{"Name":"flat"}`))
	if list, _ := k.list(RequestQuery{Prefix: "flat"}); len(list) != 1 || !list[0].Partial || list[0].Failed {
		t.Errorf("calls whose responses were not kept: %+v", list)
	}
	for i := range 100 {
		var requests []annals.Event
		for n := range mostOfRequest {
			requests = append(requests, request(n, fmt.Sprintf(`{"Name":"S%d","callId":"%d%s"}`, i*1000+n, n, long[:200])))
		}
		hear(fmt.Sprint("m", i), true, requests...)
	}
	if k.messages > mostMessages {
		t.Errorf("%d messages", k.messages)
	}
	sum := 0
	for _, r := range k.requests {
		sum += len(r.messages)
		for i := range r.messages {
			m := &r.messages[i]
			for _, text := range []string{m.service, m.source, m.callID, m.parentID, m.path, m.err, m.method} {
				if len(text) > mostText {
					t.Fatalf("a text of %d bytes", len(text))
				}
			}
		}
	}
	if sum != k.messages {
		t.Errorf("%d messages, counted as %d", sum, k.messages)
	}
	for i := range 3 * mostEdges {
		k.count(edge{"x", fmt.Sprint("s", i)}, now, time.Second, true, now)
	}
	if len(k.edges) > mostEdges+1 || k.edges[edge{Others, Others}] == nil || len(k.names) > 2*mostEdges+2 {
		t.Errorf("%d edges, %d names", len(k.edges), len(k.names))
	}
}

func TestBoardWindow(t *testing.T) {
	k, now := newKnowledge(), start
	e := edge{"g", "a"}
	k.since = start.Add(-2 * time.Hour)
	for _, ago := range []time.Duration{0, time.Minute, 59 * time.Minute, 61 * time.Minute, 24 * time.Hour, -time.Minute, -time.Hour} {
		k.count(e, now.Add(-ago), time.Second, false, now)
	}
	calls := func() int {
		m := k.services(now)
		if len(m.Services) == 0 {
			return 0
		}
		return m.Services[0].Calls
	}
	if n := calls(); n != 4 {
		t.Errorf("%d calls within the hour", n)
	}
	now = now.Add(30 * time.Minute)
	k.count(e, now, time.Second, false, now)
	if n := calls(); n != 4 { // the one of 59 minutes ago has gone
		t.Errorf("%d calls half an hour later", n)
	}
	now = now.Add(70 * time.Minute)
	if n := calls(); n != 0 {
		t.Errorf("%d calls later", n)
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	if h.quantile(0.5) != 0 {
		t.Error("a quantile of nothing")
	}
	random := rand.New(rand.NewPCG(1, 2))
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(float64(8*time.Microsecond) * float64(uint64(1)<<random.IntN(25)) * (1 + random.Float64()))
		all = append(all, d)
		h[bucket(d)]++
	}
	slices.Sort(all)
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 1} {
		exact := all[max(int(q*float64(len(all)))-1, 0)]
		if got := h.quantile(q); float64(got) < 0.93*float64(exact) || float64(got) > 1.07*float64(exact) {
			t.Errorf("quantile %v is %v, not %v", q, got, exact)
		}
	}
	for _, d := range []time.Duration{-1, 0, 1<<63 - 1} {
		if i := bucket(d); i < 0 || i >= len(h) {
			t.Errorf("bucket %d of %v", i, d)
		}
	}
}

// A gate fails or holds up what a Board reads.
type gate struct {
	annals.Driver
	mu    sync.Mutex
	fail  error
	reads int
}

func (g *gate) set(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fail = err
}

func (g *gate) Log(ctx context.Context, q annals.Query) iter.Seq2[annals.Event, error] {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reads++
	if err := g.fail; err != nil {
		return func(yield func(annals.Event, error) bool) { yield(annals.Event{}, err) }
	}
	return g.Driver.Log(ctx, q)
}

type memory struct{ *annals.Store }

func (m memory) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	return m.Store.Append(ctx, stream, expected, events...)
}
func (m memory) Stream(ctx context.Context, stream string, from, to int64, backward bool) iter.Seq2[annals.Event, error] {
	return m.Store.Stream(ctx, stream, &annals.StreamOptions{From: from, To: to, Backward: backward})
}
func (m memory) End(ctx context.Context, after int64) (int64, error) {
	if after < 0 {
		return m.Store.End(ctx)
	}
	return m.WaitPast(ctx, after)
}

func TestBoardOutlivesFailures(t *testing.T) {
	g := &gate{Driver: memory{stores.Memory(t, nil)}}
	s, c := annals.New(g, nil), clockAt(start.Add(time.Minute))
	keep(t, s, "r1", call(0, 90, "a", "", "")...)
	unavailable := &annals.Error{Code: annals.CodeUnavailable, Message: "gone"}
	g.set(unavailable)
	b := boardOver(t, s, c)
	list, _, state, err := b.Requests(t.Context(), RequestQuery{})
	if err != nil || len(list) != 0 || !errors.Is(state.Problem, annals.ErrUnavailable) {
		t.Fatal(list, state, err)
	}
	g.set(nil)
	until(t, "it reads again", func() bool {
		list, _, state, err = b.Requests(t.Context(), RequestQuery{})
		return err == nil && len(list) == 1 && state.Problem == nil && !state.Reading
	})
}

// Nothing is read twice or left out where a read ends, in either direction.
func TestBoardReadsInChunks(t *testing.T) {
	g := &gate{Driver: memory{stores.Memory(t, nil)}}
	s, c := annals.New(g, nil), clockAt(start.Add(time.Minute))
	add := func(prefix string) {
		for r := range 5 {
			var events []annals.Event
			for i := range chunk / 4 {
				events = append(events, call(i, i+1, fmt.Sprint("c", i), "", "")...)
			}
			keep(t, s, fmt.Sprint(prefix, r), events...)
		}
	}
	add("before")
	b := boardOver(t, s, c)
	calls := func() int {
		m, _, err := b.Services(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, s := range m.Services {
			n += s.Calls
		}
		return n
	}
	complete(t, b, RequestQuery{})
	if n := calls(); n != 5*chunk/4 {
		t.Errorf("%d calls read backward, want %d", n, 5*chunk/4)
	}
	g.set(&annals.Error{Code: annals.CodeUnavailable, Message: "held up"})
	add("after")
	g.set(nil)
	until(t, "all is read", func() bool {
		calls()
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.now.seen >= 5*chunk
	})
	if n := calls(); n != 2*5*chunk/4 {
		t.Errorf("%d calls, want %d", n, 2*5*chunk/4)
	}
}

// A Board works only while somebody looks, and begins anew when somebody does again.
func TestBoardIdle(t *testing.T) {
	s, c := stores.Memory(t, nil), clockAt(start.Add(time.Minute))
	b := boardOver(t, s, c)
	works := func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.now != nil
	}
	if works() {
		t.Fatal("it works before the first look")
	}
	keep(t, s, "r1", call(0, 90, "a", "", "")...)
	complete(t, b, RequestQuery{})
	c.pass(BoardIdle - 1)
	complete(t, b, RequestQuery{})
	c.pass(BoardIdle - 1)
	keep(t, s, "r2", call(0, 90, "a", "", "")...)
	until(t, "it goes on", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.now != nil && b.now.seen == 4
	})
	c.pass(1)
	keep(t, s, "r3", call(0, 90, "a", "", "")...)
	until(t, "it ends", func() bool { return !works() })
	if list := complete(t, b, RequestQuery{}); len(list) != 3 {
		t.Fatal(ids(list))
	}
}

func TestBoardEnds(t *testing.T) {
	for name, end := range map[string]func(b *Board, ending chan struct{}, s *annals.Store){
		"by Close":             func(b *Board, _ chan struct{}, _ *annals.Store) { b.Close() },
		"by Ending":            func(_ *Board, ending chan struct{}, _ *annals.Store) { close(ending) },
		"with its store":       func(_ *Board, _ chan struct{}, s *annals.Store) { _ = s.Close() },
		"without a look at it": nil,
	} {
		t.Run(name, func(t *testing.T) {
			s, ending := stores.Memory(t, nil), make(chan struct{})
			before := runtime.NumGoroutine()
			b := NewBoard(s, &BoardOptions{Ending: ending, Logger: quiet()})
			if end == nil {
				b.Close()
			} else {
				complete(t, b, RequestQuery{})
				end(b, ending, s)
			}
			until(t, "its goroutines end", func() bool { return runtime.NumGoroutine() <= before })
			until(t, "it says so", func() bool {
				_, _, state, err := b.Requests(t.Context(), RequestQuery{})
				return errors.Is(cmp.Or(err, state.Problem), annals.ErrClosed)
			})
			b.Close()
		})
	}
}
