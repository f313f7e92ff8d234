package embedded

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

// The power fails in front of each file operation of the first appends to a store of
// format 1. What was in it stays, what was acknowledged is there, and FORMAT says 2
// before the log holds a record of that format.
func TestDurabilityCrashAtEveryOperationOfAnUpgrade(t *testing.T) {
	seed := *crashSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: go test ./embedded -run TestDurabilityCrashAtEveryOperationOfAnUpgrade -seed %d", seed, seed)
	dir, commits := unpackKeptStore(t, 1)
	disk := vfs.NewCrashableMem()
	copyToMemory(t, dir, disk, "store")
	kept := slices.Concat(commits...)
	before, after := 0, 0
	for _, percent := range []int{0, 50, 100} {
		random := rand.New(rand.NewPCG(seed, uint64(percent)))
		_, wrecks := wreckAll(t, disk, percent, some(9), random, 0, appendToKept)
		for _, w := range wrecks {
			version, err := readFormat(w.fs, "store")
			if err != nil {
				t.Fatalf("after a crash in front of %s: %v", w.at, err)
			}
			opts := Options{FS: w.fs, Logger: quiet()}
			s := openTest(t, "store", opts)
			events := storetest.Collect(t, s.Log(t.Context(), annals.Query{}))
			wantSame(t, events[:len(kept)], kept)
			if n := len(events) - len(kept); n < w.acknowledged || version == 1 && n > 0 {
				t.Fatalf("after a crash in front of %s: %d events of %d, FORMAT says %d", w.at, n, w.acknowledged, version)
			}
			mustClose(t, s)
			if err := appendToKept(opts, func(int) {}); err != nil {
				t.Fatalf("after a crash in front of %s: %v", w.at, err)
			}
			wantClean(t, "store", int64(len(kept)+len(furtherIDs)), &opts)
			if version == 1 {
				before++
			} else {
				after++
			}
		}
	}
	if before == 0 || after == 0 {
		t.Fatalf("%d crashes before FORMAT was raised, %d behind", before, after)
	}
	t.Logf("%d crashes before FORMAT was raised, %d behind", before, after)
}

var furtherIDs = []string{"f1", "f2", "f3"}

// appendToKept opens a kept store and appends three commits to one of its streams.
func appendToKept(opts Options, acknowledged func(int)) error {
	opts.sealEvery, opts.maxSegment = 0, 0
	s, err := Open("store", &opts)
	if err != nil {
		return err
	}
	for i, id := range furtherIDs {
		e := storetest.Event(id, "T", `1`)
		e.Time, e.Source = storetest.Epoch, "s"
		if _, err := s.Append(context.Background(), "stream-3", annals.Any, e); err != nil {
			return fmt.Errorf("appending %s: %w", id, err)
		}
		acknowledged(i + 1)
	}
	return s.Close()
}

// copyToMemory copies a directory to a crashable file system, synced.
func copyToMemory(t *testing.T, dir string, fs *vfs.MemFS, to string) {
	t.Helper()
	if err := fs.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		from, target := filepath.Join(dir, entry.Name()), fs.PathJoin(to, entry.Name())
		if entry.IsDir() {
			copyToMemory(t, from, fs, target)
			continue
		}
		text, err := os.ReadFile(from)
		if err == nil {
			err = writeFile(fs, target, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := syncDir(fs, to); err != nil {
		t.Fatal(err)
	}
}
