package playback_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/storetest/stores"
)

// A playback that goes from process to process is running all the time, and sends each
// event once.
func TestHandOver(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			store, c := stores.Memory(t, nil), newClock()
			fill(t, store, 300)
			sink := newSink(t, kind, store)
			at := func(n int) string { return fmt.Sprint("process ", n) }
			for n := 0; ; n++ {
				ctx, cancel := context.WithCancelCause(t.Context())
				opts := c.options(at(n))
				opts.Rate = 500
				opts.Progress = func(*playback.Playback) { cancel(playback.ErrHandOver) }
				var r *playback.Run
				var err error
				if n == 0 {
					r, err = playback.Start(ctx, store, playback.Selection{}, sink.target(), opts)
				} else {
					r, err = playback.Continue(ctx, store, "pb", at(n-1), sink.target(), opts)
				}
				if err != nil {
					t.Fatal(err)
				}
				p, err := r.Run(ctx)
				if err == nil {
					if n < 3 || p.State != playback.StateFinished || p.Count == 0 {
						t.Errorf("after %d processes: %+v", n, p)
					}
					break
				}
				shown, errToo := playback.Show(t.Context(), store, "pb", opts)
				if !errors.Is(err, playback.ErrHandOver) || errToo != nil || p.State != playback.StateRunning || shown.State != playback.StateRunning || shown.Count != p.Count || p.Count == 0 {
					t.Fatalf("%+v, shown as %+v, %v, %v", p, shown, err, errToo)
				}
			}
			sink.want(t, selected(t, store, "pb", playback.Selection{}, 300))
		})
	}
}

// Who was stopped, or has lost it, is not continued.
func TestContinueTakesNothingAway(t *testing.T) {
	store, c := stores.Memory(t, nil), newClock()
	fill(t, store, 10)
	target := func() playback.Target { return playback.ToStream("s") }
	if _, err := playback.Start(t.Context(), store, playback.Selection{}, target(), c.options("a")); err != nil {
		t.Fatal(err)
	}
	continued := func(after, by string) error {
		_, err := playback.Continue(t.Context(), store, "pb", after, target(), c.options(by))
		return err
	}
	c.pass(time.Hour) // it shows as interrupted
	for _, step := range []struct {
		after, by string
		want      error
	}{{"x", "b", playback.ErrNotOwner}, {"a", "b", nil}, {"a", "b", nil}, {"a", "c", playback.ErrNotOwner}, {"b", "c", nil}} {
		if err := continued(step.after, step.by); !errors.Is(err, step.want) {
			t.Errorf("%s after %s: %v, want %v", step.by, step.after, err, step.want)
		}
	}
	if _, err := playback.Stop(t.Context(), store, "pb", "", c.options("c")); err != nil {
		t.Fatal(err)
	}
	if err := continued("c", "d"); !errors.Is(err, playback.ErrNotOwner) {
		t.Errorf("continued after a stop: %v", err)
	}
}
