package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
)

const (
	sizeFactor  = 1.5 // that the large store may be slower than the small one
	sizeFillers = 8
	sizeRounds  = 3
)

// sizes measures a store of a million events, and the same store with 20 million.
func (l *loader) sizes(ctx context.Context) (p LoadPart, err error) {
	dir := filepath.Join(l.dir, "size")
	small, large := l.Options.size(1_000_000, 150_000), l.Options.size(20_000_000, 300_000)
	store, err := embedded.Open(dir, nil)
	if err != nil {
		return p, err
	}
	s := &sized{loader: l, dir: dir, store: store}
	defer func() {
		if s.store != nil {
			err = errors.Join(err, s.store.Close())
		}
	}()
	var before, after []LoadRow
	if before, err = s.at(ctx, small); err != nil {
		return p, err
	}
	if after, err = s.at(ctx, large); err != nil {
		return p, err
	}
	for i := range before {
		p.Rows = append(p.Rows, before[i], after[i])
		p.Judged = append(p.Judged, notSlower(before[i], after[i]))
	}
	p.fact("filled at %.0f events/s, durable, %d events a commit in batches of %d", s.fillRate, 1, sizeBatch)
	return p, s.closing(ctx, &p)
}

// notSlower compares a workload on the large store with the small one: appends by
// p99, loads by p50, scans by their rate.
func notSlower(small, large LoadRow) Judgement {
	what, a, b := "p50", small.P50Ms, large.P50Ms
	switch {
	case strings.HasPrefix(small.Load, "append"):
		what, a, b = "p99", small.P99Ms, large.P99Ms
	case strings.HasPrefix(small.Load, "scan"):
		what, a, b = "time an event", 1/small.PerSecond, 1/large.PerSecond
	}
	name, _, _ := strings.Cut(large.Load, ",")
	return Judgement{
		Asked: fmt.Sprintf("%s: %s at most %.1f × that of the small store", name, what, sizeFactor), Measured: fmt.Sprintf("%.2f ×", b/a), Met: a > 0 && b <= sizeFactor*a, Timed: true,
	}
}

// A sized store grows.
type sized struct {
	*loader
	dir      string
	store    *annals.Store
	shorts   int // streams of ten events
	events   int
	fillRate float64
	filled   time.Duration
}

// at lets the store grow to so many events, and measures it.
func (s *sized) at(ctx context.Context, events int) ([]LoadRow, error) {
	s.Say(fmt.Sprintf("size: filling a store to %d events", events))
	if err := s.grow(ctx, events); err != nil {
		return nil, err
	}
	s.Say(fmt.Sprintf("size: measuring %d events", s.events))
	var rows []LoadRow
	random := rand.New(rand.NewPCG(1, 1))
	loads := s.Options.size(20_000, 2_000)
	for _, w := range []struct {
		name        string
		times, want int
		read        func() (int, error)
	}{
		// The scan comes first: it brings all of the store into memory, where a system may
		// have let go of what was idle. What a load takes from a disk is the disk's.
		{"scan", 1, s.events, func() (int, error) { return count(s.store.Log(ctx, annals.Query{})) }},
		{"load-10", loads, shortStream, func() (int, error) { return count(s.store.Stream(ctx, shortName(random.IntN(s.shorts)), nil)) }},
		{"load-1000", loads / 20, longStream, func() (int, error) { return count(s.store.Stream(ctx, longName(random.IntN(longStreams)), nil)) }},
		{"by-type-100", loads / 4, 100, func() (int, error) {
			return count(s.store.Log(ctx, annals.Query{Types: []string{typeName(random.IntN(eventTypes))}, After: random.Int64N(int64(s.events / 2)), Limit: 100}))
		}},
	} {
		row, err := s.reads(w.name, w.times, w.want, w.read)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	// The appends come last, when the index has digested what the store was filled with.
	for _, writers := range []int{1, 16} {
		row, err := s.appends(ctx, writers)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// reads measures an operation by rounds behind one that warms up.
func (s *sized) reads(name string, times, want int, read func() (int, error)) (LoadRow, error) {
	var took latencies
	var elapsed time.Duration
	for round := range sizeRounds + 1 {
		for range times {
			from := time.Now()
			n, err := read()
			if err == nil && n != want {
				err = fmt.Errorf("%s read %d events where %d are", name, n, want)
			}
			if err != nil {
				return LoadRow{}, err
			}
			if round > 0 {
				took.add(time.Since(from))
				elapsed += time.Since(from)
			}
		}
	}
	return LoadRow{
		Load: fmt.Sprintf("%s, %d events", name, s.events), PerSecond: tenths(float64(took.n) * float64(want) / elapsed.Seconds()), Latency: took.summary(), Note: "events/s",
	}, nil
}

// appends measures writers with a stream of their own each, one event after the
// other.
func (s *sized) appends(ctx context.Context, writers int) (LoadRow, error) {
	var took latencies
	var rates []float64
	e := engine{writer: annalsWriter(s.store)}
	at := s.events
	for round := range sizeRounds {
		named := engine{writer: func(stream string) func(context.Context) error { return e.writer(fmt.Sprintf("%s-%d", stream, at)) }}
		rate, all, err := appendFor(ctx, named, writers, 1000*writers+round, s.duration(2*time.Second, 200*time.Millisecond))
		if err != nil {
			return LoadRow{}, err
		}
		rates, s.events = append(rates, rate), s.events+len(all)
		for _, d := range all {
			took.add(d)
		}
	}
	return LoadRow{Load: fmt.Sprintf("append-%d, %d events", writers, at), PerSecond: tenths(median(rates)), Latency: took.summary()}, nil
}

const (
	sizeBatch    = 1000 // appends that are made durable at once
	sizeTogether = 100  // streams that take turns, so that a stream's events lie apart
)

// grow appends until the store has so many events, at first the long streams.
func (s *sized) grow(ctx context.Context, events int) error {
	if s.events == 0 {
		if err := s.growLong(ctx); err != nil {
			return err
		}
	}
	blocks := (events - s.events + sizeTogether*shortStream - 1) / (sizeTogether * shortStream)
	errs := make([]error, sizeFillers)
	began := time.Now()
	var all sync.WaitGroup
	for f := range sizeFillers {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(s.shorts), uint64(f)))
			for b := f; b < blocks && errs[f] == nil; b += sizeFillers {
				_, errs[f] = s.store.AppendAll(ctx, block(random, s.shorts+b*sizeTogether))
			}
		})
	}
	all.Wait()
	grown := blocks * sizeTogether * shortStream
	s.shorts += blocks * sizeTogether
	s.events += grown
	s.filled += time.Since(began)
	s.fillRate = float64(grown) / time.Since(began).Seconds()
	return errors.Join(errs...)
}

// block is the appends of streams from the first on: the first event of each, then
// the second, and so on.
func block(random *rand.Rand, first int) []annals.Append {
	appends := make([]annals.Append, 0, sizeBatch)
	for version := range shortStream {
		for i := first; i < first+sizeTogether; i++ {
			appends = append(appends, annals.Append{Stream: shortName(i), Expected: int64(version), Events: []annals.Event{typed(random)}})
		}
	}
	return appends
}

func typed(random *rand.Rand) annals.Event {
	return annals.Event{Type: typeName(random.IntN(eventTypes)), Source: eventSource, Data: payload}
}

func (s *sized) growLong(ctx context.Context) error {
	random := rand.New(rand.NewPCG(3, 3))
	for version := 0; version < longStream; version += shortStream {
		var appends []annals.Append
		for i := range longStreams {
			a := annals.Append{Stream: longName(i), Expected: int64(version)}
			for range shortStream {
				a.Events = append(a.Events, typed(random))
			}
			appends = append(appends, a)
		}
		if _, err := s.store.AppendAll(ctx, appends); err != nil {
			return err
		}
		s.events += longStreams * shortStream
	}
	return nil
}

// closing closes the store, and opens it again with its files out of the memory of
// the machine, as far as that can be told to forget them.
func (s *sized) closing(ctx context.Context, p *LoadPart) error {
	s.Say("size: opening the store again")
	store := s.store
	s.store = nil
	if err := store.Close(); err != nil {
		return err
	}
	sizes, total, err := diskSizes(s.dir)
	if err != nil {
		return err
	}
	p.fact("%.1f bytes an event on disk (%s), of which 300 are data", float64(total)/float64(s.events), sizes)
	forgotten := forget(s.dir)
	debug.FreeOSMemory()
	before, err := usageOf(selfPID)
	if err != nil {
		return err
	}
	began := time.Now()
	if store, err = embedded.Open(s.dir, nil); err != nil {
		return err
	}
	s.store = store
	opened := time.Since(began)
	n, err := count(s.store.Stream(ctx, shortName(s.shorts/2), nil))
	first := time.Since(began)
	if err == nil && n != shortStream {
		err = fmt.Errorf("%d events where %d are", n, shortStream)
	}
	if err != nil {
		return err
	}
	after, err := usageOf(selfPID)
	p.fact("opened again in %v, the first stream loaded %v after (files forgotten by the machine: %v)", opened.Round(100*time.Microsecond), (first - opened).Round(time.Microsecond), forgotten)
	p.fact("open, it has %d MiB of its own and %d MiB of mapped files", (after.Anonymous-before.Anonymous)>>20, (after.RSS-after.Anonymous)>>20)
	return err
}

// diskSizes are what the parts of a directory take on disk, which counts files that
// are made larger ahead of their use as a whole.
func diskSizes(dir string) (text string, total int64, err error) {
	parts, err := os.ReadDir(dir)
	if err != nil {
		return "", 0, err
	}
	var texts []string
	for _, part := range parts {
		var of int64
		err := filepath.WalkDir(filepath.Join(dir, part.Name()), func(_ string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err == nil {
				of += info.Size()
			}
			return err
		})
		if err != nil {
			return "", 0, err
		}
		if total += of; of > 1<<20 {
			texts = append(texts, fmt.Sprintf("%s %d MiB", part.Name(), of>>20))
		}
	}
	return strings.Join(texts, ", "), total, nil
}
