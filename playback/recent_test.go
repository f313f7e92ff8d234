package playback_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/storetest/stores"
)

func TestRecentPagesAreTheList(t *testing.T) {
	store := stores.Memory(t, nil)
	fill(t, store, 20)
	for i := range 7 {
		if _, err := playback.Start(t.Context(), store, playback.Selection{}, nil, &playback.Options{ID: fmt.Sprint("pb-", i)}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := playback.List(t.Context(), store, nil)
	if err != nil {
		t.Fatal(err)
	}
	for limit := 1; limit <= 8; limit++ {
		var pages []playback.Playback
		for until := int64(0); ; {
			page, older, err := playback.Recent(t.Context(), store, until, limit, nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) > limit {
				t.Fatalf("%d playbacks of %d", len(page), limit)
			}
			if pages = append(pages, page...); older == 0 {
				break
			}
			until = older
		}
		same := func(a, b playback.Playback) bool {
			return a.ID == b.ID && a.State == b.State && a.Updated.Equal(b.Updated)
		}
		if !slices.EqualFunc(pages, all, same) {
			t.Errorf("by %d: %+v", limit, pages)
		}
	}
	if _, _, err := playback.Recent(t.Context(), store, 0, 0, nil); !errors.Is(err, annals.ErrInvalid) {
		t.Errorf("no limit: %v", err)
	}
}

// A pace is that of the present run: what lies between a stop and the resume does not
// count.
func TestPace(t *testing.T) {
	store, clock := stores.Memory(t, nil), newClock()
	fill(t, store, 100)
	record := func(typ string, place int64) {
		t.Helper()
		data := fmt.Appendf(nil, `{"position":"%d","events":%d,"runner":"r"}`, place, place/2)
		e := annals.Event{Type: typ, Source: "annals/playback", Time: clock.time(), Data: data}
		if _, err := store.Append(t.Context(), playback.RecordPrefix+"pb", annals.Any, e); err != nil {
			t.Fatal(err)
		}
	}
	wantPace := func(events float64, left time.Duration) {
		t.Helper()
		p, err := playback.Show(t.Context(), store, "pb", clock.options("r"))
		if err != nil {
			t.Fatal(err)
		}
		pace, err := playback.ReadPace(t.Context(), store, &p)
		if err != nil || pace != (playback.Pace{Events: events, Left: left}) {
			t.Errorf("%+v, %v; want %v and %v", pace, err, events, left)
		}
	}
	if _, err := playback.Start(t.Context(), store, playback.Selection{To: 80}, playback.ToStream("x"), clock.options("r")); err != nil {
		t.Fatal(err)
	}
	wantPace(0, 0) // one record
	clock.pass(10 * time.Second)
	record(playback.Progressed, 20) // 10 events, and 60 positions left at 2 a second
	wantPace(1, 30*time.Second)
	record(playback.Stopped, 20)
	wantPace(0, 0)
	clock.pass(time.Hour)
	record(playback.Resumed, 20)
	wantPace(0, 0)
	clock.pass(5 * time.Second)
	record(playback.Progressed, 40)
	wantPace(2, 10*time.Second)
	clock.pass(time.Hour) // its process died, and another one takes over
	record(playback.Resumed, 40)
	wantPace(0, 0)
	clock.pass(5 * time.Second)
	record(playback.Progressed, 50)
	wantPace(1, 15*time.Second)
	for range 12 { // older ones than the last ten don't count
		clock.pass(time.Second)
		record(playback.Progressed, 50)
	}
	wantPace(0, 0)
	record(playback.Finished, 80)
	wantPace(0, 0)
}
