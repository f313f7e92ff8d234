package embedded

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	"github.com/eb901187/annals"
)

// A group is the appends of one AppendBatch on their way through the committer,
// which may take several batches of its own for them.
type group struct {
	// broken says that one of them has failed, so that none behind it may be
	// stored. Only the leader touches it.
	broken bool
}

// errBehind is what becomes of an append behind one of its group that failed.
var errBehind = errors.New("an append before this one has failed")

// AppendBatch implements annals.BatchAppender.
func (d *driver) AppendBatch(ctx context.Context, batch []annals.Append) ([]annals.Commit, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	g := &group{}
	waiting, prepareErr := d.prepareAll(g, batch)
	defer func() {
		for _, p := range waiting {
			p.release()
		}
	}()
	sound := waiting
	if prepareErr != nil {
		if sound = waiting[:slices.IndexFunc(waiting, func(p *pending) bool { return p.err != nil })]; len(sound) == 0 {
			return nil, prepareErr
		}
	}
	c := &d.commit
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		return nil, annals.ErrClosed
	}
	c.queue = append(c.queue, sound...)
	leads := !c.leading
	c.leading = true
	c.mu.Unlock()
	if leads {
		d.lead()
	} else {
		d.await(ctx, sound[0])
	}
	for _, p := range sound[1:] {
		d.await(ctx, p)
	}
	commits := make([]annals.Commit, 0, len(sound))
	for _, p := range sound {
		if p.err != nil {
			return commits, p.err
		}
		commits = append(commits, p.result)
	}
	return commits, prepareErr
}

// prepareAll prepares appends on all processors and returns the error of the
// first that can't be.
func (d *driver) prepareAll(g *group, batch []annals.Append) ([]*pending, error) {
	const fewest = 64 // that are worth a goroutine
	waiting := make([]*pending, len(batch))
	part := max(fewest, (len(batch)+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0))
	var parts sync.WaitGroup
	for from := 0; from < len(batch); from += part {
		parts.Go(func() {
			for i := from; i < min(from+part, len(batch)); i++ {
				p := pendings.Get().(*pending)
				p.group, waiting[i] = g, p
				p.err = d.prepare(p, batch[i].Stream, batch[i].Expected, batch[i].Events)
			}
		})
	}
	parts.Wait()
	for _, p := range waiting {
		if p.err != nil {
			return waiting, p.err
		}
	}
	return waiting, nil
}

// await waits until p is answered, leading if it is p's turn to, or until ctx has
// ended and p with all behind it of its group is out of the queue.
func (d *driver) await(ctx context.Context, p *pending) {
	select {
	case <-p.turn:
	case <-ctx.Done():
		d.commit.withdrawGroup(p.group, ctx.Err())
		<-p.turn
	}
	if p.leads {
		d.lead()
	}
}

// withdrawGroup answers with err those of a group whose turn has not come.
func (c *committer) withdrawGroup(g *group, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = slices.DeleteFunc(c.queue, func(p *pending) bool {
		if p.group != g || p.leads {
			return false
		}
		p.err = err
		p.turn <- struct{}{}
		return true
	})
}
