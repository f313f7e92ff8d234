package dynamo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/storetest"
)

// A test that needs processes starts this test binary again, with this variable
// saying what it is to do.
const childEnv = "ANNALS_TEST_APPENDER"

func TestMain(m *testing.M) {
	if task := os.Getenv(childEnv); task != "" {
		if err := appender(task); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const (
	processes     = 8
	eachProcess   = 60
	sharedStreams = 3
)

// appender appends to streams that other processes append to: in turn whatever
// the version is, and at the version that it believes in. It prints what was
// acknowledged.
func appender(task string) error {
	name, place, _ := strings.Cut(task, " ")
	address, err := ParseAddress(place)
	if err != nil {
		return err
	}
	store, err := Open(context.Background(), address, nil)
	if err != nil {
		return err
	}
	versions := map[string]int64{}
	for i := range eachProcess {
		stream := fmt.Sprint("shared-", i%sharedStreams)
		e := storetest.Event(fmt.Sprint(name, "-", i), "T", fmt.Sprint(i))
		expected := annals.Any
		if i%2 == 1 {
			expected = versions[stream]
		}
		for {
			commit, err := store.Append(context.Background(), stream, expected, e)
			var conflict *annals.ConflictError
			if errors.As(err, &conflict) {
				expected = conflict.Actual
				continue
			}
			if err != nil {
				return err
			}
			fmt.Printf("%s@%d=%s\n", stream, commit.Version, e.ID)
			versions[stream] = commit.Version
			break
		}
	}
	return store.Close()
}

func TestEightProcessesLoseNothing(t *testing.T) {
	address := newAddress(t)
	mustInit(t, address)
	d := mustOpen(t, address, &Options{Poll: 5 * time.Millisecond})
	sequencing(t, d)
	sequencing(t, mustOpen(t, address, &Options{Poll: 5 * time.Millisecond}))
	var wg sync.WaitGroup
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	for p := range processes {
		wg.Go(func() {
			c := exec.Command(os.Args[0])
			c.Env = append(os.Environ(), fmt.Sprintf("%s=p%d %s", childEnv, p, address))
			c.Stderr = os.Stderr
			out, err := c.Output()
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("process %d: %v", p, err)
			}
			for _, line := range strings.Fields(string(out)) {
				if acknowledged[line] {
					t.Errorf("%s was acknowledged twice", line)
				}
				acknowledged[line] = true
			}
		})
	}
	wg.Wait()
	if len(acknowledged) != processes*eachProcess {
		t.Fatalf("%d events were acknowledged, want %d", len(acknowledged), processes*eachProcess)
	}
	store := annals.New(d, nil)
	for i := range sharedStreams {
		stream, next := fmt.Sprint("shared-", i), int64(1)
		for _, e := range storetest.Collect(t, store.Stream(t.Context(), stream, nil)) {
			if e.Version != next {
				t.Fatalf("version %d of %s follows %d", e.Version, stream, next-1)
			}
			if name := fmt.Sprintf("%s@%d=%s", stream, e.Version, e.ID); !acknowledged[name] {
				t.Errorf("%s is stored and was not acknowledged", name)
			}
			next++
		}
		if _, err := store.Wait(t.Context(), annals.Commit{Stream: stream, Version: next - 1}); err != nil {
			t.Fatal(err)
		}
	}
	wantSound(t, d, processes*eachProcess)
}

// A process that believes in a version of long ago is told the one of now.
func TestConflictsNameTheVersionOfNow(t *testing.T) {
	address := newAddress(t)
	mustInit(t, address)
	one, other := annals.New(mustOpen(t, address, nil), nil), annals.New(mustOpen(t, address, nil), nil)
	if _, err := one.Append(t.Context(), "a", 0, storetest.Event("1", "T", `1`)); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := other.Append(t.Context(), "a", annals.Any, storetest.Event(fmt.Sprint("other ", i), "T", `1`)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := one.Append(t.Context(), "a", 1, storetest.Event("2", "T", `1`))
	var conflict *annals.ConflictError
	if !errors.As(err, &conflict) || conflict.Actual != 4 {
		t.Fatalf("the stream is at version 4: %v", err)
	}
	if commit, err := one.Append(t.Context(), "a", conflict.Actual, storetest.Event("2", "T", `1`)); err != nil || commit.Version != 5 {
		t.Fatalf("at that version: %+v, %v", commit, err)
	}
}

// wantSound verifies a store and the number of events in its log.
func wantSound(t *testing.T, d *Driver, events int64) {
	t.Helper()
	report, err := d.Verify(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Problems) > 0 || report.Events != events || report.Waiting != 0 {
		t.Fatalf("verify: %+v; want %d events", report, events)
	}
}
