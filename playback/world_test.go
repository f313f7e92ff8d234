package playback_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/client"
	"github.com/eb901187/annals/httpapi"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/storetest"
	"github.com/eb901187/annals/storetest/stores"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// behindHTTP is store as a client of a server has it.
func behindHTTP(t *testing.T, store *annals.Store) *annals.Store {
	t.Helper()
	server := httptest.NewServer(httpapi.New(store, &httpapi.Options{Logger: quiet}))
	c, err := client.Open(server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		server.CloseClientConnections()
		server.Close()
	})
	return c
}

// A clock moves when somebody sleeps, and by hand.
type clock struct {
	mu   sync.Mutex
	now  time.Time
	then func() // called by each sleep
}

func newClock() *clock { return &clock{now: storetest.Epoch, then: func() {}} }

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *clock) sleep(_ context.Context, d time.Duration) {
	c.pass(d)
	c.then()
}

// options are those of a process called runner.
func (c *clock) options(runner string) *playback.Options {
	return &playback.Options{ID: "pb", Runner: runner, Clock: c.time, Sleep: c.sleep, Every: 3}
}

// fill appends n events to a few streams, some of Annals' own among them.
func fill(t testing.TB, store *annals.Store, n int) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		e := annals.Event{
			ID: fmt.Sprint("id ", i/3), Type: fmt.Sprint("type-", random.IntN(4)), Source: fmt.Sprint("/source/", random.IntN(3)),
			Time: storetest.Epoch.Add(time.Duration(i-random.IntN(9)) * time.Second), Data: fmt.Appendf(nil, `{"n": %d}`, i),
		}
		switch random.IntN(4) {
		case 0:
			e.Correlation = fmt.Sprint("r-", random.IntN(3))
		case 1:
			e.Attributes = map[string]string{"subject": `a "b"`, "playback": "earlier"}
		case 2:
			e.ContentType, e.Data = "text/plain", []byte("two\nlines \x00")
		}
		stream := [...]string{"order-1", "order-2", "order-10", "shop/a", "shop/b", "annals.own/x"}[i%3+3*random.IntN(2)]
		if _, err := store.Append(t.Context(), stream, annals.Any, e); err != nil {
			t.Fatal(err)
		}
	}
}

// selected is what a playback of store has to send, by a reading of its own.
func selected(t testing.TB, store *annals.Store, id string, s playback.Selection, end int64) (want []annals.Event) {
	t.Helper()
	for e, err := range store.Log(t.Context(), annals.Query{Until: end}) {
		if err != nil {
			t.Fatal(err)
		}
		if !naive(s, &e) {
			continue
		}
		marked := map[string]string{"playback": id, "playbackof": fmt.Sprintf("%s@%d", e.Stream, e.Version)}
		for name, value := range e.Attributes {
			if marked[name] == "" {
				marked[name] = value
			}
		}
		e.Attributes = marked
		want = append(want, e)
	}
	return want
}

// naive is what Selection documents, in its own words.
func naive(s playback.Selection, e *annals.Event) bool {
	is := func(list []string, name string) bool {
		return len(list) == 0 || strings.Contains(" "+strings.Join(list, " ")+" ", " "+name+" ")
	}
	stream := len(s.Streams) == 0 && !strings.HasPrefix(e.Stream, "annals.")
	for _, p := range s.Streams {
		if strings.HasPrefix(e.Stream, "annals.") && !strings.HasPrefix(p, "annals.") {
			continue
		}
		if ok, _ := filepath.Match(strings.ReplaceAll(p, "/", ";"), strings.ReplaceAll(e.Stream, "/", ";")); ok {
			stream = true
		}
	}
	return stream && is(s.Types, e.Type) && is(s.Sources, e.Source) && (s.Correlation == "" || s.Correlation == e.Correlation) &&
		(s.Since.IsZero() || !e.Time.Before(s.Since)) && (s.Until.IsZero() || !e.Time.After(s.Until)) &&
		(s.From == 0 || s.From <= e.Position) && (s.To == 0 || e.Position <= s.To)
}

// A sink is a kind of target, and what it holds.
type sink struct {
	target func() playback.Target // as each process makes it
	want   func(t *testing.T, want []annals.Event)
	tear   func(t *testing.T) // loses what was not synced, if that can be lost
}

func newSink(t *testing.T, kind string, source *annals.Store) sink {
	t.Helper()
	switch kind {
	case "file":
		path := filepath.Join(t.TempDir(), "events.ndjson")
		return sink{
			target: func() playback.Target { return playback.ToFile(path) },
			want:   func(t *testing.T, want []annals.Event) { t.Helper(); same(t, lines(t, path), want) },
			tear:   func(t *testing.T) { t.Helper(); tear(t, path, source) },
		}
	case "stream":
		return sink{
			target: func() playback.Target { return playback.ToStream("again") },
			want:   func(t *testing.T, want []annals.Event) { t.Helper(); wantStream(t, source, want) },
		}
	}
	to := stores.Memory(t, nil)
	if kind == "store behind HTTP" {
		to = behindHTTP(t, to)
	}
	return sink{
		target: func() playback.Target { return playback.ToStore(to, "elsewhere") },
		want:   func(t *testing.T, want []annals.Event) { t.Helper(); wantStore(t, to, want) },
	}
}

func kinds() []string { return []string{"file", "store", "stream"} }

// wantStream checks what the stream again holds.
func wantStream(t *testing.T, store *annals.Store, want []annals.Event) {
	t.Helper()
	got := storetest.Collect(t, store.Stream(t.Context(), playback.StreamPrefix+"again", nil))
	for i := range min(len(got), len(want)) {
		e := want[i]
		e.ID = fmt.Sprintf("pb:%d", e.Position)
		e.Stream, e.Version, e.Position = playback.StreamPrefix+"again", int64(i+1), got[i].Position
		want[i] = e
	}
	same(t, got, want)
}

// wantStore checks what another store holds, whose versions and positions are its own.
func wantStore(t *testing.T, to *annals.Store, want []annals.Event) {
	t.Helper()
	got, versions := storetest.Collect(t, to.Log(t.Context(), annals.Query{})), map[string]int64{}
	for i := range min(len(got), len(want)) {
		versions[want[i].Stream]++
		want[i].Version, want[i].Position = versions[want[i].Stream], int64(i+1)
	}
	same(t, got, want)
}

func same(t *testing.T, got, want []annals.Event) {
	t.Helper()
	if len(want) == 0 {
		t.Fatal("the test selects nothing")
	}
	for i := range min(len(got), len(want)) {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("event %d is\n%+v\nwant\n%+v", i, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d events, want %d", len(got), len(want))
	}
}

func lines(t *testing.T, path string) (events []annals.Event) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, 4<<20)
	for in.Scan() {
		e, err := annals.ParseEvent(in.Bytes())
		if err != nil {
			t.Fatalf("%s: %v", in.Text(), err)
		}
		events = append(events, e)
	}
	return events
}

// tear leaves any part of a file behind what is recorded as done.
func tear(t *testing.T, path string, source *annals.Store) {
	t.Helper()
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	p, errToo := playback.Show(t.Context(), source, "pb", nil)
	if err := errors.Join(err, errToo); err != nil {
		t.Fatal(err)
	}
	if unsynced := info.Size() - p.Bytes; unsynced > 0 && p.Bytes > 0 {
		if err := os.Truncate(path, p.Bytes+rand.Int64N(unsynced+1)); err != nil {
			t.Fatal(err)
		}
	}
}

func run(t *testing.T, r *playback.Run, err error) playback.Playback {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}
