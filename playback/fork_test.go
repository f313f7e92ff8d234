package playback

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/effect"
	"github.com/eb901187/annals/embedded"
)

const testMask = `(if .data | type == "object" then .data.email = "x" else . end)
	| if .attributes.email then .attributes.email = "x" else . end
	| if .type == "type-1" then .source = "masked" else . end`

func mustMask(t *testing.T, text string) *Mask {
	t.Helper()
	m, err := ParseMask("mask.jq", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// maskedLog is the log of s as a mask makes it.
func maskedLog(t *testing.T, s *annals.Store, m *Mask) []annals.Event {
	t.Helper()
	events := logOf(t, s)
	if m == nil {
		return events
	}
	for i := range events {
		masked, err := m.Apply(events[i])
		if err != nil {
			t.Fatal(err)
		}
		events[i] = masked
	}
	return events
}

// Every query on the fork equals the same query on the source, masked.
func TestForkEqualsItsSource(t *testing.T) {
	r := forkRandom(t)
	for i := range 20 {
		from, to := forkStore(t, nil), forkStore(t, nil)
		randomLog(t, r, from, 20+r.IntN(150))
		opts := &ForkOptions{Source: "here"}
		if i%2 == 1 {
			opts.Mask = mustMask(t, testMask)
		}
		m := mustFork(t, from, to, opts)
		want := maskedLog(t, from, opts.Mask)
		if m.Events != int64(len(want)) || m.CopiedStreams != int64(len(streamsOf(want))) || m.Placeholders != 0 {
			t.Fatalf("%+v of %d events in %d streams", m, len(want), len(streamsOf(want)))
		}
		places := make([]int64, len(want)+1)
		for n, e := range withoutManifest(logOf(t, to)) {
			places[n+1] = e.Position
		}
		for range 50 {
			on, fork := randomQuery(r, places)
			wantSameQuery(t, to, on, fork, want)
		}
		for name, events := range streamsOf(want) {
			wantSame(t, name, collected(t, to.Stream(t.Context(), name, nil)), events)
		}
	}
}

// wantSameQuery compares the answer of the fork with what of events, the masked log of
// the source, matches; and with a limit.
func wantSameQuery(t *testing.T, to *annals.Store, on, fork annals.Query, events []annals.Event) {
	t.Helper()
	var want []annals.Event
	for _, e := range events {
		if on.Match(&e) {
			want = append(want, e)
		}
	}
	if on.Backward {
		reversed := make([]annals.Event, 0, len(want))
		for i := range want {
			reversed = append(reversed, want[len(want)-1-i])
		}
		want = reversed
	}
	got := collected(t, to.Log(t.Context(), fork))
	wantSame(t, fmt.Sprintf("%+v", on), withoutManifest(got), want)
	if limit := len(want) / 2; limit > 0 {
		fork.Limit = limit
		limited := withoutManifest(collected(t, to.Log(t.Context(), fork)))
		wantSame(t, fmt.Sprintf("%+v", fork), limited, want[:len(limited)])
	}
}

// With streams, types, an end and a mask, versions, causes and times are those of the
// source.
func TestForkOfAPart(t *testing.T) {
	r := forkRandom(t)
	for range 60 {
		from, to := forkStore(t, nil), forkStore(t, nil)
		randomLog(t, r, from, 20+r.IntN(150))
		all := logOf(t, from)
		opts := &ForkOptions{Every: 1, batch: 1 + r.IntN(20)}
		if r.IntN(2) == 0 {
			opts.Until = 1 + r.Int64N(int64(len(all)))
		}
		if r.IntN(2) == 0 {
			opts.Streams = []string{pick(r, "order-*", "o*", "order-1", "*"), pick(r, "cart/*", "annals.effects/*", "order-2")}
		}
		if r.IntN(2) == 0 {
			opts.Types = []string{"type-1", fmt.Sprint("type-", r.IntN(6))}
		}
		if r.IntN(2) == 0 {
			opts.UntilTime = forkEpoch.Add(time.Duration(r.IntN(len(all)*2)) * time.Minute)
		}
		if r.IntN(2) == 0 {
			opts.Mask = mustMask(t, testMask)
		}
		want := partOf(t, all, opts)
		m, err := Fork(t.Context(), from, to, opts)
		if len(want) == 0 {
			wantForkError(t, err, ErrNothing)
			continue
		}
		if err != nil || m.Events+m.Placeholders != int64(len(want)) {
			t.Fatalf("%+v: %+v, %v, want %d events", opts, m, err, len(want))
		}
		got := withoutManifest(logOf(t, to))
		if len(opts.Types) == 0 {
			wantSame(t, fmt.Sprintf("%+v", opts), got, want)
		}
		wanted := streamsOf(want)
		for name, events := range streamsOf(got) {
			wantSame(t, fmt.Sprintf("%s of %+v", name, opts), events, wanted[name])
			delete(wanted, name)
		}
		if len(wanted) > 0 {
			t.Fatalf("%+v: %v are missing", opts, wanted)
		}
		if again := mustFork(t, from, to, opts); !again.Repeated || again.Events != m.Events {
			t.Fatalf("again: %+v after %+v", again, m)
		}
	}
}

// partOf says in the plainest way what a fork must hold.
func partOf(t *testing.T, all []annals.Event, o *ForkOptions) (part []annals.Event) {
	t.Helper()
	cut, last := map[string]bool{}, map[string]int64{}
	var candidates []annals.Event
	for _, e := range all {
		named := len(o.Streams) == 0
		for _, pattern := range o.Streams {
			prefix, isPrefix := strings.CutSuffix(pattern, "*")
			own := strings.HasPrefix(e.Stream, annals.OwnPrefix) && !strings.HasPrefix(prefix, annals.OwnPrefix)
			named = named || !own && (e.Stream == prefix || isPrefix && strings.HasPrefix(e.Stream, prefix))
		}
		if !named || o.Until > 0 && e.Position > o.Until {
			continue
		}
		if cut[e.Stream] = cut[e.Stream] || !o.UntilTime.IsZero() && e.Time.After(o.UntilTime); cut[e.Stream] {
			continue
		}
		candidates = append(candidates, e)
		if len(o.Types) == 0 || e.Type == o.Types[0] || e.Type == o.Types[1] {
			last[e.Stream] = e.Version
		}
	}
	for _, e := range candidates {
		switch {
		case e.Version > last[e.Stream]:
		case len(o.Types) > 0 && e.Type != o.Types[0] && e.Type != o.Types[1]:
			part = append(part, annals.Event{
				ID: e.ID, Type: Omitted, Source: forkSource, Time: e.Time, ContentType: annals.JSONContentType, Stream: e.Stream, Version: e.Version,
			})
		case o.Mask != nil:
			masked, err := o.Mask.Apply(e)
			if err != nil {
				t.Fatal(err)
			}
			part = append(part, masked)
		default:
			part = append(part, e)
		}
	}
	return part
}

// A gap of more events than a batch has is copied too, and where there is nothing but
// placeholders in a batch, progress is recorded all the same.
func TestForkAcrossALongGap(t *testing.T) {
	from, to := forkStore(t, nil), forkStore(t, nil)
	const long = 2*annals.MaxCommitEvents + 17
	var batch []annals.Append
	for i := range long {
		batch = append(batch, annals.Append{Stream: "a", Expected: int64(i), Events: []annals.Event{{ID: fmt.Sprint(i), Type: "other"}}})
	}
	batch = append(batch, annals.Append{Stream: "a", Expected: long, Events: []annals.Event{{ID: "last", Type: "wanted", Causation: "a@1"}}})
	if _, err := from.AppendAll(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	m := mustFork(t, from, to, &ForkOptions{Types: []string{"wanted"}, Every: 1, batch: 100})
	if m.Events != 1 || m.Placeholders != long || m.CopiedStreams != 1 {
		t.Fatalf("%+v", m)
	}
	for e, err := range to.Stream(t.Context(), "a", &annals.StreamOptions{Backward: true, Limit: 1}) {
		if err != nil || e.ID != "last" || e.Version != long+1 || e.Causation != "a@1" {
			t.Fatalf("%+v, %v", e, err)
		}
	}
}

// A crash at any step, and another one in the run after it, leave a target that the same
// call completes.
func TestForkCrashes(t *testing.T) {
	from := forkStore(t, nil)
	randomLog(t, forkRandom(t), from, 35)
	opts := ForkOptions{Mask: mustMask(t, testMask), Every: 10, batch: 10}
	whole := forkStore(t, nil)
	want := mustFork(t, from, whole, &opts)
	events := withoutManifest(logOf(t, whole))
	for first := 0; ; first++ {
		for second := -1; ; second++ {
			to := forkStore(t, nil)
			at, firstCame := crashing(first)
			o := opts
			o.At = at
			_, err := Fork(t.Context(), from, to, &o)
			if !firstCame() {
				return
			}
			wantForkError(t, err, errForkCrash)
			secondCame := func() bool { return false }
			if second >= 0 {
				o.At, secondCame = crashing(second)
				if _, err := Fork(t.Context(), from, to, &o); err != nil {
					wantForkError(t, err, errForkCrash)
				}
			}
			got := mustFork(t, from, to, &opts)
			if got.Copied != want.Copied {
				t.Fatalf("crashes at %d and %d: %+v, want %+v", first, second, got, want)
			}
			if second < 0 {
				wantSame(t, fmt.Sprint("crash at ", first), withoutManifest(logOf(t, to)), events)
			} else if !secondCame() {
				break
			}
		}
	}
}

// Placeholders that a batch ends with are not counted again behind a crash.
func TestForkCountsPlaceholdersOnce(t *testing.T) {
	from := forkStore(t, nil)
	for i := range 30 {
		e := annals.Event{Type: []string{"other", "wanted"}[i%5/4], Time: forkEpoch}
		if _, err := from.Append(t.Context(), fmt.Sprint("s", i/15), annals.Any, e); err != nil {
			t.Fatal(err)
		}
	}
	for batch := 1; batch < 8; batch++ {
		opts := ForkOptions{Types: []string{"wanted"}, Every: 1, batch: batch}
		for step := 0; ; step++ {
			to := forkStore(t, nil)
			crashed := opts
			at, came := crashing(step)
			crashed.At = at
			_, err := Fork(t.Context(), from, to, &crashed)
			if !came() {
				break
			}
			wantForkError(t, err, errForkCrash)
			if m := mustFork(t, from, to, &opts); m.Events != 6 || m.Placeholders != 24 || m.CopiedStreams != 2 {
				t.Errorf("batches of %d, crash at %d: %+v", batch, step, m.Copied)
			}
		}
	}
}

// An attempts is a driver that counts what it is asked to append.
type attempts struct {
	annals.Driver
	n int
}

// AppendBatch implements annals.BatchAppender.
func (a *attempts) AppendBatch(ctx context.Context, batch []annals.Append) ([]annals.Commit, error) {
	a.n += len(batch)
	return a.Driver.(annals.BatchAppender).AppendBatch(ctx, batch)
}

// Streams that end at a late event have others behind it; what is tried in vain for them
// stays in proportion.
func TestForkOfManyStreamsThatEndEarly(t *testing.T) {
	const streams = 1000
	from := forkStore(t, nil)
	var appends []annals.Append
	for version, late := range []time.Duration{0, time.Hour, 0} {
		for i := range streams {
			e := annals.Event{Type: "changed", Time: forkEpoch.Add(late)}
			if version == 1 && i%3 == 0 {
				e.Time = forkEpoch
			}
			appends = append(appends, annals.Append{Stream: fmt.Sprint("s", i), Expected: int64(version), Events: []annals.Event{e}})
		}
	}
	if _, err := from.AppendAll(t.Context(), appends); err != nil {
		t.Fatal(err)
	}
	d, err := embedded.OpenDriver("store", &embedded.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	counted := &attempts{Driver: d}
	to := annals.New(counted, nil)
	defer func() {
		if err := to.Close(); err != nil {
			t.Error(err)
		}
	}()
	m := mustFork(t, from, to, &ForkOptions{UntilTime: forkEpoch})
	if want := int64(streams + 2*((streams+2)/3)); m.Events != want {
		t.Errorf("%d events, want %d", m.Events, want)
	}
	if counted.n > 4*len(appends) {
		t.Errorf("%d appends were tried for %d events", counted.n, len(appends))
	}
}

// A machine that loses what was not synced loses nothing that is recorded as copied.
func TestForkSurvivesAPowerFailure(t *testing.T) {
	r := forkRandom(t)
	from := forkStore(t, nil)
	randomLog(t, r, from, 350)
	want := logOf(t, from)
	for n := range 7 {
		disk := vfs.NewCrashableMem()
		var after *vfs.MemFS
		seen := 0
		opts := &ForkOptions{Every: 1, batch: 100, At: func(ForkStep) error {
			if seen++; seen == n+1 {
				after = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: r})
				return errForkCrash
			}
			return nil
		}}
		if _, err := Fork(t.Context(), from, forkStore(t, disk), opts); after == nil {
			t.Fatalf("there is no step %d: %v", n, err)
		}
		to := forkStore(t, after)
		m := mustFork(t, from, to, nil)
		if m.Events != int64(len(want)) {
			t.Fatalf("%+v", m)
		}
		wantSame(t, fmt.Sprint("step ", n), withoutManifest(logOf(t, to)), want)
	}
}

// The manifest is there before anything that could lead to an outside call.
func TestForkBeginsWithItsManifest(t *testing.T) {
	from, to := forkStore(t, nil), forkStore(t, nil)
	randomLog(t, forkRandom(t), from, 30)
	m := mustFork(t, from, to, &ForkOptions{Source: "production", Mask: mustMask(t, ".")})
	first := logOf(t, to)[0]
	if first.Stream != effect.ForkStream || first.Type != ForkStarted || first.ID != m.ID || !strings.Contains(string(first.Data), `"maskSha256":"`+m.MaskSHA256) {
		t.Fatalf("%+v", first)
	}
	read, err := ReadManifest(t.Context(), to)
	if err != nil || read.Copied != m.Copied || read.Source != "production" || read.Mask != "mask.jq" || !read.Finished.Equal(m.Finished) || !read.WithoutSnapshots {
		t.Fatalf("%+v, %v; Fork returned %+v", read, err, m)
	}
	if _, err := ReadManifest(t.Context(), from); annals.CodeOf(err) != annals.CodeNotFound {
		t.Fatalf("of the source: %v", err)
	}
}

func TestForkOfAFork(t *testing.T) {
	from, to, third := forkStore(t, nil), forkStore(t, nil), forkStore(t, nil)
	randomLog(t, forkRandom(t), from, 30)
	mustFork(t, from, to, &ForkOptions{Source: "first"})
	m := mustFork(t, to, third, &ForkOptions{Source: "second"})
	if m.Events != int64(len(logOf(t, from))) {
		t.Fatalf("%+v", m)
	}
	wantSame(t, "fork of a fork", withoutManifest(logOf(t, third)), logOf(t, from))
}

func TestForkIsCanceled(t *testing.T) {
	from, to := forkStore(t, nil), forkStore(t, nil)
	randomLog(t, forkRandom(t), from, 35)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Fork(ctx, from, to, &ForkOptions{batch: 10, Progress: func(*Manifest) { cancel() }})
	wantForkError(t, err, context.Canceled)
	mustFork(t, from, to, nil)
	wantSame(t, "resumed", withoutManifest(logOf(t, to)), logOf(t, from))
}
