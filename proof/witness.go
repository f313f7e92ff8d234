package proof

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/bits"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/eb901187/annals"
)

// Sizes of a Witness's blocks.
const (
	DefaultWitnessBlock = 256
	MaxWitnessBlock     = 1 << 20
)

const witnessFormat = "annals witness 1"

// A Witness is the hashes of blocks of a log, which make its root. With it Verify names
// the block that is not as it was, where a root alone can only say that something is
// not. Who trusts the root can trust a Witness that has it, wherever it was kept.
//
// As text it is one item a line: "annals witness 1", "root SIZE:HASH", "block EVENTS",
// and the hash of each block in hexadecimal digits. 20 million events in blocks of 256
// are 5 MB.
type Witness struct {
	Root Root
	// Block is how many events a block has: a power of two up to MaxWitnessBlock. The
	// last one may have fewer.
	Block int64
	// Hashes are those of the blocks, in the order of the log.
	Hashes []annals.Hash
}

// MakeWitness reads the first size events of store, and makes their witness in blocks
// of block events; progress, which may be nil, is told how many it has read.
// Errors: *annals.InvalidError for a block that is none; those of Tree.Root.
func MakeWitness(ctx context.Context, store *annals.Store, size, block int64, progress func(events int64)) (*Witness, error) {
	w := &Witness{Block: block}
	if err := w.checkBlock(); err != nil {
		return nil, err
	}
	if size < 0 {
		return nil, annals.Invalid("size", "must not be negative")
	}
	if end, err := store.End(ctx); err != nil {
		return nil, err
	} else if size > end {
		return nil, tooFew(end, size)
	}
	t := blocks{width: block}
	for l, err := range readLeaves(ctx, store, 0, size) {
		if err != nil {
			return nil, err
		}
		if t.add(l.hash) {
			w.Hashes = append(w.Hashes, t.last)
		}
		if progress != nil && l.event.Position%blockSize == 0 {
			progress(l.event.Position)
		}
	}
	if t.open.size > 0 {
		w.Hashes = append(w.Hashes, t.open.root())
	}
	w.Root = Root{size, t.root()}
	return w, nil
}

func (w *Witness) checkBlock() error {
	if w.Block < 1 || w.Block > MaxWitnessBlock || bits.OnesCount64(uint64(w.Block)) != 1 {
		return annals.Invalid("block", "must be a power of two from 1 to %d", MaxWitnessBlock)
	}
	return nil
}

// check reports whether w's hashes make its root.
func (w *Witness) check() error {
	if err := w.checkBlock(); err != nil {
		return err
	}
	var f forest
	for _, h := range w.Hashes {
		f.add(tlog.Hash(h))
	}
	if want := (w.Root.Size + w.Block - 1) / w.Block; f.size != want || f.root() != w.Root.Hash {
		return &annals.Error{Code: annals.CodeInvalid, Message: "the witness was changed: its hashes do not make its root " + w.Root.String(), Hint: "take another copy of it, or verify with the root alone"}
	}
	return nil
}

// Write writes w as text.
func (w *Witness) Write(to io.Writer) error {
	out := bufio.NewWriter(to)
	fmt.Fprintf(out, "%s\nroot %v\nblock %d\n", witnessFormat, w.Root, w.Block)
	for _, h := range w.Hashes {
		fmt.Fprintln(out, h)
	}
	return out.Flush()
}

// ReadWitness reads what Write wrote, and checks that its hashes make its root.
// Errors: annals.ErrInvalid; those of reading.
func ReadWitness(from io.Reader) (*Witness, error) {
	lines := bufio.NewScanner(from)
	next := func(prefix string) (string, error) {
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), prefix) {
			return "", annals.Invalid("witness", "must have a line %q, as annals root --witness writes", prefix)
		}
		return strings.TrimPrefix(lines.Text(), prefix), nil
	}
	w := &Witness{}
	for _, line := range []struct {
		prefix string
		set    func(string) error
	}{
		{witnessFormat, func(s string) (err error) { return empty(s) }},
		{"root ", func(s string) (err error) { w.Root, err = ParseRoot(s); return err }},
		{"block ", func(s string) (err error) { w.Block, err = strconv.ParseInt(s, 10, 64); return err }},
	} {
		s, err := next(line.prefix)
		if err != nil {
			return nil, err
		}
		if line.set(s) != nil {
			return nil, annals.Invalid("witness", "has a line %q with %.100q", line.prefix, s)
		}
	}
	for lines.Scan() {
		h, err := annals.ParseHash(lines.Text())
		if err != nil {
			return nil, err
		}
		w.Hashes = append(w.Hashes, h)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return w, w.check()
}

func empty(s string) error {
	if s != "" {
		return annals.Invalid("witness", "has %.40q where a line is to end", s)
	}
	return nil
}

// blocks is a tree whose leaves are added in blocks, of which each has a hash.
type blocks struct {
	width int64
	whole forest // of the hashes of blocks
	open  forest // the leaves of the block that is not full
	last  annals.Hash
}

// add adds a leaf, and reports whether it made a block full, whose hash is last.
func (b *blocks) add(h tlog.Hash) bool {
	if b.open.add(h); b.open.size < b.width {
		return false
	}
	b.last = b.open.root()
	b.whole.add(tlog.Hash(b.last))
	b.open.clear()
	return true
}

func (b *blocks) size() int64 { return b.whole.size*b.width + b.open.size }

// root is that of all leaves.
func (b *blocks) root() annals.Hash {
	all := forest{b.whole.size, append([]tlog.Hash(nil), b.whole.nodes...)}
	if b.open.size > 0 {
		all.add(tlog.Hash(b.open.root()))
	}
	return all.root()
}
