package embedded

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
)

// fatal reports whether Pebble ends the process where this fails, once it is open.
func fatal(op, name string) bool {
	base := filepath.Base(name)
	return strings.HasPrefix(base, "MANIFEST") || strings.HasPrefix(base, "marker.") || base == indexDir && strings.Contains(op, "sync")
}

// One call to the file system fails, the first, the second, and so on until the
// workload is through before its turn comes. An append that fails has stored nothing
// unless it says that this is unknown, and the workload can go on, at the latest after
// opening the store again.
func TestDurabilityErrorAtEveryCall(t *testing.T) {
	injected := 0
	for n := int64(1); ; n += some(11) {
		mem := vfs.NewMem()
		hit := ""
		fs := &opFS{FS: mem}
		var planted atomic.Bool
		fs.before = func(at int64, op, name string) error {
			if at < n || fatal(op, name) || planted.Swap(true) {
				return nil
			}
			hit = op + " of " + name
			return errPlanted
		}
		if err := insist("store", durable(fs), planted.Load, func(int) {}); err != nil {
			t.Fatalf("call %d fails, %s: %v", n, hit, err)
		}
		if err := survives("store", durable(mem), len(allAppends(workload()))); err != nil {
			t.Fatalf("after call %d had failed, %s: %v", n, hit, err)
		}
		if !planted.Load() {
			break
		}
		injected++
	}
	t.Logf("%d calls failed, one in each run", injected)
}

// insist runs the workload to its end, opening the store again where it must, though a
// failure was planted. It is an error if an append that failed plainly left something
// behind, or if something fails before planted says so or again afterwards.
func insist(dir string, opts Options, planted func() bool, acknowledged func(int)) error {
	steps := workload()
	want := allAppends(steps)
	done, failures := 0, 0
	for done < len(want) {
		s, err := Open(dir, &opts)
		if err != nil {
			if failures++; !planted() || failures > 1 {
				return fmt.Errorf("opening: %w", err)
			}
			continue
		}
		known := true
		for known && done < len(want) {
			n, err := wantBeginning(s, want, done)
			if err == nil && n > done && failures == 0 {
				err = fmt.Errorf("%d commits are there, %d were acknowledged", n, done)
			}
			if err != nil {
				return errors.Join(err, s.Close())
			}
			done = n
			err = appendWorkload(context.Background(), s, steps, done, func(i int, _ annals.Commit) {
				done = i + 1
				acknowledged(done)
			})
			if err == nil {
				continue
			}
			if failures++; !planted() || failures > 1 {
				return errors.Join(err, s.Close())
			}
			if known = !errors.Is(err, annals.ErrUnknownOutcome); known {
				if n, _ := wantBeginning(s, want, done); n != done {
					return errors.Join(fmt.Errorf("commit %d failed and is there: %w", n, err), s.Close())
				}
			}
		}
		if err := s.Close(); err != nil && !planted() {
			return err
		}
	}
	return nil
}

const failAt = "ANNALS_TEST_FAIL_AT"

// Where the index can't go on, Pebble ends the process. That loses nothing either: the
// test runs itself in a process of its own, with a failure at one of these calls.
func TestDurabilityErrorThatEndsTheProcess(t *testing.T) {
	if at := os.Getenv(failAt); at != "" {
		endByFailure(t, at)
		return
	}
	ended := 0
	for n := int64(1); ; n += some(11) {
		dir := filepath.Join(t.TempDir(), "store")
		c := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
		c.Env = append(os.Environ(), failAt+"="+strconv.FormatInt(n, 10)+" "+dir)
		out, err := c.Output()
		if err != nil {
			ended++
		}
		acknowledged := bytes.Count(out, []byte("acknowledged\n"))
		if err := survives(dir, durable(vfs.Default), acknowledged); err != nil {
			t.Fatalf("after failure %d, with %d commits acknowledged: %v", n, acknowledged, err)
		}
		if bytes.Contains(out, []byte("nothing was planted\n")) {
			break
		}
	}
	if ended == 0 && *everyStep {
		t.Fatal("no failure ended the process")
	}
	t.Logf("%d of the failures ended the process", ended)
}

func endByFailure(t *testing.T, at string) {
	number, dir, _ := strings.Cut(at, " ")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int64
	fs := &opFS{FS: vfs.Default, before: func(_ int64, op, name string) error {
		if fatal(op, name) && calls.Add(1) == n {
			return errPlanted
		}
		return nil
	}}
	out := bufio.NewWriterSize(os.Stdout, 1)
	err = insist(dir, durable(fs), func() bool { return calls.Load() >= n }, func(int) {
		fmt.Fprintln(out, "acknowledged")
		_ = out.Flush() // the parent counts less then, and checks less
	})
	if err != nil {
		t.Fatal(err)
	}
	if calls.Load() < n {
		fmt.Println("nothing was planted")
	}
}

// The disk is full after so many bytes, at every 4 KB up to what the workload needs.
// What is refused is not stored, and once there is room the workload goes on, in the
// store as it is open or, where making it failed, anew.
func TestDurabilityDiskFullAtEveryStep(t *testing.T) {
	const step = 4 << 10
	full := 0
	for capacity := int64(0); ; capacity += step * some(9) {
		mem := vfs.NewMem()
		fs := &faultFS{FS: mem}
		fs.limit(capacity)
		refused, err := fillUp(fs)
		if err != nil {
			t.Fatalf("with room for %d bytes: %v", capacity, err)
		}
		if err := survives("store", durable(mem), len(allAppends(workload()))); err != nil {
			t.Fatalf("after there was room for %d bytes only: %v", capacity, err)
		}
		if !refused {
			t.Logf("full at %d sizes, up to %d bytes", full, capacity-step)
			break
		}
		full++
	}
}

// fillUp runs the workload until the disk is full, makes room, and runs the rest.
func fillUp(fs *faultFS) (refused bool, err error) {
	const enough = 1 << 30
	opts := durable(fs)
	steps := workload()
	want := allAppends(steps)
	s, err := Open("store", &opts)
	if err != nil {
		if !isFull(err) {
			return false, err
		}
		refused = true
		fs.limit(enough)
		if s, err = Open("store", &opts); err != nil {
			return true, err
		}
	}
	done := 0
	run := func() error {
		return appendWorkload(context.Background(), s, steps, done, func(i int, _ annals.Commit) { done = i + 1 })
	}
	if err = run(); err != nil {
		if refused || !isFull(err) {
			return true, errors.Join(err, s.Close())
		}
		refused = true
		if n, err := wantBeginning(s, want, done); err != nil || n != done {
			return true, errors.Join(fmt.Errorf("%d commits are there, %d were acknowledged: %w", n, done, err), s.Close())
		}
		fs.limit(enough)
		err = run()
	}
	return refused, errors.Join(err, s.Close())
}

func isFull(err error) bool {
	return errors.Is(err, annals.ErrNoSpace) || errors.Is(err, syscall.ENOSPC)
}
