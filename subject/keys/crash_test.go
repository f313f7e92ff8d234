package keys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/subject"
)

var errCrash = errors.New("the machine is off")

func keyringOn(t *testing.T, shelf subject.Shelf) *subject.Keyring {
	t.Helper()
	w, err := subject.LocalWrapper(bytes.Repeat([]byte{7}, subject.KeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	k, err := subject.New(shelf, w, &subject.Options{Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sealed(ctx context.Context, k *subject.Keyring) (annals.Event, error) {
	e := annals.Event{ID: "1", Type: "t", Stream: "s", Data: []byte(`1`), Attributes: map[string]string{annals.SubjectAttribute: "p1"}}
	return e, k.Seal(ctx, "s", &e)
}

// life makes a key, uses it, and destroys it, on a disk whose every operation from the
// nth on fails. It returns what was sealed, if anything, and whether it came to the end.
func life(t *testing.T, mem *vfs.MemFS, nth int) (used *annals.Event, destroyed bool) {
	n := 0
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(errorfs.Op) error {
		if n++; n > nth {
			return errCrash
		}
		return nil
	}))
	shelf, err := Directory(fs, "keys")
	if err != nil {
		return nil, false
	}
	k := keyringOn(t, shelf)
	e, err := sealed(t.Context(), k)
	if err != nil {
		return nil, false
	}
	_, err = k.Destroy(t.Context(), "p1")
	return &e, err == nil
}

// A crash at any operation of the disk, with any part of what was not synced lost, loses
// no key that was used, and leaves an erasure that can be repeated.
func TestCrashAtEveryOperationLosesNoKey(t *testing.T) {
	for nth, done := 0, false; !done; nth++ {
		for _, lost := range []int{0, 50, 100} {
			mem := vfs.NewCrashableMem()
			newDirectory(t, mem, "keys")
			var used *annals.Event
			used, done = life(t, mem, nth)
			seed := uint64(nth)
			disk := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100 - lost, RNG: rand.New(rand.NewPCG(seed, 1))})
			if err := afterCrash(t, disk, used, done); err != nil {
				t.Fatalf("crash at operation %d, %d %% lost (seed %d): %v", nth, lost, seed, err)
			}
		}
		if nth > 1000 {
			t.Fatal("it never ends")
		}
	}
}

func afterCrash(t *testing.T, disk *vfs.MemFS, used *annals.Event, destroyed bool) error {
	shelf, err := Directory(disk, "keys")
	if err != nil {
		return err
	}
	k := keyringOn(t, shelf)
	record, err := k.Record(t.Context(), "p1")
	if err != nil {
		return err
	}
	if used != nil {
		opened := *used
		err := k.Open(t.Context(), &opened)
		switch {
		case err != nil:
			return fmt.Errorf("what was sealed can't be opened: %w", err)
		case destroyed && !opened.Erased():
			return errors.New("it is readable after its key was destroyed")
		case !opened.Erased() && string(opened.Data) != `1`:
			return fmt.Errorf("it opens as %q", opened.Data)
		case opened.Erased() && record.State == subject.Active:
			return errors.New("it is erased though its key is active")
		}
	}
	if record, err = k.Destroy(t.Context(), "p1"); err != nil || record.State != subject.Destroyed {
		return fmt.Errorf("destroying it again: %+v, %w", record, err)
	}
	if _, err := sealed(t.Context(), k); annals.CodeOf(err) != annals.CodeErased {
		return fmt.Errorf("sealing after that: %w", err)
	}
	return nil
}

// A key that another process has put, and whose place in the directory is not durable
// yet, is not used before it is.
func TestKeyOfAnotherIsDurableBeforeItIsUsed(t *testing.T) {
	mem := vfs.NewCrashableMem()
	newDirectory(t, mem, "keys")
	hanging := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync && mem.PathBase(op.Path) == subjectsDir {
			return errCrash
		}
		return nil
	}))
	shelf, err := Directory(hanging, "keys")
	if err != nil {
		t.Fatal(err)
	}
	if e, err := sealed(t.Context(), keyringOn(t, shelf)); err == nil {
		t.Errorf("sealed with a key that may be lost: %+v", e)
	}
	if shelf, err = Directory(mem, "keys"); err != nil {
		t.Fatal(err)
	}
	e, err := sealed(t.Context(), keyringOn(t, shelf))
	if err != nil {
		t.Fatal(err)
	}
	if err := afterCrash(t, mem.CrashClone(vfs.CrashCloneCfg{}), &e, false); err != nil {
		t.Error(err)
	}
}

// A disk without room for the tombstone leaves the record as it was.
func TestDestroyWithoutRoomIsRepeated(t *testing.T) {
	mem := vfs.NewMem()
	newDirectory(t, mem, "keys")
	full := false
	shelf, err := Directory(errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full && op.Kind == errorfs.OpCreate {
			return errCrash
		}
		return nil
	})), "keys")
	if err != nil {
		t.Fatal(err)
	}
	k := keyringOn(t, shelf)
	if _, err := sealed(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Fence(t.Context(), "p1"); err != nil {
		t.Fatal(err)
	}
	full = true
	if _, err := k.Destroy(t.Context(), "p1"); err == nil {
		t.Fatal("destroyed without room")
	}
	full = false
	if r, err := k.Destroy(t.Context(), "p1"); err != nil || r.State != subject.Destroyed {
		t.Fatalf("again: %+v, %v", r, err)
	}
}

// No file that had the record of a key, under any name, keeps it behind the destruction.
func TestEveryFileThatHeldAKeyIsWiped(t *testing.T) {
	mem := vfs.NewMem()
	shelf := newDirectory(t, mem, "keys")
	k := keyringOn(t, shelf)
	if _, err := sealed(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	links := []string{"active", "fenced"}
	for i, change := range []func(context.Context, string) (subject.Record, error){k.Fence, k.Destroy} {
		if err := mem.Link(shelf.(*directory).path("p1"), links[i]); err != nil {
			t.Fatal(err)
		}
		if _, err := change(t.Context(), "p1"); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range links {
		if text, err := readFile(mem, link); err != nil || len(text) == 0 || len(bytes.Trim(text, "\x00")) > 0 {
			t.Errorf("the file of the %s key holds %q, %v", link, text, err)
		}
	}
}

// A record reads as one of those that were put while it is replaced and wiped.
func TestRecordsAreReadWhileTheyChange(t *testing.T) {
	shelf := newDirectory(t, vfs.Default, t.TempDir())
	r := subject.Record{Subject: "p1", State: subject.Active, Edition: 1, Wrapped: bytes.Repeat([]byte{1}, 2000)}
	if err := shelf.Put(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if got, err := shelf.Get(context.Background(), "p1"); err != nil || got.State != subject.Active {
					t.Errorf("%+v, %v", got.Edition, err)
					return
				}
			}
		})
	}
	for range 100 {
		if r.Edition++; shelf.Put(t.Context(), r) != nil {
			t.Errorf("edition %d was not put", r.Edition)
		}
	}
	close(done)
	readers.Wait()
}
