package tracking

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
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
	all := randomCalls(rand.New(rand.NewPCG(seed, 0)))
	s, c := stores.Memory(t, nil), clockAt(start.Add(10*time.Second))
	b := boardOver(t, s, c)
	for i, e := range all {
		if i == len(all)/2 {
			complete(t, b, RequestQuery{}) // the first half is read backward
		}
		keep(t, s, e.Correlation, e)
	}
	end, err := s.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	heardUpTo(t, b, end)
	c.pass(AnswerWithin)
	traces := tracesOf(t, s, c, all)
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
	wantCounted(t, m, traces)
}

// randomCalls are the events of 200 requests, in any order, some without their other
// half. Without callIds, which response is whose depends on what came first: those are
// of service Z.
func randomCalls(random *rand.Rand) (all []annals.Event) {
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
	return all
}

// heardUpTo waits until a Board has read the log up to end.
func heardUpTo(t *testing.T, b *Board, end int64) {
	t.Helper()
	until(t, "all is read", func() bool {
		if _, _, _, err := b.Requests(t.Context(), RequestQuery{}); err != nil {
			t.Fatal(err)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.now.seen >= end
	})
}

// tracesOf are the traces of the events' requests, by request.
func tracesOf(t *testing.T, s *annals.Store, c *clock, events []annals.Event) map[string]*Trace {
	t.Helper()
	traces := map[string]*Trace{}
	for _, e := range events {
		if traces[e.Correlation] != nil {
			continue
		}
		tr, err := Read(t.Context(), s, e.Correlation, c.now())
		if err != nil {
			t.Fatal(err)
		}
		traces[e.Correlation] = tr
	}
	return traces
}

// wantCounted wants each call of the traces in m once, but for those of Z.
func wantCounted(t *testing.T, m ServiceMap, traces map[string]*Trace) {
	t.Helper()
	calls, failed := 0, 0
	for _, tr := range traces {
		for i := range tr.Calls {
			if c := &tr.Calls[i]; c.Service != "Z" {
				calls++
				if c.Failed() {
					failed++
				}
			}
		}
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
