package tracking

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

const (
	killEnv       = "ANNALS_TEST_RECORDER"
	deliveredFile = "delivered"
)

// A process that records as fast as it can is killed in the middle, three times;
// its sink fails in turns. What had left memory by then was delivered, or is
// delivered by the next process.
func TestKilledRecorderDeliversWhatLeftMemory(t *testing.T) {
	if dir := os.Getenv(killEnv); dir != "" {
		recordUntilKilled(t, dir)
	}
	dir := t.TempDir()
	for round := range 3 {
		settled := runAndKill(t, dir, round)
		sink := &plainSink{}
		r := newRecorder(t, sink, RecorderOptions{Spill: dir})
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := r.Stats(); s.Lost != 0 {
			t.Fatalf("%+v", s)
		}
		mustClose(t, r)
		came := map[string]bool{}
		text, err := os.ReadFile(filepath.Join(dir, deliveredFile))
		if err != nil {
			t.Fatal(err)
		}
		for id := range strings.FieldsSeq(string(text)) {
			came[id] = true
		}
		for _, id := range sink.ids() {
			came[id] = true
		}
		for i := range settled {
			if !came[fmt.Sprintf("%d-%d", round, i)] {
				t.Fatalf("round %d: event %d of %d that had left memory is lost", round, i, settled)
			}
		}
		t.Logf("round %d: %d events had left memory, %d of them came from the spill", round, settled, len(sink.ids()))
	}
}

// runAndKill returns how many events had left the memory of the process when it
// last said so.
func runAndKill(t *testing.T, dir string, round int) int {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestKilledRecorderDeliversWhatLeftMemory$")
	c.Env = append(os.Environ(), killEnv+"="+dir, killEnv+"_ROUND="+strconv.Itoa(round))
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	settled := 0
	for lines := bufio.NewScanner(out); settled < 5000 && lines.Scan(); {
		if settled, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatalf("the process says %q", lines.Text())
		}
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err == nil || settled < 5000 {
		t.Fatalf("the process ended by itself after %d events: %v", settled, err)
	}
	return settled
}

func recordUntilKilled(t *testing.T, dir string) {
	file, err := os.OpenFile(filepath.Join(dir, deliveredFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	sink := sinkFunc(func(_ context.Context, events []annals.Event) error {
		if calls++; calls%3 != 0 {
			return errors.New("down")
		}
		var b strings.Builder
		for _, e := range events {
			b.WriteString(e.ID + "\n")
		}
		_, err := file.WriteString(b.String())
		return err
	})
	r := newRecorder(t, sink, RecorderOptions{Spill: dir, SpillAfter: 5 * time.Millisecond, Linger: -1})
	for i := 0; ; i++ {
		e := plainEvent(i)
		e.ID = os.Getenv(killEnv+"_ROUND") + "-" + e.ID
		if err := r.Record(e); err != nil {
			t.Fatal(err)
		}
		if i%50 == 0 {
			s := r.Stats()
			fmt.Println(s.Taken - s.WaitingMemory)
		}
	}
}
