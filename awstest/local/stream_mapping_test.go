package local

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// jumpingClock passes the time that anybody waits for at once.
type jumpingClock struct {
	mu     sync.Mutex
	now    time.Time
	waited []time.Duration
}

func (c *jumpingClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *jumpingClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now, c.waited = c.now.Add(d), append(c.waited, d)
	ch := make(chan time.Time, 1)
	ch <- c.now
	return ch
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// lists is a source of shards that hold numbered records. A read gives what has
// arrived by the clock; a closed shard ends.
type lists struct {
	clock   Clock
	mu      sync.Mutex
	parents map[string][]string
	held    map[string][]record
	closed  map[string]bool
	expire  int // reads that expire the iterator
	asked   []string
}

func (l *lists) name() (string, time.Duration) { return "KinesisBatchInfo", time.Second }

func (l *lists) shards(context.Context) ([]shard, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []shard
	for id := range l.held {
		all = append(all, shard{id, l.parents[id]})
	}
	return all, nil
}

func (l *lists) iterator(_ context.Context, shard, position, after string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, strings.Join([]string{shard, position, after}, " "))
	from := 0
	if position == "LATEST" {
		from = len(l.held[shard])
	}
	if after != "" {
		from = 1 + slices.IndexFunc(l.held[shard], func(r record) bool { return r.sequence == after })
	}
	return fmt.Sprint(shard, " ", from), nil
}

func (l *lists) read(_ context.Context, _, iterator string, limit int) ([]record, string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.expire > 0 {
		l.expire--
		return nil, "", errExpired
	}
	id, place, _ := strings.Cut(iterator, " ")
	from, err := strconv.Atoi(place)
	if err != nil {
		return nil, "", err
	}
	all := l.held[id]
	to := from
	for to < len(all) && to-from < limit && !all[to].arrived.After(l.clock.Now()) {
		to++
	}
	if to == len(all) && l.closed[id] {
		return slices.Clone(all[from:to]), "", nil
	}
	return slices.Clone(all[from:to]), fmt.Sprint(id, " ", to), nil
}

func numbered(from, to int, every time.Duration) (all []record) {
	for n := from; n <= to; n++ {
		all = append(all, record{sequence: fmt.Sprint(n), arrived: start.Add(time.Duration(n-from) * every), event: json.RawMessage(fmt.Sprint(n))})
	}
	return all
}

// a function is played by what it answers to batches, as the numbers in them.
type played struct {
	mu      sync.Mutex
	batches []string
	answer  func(batch []int) Result
}

func (p *played) invoke(_ context.Context, payload []byte) (Result, error) {
	var batch struct{ Records []int }
	if err := json.Unmarshal(payload, &batch); err != nil {
		return Result{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.batches = append(p.batches, strings.Trim(fmt.Sprint(batch.Records), "[]"))
	if p.answer == nil {
		return Result{}, nil
	}
	return p.answer(batch.Records), nil
}

// failsOn is a function that fails with a batch that holds n.
func failsOn(n int) func([]int) Result {
	return func(batch []int) Result {
		return Result{Failed: slices.Contains(batch, n), Payload: []byte(`{"errorMessage":"planted"}`)}
	}
}

func reports(n int) func([]int) Result {
	return func(batch []int) Result {
		if slices.Contains(batch, n) {
			return Result{Payload: fmt.Appendf(nil, `{"batchItemFailures":[{"itemIdentifier":"%d"}]}`, n)}
		}
		return Result{Payload: []byte(`{"batchItemFailures":[]}`)}
	}
}

type outcome struct {
	batches   string
	discarded []map[string]any
	source    *lists
	clock     *jumpingClock
	ended     bool
}

// followed has a mapping follow one closed shard to its end.
func followed(t *testing.T, m Mapping, l *lists, answer func([]int) Result) outcome {
	t.Helper()
	clock := &jumpingClock{now: start.Add(time.Second)}
	l.clock = clock
	p := &played{answer: answer}
	out := outcome{source: l, clock: clock}
	sm := &streamMapping{
		Mapping: m, arn: "arn:f", source: l, invoke: p.invoke, clock: clock, patient: func(d time.Duration) time.Duration { return d },
		note: t.Logf, discard: func(_ context.Context, body []byte) {
			var record map[string]any
			if err := json.Unmarshal(body, &record); err != nil {
				t.Error(err)
			}
			out.discarded = append(out.discarded, record)
		},
	}
	for _, pattern := range m.Filters {
		f, err := parseFilter(pattern)
		if err != nil {
			t.Fatal(err)
		}
		sm.filters = append(sm.filters, f)
	}
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	out.ended = sm.follow(ctx, "s", cmpPosition(m.Position))
	out.batches = strings.Join(p.batches, " | ")
	return out
}

func cmpPosition(p string) string {
	if p == "" {
		return "TRIM_HORIZON"
	}
	return p
}

func one(records []record) *lists {
	return &lists{held: map[string][]record{"s": records}, closed: map[string]bool{"s": true}}
}

func TestStreamBatches(t *testing.T) {
	base := Mapping{BatchSize: 4, Retries: -1, MaxAge: -1, OnFailure: "arn:aws:sqs:r:a:dead", PartialResponses: true}
	with := func(change func(*Mapping)) Mapping {
		m := base
		change(&m)
		return m
	}
	times := 0
	for name, test := range map[string]struct {
		mapping   Mapping
		records   []record
		answer    func([]int) Result
		want      string
		discarded int
	}{
		"in order and no larger than asked for": {base, numbered(1, 6, 0), nil, "1 2 3 4 | 5 6", 0},
		"at once without a window":              {base, numbered(1, 3, time.Second), nil, "1 2 | 3", 0},
		"filled up for as long as the window":   {with(func(m *Mapping) { m.Window = 2 * time.Second }), numbered(1, 6, time.Second), nil, "1 2 3 4 | 5 6", 0},
		"bisected until the bad record is alone, which is given up": {
			with(func(m *Mapping) { m.Bisect, m.Retries = true, 1 }), numbered(1, 4, 0), failsOn(3), "1 2 3 4 | 1 2 | 3 4 | 3 | 3 | 4", 1},
		"retried whole and given up without bisecting": {with(func(m *Mapping) { m.Retries = 2 }), numbered(1, 2, 0), failsOn(2), "1 2 | 1 2 | 1 2", 1},
		"retried from the first that failed":           {with(func(m *Mapping) { m.Retries = 1 }), numbered(1, 4, 0), reports(3), "1 2 3 4 | 3 4 | 3 4", 1},
		"whole if the answer can't be read": {with(func(m *Mapping) { m.Retries = 1 }), numbered(1, 2, 0), func([]int) Result {
			return Result{Payload: []byte(`{"batchItemFailures":[{"itemIdentifier":""}]}`)}
		}, "1 2 | 1 2", 1},
		"an answer that nobody asked for is passed over": {with(func(m *Mapping) { m.PartialResponses = false }), numbered(1, 2, 0), reports(2), "1 2", 0},
		"given up when too old":                          {with(func(m *Mapping) { m.MaxAge = time.Minute }), numbered(1, 2, time.Nanosecond), failsOn(2), "", 1},
		"tried until it works":                           {base, numbered(1, 1, 0), func([]int) Result { times++; return Result{Failed: times < 4} }, "1 | 1 | 1 | 1", 0},
	} {
		got := followed(t, test.mapping, one(test.records), test.answer)
		if test.want != "" && got.batches != test.want || len(got.discarded) != test.discarded || !got.ended {
			t.Errorf("%s: batches %s, %d given up, ended %t", name, got.batches, len(got.discarded), got.ended)
		}
	}
}

// What is given up is told as AWS documents it.
func TestStreamFailureRecord(t *testing.T) {
	m := Mapping{Source: "arn:stream", BatchSize: 10, Retries: 0, MaxAge: -1, OnFailure: "arn:aws:sqs:r:a:dead"}
	got := followed(t, m, one(numbered(7, 9, 0)), failsOn(8))
	if len(got.discarded) != 1 {
		t.Fatalf("%d records", len(got.discarded))
	}
	want := map[string]any{
		"shardId": "s", "startSequenceNumber": "7", "endSequenceNumber": "9", "batchSize": 3.0, "streamArn": "arn:stream",
		"approximateArrivalOfFirstRecord": "2026-01-01T00:00:00.000Z", "approximateArrivalOfLastRecord": "2026-01-01T00:00:00.000Z",
	}
	if info := got.discarded[0]["KinesisBatchInfo"]; !reflect.DeepEqual(info, want) {
		t.Errorf("got %v", info)
	}
	context, _ := got.discarded[0]["requestContext"].(map[string]any)
	if context["condition"] != "RetryAttemptsExhausted" || context["functionArn"] != "arn:f" || context["approximateInvokeCount"] != 1.0 {
		t.Errorf("got %v", context)
	}
}

// Retries wait longer each time, up to a minute.
func TestStreamBacksOff(t *testing.T) {
	m := Mapping{BatchSize: 1, Retries: 10, MaxAge: -1}
	waited := followed(t, m, one(numbered(1, 1, 0)), failsOn(1)).clock.waited
	if len(waited) < 10 || waited[0] != 200*time.Millisecond || waited[1] != 400*time.Millisecond || slices.Max(waited) != time.Minute {
		t.Errorf("waited %v", waited)
	}
}

func TestStreamTakesAnotherIteratorWhenOneExpires(t *testing.T) {
	l := one(numbered(1, 3, time.Second))
	l.expire = 1
	got := followed(t, Mapping{BatchSize: 1, Retries: -1, MaxAge: -1}, l, nil)
	if got.batches != "1 | 2 | 3" || l.asked[1] != "s TRIM_HORIZON " {
		t.Errorf("batches %s, iterators %q", got.batches, l.asked)
	}
}

func TestStreamFilters(t *testing.T) {
	records := numbered(1, 3, 0)
	for i, name := range []string{"INSERT", "MODIFY", "INSERT"} {
		records[i].match = map[string]any{"eventName": name, "dynamodb": map[string]any{"Keys": map[string]any{"key": map[string]any{"S": fmt.Sprint("k", i)}}}}
	}
	m := Mapping{BatchSize: 10, Retries: -1, MaxAge: -1, Filters: []string{`{"eventName":["INSERT"],"dynamodb":{"Keys":{"key":{"S":["k1","k2"]}}}}`}}
	if got := followed(t, m, one(records), nil); got.batches != "3" {
		t.Errorf("batches %s", got.batches)
	}
	for _, pattern := range []string{`{"eventName":[{"prefix":"I"}]}`, `{"eventName":"INSERT"}`, `[]`, `{"a":{"b":[1]}}`} {
		if _, err := parseFilter(pattern); err == nil {
			t.Errorf("%s was taken", pattern)
		}
	}
}

// Children begin when their parents are through, at their own start.
func TestStreamFollowsParentsFirst(t *testing.T) {
	clock := &jumpingClock{now: start.Add(time.Hour)}
	l := &lists{
		clock: clock, parents: map[string][]string{"b": {"a"}, "c": {"a", "gone"}, "d": {"b", "c"}}, closed: map[string]bool{"a": true, "b": true, "c": true, "d": true},
		held: map[string][]record{"a": numbered(1, 3, 0), "b": numbered(11, 12, 0), "c": numbered(21, 22, 0), "d": numbered(31, 32, 0)},
	}
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	p := &played{}
	p.answer = func(batch []int) Result {
		if slices.Contains(batch, 32) {
			stop()
		}
		return Result{}
	}
	m := &streamMapping{
		Mapping: Mapping{BatchSize: 1, Retries: -1, MaxAge: -1, Position: "TRIM_HORIZON"}, source: l, invoke: p.invoke, clock: clock,
		patient: func(d time.Duration) time.Duration { return d }, note: t.Logf,
	}
	m.run(ctx)
	place := func(s string) int { return slices.Index(p.batches, s) }
	if len(p.batches) != 9 || place("3") > min(place("11"), place("21")) || place("31") < max(place("12"), place("22")) {
		t.Errorf("batches %v", p.batches)
	}
}

// LATEST is for shards that are there at the start; what is resharded while the
// mapping runs is read from its beginning.
func TestStreamLatest(t *testing.T) {
	clock := &jumpingClock{now: start.Add(time.Hour)}
	l := &lists{clock: clock, parents: map[string][]string{"b": {"a"}}, closed: map[string]bool{"a": true}, held: map[string][]record{"a": numbered(1, 3, 0)}}
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	p := &played{answer: func([]int) Result { stop(); return Result{} }}
	m := &streamMapping{
		Mapping: Mapping{BatchSize: 10, Retries: -1, MaxAge: -1, Position: "LATEST"}, source: l, invoke: p.invoke, clock: clock, note: t.Logf,
		patient: func(d time.Duration) time.Duration {
			l.mu.Lock()
			defer l.mu.Unlock()
			if len(l.asked) > 0 {
				l.held["b"] = numbered(11, 12, 0)
			}
			return d
		},
	}
	m.run(ctx)
	if strings.Join(p.batches, "|") != "11 12" {
		t.Errorf("batches %v, iterators %q", p.batches, l.asked)
	}
}

func TestPartialAnswers(t *testing.T) {
	has := func(id string) bool { return id == "a" || id == "b" }
	for payload, want := range map[string]string{
		``: "true []", `null`: "true []", `""`: "true []", `{}`: "true []", `{"batchItemFailures":null}`: "true []", `{"batchItemFailures":[]}`: "true []",
		`{"batchItemFailures":[{"itemIdentifier":"b"}]}`: "true [b]", `{"batchItemFailures":[{"itemIdentifier":""}]}`: "false []",
		`{"batchItemFailures":[{"itemIdentifier":null}]}`: "false []", `{"batchItemFailures":[{"wrong":"a"}]}`: "false []",
		`{"batchItemFailures":[{"itemIdentifier":"c"}]}`: "false []", `{"batchItemFailures":3}`: "false []", `[]`: "false []",
	} {
		failed, ok := partialAnswer([]byte(payload), has)
		if got := fmt.Sprint(ok, " ", failed); got != want {
			t.Errorf("%s: got %s, want %s", payload, got, want)
		}
	}
}
