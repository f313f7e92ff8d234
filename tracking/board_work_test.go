package tracking

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
	"github.com/eb901187/annals/storetest/stores"
)

func TestBoardOutlivesFailures(t *testing.T) {
	g := &storetest.Counted{Driver: storetest.AsDriver{Store: stores.Memory(t, nil)}}
	s, c := annals.New(g, nil), clockAt(start.Add(time.Minute))
	keep(t, s, "r1", call(0, 90, "a", "", "")...)
	unavailable := &annals.Error{Code: annals.CodeUnavailable, Message: "gone"}
	g.FailReads(unavailable)
	b := boardOver(t, s, c)
	list, _, state, err := b.Requests(t.Context(), RequestQuery{})
	if err != nil || len(list) != 0 || !errors.Is(state.Problem, annals.ErrUnavailable) {
		t.Fatal(list, state, err)
	}
	g.FailReads(nil)
	until(t, "it reads again", func() bool {
		list, _, state, err = b.Requests(t.Context(), RequestQuery{})
		return err == nil && len(list) == 1 && state.Problem == nil && !state.Reading
	})
}

// A call is not given up for want of a response that could not be read, nor while what
// was appended meanwhile is being read; one without a response is, in the end.
func TestBoardGivesNothingUpInAnOutage(t *testing.T) {
	g := &storetest.Counted{Driver: storetest.AsDriver{Store: stores.Memory(t, nil)}}
	s, c := annals.New(g, nil), clockAt(start.Add(time.Minute))
	keep(t, s, "answered", request(59_000, `{"Name":"A","callId":"a"}`))
	keep(t, s, "silent", request(59_500, `{"Name":"B","callId":"b"}`))
	keep(t, s, "unheard", request(29_000, `{"Name":"C","callId":"c"}`))
	b := boardOver(t, s, c)
	failed := func() string {
		t.Helper()
		list, _, _, err := b.Requests(t.Context(), RequestQuery{Failing: true})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(ids(list))
	}
	complete(t, b, RequestQuery{})
	if got := failed(); got != "[unheard]" {
		t.Fatal("before: ", got)
	}
	g.FailReads(&annals.Error{Code: annals.CodeUnavailable, Message: "gone"})
	until(t, "the Board knows of the outage", func() bool {
		_, state, err := b.Services(t.Context())
		return err == nil && state.Problem != nil
	})
	c.pass(10 * AnswerWithin)
	if got := failed(); got != "[unheard]" {
		t.Fatal("in the outage: ", got)
	}
	for i := range 20 { // so that the answer is not in what is read first
		var others []annals.Event
		for n := range chunk / 40 {
			others = append(others, call(61_000, 61_001, fmt.Sprint("o", n), "", "")...)
		}
		keep(t, s, fmt.Sprint("other", i), others...)
	}
	keep(t, s, "answered", response(61_000, `{"Name":"A","callId":"a","status":200}`))
	end := int64(3 + chunk + 1)
	g.FailReads(nil)
	heardUpTo(t, b, end)
	until(t, "the Board says that the log can be read", func() bool {
		_, state, err := b.Services(t.Context())
		return err == nil && state.Problem == nil
	})
	if got := failed(); got != "[silent unheard]" {
		t.Fatal("after it: ", got)
	}
	m, _, err := b.Services(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range m.Services {
		if want := map[string]int{"B": 1, "C": 1}[s.Service]; s.Failed != want {
			t.Errorf("of %s %d of %d calls failed, want %d", s.Service, s.Failed, s.Calls, want)
		}
	}
}

// Nothing is read twice or left out where a read ends, in either direction.
func TestBoardReadsInChunks(t *testing.T) {
	g := &storetest.Counted{Driver: storetest.AsDriver{Store: stores.Memory(t, nil)}}
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
	g.FailReads(&annals.Error{Code: annals.CodeUnavailable, Message: "held up"})
	add("after")
	g.FailReads(nil)
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
