package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

// tables are the index's.
func (s *smallStore) tables(t *testing.T) (tables []string) {
	for _, file := range slices.Sorted(maps.Keys(contents(t, s.fs, "store/index"))) {
		if strings.HasSuffix(file, ".sst") {
			tables = append(tables, file)
		}
	}
	return tables
}

// askDamaged asks a store, of which a file of the index was changed, for all that it holds:
// each answer is right, or the index is named. noticed says that something was refused.
func (s *smallStore) askDamaged(t *testing.T, opts Options, file string, changed []byte) (noticed bool, err error) {
	overwrite(t, opts.FS, file, changed)
	store, err := Open("store", &opts)
	if err != nil {
		if errors.Is(err, annals.ErrDamaged) || strings.Contains(err.Error(), indexDir) {
			return true, nil
		}
		return true, err
	}
	_, first := wantBeginning(store, s.commits, len(s.commits))
	errs := wantIndexed(t, store, s.commits)
	if first != nil {
		errs = append(errs, first)
	}
	for _, wrong := range errs {
		if err == nil && !errors.Is(wrong, annals.ErrDamaged) {
			err = wrong
		}
	}
	return store.Close() != nil || len(errs) > 0, err
}

// wantIndexed asks for each stream, type and id by the index, and for what an append has to
// know, and returns the errors: each answer that is wrong is one that is not ErrDamaged.
func wantIndexed(t *testing.T, s *annals.Store, commits []annals.Append) (errs []error) {
	streams, types := map[string][]string{}, map[string][]string{}
	for _, c := range commits {
		for _, e := range c.Events {
			streams[c.Stream] = append(streams[c.Stream], e.ID)
			types[e.Type] = append(types[e.Type], e.ID)
		}
	}
	check := func(what string, want []string, events iter.Seq2[annals.Event, error]) {
		var got []string
		for e, err := range events {
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", what, err))
				return
			}
			got = append(got, e.ID)
		}
		if !slices.Equal(got, want) {
			errs = append(errs, fmt.Errorf("%s has %q, want %q", what, got, want))
		}
	}
	for stream, want := range streams {
		check("stream "+stream, want, s.Stream(t.Context(), stream, nil))
		if _, err := s.Append(t.Context(), stream, int64(len(want))-1, storetest.Event("late", "T", "1")); !errors.Is(err, annals.ErrConflict) {
			errs = append(errs, fmt.Errorf("an append behind version %d of %s, which has %d: %w", len(want)-1, stream, len(want), cmp.Or(err, errAppended)))
		}
	}
	for typ, want := range types {
		check("type "+typ, want, s.Log(t.Context(), annals.Query{Types: []string{typ}}))
	}
	for _, c := range commits {
		again, err := s.Append(t.Context(), c.Stream, annals.Any, c.Events...)
		if err != nil || !again.Replayed {
			errs = append(errs, fmt.Errorf("appending again to %s: %+v, %w", c.Stream, again, cmp.Or(err, errAppended)))
		}
	}
	return errs
}

var errAppended = errors.New("it was appended")

// Of the index, bits are flipped at random: what it then says is right or an error, and
// building it again from the log mends it.
func TestDurabilityFlippedBitsOfTheIndex(t *testing.T) {
	seed := *crashSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: go test ./embedded -run TestDurabilityFlippedBitsOfTheIndex -seed %d", seed, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	small := makeSmallStore(t)
	files := slices.Sorted(maps.Keys(contents(t, small.fs, "store/index")))
	noticed, flips := 0, 20_000/some(400)
	for range flips {
		opts := tiny(small.copy())
		file := files[random.IntN(len(files))]
		text := readAll(t, opts.FS.(*vfs.MemFS), file)
		if len(text) == 0 {
			continue
		}
		bit := random.IntN(len(text) * 8)
		text[bit/8] ^= 1 << (bit % 8)
		refused, err := small.askDamaged(t, opts, file, text)
		if err != nil {
			t.Fatalf("bit %d of %s: %v", bit, file, err)
		}
		if refused {
			noticed++
		}
		if _, err := Reindex("store", &opts); err != nil {
			t.Fatalf("bit %d of %s: reindex: %v", bit, file, err)
		}
		if err := wantWhole(opts, small.commits); err != nil {
			t.Fatalf("bit %d of %s, after reindex: %v", bit, file, err)
		}
	}
	t.Logf("%d of %d flips were noticed when the store was opened and read", noticed, flips)
}

// Every table is cut off at its end, within its footer and before it, and to nothing.
func TestDurabilityTruncatedTablesOfTheIndex(t *testing.T) {
	small := makeSmallStore(t)
	for _, file := range small.tables(t) {
		text := readAll(t, small.fs, file)
		for _, left := range []int{0, 1, 11, 12, 13, len(text) / 2, len(text) - 53, len(text) - 12, len(text) - 1} {
			noticed, err := small.askDamaged(t, tiny(small.copy()), file, text[:left])
			if err != nil || !noticed {
				t.Errorf("%s cut off at %d: noticed %v, %v", file, left, noticed, err)
			}
		}
	}
}

// The footers of Pebble's tables have no checksum in the index's format: each of their bits is
// flipped, of which one makes a table read as of the format after, with other values.
func TestDurabilityFlippedBitsOfFooters(t *testing.T) {
	small := makeSmallStore(t)
	const footer = 53
	noticed, flips := 0, 0
	for _, file := range small.tables(t) {
		text := readAll(t, small.fs, file)
		// The version is what can be changed unseen; the rest is read from elsewhere, or not at all.
		for bit := 8 * (len(text) - footer); bit < 8*len(text); bit++ {
			if inVersion := bit/8 >= len(text)-12 && bit/8 < len(text)-8; !inVersion && bit%int(some(16)) != 0 {
				continue
			}
			changed := slices.Clone(text)
			changed[bit/8] ^= 1 << (bit % 8)
			flips++
			refused, err := small.askDamaged(t, tiny(small.copy()), file, changed)
			if err != nil {
				t.Fatalf("bit %d of %s, %d from its end: %v", bit, file, len(text)-bit/8, err)
			}
			if refused {
				noticed++
			}
		}
	}
	t.Logf("%d flips, %d noticed", flips, noticed)
}

// In tables of several blocks one can be damaged alone: what a lookup passes over on its way
// to another must not hide that.
func TestDurabilityDamagedBlocksOfTheIndex(t *testing.T) {
	larger := smallStore{fs: vfs.NewCrashableMem()}
	opts := Options{FS: larger.fs, Logger: quiet(), sealEvery: 600, Store: &annals.Options{Pause: func(context.Context, int) {}}}
	d := testDriver(t, "store", opts).(*driver)
	s := annals.New(d, nil)
	for i := range 1250 {
		e := storetest.Event(fmt.Sprint(i), fmt.Sprint("T", i%2), `1`)
		e.Time, e.Source = storetest.Epoch, "s"
		larger.commits = append(larger.commits, annals.Append{Stream: fmt.Sprint("s", i%3), Expected: annals.Any, Events: []annals.Event{e}})
	}
	for part := range slices.Chunk(larger.commits, 50) {
		if _, err := s.AppendAll(t.Context(), part); err != nil {
			t.Fatal(err)
		}
		d.sealing.Wait()
	}
	if runs := *d.index.runs.Load(); len(runs) != 2 {
		t.Fatalf("%d tails are sealed, want 2", len(runs))
	}
	mustClose(t, s)
	noticed, changes := 0, 0
	for _, file := range larger.tables(t) {
		text := readAll(t, larger.fs, file)
		for at := 100; at < len(text); at += 100 * int(some(100)) {
			changed := slices.Clone(text)
			changed[at] ^= 1
			changes++
			opts.FS = larger.copy()
			refused, err := larger.askDamaged(t, opts, file, changed)
			if err != nil {
				t.Fatalf("byte %d of %s: %v", at, file, err)
			}
			if refused {
				noticed++
			}
		}
	}
	if noticed < changes/2 {
		t.Errorf("of %d changes %d were noticed", changes, noticed)
	}
	t.Logf("%d changes, %d noticed", changes, noticed)
}
