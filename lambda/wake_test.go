package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/reaction"
)

// numbered sequences what was appended and returns the wake-up that it makes.
func (s *stage) numbered(sequence *Function) (wakeUp string) {
	s.t.Helper()
	s.mustInvoke(sequence, s.batch("stage-events"), allDone)
	return s.batch("stage-log")
}

// view is a document of the projection orders.
func (s *stage) view(query *Function, key string) string {
	s.t.Helper()
	a := s.ask(query, "GET", "/v1/views/orders/"+key, "")
	if a.StatusCode != 200 {
		return fmt.Sprint(a.StatusCode)
	}
	return strings.TrimSpace(a.Body)
}

const countFile = `fold:
  x: '{n: ((.n // 0) + 1)}'
`

func TestWriteFoldsAtEachWakeUp(t *testing.T) {
	s := newStage(t)
	dir := "ANNALS_PROJECTIONS=" + writeProjection(t, countFile)
	store, sequence := s.store(), s.function(Sequence, nil)
	write, query := s.function(Write, nil, dir), s.function(Query, nil, dir)
	s.append(store, "a", "x", "x")
	wakeUp := s.numbered(sequence)
	// It comes twice, and to two functions.
	second := s.function(Write, nil, dir)
	for _, f := range []*Function{write, write, second} {
		s.mustInvoke(f, wakeUp, allDone)
	}
	if got := s.view(query, "a"); got != `{"n":2}` {
		t.Errorf("the view has %s", got)
	}
	// A wake-up of any other kind does the same.
	for i, payload := range []string{
		`{"Records":[{"eventSource":"aws:kinesis","eventSourceARN":"arn:aws:kinesis:eu-central-1:1:stream/stage-playback","kinesis":{"sequenceNumber":"7","approximateArrivalTimestamp":1.5}}]}`,
		payloads[fromSchedule], `{}`,
	} {
		s.append(store, "a", "x")
		s.numbered(sequence)
		want := `{"caughtUp":true}`
		if i == 0 {
			want = allDone
		}
		s.mustInvoke(write, payload, want)
		if got := s.view(query, "a"); got != fmt.Sprintf(`{"n":%d}`, 3+i) {
			t.Errorf("behind %s the view has %s", payload, got)
		}
	}
}

func TestWriteRefusesOtherSources(t *testing.T) {
	s := newStage(t)
	f := s.function(Write, nil)
	for payload, says := range map[string]string{
		`{"Records":[{"eventSource":"aws:dynamodb","eventSourceARN":"arn:aws:dynamodb:eu-central-1:1:table/stage-events/stream/1"}]}`: "takes those of the stream of the table stage-log",
		`{"Records":[{"eventSource":"aws:kinesis","eventSourceARN":"arn:aws:kinesis:eu-central-1:1:stream/stage-ingest"}]}`:           "takes those of the Kinesis stream stage-playback",
	} {
		_, err := s.invoke(f, payload)
		wantError(t, err, annals.CodeInvalid, says)
	}
	_, err := s.invoke(s.function(Write, nil, "ANNALS_PLAYBACK_STREAM="), payloads[fromKinesis])
	wantError(t, err, annals.CodeInvalid, "ANNALS_PLAYBACK_STREAM is not set")
}

// What does not fit into an invocation is asked for again by the batch's last item.
func TestAnUnfinishedWakeUpComesAgain(t *testing.T) {
	s := newStage(t)
	dir := "ANNALS_PROJECTIONS=" + writeProjection(t, countFile)
	store, sequence, write, query := s.store(), s.function(Sequence, nil), s.function(Write, nil, dir), s.function(Query, nil, dir)
	s.append(store, "a", "x", "x")
	s.mustInvoke(sequence, s.batch("stage-events"), allDone)
	s.append(store, "a", "x")
	wakeUp := s.numbered(sequence) // of two pages
	var given struct {
		Records []struct {
			DynamoDB struct{ SequenceNumber string }
		}
	}
	if err := json.Unmarshal([]byte(wakeUp), &given); err != nil || len(given.Records) < 2 {
		t.Fatal(wakeUp, err)
	}
	last := given.Records[len(given.Records)-1].DynamoDB.SequenceNumber
	if got, err := s.invokeWithin(write, wakeUp, time.Nanosecond); err != nil || got != fmt.Sprintf(`{"batchItemFailures":[{"itemIdentifier":%q}]}`, last) {
		t.Errorf("without time it answers %s, %v", got, err)
	}
	if m := s.out.metrics(t); m["Unfinished"] != 1.0 {
		t.Errorf("%v", m)
	}
	if got, err := s.invokeWithin(write, `{}`, time.Nanosecond); err != nil || got != `{"caughtUp":false}` {
		t.Errorf("without time a caller is answered %s, %v", got, err)
	}
	s.mustInvoke(write, wakeUp, allDone)
	if got := s.view(query, "a"); got != `{"n":3}` {
		t.Errorf("the view has %s", got)
	}
}

// Many wake-ups at once, in several processes, fold each event once.
func TestWakeUpsAtOnce(t *testing.T) {
	s := newStage(t)
	dir := "ANNALS_PROJECTIONS=" + writeProjection(t, countFile)
	store, sequence, query := s.store(), s.function(Sequence, nil), s.function(Query, nil, dir)
	writers := []*Function{s.function(Write, nil, dir), s.function(Write, nil, dir), s.function(Write, nil, dir)}
	const rounds = 20
	for range rounds {
		s.append(store, "a", "x")
		wakeUp := s.numbered(sequence)
		var done sync.WaitGroup
		for _, f := range writers {
			done.Go(func() {
				if got, err := s.invoke(f, wakeUp); err != nil || got != allDone {
					t.Errorf("answered %s, %v", got, err)
				}
			})
		}
		done.Wait()
	}
	if got := s.view(query, "a"); got != fmt.Sprintf(`{"n":%d}`, rounds) {
		t.Errorf("the view has %s", got)
	}
}

// failing is a Reactor that can't go on.
type failing struct{ err error }

func (failing) Name() string                    { return "failing" }
func (f failing) CatchUp(context.Context) error { return f.err }

// Who calls the function is told what can't go on. The wake-ups that would come again
// for an error are done with, and a metric tells of them.
func TestWhatCannotGoOnIsToldOf(t *testing.T) {
	s := newStage(t)
	store, sequence := s.store(), s.function(Sequence, nil)
	react := s.function(React, &Program{Reactors: func(context.Context, *Workplace) ([]Reactor, error) {
		return []Reactor{failing{annals.Invalid("x", "is planted")}}, nil
	}})
	_, err := s.invoke(react, `{}`)
	wantError(t, err, annals.CodeInvalid, "failing: ", "is planted")
	if m := s.out.metrics(t); m["Stalled"] != 1.0 || m["Errors"] != 1.0 {
		t.Errorf("%v", m)
	}
	s.mustInvoke(react, payloads[fromSchedule], `{"caughtUp":false}`)
	if m := s.out.metrics(t); m["Stalled"] != 1.0 || m["Errors"] != nil {
		t.Errorf("%v", m)
	}
	s.append(store, "a", "x")
	s.mustInvoke(react, s.numbered(sequence), allDone)
	told := false
	for _, line := range s.out.take(t) {
		text, _ := line["error"].(string)
		told = told || line["level"] == "ERROR" && strings.Contains(text, "is planted")
		if line["_aws"] != nil && line["role"] == "react" && (line["Stalled"] != 1.0 || line["Errors"] != nil) {
			t.Errorf("%v", line)
		}
	}
	if !told {
		t.Error("no line tells of it")
	}
}

// What a warm function asks for, in requests: nothing that it does grows with the
// store.
func TestRequestsOfAWakeUp(t *testing.T) {
	s := newStage(t)
	dir := "ANNALS_PROJECTIONS=" + writeProjection(t, countFile)
	store, sequence, write := s.store(), s.function(Sequence, nil), s.function(Write, nil, dir)
	s.append(store, "a", "x")
	s.mustInvoke(write, s.numbered(sequence), allDone)
	s.counted()
	s.mustInvoke(write, `{}`, `{"caughtUp":true}`)
	s.wantUsed("an idle wake-up with one projection", map[string]int{"Query": 4, "GetItem": 1}, 0, 5)

	s.append(store, "a", "x")
	wakeUp := s.numbered(sequence)
	s.counted()
	s.mustInvoke(write, wakeUp, allDone)
	s.wantUsed("one event through one projection", map[string]int{"Query": 6, "GetItem": 2, "TransactWriteItems": 1}, 4, 8)
}

func (s *stage) wantUsed(what string, requests map[string]int, writes, reads float64) {
	s.t.Helper()
	got, w, r := s.counted()
	s.t.Logf("%s: %v, %v write units, %v read units", what, got, w, r)
	if fmt.Sprint(got) != fmt.Sprint(requests) || w != writes || r != reads {
		s.t.Errorf("%s: %v, %v write units, %v read units; want %v, %v and %v", what, got, w, r, requests, writes, reads)
	}
}

// payments is a program with a saga that waits for a payment.
func payments(_ context.Context, w *Workplace) ([]Reactor, error) {
	saga := reaction.Saga[struct{}]{
		Name: "payment", Starts: []string{"placed"},
		ID: func(e *annals.Event) string { return strings.TrimPrefix(e.Stream, "order-") },
		Steps: []reaction.Step[struct{}]{{Name: "pay", Do: reaction.Action[struct{}]{
			Issue: func(ctx context.Context, c *reaction.Command[struct{}]) error {
				_, err := c.Append(ctx, "order-"+c.ID, annals.Any, annals.Event{Type: "asked"})
				return err
			},
			Success: []string{"paid"}, Timeout: time.Minute,
		}}},
	}
	p, err := reaction.NewProcess(w.Store, w.Views, saga, &reaction.Options{Consumer: w.Consumer})
	return []Reactor{p}, err
}

func TestReactMovesSagasAndFiresTimers(t *testing.T) {
	s := newStage(t)
	var mu sync.Mutex
	now := time.Now()
	s.clock = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	store, sequence := s.store(), s.function(Sequence, nil)
	react := s.function(React, &Program{Reactors: payments})
	settle := func() {
		t.Helper()
		for {
			wakeUp := s.numbered(sequence)
			if wakeUp == `{"Records":[]}` {
				return
			}
			s.mustInvoke(react, wakeUp, allDone)
		}
	}
	types := func() string {
		t.Helper()
		var all []string
		for e, err := range store.Log(t.Context(), annals.Query{}) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, e.Type)
		}
		return strings.Join(all, " ")
	}
	s.append(store, "order-7", "placed")
	settle()
	const began = "placed saga-started step-started timeout-set asked"
	got := types()
	for want := range strings.FieldsSeq(began) {
		if !strings.Contains(got, want) {
			t.Fatalf("the log holds %s, want %s", got, began)
		}
	}
	s.mustInvoke(react, payloads[fromSchedule], `{"caughtUp":true}`)
	settle()
	if again := types(); again != got {
		t.Fatalf("a tick before the time made %s of %s", again, got)
	}
	mu.Lock()
	now = now.Add(2 * time.Minute)
	mu.Unlock()
	s.mustInvoke(react, payloads[fromSchedule], `{"caughtUp":true}`)
	settle()
	if got := types(); !strings.Contains(got, "timeout-elapsed") || !strings.Contains(got, "saga-compensated") {
		t.Errorf("the log holds %s", got)
	}
}
