package proof

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/eb901187/annals"
)

// Nodes below blockLevel are not kept: they are computed from the log again.
const (
	blockLevel = 10
	blockSize  = 1 << blockLevel // events
)

// A Tree computes the roots of a store's log and makes proofs. It is safe for
// concurrent use.
//
// The first use reads the log once, up to the size that is asked for, and later ones
// read what has come since. What it keeps is 64 bytes for every 1,024 events: 1.25 MB
// for 20 million. An answer reads up to two times 1,024 events besides. A read that is
// cut off is gone on with by the next one.
type Tree struct {
	store    *annals.Store
	progress func(events int64)

	turn   chan struct{} // held by whoever adds to levels
	mu     sync.RWMutex
	levels [][]tlog.Hash // the nodes of level blockLevel and up; only appended to
}

// TreeOptions changes how a Tree works; nil means the defaults.
type TreeOptions struct {
	// Progress is told how many events have been read into the tree.
	Progress func(events int64)
}

// NewTree makes a Tree over store, which stays the caller's to close. It reads nothing
// yet. Where the store has no hashes, its methods return errors of annals.CodeUsage.
func NewTree(store *annals.Store, opts *TreeOptions) *Tree {
	t := &Tree{store: store, turn: make(chan struct{}, 1), levels: [][]tlog.Hash{nil}}
	if opts != nil {
		t.progress = opts.Progress
	}
	return t
}

// Root returns the root of the first size events.
// Errors: annals.ErrNotFound where the log has fewer; annals.ErrDamaged where it can't
// be read; those of reading.
func (t *Tree) Root(ctx context.Context, size int64) (Root, error) {
	r, err := t.reader(ctx, size)
	if err != nil {
		return Root{}, err
	}
	return r.root(size)
}

// Latest returns the root of the whole log as it is at the call.
// Errors are those of Root.
func (t *Tree) Latest(ctx context.Context) (Root, error) {
	end, err := t.store.End(ctx)
	if err != nil {
		return Root{}, err
	}
	return t.Root(ctx, end)
}

// Inclusion proves that the event at position is in the log of the first size events.
// Errors are those of Root, and annals.ErrNotFound where position is not among them.
func (t *Tree) Inclusion(ctx context.Context, position, size int64) (Proof, error) {
	if position < 1 || position > size {
		return Proof{}, &annals.Error{
			Code: annals.CodeNotFound, Message: fmt.Sprintf("there is no position %d in a log of %d events", position, size),
			Hint: "ask for a position from 1 to the root's size",
		}
	}
	r, err := t.reader(ctx, size)
	if err != nil {
		return Proof{}, err
	}
	p := Proof{Kind: Inclusion}
	if p.Root, err = r.root(size); err != nil {
		return Proof{}, err
	}
	for l, err := range readLeaves(ctx, t.store, position-1, position) {
		if err != nil {
			return Proof{}, err
		}
		p.Event, p.Index, p.Commit = *l.event, l.index, l.commit
	}
	hashes, err := tlog.ProveRecord(size, position-1, r)
	if err != nil {
		return Proof{}, err
	}
	p.Hashes = fromTree(hashes)
	return p, p.Check()
}

// Extension proves that the log of the first size events begins with that of the first
// old ones.
// Errors are those of Root, and annals.ErrInvalid where old is larger than size.
func (t *Tree) Extension(ctx context.Context, old, size int64) (Proof, error) {
	if old < 0 || old > size {
		return Proof{}, annals.Invalid("from", "must be a size up to %d, which it is to be extended to", size)
	}
	r, err := t.reader(ctx, size)
	if err != nil {
		return Proof{}, err
	}
	p := Proof{Kind: Extension}
	if p.From, err = r.root(old); err != nil {
		return Proof{}, err
	}
	if p.Root, err = r.root(size); err != nil {
		return Proof{}, err
	}
	if old > 0 {
		hashes, err := tlog.ProveTree(size, old, r)
		if err != nil {
			return Proof{}, err
		}
		p.Hashes = fromTree(hashes)
	}
	return p, p.Check()
}

func fromTree(hashes []tlog.Hash) []annals.Hash {
	all := make([]annals.Hash, len(hashes))
	for i, h := range hashes {
		all[i] = annals.Hash(h)
	}
	return all
}

// reader reads nodes of the tree of size events.
func (t *Tree) reader(ctx context.Context, size int64) (*reader, error) {
	if size < 0 {
		return nil, annals.Invalid("size", "must not be negative")
	}
	end, err := t.store.End(ctx)
	if err != nil {
		return nil, err
	}
	if size > end {
		return nil, tooFew(end, size)
	}
	if err := t.extend(ctx, size); err != nil {
		return nil, err
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return &reader{ctx: ctx, store: t.store, size: size, levels: append([][]tlog.Hash(nil), t.levels...), blocks: map[int64][][]tlog.Hash{}}, nil
}

func tooFew(end, size int64) error {
	return &annals.Error{
		Code: annals.CodeNotFound, Message: fmt.Sprintf("the log has %d events, not %d", end, size),
		Hint: "ask for a size up to that; if the log had more, events were removed, and annals verify --root says so",
	}
}

func (t *Tree) known() int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return int64(len(t.levels[0])) * blockSize
}

// extend reads the whole blocks of the first size events that the tree has not got.
func (t *Tree) extend(ctx context.Context, size int64) error {
	until := size &^ (blockSize - 1)
	if until <= t.known() {
		return nil
	}
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var block forest
	for l, err := range readLeaves(ctx, t.store, t.known(), until) {
		if err != nil {
			return err
		}
		if block.add(l.hash); block.size == blockSize {
			t.add(tlog.Hash(block.root()))
			block.clear()
			if t.progress != nil {
				t.progress(l.event.Position)
			}
		}
	}
	return nil
}

// add adds the node of a whole block, and those above that it completes.
func (t *Tree) add(h tlog.Hash) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := 0; ; i++ {
		if i == len(t.levels) {
			t.levels = append(t.levels, nil)
		}
		level := append(t.levels[i], h)
		t.levels[i] = level
		if len(level)%2 == 1 {
			return
		}
		h = tlog.NodeHash(level[len(level)-2], h)
	}
}

// A reader reads nodes for one answer.
type reader struct {
	ctx    context.Context
	store  *annals.Store
	size   int64
	levels [][]tlog.Hash
	blocks map[int64][][]tlog.Hash // nodes below blockLevel by block and level
}

func (r *reader) root(size int64) (Root, error) {
	h, err := tlog.TreeHash(size, r)
	return Root{size, annals.Hash(h)}, err
}

// ReadHashes implements tlog.HashReader.
func (r *reader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		if level >= blockLevel {
			hashes[i] = r.levels[level-blockLevel][n]
			continue
		}
		width := blockLevel - level
		nodes, err := r.block(n >> width)
		if err != nil {
			return nil, err
		}
		hashes[i] = nodes[level][n&(1<<width-1)]
	}
	return hashes, nil
}

// block returns the nodes of a block by level, of what is whole among them.
func (r *reader) block(b int64) ([][]tlog.Hash, error) {
	if nodes := r.blocks[b]; nodes != nil {
		return nodes, nil
	}
	var level []tlog.Hash
	after, until := b*blockSize, min((b+1)*blockSize, r.size)
	for l, err := range readLeaves(r.ctx, r.store, after, until) {
		if err != nil {
			return nil, err
		}
		level = append(level, l.hash)
	}
	nodes := [][]tlog.Hash{level}
	for len(level) > 1 {
		above := make([]tlog.Hash, len(level)/2)
		for i := range above {
			above[i] = tlog.NodeHash(level[2*i], level[2*i+1])
		}
		nodes, level = append(nodes, above), above
	}
	if until-after == blockSize && level[0] != r.levels[0][b] {
		return nil, &annals.Error{
			Code: annals.CodeDamaged, Hint: verifyHint,
			Message: fmt.Sprintf("the events at positions %d to %d are not those that were read there before", after+1, until),
		}
	}
	r.blocks[b] = nodes
	return nodes, nil
}
