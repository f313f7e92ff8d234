package tracking

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eb901187/annals"
)

// The sink is down for twenty minutes, and comes back: what waited in the spill comes
// first, and all of it.
func TestSinkDownForLong(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("connection refused")
		sink := &plainSink{fail: func([]annals.Event) error { return down }}
		r := newRecorder(t, sink, RecorderOptions{Spill: dir, Memory: 1 << 20, SpillBytes: 64 << 20})
		var want []string
		for i := range 20 {
			want = append(want, record(t, r, i*1000, i*1000+1000)...) // more than memory holds
			pass(time.Minute)
		}
		s := r.Stats()
		if s.WaitingSpill != 20_000 || s.WaitingMemory != 0 || s.Shed != 0 || s.Failures < 100 || s.Failures > 400 {
			t.Fatalf("%+v", s)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := r.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "20000 recorded events") {
			t.Fatalf("Flush: %v", err)
		}
		cancel()
		sink.set(nil)
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantIDs(t, sink.ids(), want)
		record(t, r, 0, 10)
		mustClose(t, r)
		if s := r.Stats(); s.WaitingSpill != 0 || s.WaitingMemory != 0 {
			t.Fatalf("%+v", s)
		}
	})
}

// A sink that never returns holds up neither Record nor Close, and what it was
// given is spilled none the less.
func TestSinkThatHangs(t *testing.T) {
	dir := t.TempDir()
	release := make(chan struct{})
	defer close(release)
	hangs := sinkFunc(func(context.Context, []annals.Event) error { <-release; return nil })
	r := newRecorder(t, hangs, RecorderOptions{Spill: dir, SpillAfter: 20 * time.Millisecond, Linger: -1})
	want := record(t, r, 0, 700)
	wait(t, func() bool { s := r.Stats(); return s.WaitingSpill == 700 && s.WaitingMemory == 0 })
	want = append(want, record(t, r, 700, 900)...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Close(ctx); err != nil {
		t.Fatalf("Close: %v", err)
	}
	sink := &plainSink{}
	r = newRecorder(t, sink, RecorderOptions{Spill: dir})
	if err := r.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, sink.ids(), want)
	mustClose(t, r)
}

func TestDeliveryIsBoundedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		sink := sinkFunc(func(ctx context.Context, _ []annals.Event) error {
			if asked++; asked > 2 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		})
		r := newRecorder(t, sink, RecorderOptions{Timeout: 5 * time.Second})
		record(t, r, 0, 3)
		begun := time.Now()
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); asked != 3 || took < 10*time.Second || took > 12*time.Second { // of the bubble's clock
			t.Fatalf("%d deliveries in %v", asked, took)
		}
		mustClose(t, r)
	})
}

func TestFullMemoryAndSpill(t *testing.T) {
	for _, full := range []Full{Shed, Refuse} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			sink := &plainSink{fail: func([]annals.Event) error { return errors.New("down") }}
			r := newRecorder(t, sink, RecorderOptions{Spill: dir, Memory: 1 << 20, SpillBytes: 8 << 20, Full: full})
			begun, err := r.Begin(Exchange{RequestID: "r", CallID: "held"})
			if err != nil {
				t.Fatal(err)
			}
			large, taken := plainEvent(0), 0
			large.Data = fmt.Appendf(nil, `"%0*d"`, 50_000, 0)
			for refused := 0; refused < 3; {
				large.ID = fmt.Sprint(taken)
				switch err := r.Record(large); {
				case err == nil:
					taken++
				case errors.Is(err, ErrFull):
					refused++
					pass(3 * time.Second) // room is made while the spill has some
				default:
					t.Fatal(err)
				}
				synctest.Wait()
			}
			small := plainEvent(-1)
			for r.Record(small) == nil {
				taken++
			}
			if s := r.Stats(); s.WaitingSpillBytes > 8<<20 || s.WaitingMemoryBytes > 1<<20 || int64(taken)+1 != s.Taken || s.WaitingSpill+s.WaitingMemory != s.Taken {
				t.Fatalf("%d taken: %+v", taken, s)
			}
			wantNoCall(t, r, full)
			begun.End(Exchange{Status: 200}) // there is room for it
			begun.End(Exchange{Status: 500})
			s := r.Stats()
			if s.Taken != int64(taken)+2 || s.Reserved != 0 {
				t.Fatalf("%d taken: %+v", taken, s)
			}
			sink.set(nil)
			mustClose(t, r)
			if ids := sink.ids(); !slices.Contains(ids, "held-response") || !slices.Contains(ids, "held-request") {
				t.Fatalf("got %d events", len(ids))
			}
		})
	}
}

// wantNoCall begins a call while everything is full.
func wantNoCall(t *testing.T, r *Recorder, full Full) {
	t.Helper()
	before := r.Stats().Shed
	c, err := r.Begin(Exchange{RequestID: "r2"})
	shed := r.Stats().Shed - before
	switch {
	case c != nil, full == Refuse && (!errors.Is(err, ErrFull) || shed != 1), full == Shed && (err != nil || shed != 2):
		t.Fatalf("policy %v: %v, %d shed", full, err, shed)
	}
	c.End(Exchange{})
}

// The log tells of trouble when it begins and when it ends, not at each event.
func TestTroubleIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		sink := &plainSink{fail: func([]annals.Event) error { return errors.New("connection refused") }}
		r, err := NewRecorder(sink, &RecorderOptions{Memory: 1 << 20, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10_000 {
			if _, err := r.Begin(Exchange{Service: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
		}
		pass(10 * time.Second)
		s := r.Stats()
		sink.set(nil)
		pass(time.Minute)
		mustClose(t, r)
		text := log.String()
		if s.Shed < 10_000 || strings.Count(text, "are shed") != 1 || !strings.Contains(text, fmt.Sprint("events=", s.Shed)) ||
			strings.Count(text, "can't be delivered") != 1 || strings.Count(text, "delivered again") != 1 || strings.Count(text, "\n") != 3 {
			t.Fatalf("%+v\n%s", s, text)
		}
	})
}

// What ends trouble with the spill is something that was spilled, and not that there
// was nothing to spill.
func TestSpilledAgainIsSaidOfWhatWasSpilled(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		down := func([]annals.Event) error { return errors.New("down") }
		sink := &plainSink{fail: down}
		r, err := NewRecorder(sink, &RecorderOptions{Spill: dir, Memory: 1 << 20, SpillBytes: 8 << 20, Linger: -1, Rand: func() uint64 { return 1 }, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		defer mustClose(t, r)
		large := plainEvent(0)
		large.Data = fmt.Appendf(nil, `"%0*d"`, 50_000, 0)
		for i, full := 0, false; !full; i++ {
			large.ID = fmt.Sprint(i)
			err := r.Record(large)
			full = errors.Is(err, ErrFull)
			if err != nil && !full {
				t.Fatal(err)
			}
			pass(time.Second)
			synctest.Wait()
		}
		again := func() int { return strings.Count(log.String(), "spilled again") }
		before := again()
		if strings.Count(log.String(), "can't be spilled") != before+1 {
			t.Fatalf("the spill is not full:\n%s", log.String())
		}
		sink.set(nil)
		pass(10 * time.Minute)
		synctest.Wait()
		if s := r.Stats(); s.WaitingMemory+s.WaitingSpill != 0 || again() != before {
			t.Fatalf("%+v, nothing was spilled, and the log says:\n%s", s, log.String())
		}
		sink.set(down)
		record(t, r, 0, 1)
		pass(10 * time.Second)
		synctest.Wait()
		if s := r.Stats(); s.WaitingSpill != 1 || again() != before+1 {
			t.Fatalf("%+v, and the log says:\n%s", s, log.String())
		}
	})
}
