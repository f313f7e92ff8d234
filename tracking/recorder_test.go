package tracking

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
)

// A plainSink keeps what it is given, and fails as it is told.
type plainSink struct {
	mu     sync.Mutex
	events []annals.Event
	calls  int
	fail   func(events []annals.Event) error
}

func (s *plainSink) Deliver(ctx context.Context, events []annals.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.fail != nil {
		if err := s.fail(events); err != nil {
			return err
		}
	}
	s.events = append(s.events, events...)
	return ctx.Err()
}

func (s *plainSink) set(fail func([]annals.Event) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

// ids of what was delivered, each once, in the order of their first coming.
func (s *plainSink) ids() (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[string]bool{}
	for _, e := range s.events {
		if !seen[e.ID] {
			seen[e.ID] = true
			ids = append(ids, e.ID)
		}
	}
	return ids
}

var quietLog = slog.New(slog.DiscardHandler)

func newRecorder(t testing.TB, sink Sink, opts RecorderOptions) *Recorder {
	t.Helper()
	opts.Logger = quietLog
	r, err := NewRecorder(sink, &opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustClose(t testing.TB, r *Recorder) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

func plainEvent(i int) annals.Event {
	return annals.Event{ID: fmt.Sprint(i), Stream: fmt.Sprint("request/", i%7), Type: "T", Source: "s", Time: start, Data: fmt.Appendf(nil, `{"n":%d}`, i)}
}

func record(t testing.TB, r *Recorder, from, to int) (ids []string) {
	t.Helper()
	for i := from; i < to; i++ {
		if err := r.Record(plainEvent(i)); err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		ids = append(ids, fmt.Sprint(i))
	}
	return ids
}

func wantIDs(t testing.TB, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%d events came, want %d; the first that differs is %d", len(got), len(want), slices.IndexFunc(want, func(id string) bool { return !slices.Contains(got, id) }))
	}
}

type sinkFunc func(context.Context, []annals.Event) error

func (f sinkFunc) Deliver(ctx context.Context, events []annals.Event) error { return f(ctx, events) }

// pass lets time go by on the clock of a synctest bubble, which takes none.
func pass(d time.Duration) { <-time.After(d) }

// wait polls until what it waits for is so.
func wait(t testing.TB, so func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !so(); {
		if time.Now().After(end) {
			t.Fatal("waited for 30 s in vain")
		}
		runtime.Gosched()
	}
}

func TestWhatIsTakenIsDeliveredInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &plainSink{}
		r := newRecorder(t, sink, RecorderOptions{})
		want := record(t, r, 0, 1234)
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantIDs(t, sink.ids(), want)
		if s := r.Stats(); s.Taken != 1234 || s.Delivered != 1234 || s.WaitingMemory != 0 || s.WaitingMemoryBytes != 0 {
			t.Fatalf("%+v", s)
		}
		if sink.calls < 3 || sink.calls > 5 {
			t.Fatalf("%d deliveries of at most 500", sink.calls)
		}
		record(t, r, 1234, 1300)
		pass(time.Second)
		if n := len(sink.ids()); n != 1300 {
			t.Fatalf("without Flush, %d were delivered", n)
		}
		mustClose(t, r)
		if err := r.Record(plainEvent(1)); !errors.Is(err, annals.ErrClosed) {
			t.Fatalf("after Close: %v", err)
		}
		mustClose(t, r)
	})
}

func TestRecordRefusesWhatNoStoreTakes(t *testing.T) {
	r := newRecorder(t, &plainSink{}, RecorderOptions{})
	defer mustClose(t, r)
	for _, change := range []func(*annals.Event){
		func(e *annals.Event) { e.ID = "" }, func(e *annals.Event) { e.Time = time.Time{} }, func(e *annals.Event) { e.Source = "" },
		func(e *annals.Event) { e.Stream = "../a" }, func(e *annals.Event) { e.Data = []byte("{") },
	} {
		e := plainEvent(1)
		change(&e)
		if err := r.Record(plainEvent(2), e); annals.CodeOf(err) != annals.CodeInvalid && annals.CodeOf(err) != annals.CodeInvalidJSON {
			t.Fatalf("%+v: %v", e, err)
		}
	}
	if s := r.Stats(); s.Taken != 0 {
		t.Fatalf("%+v", s)
	}
	var none *Recorder
	if err := errors.Join(none.Record(plainEvent(1)), none.Flush(t.Context()), none.Close(t.Context())); err != nil || none.Stats() != (Stats{}) {
		t.Fatal(err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, opts := range []RecorderOptions{{Memory: 1}, {Spill: t.TempDir(), SpillBytes: 1}, {SpillAfter: -1}, {Timeout: 1}} {
		if _, err := NewRecorder(&plainSink{}, &opts); !errors.Is(err, annals.ErrInvalid) {
			t.Fatalf("%+v: %v", opts, err)
		}
	}
	dir := t.TempDir()
	defer mustClose(t, newRecorder(t, &plainSink{}, RecorderOptions{Spill: dir}))
	if _, err := NewRecorder(&plainSink{}, &RecorderOptions{Spill: dir}); !errors.Is(err, annals.ErrInUse) {
		t.Fatalf("a spill in use: %v", err)
	}
}

// What the sink says is wrong is set aside, alone; the others are delivered.
func TestRefusedEventsAreSetAside(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		bad := map[string]bool{"3": true, "299": true, "300": true}
		sink := &plainSink{fail: func(events []annals.Event) error {
			for _, e := range events {
				if bad[e.ID] {
					return &annals.DuplicateError{Stream: e.Stream, ID: e.ID, Version: 1}
				}
			}
			return nil
		}}
		r := newRecorder(t, sink, RecorderOptions{Spill: dir})
		all := record(t, r, 0, 400)
		mustClose(t, r)
		wantIDs(t, sink.ids(), slices.DeleteFunc(all, func(id string) bool { return bad[id] }))
		if s := r.Stats(); s.Refused != 3 || s.Delivered != 397 || s.WaitingMemory != 0 {
			t.Fatalf("%+v", s)
		}
	})
	text, err := os.ReadFile(filepath.Join(dir, refusedFile))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i, id := range []string{"3", "299", "300"} {
		var line struct {
			Error string
			Event annals.Event
		}
		if err := json.Unmarshal([]byte(lines[i]), &line); err != nil || line.Event.ID != id || line.Event.Stream == "" || !strings.Contains(line.Error, id) {
			t.Fatalf("line %d: %s, %v", i, lines[i], err)
		}
	}
}

func TestCloseCountsWhatItCouldNotKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &plainSink{fail: func([]annals.Event) error { return errors.New("down") }}
		r := newRecorder(t, sink, RecorderOptions{})
		record(t, r, 0, 42)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := r.Close(ctx)
		if err == nil || !strings.Contains(err.Error(), "42 recorded events") || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, annals.ErrUnavailable) {
			t.Fatalf("got %v", err)
		}
		if sink.calls < 5 {
			t.Fatalf("%d tries in a minute", sink.calls)
		}
	})
}

// The events of calls end in a store, twice delivered and once stored, and make
// a trace.
func TestRecordedCallsMakeATrace(t *testing.T) {
	store, err := embedded.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	fails := true
	sink := sinkFunc(func(ctx context.Context, events []annals.Event) error {
		for _, e := range events {
			if _, err := store.Append(ctx, e.Stream, annals.Any, e); err != nil {
				return err
			}
		}
		if fails {
			fails = false
			return errors.New("the reply is lost")
		}
		return nil
	})
	r := newRecorder(t, sink, RecorderOptions{Linger: -1, Clock: func() time.Time { return start }})
	outer, err := r.Begin(Exchange{RequestID: "req-1", CallID: "00000000000000aa", Service: "A", Source: "Gateway", Method: "GET", Path: "/x", GivenID: "<given>"})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := r.Begin(Exchange{RequestID: "req-1", CallID: "00000000000000bb", ParentID: "00000000000000aa", Service: "B, \"the\" second", Source: "A, \x00B"})
	if err != nil {
		t.Fatal(err)
	}
	inner.End(Exchange{Duration: 1500 * time.Microsecond, ErrorKind: KindRefused, Error: "connection refused"})
	outer.End(Exchange{Status: 502, Duration: 2 * time.Millisecond, RequestBytes: 3, ResponseBytes: 4})
	mustClose(t, r)
	trace, err := Read(t.Context(), store, "req-1", start.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`A 502 2ms "" open=false`, `B, "the" second 0 1.5ms "connection refused" open=false`, `faulty B, "the" second`}
	if got := summary(trace); !slices.Equal(got, want) {
		t.Fatalf("got %q", got)
	}
	last := trace.Events[len(trace.Events)-1]
	if string(last.Data) != `{"Name":"A","callId":"00000000000000aa","givenRequestId":"<given>","method":"GET","path":"/x","status":502,"durationMs":2,"requestBytes":3,"responseBytes":4}` ||
		last.Stream != "request/req-1" || last.ID != "00000000000000aa-response" || last.Source != "Gateway" {
		t.Fatalf("got %+v with %s", last, last.Data)
	}
}

// What Flush waits for does not count twice where the sink takes an event while
// it is spilled.
func TestFlushWaitsForAll(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		slow := &plainSink{}
		sink := sinkFunc(func(ctx context.Context, events []annals.Event) error {
			pass(3 * time.Second) // longer than SpillAfter
			return slow.Deliver(ctx, events)
		})
		r := newRecorder(t, sink, RecorderOptions{Spill: dir, Linger: -1})
		var want []string
		for i := range 20 {
			want = append(want, record(t, r, i*100, i*100+100)...)
			pass(700 * time.Millisecond)
		}
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantIDs(t, slow.ids(), want)
		if s := r.Stats(); s.WaitingMemory+s.WaitingSpill != 0 || s.Delivered < 2000 {
			t.Fatalf("%+v", s)
		}
		mustClose(t, r)
	})
}

func BenchmarkRecord(b *testing.B) {
	r := newRecorder(b, sinkFunc(func(context.Context, []annals.Event) error { return nil }), RecorderOptions{Memory: 1 << 30})
	x := Exchange{RequestID: "4bf92f3577b34da6a3ce929d0e0e4736", Service: "orders", Source: "Gateway", Method: "GET", Host: "orders.internal", Path: "/orders/7"}
	b.ReportAllocs()
	for b.Loop() {
		c, err := r.Begin(x)
		if err != nil {
			b.Fatal(err)
		}
		c.End(Exchange{Status: 200, Duration: time.Millisecond})
	}
	mustClose(b, r)
}

var quietStdLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
