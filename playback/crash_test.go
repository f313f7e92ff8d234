package playback_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
	"github.com/eb901187/annals/playback"
	"github.com/eb901187/annals/storetest"
	"github.com/eb901187/annals/storetest/stores"
)

var errPower = errors.New("power failure")

func stopAt(s, at playback.Step) error {
	if s == at {
		return errPower
	}
	return nil
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// crashes are every step, the first two times, and each of them with a crash at any
// step of the next life.
func crashes() (all [][]string) {
	var single []string
	for _, step := range playback.Steps() {
		for n := 1; n <= 2; n++ {
			single = append(single, fmt.Sprint(step, " ", n))
		}
	}
	for _, a := range single {
		all = append(all, []string{a})
		for _, b := range playback.Steps() {
			all = append(all, []string{a, fmt.Sprint(b, " 1")})
		}
	}
	return all
}

// However often a Run is crashed, and wherever, the target holds the selection in
// order, each event once, when a later one has finished.
func TestCrashes(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			for _, plan := range crashes() {
				t.Run(fmt.Sprint(plan), func(t *testing.T) { crashed(t, kind, plan) })
			}
		})
	}
}

func crashed(t *testing.T, kind string, plan []string) {
	store, c := stores.Memory(t, nil), newClock()
	fill(t, store, 40)
	s := playback.Selection{Types: []string{"type-0", "type-1", "type-2"}}
	want := selected(t, store, "pb", s, 40)
	sink := newSink(t, kind, store)
	resume := false
	for life := 0; ; life++ {
		opts, seen := c.options(fmt.Sprint("life ", life)), map[playback.Step]int{}
		opts.Rate = 30 // so that three are written at a time
		opts.At = func(step playback.Step) error {
			seen[step]++
			if life < len(plan) && plan[life] == fmt.Sprint(step, " ", seen[step]) {
				return errPower
			}
			return nil
		}
		var r *playback.Run
		var err error
		if resume {
			r, err = playback.Resume(t.Context(), store, "pb", sink.target(), opts)
		} else {
			r, err = playback.Start(t.Context(), store, s, sink.target(), opts)
		}
		if err == nil {
			_, err = r.Run(t.Context())
		}
		if err != nil && !errors.Is(err, errPower) {
			t.Fatal(err)
		}
		p, errToo := playback.Show(t.Context(), store, "pb", opts)
		if errToo != nil {
			t.Fatal(errToo)
		}
		if resume = true; p.State == playback.StateFinished {
			break
		}
		if err == nil {
			t.Fatalf("%+v after a run without an error", p)
		}
		if sink.tear != nil {
			sink.tear(t)
		}
	}
	sink.want(t, want)
	if p, err := playback.Show(t.Context(), store, "pb", nil); err != nil || p.Count != int64(len(want)) {
		t.Fatalf("%+v, %v", p, err)
	}
}

// A meddling driver lets others append to all streams right before every fifth append.
// It takes appends one by one.
type meddling struct {
	annals.Driver
	appends int
}

// Append implements annals.Driver.
func (m *meddling) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	if m.appends++; m.appends%5 == 0 {
		for _, name := range []string{"order-1", "order-2", "order-10", "shop/a", "shop/b"} {
			other := annals.Event{ID: fmt.Sprint("other ", m.appends), Type: "other", Source: "/other", ContentType: annals.JSONContentType, Time: storetest.Epoch}
			if _, err := m.Driver.Append(ctx, name, annals.Any, []annals.Event{other}); err != nil {
				return annals.Commit{}, err
			}
		}
	}
	return m.Driver.Append(ctx, stream, expected, events)
}

// Others come in between the appends of one part: those that were done are found behind
// what the others have appended.
func TestPartsThatAreDoneInPart(t *testing.T) {
	store := stores.Memory(t, nil)
	fill(t, store, 200)
	driver, err := embedded.OpenDriver("store", &embedded.Options{FS: vfs.NewMem(), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	to := annals.New(&meddling{Driver: driver}, nil)
	defer func() {
		if err := to.Close(); err != nil {
			t.Error(err)
		}
	}()
	r, err := playback.Start(t.Context(), store, playback.Selection{}, playback.ToStore(to, "there"), &playback.Options{ID: "pb"})
	run(t, r, err)
	var want, got []string
	for _, e := range selected(t, store, "pb", playback.Selection{}, 200) {
		want = append(want, e.Attributes[playback.AttributeOf])
	}
	for _, e := range storetest.Collect(t, to.Log(t.Context(), annals.Query{})) {
		if of := e.Attributes[playback.AttributeOf]; of != "" {
			got = append(got, of)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%d events, want %d", len(got), len(want))
	}
}

// A preceded driver lets somebody act right before its first batch.
type preceded struct {
	annals.Driver
	by func()
}

// AppendBatch implements annals.BatchAppender.
func (p *preceded) AppendBatch(ctx context.Context, batch []annals.Append) ([]annals.Commit, error) {
	if by := p.by; by != nil {
		p.by = nil
		by()
	}
	return p.Driver.(annals.BatchAppender).AppendBatch(ctx, batch)
}

// A run that has lost the playback and does not know it yet writes the same events, in
// other commits.
func TestTakeoverBetweenAppends(t *testing.T) {
	source := stores.Memory(t, nil)
	for range 20 {
		if _, err := source.Append(t.Context(), "s", annals.Any, annals.Event{Type: "t", Time: storetest.Epoch}); err != nil {
			t.Fatal(err)
		}
	}
	d, err := embedded.OpenDriver("store", &embedded.Options{FS: vfs.NewMem(), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	driver := &preceded{Driver: d}
	to := annals.New(driver, nil)
	defer func() {
		if err := to.Close(); err != nil {
			t.Error(err)
		}
	}()
	driver.by = func() {
		for _, e := range storetest.Collect(t, source.Stream(t.Context(), "s", nil))[:3] {
			e, err := playback.Mark(e, "pb")
			if err == nil {
				_, err = to.Append(t.Context(), "s", e.Version-1, e)
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
	r, err := playback.Start(t.Context(), source, playback.Selection{}, playback.ToStore(to, "there"), newClock().options("a"))
	run(t, r, err)
	var got []int64
	for _, e := range storetest.Collect(t, to.Stream(t.Context(), "s", nil)) {
		got = append(got, e.Version)
	}
	if len(got) != 20 || !slices.IsSorted(got) {
		t.Error(got)
	}
}
