package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/eb901187/annals"
)

func of(stream string, expected int64, events ...annals.Event) annals.Append {
	return annals.Append{Stream: stream, Expected: expected, Events: events}
}

// batchOf makes appends of one event each, whose ids are counted from 0, to
// streams that take turns.
func batchOf(n, streams int) []annals.Append {
	batch := make([]annals.Append, n)
	for i := range batch {
		batch[i] = of(fmt.Sprint("s", i%streams), int64(i/streams), Event(fmt.Sprint(i), "T", fmt.Sprint(i)))
	}
	return batch
}

func appendAll(t *testing.T, s *annals.Store, batch []annals.Append) []annals.Commit {
	t.Helper()
	commits, err := s.AppendAll(t.Context(), batch)
	if err != nil || len(commits) != len(batch) {
		t.Fatalf("%d of %d appends are done: %v", len(commits), len(batch), err)
	}
	for i, c := range commits {
		if c, err = s.Wait(t.Context(), c); err != nil {
			t.Fatalf("wait for append %d: %v", i, err)
		}
		commits[i] = c
	}
	return commits
}

// wantFailed wants the append at index n to be the first that failed, and none
// behind it to be there in a store that numbers its log as it appends.
func wantFailed(t *testing.T, s *annals.Store, batch []annals.Append, n int) error {
	t.Helper()
	commits, err := s.AppendAll(t.Context(), batch)
	if err == nil || len(commits) != n {
		t.Fatalf("%d appends are done, then %v; want %d and an error", len(commits), err, n)
	}
	inOrder := true
	for i, c := range commits {
		wantVersion(t, s, c.Stream, max(c.Version, 1))
		inOrder = inOrder && c.Position > 0
		if c.Stream != batch[i].Stream {
			t.Fatalf("commit %d is %+v", i, c)
		}
	}
	if last := batch[len(batch)-1].Stream; inOrder {
		wantVersion(t, s, last, 0)
	}
	return err
}

var batchClauses = []clause{
	{"appends at once are those one after the other", func(t *testing.T, s *annals.Store) {
		commits := appendAll(t, s, batchOf(500, 7))
		for i, c := range commits {
			if c.Stream != fmt.Sprint("s", i%7) || c.Version != int64(i/7+1) || c.Count != 1 || c.Position == 0 || c.Replayed {
				t.Fatalf("append %d gave %+v", i, c)
			}
		}
		for _, e := range Collect(t, s.Log(t.Context(), annals.Query{})) {
			if c := commits[index(t, e.ID)]; e.Stream != c.Stream || e.Version != c.Version || e.Position != c.Position || string(e.Data) != e.ID {
				t.Fatalf("%+v is not of %+v", e, c)
			}
		}
	}},
	{"no appends at once are done", func(t *testing.T, s *annals.Store) {
		appendAll(t, s, nil)
		if end, err := s.End(t.Context()); err != nil || end != 0 {
			t.Fatalf("end %d, %v", end, err)
		}
	}},
	{"one of several appends may expect what those before leave", func(t *testing.T, s *annals.Store) {
		appendAll(t, s, []annals.Append{
			of("a", annals.NoStream, Event("1", "T", `1`), Event("2", "T", `2`)),
			of("b", annals.Any, Event("1", "T", `1`)),
			of("a", 2, Event("3", "T", `3`)),
			of("a", annals.Any, Event("4", "T", `4`)),
			of("b", 1, Event("2", "T", `2`)),
		})
		wantIDs(t, s.Stream(t.Context(), "a", nil), "1", "2", "3", "4")
		wantIDs(t, s.Stream(t.Context(), "b", nil), "1", "2")
	}},
	{"appends at once end at the first conflict", func(t *testing.T, s *annals.Store) {
		batch := batchOf(100, 100)
		batch[40].Expected = 3
		wantConflict(t, wantFailed(t, s, batch, 40), 3, 0)
	}},
	{"appends at once end at the first that is invalid", func(t *testing.T, s *annals.Store) {
		batch := batchOf(100, 100)
		batch[60].Events[0].Data = []byte(`{`)
		wantError(t, wantFailed(t, s, batch, 60), annals.ErrInvalidJSON)
		batch[0].Stream = ".."
		wantError(t, wantFailed(t, s, batch, 0), annals.ErrInvalid)
	}},
	{"the first of several appends that fail is told", func(t *testing.T, s *annals.Store) {
		batch := batchOf(100, 100)
		batch[70].Events[0].Type = ""
		batch[30].Expected = 3
		wantConflict(t, wantFailed(t, s, batch, 30), 3, 0)
	}},
	{"behind one of several appends that failed its stream stays as it is", func(t *testing.T, s *annals.Store) {
		batch := batchOf(40, 40)
		for range 20 {
			batch = append(batch, of("a", 7, Event("1", "T", `1`)), of("a", annals.Any, Event("2", "T", `2`)))
		}
		commits, err := s.AppendAll(t.Context(), batch)
		if wantConflict(t, err, 7, 0); len(commits) != 40 {
			t.Fatalf("%d appends are done", len(commits))
		}
		wantVersion(t, s, "a", 0)
	}},
	{"the same appends at once again return their commits", func(t *testing.T, s *annals.Store) {
		batch := batchOf(200, 9)
		first := appendAll(t, s, batch[:120])
		for i, c := range appendAll(t, s, batch) {
			if c.Replayed != (i < 120) || c.Version != int64(i/9+1) || i < 120 && c.Position != first[i].Position {
				t.Fatalf("append %d gave %+v", i, c)
			}
		}
		wantEvents(t, s, 200)
	}},
	{"an id that several appends at once repeat is stored once", func(t *testing.T, s *annals.Store) {
		one := of("a", annals.Any, Event("1", "T", `1`))
		commits := appendAll(t, s, []annals.Append{one, one, one})
		if c := commits[2]; !c.Replayed || c.Version != 1 {
			t.Fatalf("got %+v", c)
		}
		other := one
		other.Events = []annals.Event{Event("1", "T", `2`)}
		commits, err := s.AppendAll(t.Context(), []annals.Append{one, other})
		if wantError(t, err, annals.ErrIDReused); len(commits) != 1 {
			t.Fatalf("got %+v", commits)
		}
		wantEvents(t, s, 1)
	}},
	{"appends at once leave what the caller passed as it was", func(t *testing.T, s *annals.Store) {
		batch := []annals.Append{of("a", 0, annals.Event{Type: "T"}), of("a", 0, annals.Event{Type: "T"})}
		if _, err := s.AppendAll(t.Context(), batch); !errors.Is(err, annals.ErrConflict) {
			t.Fatalf("got %v", err)
		}
		for _, a := range batch {
			if e := a.Events[0]; e.ID != "" || e.Source != "" || !e.Time.IsZero() || e.Version != 0 {
				t.Fatalf("the caller's event became %+v", e)
			}
		}
	}},
	{"a canceled context appends nothing at once", func(t *testing.T, s *annals.Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		commits, err := s.AppendAll(ctx, batchOf(3, 3))
		if wantError(t, err, context.Canceled); len(commits) > 0 {
			t.Fatalf("got %+v", commits)
		}
		wantEvents(t, s, 0)
	}},
	{"a cause comes before its effect also among appends at once", func(t *testing.T, s *annals.Store) {
		batch := []annals.Append{of("first", 0, Event("first", "T", `1`))}
		for i := range 40 {
			effect := Event("effect", "T", `1`)
			effect.Causation = fmt.Sprint("cause-", i, "@1")
			batch = append(batch,
				of(fmt.Sprint("cause-", i), 0, Event("cause", "T", `1`)), of(fmt.Sprint("effect-", i), 0, effect))
		}
		commits := appendAll(t, s, batch)
		for i := 1; i < len(commits); i += 2 {
			if commits[i].Position >= commits[i+1].Position {
				t.Fatalf("%+v is behind %+v", commits[i], commits[i+1])
			}
		}
	}},
	{"appends at once and others share their streams", func(t *testing.T, s *annals.Store) {
		const writers, each = 4, 60
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				var batch []annals.Append
				for i := range each {
					batch = append(batch, of(fmt.Sprint("s", i%3), annals.Any, Event(fmt.Sprint(w, "-", i), "T", `1`)))
				}
				if w%2 == 0 {
					if commits, err := s.AppendAll(t.Context(), batch); err != nil || len(commits) != each {
						t.Error(len(commits), err)
					}
					return
				}
				for _, a := range batch {
					if _, err := s.Append(t.Context(), a.Stream, a.Expected, a.Events...); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for i := range 3 {
			version := int64(0)
			for _, e := range Collect(t, s.Stream(t.Context(), fmt.Sprint("s", i), nil)) {
				if version++; e.Version != version {
					t.Fatalf("version %d of %s follows %d", e.Version, e.Stream, version-1)
				}
			}
			if version != writers*each/3 {
				t.Fatalf("stream s%d has %d events", i, version)
			}
		}
	}},
}

func index(t *testing.T, id string) (i int) {
	t.Helper()
	if _, err := fmt.Sscan(id, &i); err != nil {
		t.Fatal(err)
	}
	return i
}

// wantEvents wants so many events in all streams that batchOf names, or in a.
func wantEvents(t *testing.T, s *annals.Store, want int) {
	t.Helper()
	got := len(Collect(t, s.Stream(t.Context(), "a", nil)))
	for i := range 10 {
		got += len(Collect(t, s.Stream(t.Context(), fmt.Sprint("s", i), nil)))
	}
	if got != want {
		t.Fatalf("there are %d events, want %d", got, want)
	}
}

var batchFaultClauses = []faultClause{
	{"lost requests and replies of appends at once are settled", func(t *testing.T, s *annals.Store, f *Faulty) {
		batch := batchOf(30, 4)
		for i, faults := range [][]Fault{{LostRequest}, {LostReply}, {LostRequest, LostReply}, {LostReply, LostRequest, LostRequest}} {
			part := batch[i*7 : i*7+7]
			f.FailAppends(faults...)
			appendAll(t, s, part)
		}
		wantEvents(t, s, 28)
	}},
	{"an outcome of appends at once that can't be learned is called unknown", func(t *testing.T, s *annals.Store, f *Faulty) {
		f.FailAppends(LostReply, LostRequest, Refused, Refused)
		f.FailReads(Refused)
		commits, err := s.AppendAll(t.Context(), batchOf(5, 5))
		if wantError(t, err, annals.ErrUnknownOutcome); len(commits) > 0 {
			t.Fatalf("got %+v", commits)
		}
		appendAll(t, s, batchOf(5, 5))
		wantEvents(t, s, 5)
	}},
	{"what may be stored behind a lost reply stays unknown when the store then refuses", func(t *testing.T, s *annals.Store, f *Faulty) {
		// The batch is lost; the first is settled; then nothing goes any more.
		f.FailAppends(LostReply, None, Refused, Refused, Refused, Refused)
		f.FailReads(None, Refused)
		commits, err := s.AppendAll(t.Context(), batchOf(5, 5))
		if wantError(t, err, annals.ErrUnknownOutcome); len(commits) != 1 {
			t.Fatalf("got %+v", commits)
		}
	}},
	{"refused appends at once are not sent again", func(t *testing.T, s *annals.Store, f *Faulty) {
		f.FailAppends(Refused)
		commits, err := s.AppendAll(t.Context(), batchOf(5, 5))
		if wantError(t, err, annals.ErrUnavailable); len(commits) > 0 {
			t.Fatalf("got %+v", commits)
		}
		wantEvents(t, s, 0)
	}},
}
