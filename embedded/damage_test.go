package embedded

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/eb901187/annals"
)

// copyDir copies a closed store.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func logFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, logDir, "*"+segmentSuffix))
	if err != nil || len(files) < 2 {
		t.Fatalf("segments %v, error %v", files, err)
	}
	return files
}

// damagedStore makes a closed store of some segments.
func damagedStore(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	s := openTest(t, dir, Options{sealEvery: 2000})
	fill(t, s, 0, 5000)
	mustClose(t, s)
	return dir
}

// usedBytes is how much of a segment holds records, or all of a sealed one.
func usedBytes(t *testing.T, file string, text []byte) int {
	t.Helper()
	if text[len(text)-footerSize] != 0 {
		return len(text)
	}
	end := len(text)
	for text[end-1] == 0 {
		end--
	}
	return end
}

// Any flipped bit in the log refuses to open, names the file, and is listed by
// Verify, also between the last record of a segment and its footer.
func TestEveryFlippedBitIsFound(t *testing.T) {
	original := damagedStore(t)
	const seed, flips = 7, 60
	random := rand.New(rand.NewPCG(seed, 0))
	files := logFiles(t, original)
	for range flips {
		dir := copyDir(t, original)
		name := filepath.Join(dir, logDir, filepath.Base(files[random.IntN(len(files))]))
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		at := random.IntN(usedBytes(t, name, text))
		text[at] ^= 1 << random.IntN(8)
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
		wantDamage(t, dir, filepath.Base(name))
	}
}

func wantDamage(t *testing.T, dir, file string) {
	t.Helper()
	r, err := Verify(dir, &Options{Logger: quiet()})
	if err != nil || len(r.Problems) == 0 {
		t.Fatalf("verify did not find the damage in %s: %v", file, err)
	}
	if !strings.Contains(strings.Join(r.Problems, "\n"), file) {
		t.Fatalf("no problem names %s: %q", file, r.Problems)
	}
	_, err = Open(dir, &Options{Logger: quiet()})
	var e *annals.Error
	if !errors.Is(err, annals.ErrDamaged) || !errors.As(err, &e) || !strings.Contains(e.Message, file) || e.Hint == "" {
		t.Fatalf("opening with damage in %s: %v", file, err)
	}
}

func TestMissingAndTruncatedSegmentsAreFound(t *testing.T) {
	original := damagedStore(t)
	files := logFiles(t, original)
	for name, harm := range map[string]func(file string) error{
		"removed":   os.Remove,
		"truncated": func(file string) error { return os.Truncate(file, 5000) },
		"emptied":   func(file string) error { return os.Truncate(file, 0) },
		"longer":    func(file string) error { return os.Truncate(file, 100<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyDir(t, original)
			if err := harm(filepath.Join(dir, logDir, filepath.Base(files[0]))); err != nil {
				t.Fatal(err)
			}
			wantDamage(t, dir, filepath.Base(files[0]))
		})
	}
}

func TestDamagedIndexIsNamedAndReindexMendsIt(t *testing.T) {
	original := damagedStore(t)
	tables, err := filepath.Glob(filepath.Join(original, indexDir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables %v, error %v", tables, err)
	}
	for name, harm := range map[string]func(dir, table string) error{
		"flipped": func(_, table string) error {
			text, err := os.ReadFile(table)
			if err != nil {
				return err
			}
			text[len(text)/3] ^= 4
			return os.WriteFile(table, text, 0o644)
		},
		"removed table": func(_, table string) error { return os.Remove(table) },
		"removed index": func(dir, _ string) error { return os.RemoveAll(filepath.Join(dir, indexDir)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyDir(t, original)
			if err := harm(dir, filepath.Join(dir, indexDir, filepath.Base(tables[0]))); err != nil {
				t.Fatal(err)
			}
			r, err := Verify(dir, &Options{Logger: quiet()})
			if err != nil || (len(r.Problems) == 0) != (name == "removed index") {
				t.Fatalf("verify: %+v, %v", r, err)
			}
			if n, err := Reindex(dir, &Options{Logger: quiet()}); err != nil || n != 5000 {
				t.Fatalf("reindex: %d, %v", n, err)
			}
			wantClean(t, dir, 5000, &Options{Logger: quiet()})
		})
	}
}

// An index that misses an entry, or leads astray, is found though every one of
// its blocks is whole.
func TestVerifyComparesIndexAndLog(t *testing.T) {
	for name, harm := range map[string]func(x *index) error{
		"missing list": func(x *index) error {
			return x.db.Delete(chunkKey(byType, "type-1", firstOrdinal(x, byType, "type-1")), pebble.NoSync)
		},
		"wrong version": func(x *index) error { return x.db.Set(nameKey(streamHead, "stream-5"), []byte{3}, pebble.NoSync) },
		"astray": func(x *index) error {
			return x.db.Set(chunkKey(bySource, "source-1", firstOrdinal(x, bySource, "source-1")), appendChunk(nil, []int64{prologueSize}), pebble.NoSync)
		},
		"unknown kind": func(x *index) error { return x.db.Set([]byte("zzz"), nil, pebble.NoSync) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := damagedStore(t)
			opts := Options{Logger: quiet()}
			opts = opts.orDefaults()
			x, err := openIndex(opts.FS, filepath.Join(dir, indexDir), quiet())
			if err == nil {
				err = errors.Join(harm(x), x.db.Flush(), x.db.Close())
			}
			if err != nil {
				t.Fatal(err)
			}
			r, err := Verify(dir, &opts)
			if err != nil || len(r.Problems) == 0 {
				t.Fatalf("verify found nothing; error %v", err)
			}
		})
	}
}

func firstOrdinal(x *index, kind indexKind, name string) int64 {
	r, err := x.chunks(kind, name)
	if err != nil {
		return 0
	}
	c, _, _ := r.advance(0, false, nil)
	_ = r.close() // a test's read; the write that follows fails if the index is bad
	return c.first
}
