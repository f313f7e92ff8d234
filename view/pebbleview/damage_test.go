package pebbleview

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

const damageDocuments = 100

func damageKey(i int) string { return fmt.Sprintf("%02d%s", i, strings.Repeat("x", 100)) }

// filled is the disk of a closed store whose documents are in a table and in a
// log.
func filled(t *testing.T) *vfs.MemFS {
	disk := vfs.NewCrashableMem()
	for _, half := range [][2]int{{0, damageDocuments / 2}, {damageDocuments / 2, damageDocuments}} {
		s := mustOpen(t, "views", &Options{FS: disk}) // what the log had goes to a table
		for i := half[0]; i < half[1]; i++ {
			mustPut(t, s, false, damageKey(i))
		}
		mustClose(t, s)
	}
	return disk
}

// readAll opens a store and reads what it has: it returns how many of the first
// documents are there, and the first error.
func readAll(t *testing.T, disk vfs.FS) (right int, err error) {
	s, err := Open("views", &Options{FS: disk, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for d, err := range s.Scan(t.Context(), "a", view.Range{}) {
		if err != nil {
			return right, err
		}
		if want := damageKey(right); d.Key != want || string(d.Data) != `"of `+want+`"` {
			t.Fatalf("document %d is %s with %q", right, d.Key, d.Data)
		}
		right++
	}
	for i := range damageDocuments {
		if _, err := s.Get(t.Context(), "a", damageKey(i)); err != nil {
			return right, err
		}
	}
	return right, nil
}

// A byte that changed on the disk of a closed store is found, and the error says
// how to build again; or it does no harm.
func TestDamageIsFoundOrHarmless(t *testing.T) {
	random := newRandom(t)
	found := map[string]int{}
	whole := filled(t)
	for range 200 {
		disk := whole.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: random})
		kind, name := damage(t, random, disk)
		right, err := readAll(t, disk)
		switch {
		case err == nil && right != damageDocuments:
			t.Fatalf("after damage of %s %d documents are left, and nobody says so", name, right)
		case err == nil:
			continue
		case !errors.Is(err, annals.ErrDamaged) || !strings.Contains(err.Error(), "annals projection rebuild --all"):
			t.Fatalf("after damage of %s: %v", name, err)
		}
		found[kind]++
	}
	t.Logf("damage was found in %v", found)
	for _, kind := range []string{".sst", ".log", "MANI", "CLOS"} {
		if found[kind] == 0 {
			t.Errorf("no damage was found in a file of kind %s", kind)
		}
	}
}

// damage flips a bit of, cuts or removes one of the files that hold something.
func damage(t *testing.T, random *rand.Rand, disk vfs.FS) (kind, name string) {
	t.Helper()
	names, err := disk.List("views")
	if err != nil {
		t.Fatal(err)
	}
	for kind == "" {
		name = names[random.IntN(len(names))]
		if kind = filepath.Ext(name); kind == "" && len(name) > 4 {
			kind = name[:4]
		}
		if !strings.Contains(".sst .log MANI CLOS", kind) {
			kind = ""
		}
	}
	path := disk.PathJoin("views", name)
	file, err := disk.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(file)
	if err = errors.Join(err, file.Close()); err != nil || len(text) == 0 {
		t.Fatal(name, len(text), err)
	}
	if how := random.IntN(6); how == 0 && kind != "CLOS" {
		err = disk.Remove(path)
	} else if how == 1 {
		err = overwrite(disk, path, text[:random.IntN(len(text))])
	} else {
		text[random.IntN(len(text))] ^= 1 << random.IntN(8)
		err = overwrite(disk, path, text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return kind, name
}

func overwrite(disk vfs.FS, path string, text []byte) error {
	file, err := disk.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}
