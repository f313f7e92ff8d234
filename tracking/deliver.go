package tracking

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/tracking/spool"
)

// Pauses between deliveries that fail.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 10 * time.Second
)

// A batch is what is delivered at once, from the front of spill or memory.
type batch struct {
	events []annals.Event
	spool  spool.Batch // if it is from the spill
	end    int64       // number behind the last, if it is from memory
}

// deliver serves the sink until everything is delivered after Close, or ctx ends.
func (r *Recorder) deliver(ctx context.Context) {
	defer close(r.finished)
	for pause := time.Duration(0); ; {
		b, err := r.next(ctx)
		if err == nil && b == nil {
			return
		}
		if err == nil {
			err = r.try(ctx, b.events)
		}
		if err == nil {
			err = r.finish(b)
		}
		if err == nil {
			if pause > 0 {
				r.opts.Logger.Info("recordings are delivered again")
			}
			pause = 0
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if pause == 0 {
			r.opts.Logger.Warn("recordings can't be delivered; they wait, and are tried again", slog.Any("error", err))
		}
		r.mu.Lock()
		r.stats.Failures++
		r.mu.Unlock()
		if pause = min(max(2*pause, firstPause), maxPause); !r.rest(ctx, pause) {
			return
		}
	}
}

// rest waits for between a half and all of pause. After Close it reports false if
// the spill can keep what waits.
func (r *Recorder) rest(ctx context.Context, pause time.Duration) bool {
	half := uint64(pause / 2)
	timer := time.NewTimer(time.Duration(half + r.opts.Rand()%(half+1)))
	defer timer.Stop()
	closing := r.closing
	select {
	case <-closing:
		if r.spool != nil {
			return false
		}
		closing = nil
	default:
	}
	select {
	case <-timer.C:
		return true
	case <-closing:
		return true // one more try
	case <-ctx.Done():
		return false
	}
}

// next waits for something to deliver; nil after Close if nothing is left.
func (r *Recorder) next(ctx context.Context) (*batch, error) {
	for {
		if b, err := r.fromSpill(); b != nil || err != nil {
			return b, err
		}
		closing := false
		select {
		case <-r.closing:
			closing = true
		default:
		}
		r.mu.Lock()
		n := r.queue.len()
		r.mu.Unlock()
		switch {
		case n > 0:
			if !closing {
				r.linger(ctx)
			}
			return r.fromMemory(), nil
		case closing || ctx.Err() != nil:
			return nil, nil
		}
		select {
		case <-r.wake:
		case <-r.closing:
		case <-ctx.Done():
		}
	}
}

// linger lets a batch grow.
func (r *Recorder) linger(ctx context.Context) {
	if r.opts.Linger == 0 {
		return
	}
	timer := time.NewTimer(r.opts.Linger)
	defer timer.Stop()
	for {
		r.mu.Lock()
		enough := r.flushes > 0 || r.queue.len() >= batchEvents
		r.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-r.wake:
		case <-timer.C:
			return
		case <-r.closing:
			return
		case <-ctx.Done():
			return
		}
	}
}

// fromMemory may find nothing: what waited may be in the spill by now.
func (r *Recorder) fromMemory() *batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := &batch{events: r.queue.front(batchEvents, batchBytes, math.MaxInt64)}
	b.end = r.queue.first + int64(len(b.events))
	return b
}

// fromSpill returns nil if nothing is spilled.
func (r *Recorder) fromSpill() (*batch, error) {
	if r.spool == nil {
		return nil, nil
	}
	if n, _ := r.spool.Len(); n == 0 {
		return nil, nil
	}
	peeked, err := r.spool.Peek(batchEvents, batchBytes)
	if err != nil || len(peeked.Records) == 0 {
		return nil, err
	}
	b := &batch{spool: peeked}
	for _, record := range peeked.Records {
		e, err := annals.ParseEvent(record)
		if err != nil {
			r.opts.Logger.Error("a record of the spill is no event and is lost", slog.Any("error", err))
			r.mu.Lock()
			r.stats.Lost++
			r.mu.Unlock()
			continue
		}
		b.events = append(b.events, e)
	}
	return b, nil
}

// finish takes b off the front that it came from.
func (r *Recorder) finish(b *batch) error {
	n := int64(len(b.spool.Records))
	if n > 0 {
		if err := r.spool.Advance(b.spool); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n == 0 {
		n = r.queue.drop(b.end)
	}
	r.settle(n)
	return nil
}

// try delivers events and sets aside those that the sink refuses.
func (r *Recorder) try(ctx context.Context, events []annals.Event) error {
	if len(events) == 0 {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	err := r.sink.Deliver(limited, events)
	cancel()
	switch {
	case err == nil:
		r.mu.Lock()
		r.stats.Delivered += int64(len(events))
		r.mu.Unlock()
		return nil
	case !annals.IsRefusal(err):
		return err
	case len(events) == 1:
		r.aside.add(&events[0], err)
		r.mu.Lock()
		r.stats.Refused++
		r.mu.Unlock()
		return nil
	}
	half := len(events) / 2
	if err := r.try(ctx, events[:half]); err != nil {
		return err
	}
	return r.try(ctx, events[half:])
}
