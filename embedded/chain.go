package embedded

import (
	"context"
	"fmt"
	"iter"
	"runtime"

	"github.com/eb901187/annals"
)

var _ annals.Chainer = (*driver)(nil)

// Chain implements annals.Chainer.
func (d *driver) Chain(ctx context.Context, after, until int64) iter.Seq2[annals.ChainedCommit, error] {
	return func(yield func(annals.ChainedCommit, error) bool) {
		d.mu.RLock()
		end := d.end
		d.mu.RUnlock()
		last := min(until, end.position)
		if err := d.interrupted(ctx); err != nil || after >= last {
			if err != nil {
				yield(annals.ChainedCommit{}, err)
			}
			return
		}
		first, low, err := d.startOfCommit(after+1, end)
		high := end.address
		if err == nil {
			high, err = d.addressOf(last+1, end)
		}
		if err != nil {
			yield(annals.ChainedCommit{}, err)
			return
		}
		var commit annals.ChainedCommit
		for p, err := range d.log.scan(low, high, first) {
			if err == nil && p.index == 0 {
				if err = d.interrupted(ctx); err == nil {
					commit = chainedCommit(&p.header)
				}
			}
			if err != nil {
				yield(annals.ChainedCommit{}, err)
				return
			}
			commit.Events = append(commit.Events, p.event(&p.header))
			if p.lastOfItsCommit && !yield(commit, nil) {
				return
			}
		}
		runtime.KeepAlive(d)
	}
}

// chainedCommit makes a commit of the header of its first event, without events.
func chainedCommit(first *header) annals.ChainedCommit {
	previous, ok := first.previousHash()
	return annals.ChainedCommit{Previous: previous, Unchained: !ok, Events: make([]annals.Event, 0, first.count)}
}

// startOfCommit returns position and address of the first event of the commit that the
// event at position is of.
func (d *driver) startOfCommit(position int64, end logEnd) (first, address int64, err error) {
	if address, err = d.addressOf(position, end); err != nil {
		return 0, 0, err
	}
	h, _, err := d.log.record(address)
	if err != nil || h.index == 0 {
		return position, address, err
	}
	first = position - int64(h.index)
	address, err = d.addressOf(first, end)
	return first, address, err
}

// hashAt reads the hash of the commit that ends with a stream's version.
func (d *driver) hashAt(stream string, version int64) (annals.Hash, error) {
	from := version
	for p, err := range d.streamRecords(stream, version, version, !backward) {
		if err != nil {
			return annals.Hash{}, err
		}
		from -= int64(p.index)
	}
	var commit annals.ChainedCommit
	for p, err := range d.streamRecords(stream, from, version, !backward) {
		if err != nil {
			return annals.Hash{}, err
		}
		if p.index == 0 {
			commit = chainedCommit(&p.header)
		}
		commit.Events = append(commit.Events, p.event(&p.header))
	}
	if n := int64(len(commit.Events)); n == 0 || n != version-from+1 {
		return annals.Hash{}, damagedIndex(d.index.dir, fmt.Sprintf("the list of stream %s lacks events of the commit that ends at version %d", stream, version), nil)
	}
	return commit.Hash(), nil
}
