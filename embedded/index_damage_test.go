package embedded

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

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

// wantNoWrongAnswer asks the index of a store with a changed file: what it says is right, or
// that it is damaged.
func (s *smallStore) wantNoWrongAnswer(t *testing.T, opts Options, file string, changed []byte) (noticed bool, err error) {
	opts.FS = s.copy()
	overwrite(t, opts.FS, file, changed)
	store, err := Open("store", &opts)
	if err != nil {
		return true, nil
	}
	errs := wantIndexed(t, store, s.commits)
	for _, wrong := range errs {
		if err == nil && !errors.Is(wrong, annals.ErrDamaged) {
			err = wrong
		}
	}
	return store.Close() != nil || len(errs) > 0, err
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
			refused, err := small.wantNoWrongAnswer(t, tiny(nil), file, changed)
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
			refused, err := larger.wantNoWrongAnswer(t, opts, file, changed)
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
