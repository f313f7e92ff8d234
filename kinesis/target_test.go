package kinesis

import (
	"errors"
	"fmt"
	"testing"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/playback"
)

func testStore(t *testing.T, streams, n int) *annals.Store {
	t.Helper()
	s, err := embedded.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for i := range n {
		stream := fmt.Sprintf("order-%d", i%streams)
		if _, err := s.Append(t.Context(), stream, annals.Any, annals.Event{ID: fmt.Sprint(i), Type: "placed", Data: fmt.Appendf(nil, `{"n":%d}`, i)}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func selected(t *testing.T, s *annals.Store, id string) (events []annals.Event) {
	t.Helper()
	for e, err := range playback.Subscribe(t.Context(), s, id, 0, nil) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

// However often a playback is broken off, and wherever: its subscribers see the
// selection, each event once and in order.
func TestPlaybackToKinesis(t *testing.T) {
	rnd := newRand(t)
	w := newWorld(t, "s", 2)
	w.random(rnd)
	store := testStore(t, 7, 300)
	to := func() playback.Target { return Target(w.client, "s", &WriterOptions{Tries: 1000, Sleep: noSleep}) }
	crash := errors.New("planted crash")
	opts := &playback.Options{ID: "again", Every: 40, Rate: 1e9, Sleep: noSleep, At: func(playback.Step) error {
		if rnd.IntN(4) == 0 {
			return crash
		}
		return nil
	}}
	run, err := playback.Start(t.Context(), store, playback.Selection{Streams: []string{"order-*"}}, to(), opts)
	crashes := 0
	for ; ; run, err = playback.Resume(t.Context(), store, "again", to(), opts) {
		if err == nil {
			_, err = run.Run(t.Context())
		}
		if err == nil || annals.CodeOf(err) == annals.CodeConflict { // the crash came when all was recorded
			break
		}
		if !errors.Is(err, crash) {
			t.Fatal(err)
		}
		crashes++
	}
	var got []annals.Event
	for e, err := range w.reader("s").Playback(t.Context(), "again") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	inOrder(t, got, selected(t, store, "again"))
	p, err := playback.Show(t.Context(), store, "again", nil)
	if err != nil || p.State != playback.StateFinished || p.Count != 300 || p.Target.String() != "kinesis s" {
		t.Errorf("recorded is %+v, error %v", p, err)
	}
	t.Logf("%d crashes", crashes)
}

func TestTargetErrors(t *testing.T) {
	w := newWorld(t, "s", 1)
	store := testStore(t, 1, 1)
	if _, err := playback.Start(t.Context(), store, playback.Selection{}, Target(w.client, "no name", nil), nil); !errors.Is(err, annals.ErrInvalid) {
		t.Errorf("a bad name: %v", err)
	}
	run, err := playback.Start(t.Context(), store, playback.Selection{}, Target(w.client, "missing", nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := run.Run(t.Context())
	if !errors.Is(err, annals.ErrNotFound) || p.State != playback.StateFailed {
		t.Errorf("no such stream: %s, %v", p.State, err)
	}
}
