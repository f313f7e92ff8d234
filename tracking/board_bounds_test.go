package tracking

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

// hear lets k learn events of a request.
func (k *knowledge) hear(id string, forward bool, now time.Time, events ...annals.Event) {
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

// long is longer than any text that a Board keeps.
var long = strings.Repeat("ü", 100_000)

// Requests without end come from both directions: a bounded number stays, and the
// calls of all count.
func TestBoardIsBoundedInRequests(t *testing.T) {
	k, now := newKnowledge(), start.Add(time.Minute)
	for i := range 2 * BoardRequests {
		k.hear(fmt.Sprint("r", i), i%2 == 0, now, call(i, i+1, "a", "", fmt.Sprintf(`,"source":"s%d","path":%q,"method":%q,"error":%q`, i, long[:20+i%2*300], long[:20], long[:300]))...)
	}
	if n := len(k.newer) + len(k.older); n > BoardRequests+slack || len(k.passing) > slack || n+len(k.passing) != len(k.requests) {
		t.Errorf("%d requests, %d + %d to stay", len(k.requests), len(k.newer), len(k.older))
	}
	m := k.services(now)
	if m.Services[0].Calls != 2*BoardRequests {
		t.Errorf("%d of %d calls counted", m.Services[0].Calls, 2*BoardRequests)
	}
	wantBounded(t, k)
}

// Of a request with calls without end a bounded number is kept, and no call whose
// response was not kept seems to have failed.
func TestBoardIsBoundedInCallsOfARequest(t *testing.T) {
	k, now := newKnowledge(), start.Add(time.Minute)
	var calls []annals.Event
	for i := range 5 * mostOfRequest {
		calls = append(calls, call(i, i+1, fmt.Sprint("c", i), "a", "")...)
	}
	for part := range slices.Chunk(calls, mostOfRequest) {
		k.hear("big", true, now, part...)
	}
	list, _ := k.list(RequestQuery{Prefix: "big"})
	if n := len(k.requests["big"].messages); n > 2*mostOfRequest || len(list) != 1 || !list[0].Partial || list[0].Open || list[0].Failed {
		t.Errorf("%d messages of one request: %+v", n, list)
	}
	var flat []annals.Event
	for i := range 2 * mostOfRequest {
		flat = append(flat, request(i%2*mostOfRequest, `{"Name":"flat"}`))
	}
	k.hear("flat", true, now, flat...)
	k.hear("flat", true, now, response(5000, `{"Name":"flat"}`))
	if list, _ := k.list(RequestQuery{Prefix: "flat"}); len(list) != 1 || !list[0].Partial || list[0].Failed {
		t.Errorf("calls whose responses were not kept: %+v", list)
	}
	wantBounded(t, k)
}

// Messages, services and pairs of them are bounded over all requests.
func TestBoardIsBoundedInMessagesAndServices(t *testing.T) {
	k, now := newKnowledge(), start.Add(time.Minute)
	for i := range 100 {
		var requests []annals.Event
		for n := range mostOfRequest {
			requests = append(requests, request(n, fmt.Sprintf(`{"Name":"S%d","callId":"%d%s"}`, i*1000+n, n, long[:200])))
		}
		k.hear(fmt.Sprint("m", i), true, now, requests...)
	}
	wantBounded(t, k)
	for i := range 3 * mostEdges {
		k.count(edge{"x", fmt.Sprint("s", i)}, now, time.Second, true, now)
	}
	if len(k.edges) > mostEdges+1 || k.edges[edge{Others, Others}] == nil || len(k.names) > 2*mostEdges+2 {
		t.Errorf("%d edges, %d names", len(k.edges), len(k.names))
	}
}

// wantBounded wants no more messages than may be kept, none of them long.
func wantBounded(t *testing.T, k *knowledge) {
	t.Helper()
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
