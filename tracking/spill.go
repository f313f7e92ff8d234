package tracking

import (
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/eb901187/annals"
)

// Limits of one write to the spill.
const (
	spillEvents = 1000
	spillBytes  = 512 << 10
)

// quietTicks is how many ticks of the keeper pass between two lines in the log
// about the same trouble.
const quietTicks = 60

// keep spills what waited in memory for a tick of half of SpillAfter or more, or
// all of it if memory gets full, until Close. It tells the log what was shed.
func (r *Recorder) keep() {
	defer close(r.kept)
	ticker := time.NewTicker(max(r.opts.SpillAfter/2, time.Millisecond))
	defer ticker.Stop()
	old, shed, quiet, failing := int64(0), int64(0), 0, false
	for {
		before := int64(math.MaxInt64)
		select {
		case <-r.closing:
			return
		case <-r.pressed:
		case <-ticker.C:
			r.mu.Lock()
			before, old = old, r.queue.end()
			now := r.stats.Shed
			r.mu.Unlock()
			if quiet--; now > shed && quiet <= 0 {
				r.opts.Logger.Warn("recordings are shed, for what was taken before waits for its sink", slog.Int64("events", now-shed))
				shed, quiet = now, quietTicks
			}
		}
		if r.spool == nil {
			continue
		}
		switch spilled, err := r.spill(before); {
		case err != nil && !failing:
			failing = true
			r.opts.Logger.Error("recordings can't be spilled; they wait in memory, and are tried again", slog.Any("error", err))
		case err == nil && failing && spilled > 0: // with nothing to spill, nothing is known
			failing = false
			r.opts.Logger.Info("recordings are spilled again")
		}
	}
}

// spill moves events with numbers below before from memory to the spill, and says how
// many.
func (r *Recorder) spill(before int64) (spilled int, err error) {
	for {
		r.mu.Lock()
		events := r.queue.front(spillEvents, spillBytes, before)
		end := r.queue.first + int64(len(events))
		r.mu.Unlock()
		if len(events) == 0 {
			return spilled, nil
		}
		records := make([][]byte, len(events))
		for i := range events {
			records[i] = events[i].AppendJSON(nil, true)
		}
		if err := r.spool.Append(records); err != nil {
			return spilled, err
		}
		spilled += len(events)
		r.mu.Lock()
		// What was delivered meanwhile is in the spill none the less: it comes again,
		// and then counts as done a second time.
		r.done -= int64(len(events)) - r.queue.drop(end)
		r.mu.Unlock()
		signal(r.wake)
	}
}

// maxRefused bounds the file of what was refused.
const maxRefused = 16 << 20

// refusals keeps events that the sink refused, in a file beside the spill, one
// JSON object a line: "error" and "event".
type refusals struct {
	dir    string // empty for none
	logger *slog.Logger
	logged int64
}

const refusedFile = "refused.ndjson"

func (f *refusals) add(e *annals.Event, cause error) {
	line := annals.AppendJSONString([]byte(`{"error":`), cause.Error())
	line = e.AppendJSON(append(line, `,"event":`...), true)
	kept, err := "", error(nil)
	if f.dir != "" {
		name := filepath.Join(f.dir, refusedFile)
		if err = appendLine(name, append(line, "}\n"...)); err == nil {
			kept = name
		}
	}
	f.logged++
	if f.logged&(f.logged-1) != 0 {
		return // the 1st, 2nd, 4th, 8th …: all of them are in the statistics
	}
	f.logger.Error("the sink refuses a recording, which is set aside", slog.Any("error", cause), slog.String("stream", e.Stream), slog.String("id", e.ID),
		slog.Int64("so far", f.logged), slog.String("kept in", kept), slog.Any("not kept", err))
}

func appendLine(name string, line []byte) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && info.Size()+int64(len(line)) > maxRefused {
		err = errors.New(name + " is full: move it away")
	}
	if err == nil {
		_, err = file.Write(line)
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}
