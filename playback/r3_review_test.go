package playback

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
)

// Placeholders that end a part, whose event begins the next.
func TestReviewCountsOfPlaceholders(t *testing.T) {
	for batch := 1; batch < 8; batch++ {
		for stop := 1; stop < 9; stop++ {
			from, to := forkStore(t, vfs.NewMem()), forkStore(t, vfs.NewMem())
			for i := range 30 {
				typ := "no"
				if i%5 == 4 {
					typ = "yes"
				}
				e := annals.Event{ID: fmt.Sprint(i), Type: typ, Time: forkEpoch}
				if _, err := from.Append(t.Context(), fmt.Sprint("s", i/15), annals.Any, e); err != nil {
					t.Fatal(err)
				}
			}
			n := 0
			crash := errors.New("crash")
			opts := &ForkOptions{Types: []string{"yes"}, Every: 1, batch: batch, At: func(s ForkStep) error {
				if n++; n == stop {
					return crash
				}
				return nil
			}}
			_, err := Fork(t.Context(), from, to, opts)
			m, err := Fork(t.Context(), from, to, opts)
			if err != nil {
				t.Fatal(err)
			}
			if m.Events != 6 || m.Placeholders != 24 || m.CopiedStreams != 2 {
				t.Errorf("batch %d, stop %d: %+v", batch, stop, m.Copied)
			}
		}
	}
}

// Many streams that end before events of theirs with early times.
func TestReviewGapsAreFast(t *testing.T) {
	for _, streams := range []int{500, 1000, 2000, 4000} {
		from, to := forkStore(t, nil), forkStore(t, nil)
		var all []annals.Append
		for i := range streams {
			all = append(all, annals.Append{Stream: fmt.Sprint("s", i), Expected: 0, Events: []annals.Event{
				{ID: "1", Type: "t", Time: forkEpoch}, {ID: "2", Type: "t", Time: forkEpoch.Add(time.Hour)},
			}})
		}
		for i := range streams {
			all = append(all, annals.Append{Stream: fmt.Sprint("s", i), Expected: 2, Events: []annals.Event{{ID: "3", Type: "t", Time: forkEpoch}}})
		}
		if _, err := from.AppendAll(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		m, err := Fork(t.Context(), from, to, &ForkOptions{UntilTime: forkEpoch})
		if err != nil || m.Events != int64(streams) {
			t.Fatal(m, err)
		}
		t.Logf("%d streams: %v", streams, time.Since(began))
	}
}
