package playback_test

import (
	"testing"

	"github.com/eb901187/annals/awstest"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/storetest"
	"github.com/eb901187/annals/storetest/stores"
)

// The log of DynamoDB comes after the append, and so do the records of a playback; its
// streams have no positions.
func TestDynamoDB(t *testing.T) {
	endpoint := awstest.DynamoDB(t)
	store, to, c := stores.DynamoDB(t, endpoint, "source"), stores.DynamoDB(t, endpoint, "target"), newClock()
	fill(t, store, 120)
	if _, err := store.WaitPast(t.Context(), 119); err != nil {
		t.Fatal(err)
	}
	s := playback.Selection{Streams: []string{"order-*", "shop/a"}, Types: []string{"type-0", "type-1"}, To: 120}
	want := selected(t, store, "pb", s, 120)
	for _, target := range []playback.Target{playback.ToStore(to, "target"), playback.ToStream("again")} {
		opts := c.options("a")
		opts.ID = "pb" + string(target.Destination().Kind)
		written := 0
		opts.Rate = 100 // ten at a time
		opts.Progress = func(*playback.Playback) { written++ }
		opts.At = func(at playback.Step) error {
			if written == 1 {
				return stopAt(at, playback.StepWritten)
			}
			return nil
		}
		r, err := playback.Start(t.Context(), store, s, target, opts)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Run(t.Context()); err == nil {
			t.Fatal("it was to crash")
		}
		r, err = playback.Resume(t.Context(), store, opts.ID, target, c.options("b"))
		if p := run(t, r, err); p.Count != int64(len(want)) {
			t.Fatalf("%+v", p)
		}
	}
	var got []string
	for _, e := range storetest.Collect(t, store.Stream(t.Context(), playback.StreamPrefix+"again", nil)) {
		got = append(got, e.Attributes[playback.AttributeOf])
	}
	byStream := map[string]int{}
	for i, e := range want {
		if i >= len(got) || got[i] != e.Attributes[playback.AttributeOf] {
			t.Fatalf("the stream has %v", got)
		}
		byStream[e.Stream]++
	}
	if len(got) != len(want) {
		t.Fatalf("%d events, want %d", len(got), len(want))
	}
	for stream, n := range byStream {
		there := storetest.Collect(t, to.Stream(t.Context(), stream, nil))
		if len(there) != n {
			t.Fatalf("%s has %d events, want %d", stream, len(there), n)
		}
		for i := 1; i < n; i++ {
			if !there[i-1].Time.Equal(there[i].Time) && there[i-1].ID == there[i].ID {
				t.Fatalf("%s has %+v twice", stream, there[i])
			}
		}
	}
}
