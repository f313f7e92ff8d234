package pebbleview

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/view"
)

func mustClose(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func mustPut(t testing.TB, s *Store, durable bool, keys ...string) {
	t.Helper()
	c := view.Change{Durable: durable}
	for _, key := range keys {
		c.Put = append(c.Put, view.Put{Space: "a", Document: view.Document{Key: key, Data: []byte(`"of ` + key + `"`)}})
	}
	if err := s.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func wantThere(t testing.TB, s *Store, keys ...string) {
	t.Helper()
	got, err := s.Get(t.Context(), "a", keys...)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if d := got[key]; string(d.Data) != `"of `+key+`"` {
			t.Fatalf("document %s has %q", key, d.Data)
		}
	}
}

func TestClosedStoreHasEverythingWhenItIsOpenedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "views")
	for i := range 3 {
		s := mustOpen(t, dir, nil)
		mustPut(t, s, false, strings.Repeat("x", i+1))
		wantThere(t, s, []string{"x", "xx", "xxx"}[:i+1]...)
		mustClose(t, s)
	}
}

// anotherProcess names the directory that this test opens when it runs as a
// process of its own.
const anotherProcess = "ANNALS_TEST_VIEWS"

func TestOneOpensADirectoryAtATime(t *testing.T) {
	if dir := os.Getenv(anotherProcess); dir != "" {
		if _, err := Open(dir, nil); !errors.Is(err, annals.ErrInUse) {
			t.Fatalf("another process got %v", err)
		}
		return
	}
	dir := filepath.Join(t.TempDir(), "views")
	s := mustOpen(t, dir, nil)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, dir + "/../views", link} {
		if _, err := Open(name, nil); !errors.Is(err, annals.ErrInUse) {
			t.Fatalf("opening %s again: %v", name, err)
		}
	}
	other := exec.Command(os.Args[0], "-test.run=^TestOneOpensADirectoryAtATime$")
	other.Env = append(os.Environ(), anotherProcess+"="+dir)
	if said, err := other.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	mustPut(t, s, true, "x")
	mustClose(t, s)
	s = mustOpen(t, link, nil)
	wantThere(t, s, "x")
	mustClose(t, s)
}

func TestADirectoryOfSomethingElseIsRefusedAndLeftAsItIs(t *testing.T) {
	for _, c := range []struct {
		file, text, says string
		want             error
	}{
		{"notes.txt", "buy milk", "notes.txt", annals.ErrInvalid},
		{"FORMAT", `{"format":"annals-embedded","version":1}`, "annals-embedded", annals.ErrInvalid},
		{"FORMAT", `{"format":"annals-views","version":2}`, "version 2", annals.ErrInvalid},
		{"FORMAT", `garbage`, "rebuild: delete the directory", annals.ErrDamaged},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir, nil)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s with %s: %v", c.file, c.text, err)
		}
		var e *annals.Error
		if !errors.As(err, &e) || e.Hint == "" {
			t.Errorf("%s with %s: no hint", c.file, c.text)
		}
		left, err := os.ReadFile(filepath.Join(dir, c.file))
		if names, _ := os.ReadDir(dir); err != nil || string(left) != c.text || len(names) > 2 || c.file != formatFile && len(names) > 1 {
			t.Errorf("%s with %s: changed to %v", c.file, c.text, names)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, filepath.Join(file, "views")} {
		if _, err := Open(name, nil); !errors.Is(err, annals.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpeningInterruptedBeforeItsFormatIsCompleted(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"LOCK", "FORMAT.new"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := mustOpen(t, dir, nil)
	mustPut(t, s, false, "x")
	mustClose(t, s)
}

// A full disk refuses what it has no room for, and nothing is broken by it.
func TestAFullDiskRefusesPutsUntilThereIsRoom(t *testing.T) {
	disk := vfs.NewMem()
	s := mustOpen(t, "views", &Options{FS: disk})
	defer mustClose(t, s)
	free := func(bytes uint64) { disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: bytes, TotalBytes: 1 << 40}) }
	free(1 << 40)
	mustPut(t, s, false, "1", "2")
	free(reserve)
	var c view.Change
	for range askEvery/view.MaxDocumentBytes + 1 { // what was free is used up before the disk is asked again
		c.Put = append(c.Put, view.Put{Space: "a", Document: view.Document{Key: strings.Repeat("k", len(c.Put)+1), Data: make([]byte, view.MaxDocumentBytes)}})
		for i := range c.Put[len(c.Put)-1].Data {
			c.Put[len(c.Put)-1].Data[i] = ' '
		}
	}
	for range 2 {
		if err := s.Commit(t.Context(), c); !errors.Is(err, annals.ErrNoSpace) || !strings.Contains(err.Error(), "nothing was changed") {
			t.Fatalf("a full disk: %v", err)
		}
	}
	if err := s.Commit(t.Context(), view.Change{Delete: []view.Key{{Space: "a", Key: "2"}}}); err != nil {
		t.Fatalf("deleting on a full disk: %v", err)
	}
	if err := s.Drop(t.Context(), "b"); err != nil {
		t.Fatalf("dropping on a full disk: %v", err)
	}
	wantThere(t, s, "1")
	free(1 << 40)
	if err := s.Commit(t.Context(), c); err != nil {
		t.Fatalf("with room again: %v", err)
	}
}
