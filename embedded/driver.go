package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/eb901187/annals"
)

// driver is the annals.Driver over one directory.
type driver struct {
	fs     vfs.FS
	dir    string
	logger *slog.Logger
	lock   io.Closer
	log    *segmentLog
	index  *index
	commit committer

	sealEvery int

	mu         sync.RWMutex
	active     *tail
	frozen     *tail // being sealed, or waiting for it
	end        logEnd
	generation uint64        // counts the tails that went into the index
	arrived    chan struct{} // closed when end moves on
	sealErr    error         // why the last sealing failed
	sealAgain  int           // length of active at which a frozen tail is looked after

	sealing    sync.WaitGroup
	background sync.WaitGroup // making the next segment, and filling the filter of ids
	closed     atomic.Bool
	closing    chan struct{}
}

// publish makes synced events visible.
func (d *driver) publish(entries []entry, end logEnd) {
	d.mu.Lock()
	for _, e := range entries {
		d.active.add(e)
	}
	d.end = end
	close(d.arrived)
	d.arrived = make(chan struct{})
	d.mu.Unlock()
}

// sealIfDue freezes a tail that has grown long and seals it behind the scenes.
// While the one before is still on its way, the active tail grows to twice its
// length; then the committer waits, and fails if sealing fails. Only the
// committer calls it.
func (d *driver) sealIfDue() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(d.active.addresses)
	if n < d.sealEvery || d.frozen != nil && n < d.sealAgain {
		return nil
	}
	if d.frozen != nil {
		if d.sealErr != nil {
			d.startSealing()
		}
		d.mu.Unlock()
		d.sealing.Wait()
		d.mu.Lock()
		if d.sealErr != nil {
			if n >= 2*d.sealEvery {
				return d.sealErr
			}
			return nil
		}
	}
	d.frozen, d.active = d.active, newTail(d.end)
	d.startSealing()
	return nil
}

// startSealing seals the frozen tail. The caller holds d.mu.
func (d *driver) startSealing() {
	frozen := d.frozen
	end := logEnd{d.active.start, d.active.first - 1}
	d.sealErr, d.sealAgain = nil, 2*d.sealEvery
	d.sealing.Go(func() {
		err := d.spaceFor(0)
		if err == nil {
			err = d.index.seal(frozen, end)
		}
		if err != nil {
			d.logger.Error("sealing the index failed; it is tried again", "dir", d.dir, "error", err)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		if err != nil {
			d.sealErr = storeErr(d.dir, "writing the index", err)
			d.sealAgain = len(d.active.addresses) + d.sealEvery/8
			return
		}
		d.frozen = nil
		d.generation++
	})
}

// spaceFor refuses to use need more bytes of a disk that could then not take
// the index any more.
func (d *driver) spaceFor(need int64) error {
	usage, err := d.fs.GetDiskUsage(d.dir)
	if err != nil {
		return nil // this file system can't tell; a write will
	}
	d.mu.RLock()
	events := len(d.active.addresses)
	if d.frozen != nil {
		events += len(d.frozen.addresses)
	}
	d.mu.RUnlock()
	need += indexReserve + int64(events)*indexBytesPerEvent
	if int64(usage.AvailBytes) >= need {
		return nil
	}
	return &annals.Error{
		Code:    annals.CodeNoSpace,
		Message: fmt.Sprintf("no space left in %s: %d bytes are free and %d are needed; nothing was stored", d.dir, usage.AvailBytes, need),
		Hint:    "free some space and append again; the store need not be opened anew",
	}
}

// End implements annals.Driver.
func (d *driver) End(ctx context.Context, after int64) (int64, error) {
	for {
		d.mu.RLock()
		end, arrived := d.end.position, d.arrived
		d.mu.RUnlock()
		if d.closed.Load() {
			return 0, annals.ErrClosed
		}
		if end > after {
			return end, nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-d.closing:
			return 0, annals.ErrClosed
		}
	}
}

// sealOnClose is how many events a tail holds before closing seals it, so that
// the next opening need not read them again.
const sealOnClose = 4096

// Close implements annals.Driver.
func (d *driver) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	close(d.closing)
	d.commit.stop()
	d.background.Wait()
	d.sealing.Wait()
	d.mu.Lock()
	if d.frozen == nil && len(d.active.addresses) >= sealOnClose {
		d.frozen, d.active = d.active, newTail(d.end)
	}
	if d.frozen != nil {
		d.startSealing()
	}
	d.mu.Unlock()
	d.sealing.Wait()
	return errors.Join(d.index.close(), d.commit.closeSpare(), d.log.close(), d.lock.Close())
}
