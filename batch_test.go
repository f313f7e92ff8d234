package annals_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/embedded"
)

func memoryDriver(t *testing.T) annals.Driver {
	t.Helper()
	d, err := embedded.OpenDriver("store", &embedded.Options{FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// A countingDriver counts the batches that it is given.
type countingDriver struct {
	annals.Driver
	batches, appends int
}

func (d *countingDriver) AppendBatch(ctx context.Context, batch []annals.Append) ([]annals.Commit, error) {
	d.batches++
	return d.Driver.(annals.BatchAppender).AppendBatch(ctx, batch)
}

func (d *countingDriver) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	d.appends++
	return d.Driver.Append(ctx, stream, expected, events)
}

func oneEach(n int) []annals.Append {
	all := make([]annals.Append, n)
	for i := range all {
		all[i] = annals.Append{Stream: fmt.Sprint("s", i%10), Expected: int64(i / 10), Events: []annals.Event{{ID: fmt.Sprint(i), Type: "T"}}}
	}
	return all
}

// Repeating many appends takes a look at each, not another batch for each.
func TestRepeatedAppendsAreNotSentAgainAndAgain(t *testing.T) {
	d := &countingDriver{Driver: memoryDriver(t)}
	s := annals.New(d, nil)
	if _, err := s.AppendAll(t.Context(), oneEach(500)); err != nil || d.batches != 1 || d.appends != 0 {
		t.Fatalf("%d batches and %d appends: %v", d.batches, d.appends, err)
	}
	commits, err := s.AppendAll(t.Context(), oneEach(900))
	if err != nil || len(commits) != 900 || d.batches != 3 || d.appends > 510 {
		t.Fatalf("%d commits, %d batches and %d appends: %v", len(commits), d.batches, d.appends, err)
	}
}

// A laterDriver numbers its log later, and notes which appends are under way.
type laterDriver struct {
	annals.Driver

	mu              sync.Mutex
	done            map[string]int64 // versions of streams
	underWay, most  int
	early, together []string
}

func (d *laterDriver) Append(ctx context.Context, stream string, expected int64, events []annals.Event) (annals.Commit, error) {
	d.mu.Lock()
	if d.done[stream] != expected {
		d.together = append(d.together, stream)
	}
	if cause, version, err := annals.ParseCausation(events[0].Causation); err == nil && d.done[cause] < version {
		d.early = append(d.early, stream)
	}
	d.underWay++
	d.most = max(d.most, d.underWay)
	d.mu.Unlock()
	for range 20 {
		runtime.Gosched()
	}
	commit, err := d.Driver.Append(ctx, stream, expected, events)
	commit.Position = 0
	d.mu.Lock()
	defer d.mu.Unlock()
	d.underWay--
	d.done[stream] = commit.Version
	return commit, err
}

// Where the log is numbered later, appends go side by side, but for those to one stream
// and for an effect and its cause.
func TestAppendsSideBySideKeepWhatMatters(t *testing.T) {
	d := &laterDriver{Driver: memoryDriver(t), done: map[string]int64{}}
	all := oneEach(600)
	for i := 20; i < len(all); i++ {
		all[i].Events[0].Causation = fmt.Sprintf("s%d@%d", (i-1)%10, (i-1)/10+1)
		if i%3 > 0 {
			all[i].Events[0].Causation = fmt.Sprintf("s%d@%d", (i+4)%10, i/10)
		}
	}
	commits, err := annals.New(d, nil).AppendAll(t.Context(), all)
	if err != nil || len(commits) != 600 || commits[599].Version != 60 {
		t.Fatalf("%d commits: %v", len(commits), err)
	}
	if len(d.early) > 0 || len(d.together) > 0 {
		t.Errorf("effects before their causes: %v; out of order in their streams: %v", d.early, d.together)
	}
	if d.most < 2 || d.most > 32 {
		t.Errorf("%d appends were under way at once", d.most)
	}
}

// Nothing is appended to a stream behind an append to it that failed, whatever the order
// in which appends that go side by side come to their end.
func TestAppendsSideBySideEndWithTheirStream(t *testing.T) {
	d := &laterDriver{Driver: memoryDriver(t), done: map[string]int64{}}
	s := annals.New(d, nil)
	all := oneEach(300)
	all[203].Expected = 99
	all[213].Expected = annals.Any
	commits, err := s.AppendAll(t.Context(), all)
	if !errors.Is(err, annals.ErrConflict) || len(commits) != 203 {
		t.Fatalf("%d commits: %v", len(commits), err)
	}
	for e, err := range s.Stream(t.Context(), "s3", &annals.StreamOptions{Backward: true, Limit: 1}) {
		if err != nil || e.Version != 20 {
			t.Fatalf("the stream ends with version %d: %v", e.Version, err)
		}
	}
}
