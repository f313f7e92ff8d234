package playback_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/ingest"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/storetest"
	"github.com/eb901187/annals/storetest/stores"
)

func randomSelection(random *rand.Rand, end int64) (s playback.Selection) {
	some := func(all ...string) (list []string) {
		for _, name := range all {
			if random.IntN(3) == 0 {
				list = append(list, name)
			}
		}
		return list
	}
	if random.IntN(2) == 0 {
		s.Streams = some("order-1", "order-*", "shop/*", "shop/a", "annals.own/*", "a*", "*", "order-10")
	}
	if random.IntN(3) == 0 {
		s.Types = some("type-0", "type-1", "type-2")
	}
	if random.IntN(3) == 0 {
		s.Sources = some("/source/0", "/source/1")
	}
	if random.IntN(5) == 0 {
		s.Correlation = "r-1"
	}
	if random.IntN(3) == 0 {
		s.Since = storetest.Epoch.Add(time.Duration(random.IntN(30)) * time.Second)
	}
	if random.IntN(3) == 0 {
		s.Until = storetest.Epoch.Add(time.Duration(40+random.IntN(200)) * time.Second)
	}
	if random.IntN(3) == 0 {
		s.From = 1 + random.Int64N(end/2)
	}
	if random.IntN(3) == 0 {
		s.To = end/2 + random.Int64N(end/2)
	}
	return s
}

// What is selected is what the documentation of Selection says, for subscribers, for
// Count and for Match.
func TestSelections(t *testing.T) {
	store := stores.Memory(t, nil)
	fill(t, store, 300)
	end, seed := int64(300), rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	found := 0
	for i := range 300 {
		s := randomSelection(random, end)
		id := fmt.Sprint("pb", i)
		want := selected(t, store, id, s, end)
		counts, err := playback.Count(t.Context(), store, s)
		r, errToo := playback.Start(t.Context(), store, s, nil, &playback.Options{ID: id})
		if len(want) == 0 {
			if !errors.Is(err, playback.ErrNothing) || !errors.Is(errToo, playback.ErrNothing) {
				t.Fatalf("%+v: %v, %v", s, err, errToo)
			}
			if _, err := playback.Show(t.Context(), store, id, nil); !errors.Is(err, annals.ErrNotFound) {
				t.Fatalf("%+v made a playback: %v", s, err)
			}
			continue
		}
		found++
		if err != nil || counts.Events != int64(len(want)) || counts.First != want[0].Position || counts.Last != want[len(want)-1].Position {
			t.Fatalf("%+v: %+v, %v", s, counts, err)
		}
		if p := run(t, r, errToo); p.State != playback.StateFinished || p.Count != int64(len(want)) || p.Position != p.End {
			t.Fatalf("%+v", p)
		}
		same(t, storetest.Collect(t, playback.Subscribe(t.Context(), store, id, 0, nil)), want)
		matched := 0
		for e, err := range store.Log(t.Context(), annals.Query{Until: end}) {
			if err != nil {
				t.Fatal(err)
			}
			if s.Match(&e) {
				matched++
			}
		}
		if matched != len(want) {
			t.Fatalf("%+v matches %d, want %d", s, matched, len(want))
		}
	}
	if found < 100 {
		t.Fatalf("only %d selections hold anything", found)
	}
}

func TestTargetsHoldTheSelection(t *testing.T) {
	for _, kind := range append(kinds(), "store behind HTTP") {
		for name, through := range map[string]func(*testing.T, *annals.Store) *annals.Store{
			"of a store":                 func(_ *testing.T, s *annals.Store) *annals.Store { return s },
			"of a store behind a server": behindHTTP,
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				store := stores.Memory(t, nil)
				fill(t, store, 200)
				s := playback.Selection{Streams: []string{"order-*", "shop/a"}, Types: []string{"type-0", "type-1", "type-2"}, From: 10, To: 180}
				sink, c := newSink(t, kind, store), newClock()
				r, err := playback.Start(t.Context(), through(t, store), s, sink.target(), c.options("a"))
				if p := run(t, r, err); p.State != playback.StateFinished || p.End != 180 || p.By != "a" {
					t.Fatalf("%+v", p)
				}
				sink.want(t, selected(t, store, "pb", s, 200))
			})
		}
	}
}

// The end is that of the log when the playback was started, also where its own
// records and events come behind it.
func TestThePlaybackEnds(t *testing.T) {
	store, c := stores.Memory(t, nil), newClock()
	fill(t, store, 30)
	sink, opts := newSink(t, "stream", store), c.options("a")
	s := playback.Selection{Streams: []string{"order-1", "order-*", "annals.*"}}
	opts.Progress = func(*playback.Playback) { fill(t, store, 1) }
	r, err := playback.Start(t.Context(), store, s, sink.target(), opts)
	if p := run(t, r, err); p.End != 30 {
		t.Fatalf("%+v", p)
	}
	sink.want(t, selected(t, store, "pb", s, 30))
}

// A file is what annals ingest reads.
func TestFilesCanBeIngested(t *testing.T) {
	store, again := stores.Memory(t, nil), stores.Memory(t, nil)
	fill(t, store, 100)
	sink, c := newSink(t, "file", store), newClock()
	target := sink.target()
	r, err := playback.Start(t.Context(), store, playback.Selection{}, target, c.options("a"))
	p := run(t, r, err)
	f := open(t, target.Destination().Name)
	if info, err := f.Stat(); err != nil || info.Size() != p.Bytes {
		t.Fatalf("%+v, %v", p, err)
	}
	runner := ingest.Runner{Store: again, Workers: 1}
	if summary, err := runner.Run(t.Context(), ingest.Items(f)); err != nil || summary.Stored != p.Count || summary.Refused != 0 {
		t.Fatalf("%+v, %v", summary, err)
	}
	wantStore(t, again, selected(t, store, "pb", playback.Selection{}, 100))
}

// Stop by another process is noticed by the next record, and its record stands.
func TestStopFromElsewhere(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			store, c := stores.Memory(t, nil), newClock()
			fill(t, store, 9000)
			sink, opts := newSink(t, kind, store), c.options("a")
			stopped := false
			opts.Progress = func(*playback.Playback) {
				if !stopped {
					stopped = true
					if p, err := playback.Stop(t.Context(), store, "pb", "lunch", c.options("b")); err != nil || p.State != playback.StateStopped {
						t.Errorf("%+v, %v", p, err)
					}
				}
			}
			r, err := playback.Start(t.Context(), store, playback.Selection{}, sink.target(), opts)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Run(t.Context()); !errors.Is(err, playback.ErrNotOwner) || !errors.Is(err, annals.ErrConflict) {
				t.Fatal(err)
			}
			p, err := playback.Show(t.Context(), store, "pb", c.options("c"))
			if err != nil || p.State != playback.StateStopped || p.Reason != "lunch" || p.Runner != "b" || p.By != "a" {
				t.Fatalf("%+v, %v", p, err)
			}
			if _, err := playback.Stop(t.Context(), store, "pb", "again", nil); !errors.Is(err, annals.ErrConflict) || !strings.Contains(err.Error(), "nothing to do") {
				t.Fatal(err)
			}
			r, err = playback.Resume(t.Context(), store, "pb", sink.target(), c.options("d"))
			run(t, r, err)
			sink.want(t, selected(t, store, "pb", playback.Selection{}, 9000))
		})
	}
}

// Of two processes that run one playback the first ends, and the target holds each
// event once, in order, although both write.
func TestTakeover(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			store, c := stores.Memory(t, nil), newClock()
			fill(t, store, 9000)
			sink, first, second := newSink(t, kind, store), c.options("a"), c.options("b")
			turns := 0
			first.Every, second.Every = 1e9, 1e9
			first.Progress = func(*playback.Playback) {
				if turns++; turns == 1 {
					// The other one works until it has written, and is held there.
					second.At = func(s playback.Step) error { return stopAt(s, playback.StepWritten) }
					r, err := playback.Resume(t.Context(), store, "pb", sink.target(), second)
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = r.Run(t.Context())
				}
			}
			r, err := playback.Start(t.Context(), store, playback.Selection{}, sink.target(), first)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Run(t.Context()); !errors.Is(err, playback.ErrNotOwner) {
				t.Fatal(err)
			}
			r, err = playback.Resume(t.Context(), store, "pb", sink.target(), c.options("c"))
			run(t, r, err)
			sink.want(t, selected(t, store, "pb", playback.Selection{}, 9000))
		})
	}
}

func TestCanceling(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			store, c := stores.Memory(t, nil), newClock()
			fill(t, store, 9000)
			ctx, cancel := context.WithCancel(t.Context())
			sink, opts := newSink(t, kind, store), c.options("a")
			opts.Every, opts.Rate = 1e9, 10_000
			opts.Progress = func(*playback.Playback) { cancel() }
			r, err := playback.Start(ctx, store, playback.Selection{}, sink.target(), opts)
			if err != nil {
				t.Fatal(err)
			}
			p, err := r.Run(ctx)
			if !errors.Is(err, context.Canceled) || p.State != playback.StateStopped || p.Reason != "interrupted" || p.Count == 0 || p.Count == 9000 {
				t.Fatalf("%+v, %v", p, err)
			}
			r, err = playback.Resume(t.Context(), store, "pb", sink.target(), c.options("b"))
			run(t, r, err)
			sink.want(t, selected(t, store, "pb", playback.Selection{}, 9000))
		})
	}
}

// A subscriber that comes later gets the playback from its start; one that was there
// goes on behind what it has seen.
func TestSubscribersComeLater(t *testing.T) {
	store := stores.Memory(t, nil)
	fill(t, store, 60)
	s := playback.Selection{Types: []string{"type-1", "type-2"}, From: 5}
	r, err := playback.Start(t.Context(), store, s, nil, &playback.Options{ID: "pb"})
	run(t, r, err)
	fill(t, store, 60)
	want := selected(t, store, "pb", s, 60)
	same(t, storetest.Collect(t, playback.Subscribe(t.Context(), store, "pb", 0, nil)), want)
	same(t, storetest.Collect(t, playback.Subscribe(t.Context(), store, "pb", want[3].Position, nil)), want[4:])
	if rest := storetest.Collect(t, playback.Subscribe(t.Context(), store, "pb", 60, nil)); len(rest) > 0 {
		t.Fatal(rest)
	}
	for _, err := range playback.Subscribe(t.Context(), store, "other", 0, nil) {
		if !errors.Is(err, annals.ErrNotFound) {
			t.Fatal(err)
		}
	}
}

// A rate holds by the clock that is given, and a slow playback notices a stop while it
// waits.
func TestRates(t *testing.T) {
	store, c := stores.Memory(t, nil), newClock()
	fill(t, store, 200)
	s := playback.Selection{Streams: []string{"*"}}
	n := len(selected(t, store, "pb", s, 200))
	opts := c.options("a")
	opts.Rate = 20
	r, err := playback.Start(t.Context(), store, s, newSink(t, "stream", store).target(), opts)
	run(t, r, err)
	if took, least := c.time().Sub(storetest.Epoch), time.Duration(n-2)*time.Second/20; took < least || took > least+time.Second {
		t.Fatalf("%d events took %v, want %v", n, took, least)
	}
	began := c.time()
	storetest.Collect(t, playback.Subscribe(t.Context(), store, "pb", 0, opts))
	if took, least := c.time().Sub(began), time.Duration(n-2)*time.Second/20; took < least || took > least+time.Second {
		t.Fatalf("a subscriber to %d events took %v, want %v", n, took, least)
	}

	slow := c.options("b")
	slow.ID, slow.Rate, slow.Interval = "slow", 0.01, 7*time.Second
	naps := 0
	c.then = func() {
		if naps++; naps == 3 {
			if _, err := playback.Stop(t.Context(), store, "slow", "", c.options("c")); err != nil {
				t.Error(err)
			}
		}
	}
	if r, err = playback.Start(t.Context(), store, s, newSink(t, "stream", store).target(), slow); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run(t.Context()); !errors.Is(err, playback.ErrNotOwner) || naps > 4 {
		t.Fatalf("%d naps, %v", naps, err)
	}
}

// A process that is gone says nothing any more.
func TestInterruptedPlaybacks(t *testing.T) {
	store, c := stores.Memory(t, nil), newClock()
	fill(t, store, 10)
	if _, err := playback.Start(t.Context(), store, playback.Selection{}, nil, c.options("a")); err != nil {
		t.Fatal(err)
	}
	state := func() playback.State {
		all, err := playback.List(t.Context(), store, c.options("b"))
		if err != nil || len(all) != 1 || all[0].ID != "pb" {
			t.Fatalf("%+v, %v", all, err)
		}
		return all[0].State
	}
	if s := state(); s != playback.StateRunning {
		t.Fatal(s)
	}
	c.pass(playback.Silence + time.Second)
	if s := state(); s != playback.StateInterrupted {
		t.Fatal(s)
	}
	r, err := playback.Resume(t.Context(), store, "pb", nil, c.options("b"))
	if p := run(t, r, err); p.Count == 0 || p.Runner != "b" {
		t.Fatalf("%+v", p)
	}
	if s := state(); s != playback.StateFinished {
		t.Fatal(s)
	}
}

// What something else has written where playbacks are recorded hides none of them.
func TestListBesideForeignEvents(t *testing.T) {
	store, c := stores.Memory(t, nil), newClock()
	fill(t, store, 10)
	if _, err := playback.Start(t.Context(), store, playback.Selection{}, nil, c.options("a")); err != nil {
		t.Fatal(err)
	}
	foreign := func(id, typ, data string) {
		e := annals.Event{Type: typ, Source: "test", Data: []byte(data)}
		if _, err := store.Append(t.Context(), playback.RecordPrefix+id, annals.Any, e); err != nil {
			t.Fatal(err)
		}
	}
	foreign("no-json", playback.Started, `"text"`)
	foreign("a/b", playback.Started, `{}`)
	foreign("twice", "other", `{}`)
	foreign("twice", playback.Started, `{}`)
	foreign("twice", playback.Started, `{}`)
	all, err := playback.List(t.Context(), store, c.options("b"))
	if err != nil || len(all) != 4 || all[3].State != playback.StateRunning {
		t.Fatalf("%+v, %v", all, err)
	}
	for _, p := range all[:3] {
		if p.State != playback.StateUnreadable || p.Error == "" || p.Started.IsZero() {
			t.Fatalf("%+v", p)
		}
	}
}

// Others may append to the streams of the target meanwhile.
func TestTargetsThatOthersAppendTo(t *testing.T) {
	store, to, c := stores.Memory(t, nil), stores.Memory(t, nil), newClock()
	fill(t, store, 9000)
	other := 0
	foreign := func() {
		for _, stream := range []string{"order-1", "order-2", playback.StreamPrefix + "again"} {
			other++
			for _, s := range []*annals.Store{store, to} {
				if _, err := s.Append(t.Context(), stream, annals.Any, annals.Event{ID: fmt.Sprint("other ", other), Type: "other"}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	foreign()
	s := playback.Selection{To: 9000}
	for _, target := range []playback.Target{playback.ToStore(to, "there"), playback.ToStream("again")} {
		opts := c.options("a")
		opts.ID = "pb" + string(target.Destination().Kind)
		// What was written is not recorded, and is not at the end of its stream.
		opts.Every = 1e9
		opts.Progress = func(*playback.Playback) { foreign() }
		opts.At = func(at playback.Step) error { return stopAt(at, playback.StepFlushed) }
		r, err := playback.Start(t.Context(), store, s, target, opts)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Run(t.Context()); !errors.Is(err, errPower) {
			t.Fatal(err)
		}
		opts.At = nil
		r, err = playback.Resume(t.Context(), store, opts.ID, target, opts)
		run(t, r, err)
		where := to
		if target.Destination().Kind == playback.KindStream {
			where = store
		}
		var want, got []string
		for _, e := range selected(t, store, opts.ID, s, 9000) {
			want = append(want, e.Attributes[playback.AttributeOf])
		}
		for _, e := range storetest.Collect(t, where.Log(t.Context(), annals.Query{})) {
			if e.Attributes[playback.AttributeID] == opts.ID {
				got = append(got, e.Attributes[playback.AttributeOf])
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%d events, want %d", len(got), len(want))
		}
	}
}

func TestFilesAreNamedInFull(t *testing.T) {
	t.Chdir(t.TempDir())
	if d := playback.ToFile("a.ndjson").Destination(); !filepath.IsAbs(d.Name) || d.Kind != playback.KindFile {
		t.Fatalf("%+v", d)
	}
}

func TestListOfNone(t *testing.T) {
	all, err := playback.List(t.Context(), stores.Memory(t, nil), nil)
	if all == nil || len(all) != 0 || err != nil {
		t.Fatalf("%#v, %v", all, err)
	}
}
