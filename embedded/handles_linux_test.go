package embedded

import (
	"os"
	"strings"
	"testing"

	"github.com/eb901187/annals"
)

// A log takes no more file handles the longer it gets, neither while it grows nor when
// it is opened again.
func TestALongLogTakesFewHandles(t *testing.T) {
	dir := t.TempDir()
	opts := &Options{maxSegment: minSegmentSize}
	store, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	data := []byte(`"` + strings.Repeat("x", 64<<10) + `"`)
	for range 200 {
		if _, err := store.Append(t.Context(), "s", annals.Any, annals.Event{Type: "T", Source: "t", Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	check := func() {
		t.Helper()
		segments, err := os.ReadDir(dir + "/log")
		if err != nil {
			t.Fatal(err)
		}
		// The active segment, and the next one, which is made ahead.
		if open := handles(t, dir+"/log/"); len(segments) < 10 || open < 1 || open > 2 {
			t.Errorf("%d segments take %d handles", len(segments), open)
		}
	}
	check()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if open := handles(t, dir); open != 0 {
		t.Errorf("closed, it has %d handles", open)
	}
	if store, err = Open(dir, opts); err != nil {
		t.Fatal(err)
	}
	check()
	read := 0
	for _, err := range store.Stream(t.Context(), "s", nil) {
		if read++; err != nil {
			t.Fatal(err)
		}
	}
	if read != 200 {
		t.Errorf("%d events are left", read)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// handles counts the open files of this process whose paths start with prefix.
func handles(t *testing.T, prefix string) (n int) {
	t.Helper()
	const all = "/proc/self/fd"
	list, err := os.ReadDir(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range list {
		// The handle that lists them is gone by now.
		if path, err := os.Readlink(all + "/" + fd.Name()); err == nil && strings.HasPrefix(path, prefix) {
			n++
		}
	}
	return n
}
