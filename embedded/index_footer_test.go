package embedded

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/eb901187/annals"
)

// The footers of Pebble's tables have no checksum in the index's format: each of their bits is
// flipped, of which one makes a table read as of the format after, with other values.
func TestFlippedBitsOfFooters(t *testing.T) {
	small := makeSmallStore(t)
	const footer = 53
	noticed, flips := 0, 0
	for _, file := range slices.Sorted(maps.Keys(contents(t, small.fs, "store/index"))) {
		if !strings.HasSuffix(file, ".sst") {
			continue
		}
		text := readAll(t, small.fs, file)
		// The version is what can be changed unseen; the rest is read from elsewhere, or not at all.
		for bit := 8 * (len(text) - footer); bit < 8*len(text); bit++ {
			if inVersion := bit/8 >= len(text)-12 && bit/8 < len(text)-8; !inVersion && bit%int(some(16)) != 0 {
				continue
			}
			fs, changed := small.copy(), slices.Clone(text)
			changed[bit/8] ^= 1 << (bit % 8)
			overwrite(t, fs, file, changed)
			opts := tiny(fs)
			flips++
			store, err := Open("store", &opts)
			if err != nil {
				noticed++
				continue
			}
			for _, err := range wantIndexed(t, store, small.commits) {
				if !errors.Is(err, annals.ErrDamaged) {
					t.Fatalf("bit %d of %s, %d from its end: %v", bit, file, len(text)-bit/8, err)
				}
			}
			if err := store.Close(); err != nil {
				noticed++
			}
		}
	}
	t.Logf("%d flips, %d noticed when the store was opened or closed", flips, noticed)
}
