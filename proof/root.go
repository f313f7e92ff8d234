package proof

import (
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/eb901187/annals"
)

// A Root stands for the first Size events of a log. No other events have it, in no
// other order. The zero Root is none: that of the empty log is Empty.
type Root struct {
	Size int64
	Hash annals.Hash
}

// maxSize is the most events that tlog computes with: beyond, it comes to no end.
const maxSize = 1 << 62

// Empty is the root of a log without events.
func Empty() Root { return Root{0, forest{}.root()} }

// String is SIZE:HASH, which ParseRoot reads.
func (r Root) String() string { return strconv.FormatInt(r.Size, 10) + ":" + r.Hash.String() }

// ParseRoot reads what Root.String writes. Error: *annals.InvalidError.
func ParseRoot(s string) (Root, error) {
	size, hash, _ := strings.Cut(s, ":")
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != size {
		return Root{}, annals.Invalid("root", "must be SIZE:HASH, such as annals root prints, not %.100q", s)
	}
	h, err := annals.ParseHash(hash)
	if err != nil {
		return Root{}, annals.Invalid("root", "must be SIZE:HASH with 64 hexadecimal digits, not %.100q", s)
	}
	if n > maxSize {
		return Root{}, annals.Invalid("root", "must not be of more than %d events, not %.100q", int64(maxSize), s)
	}
	if n == 0 && h != Empty().Hash {
		return Root{}, annals.Invalid("root", "of the empty log is %v, not %.100q", Empty(), s)
	}
	return Root{n, h}, nil
}

// A forest is the least of a Merkle tree that more leaves can be added to: the hashes
// of its largest whole subtrees, from the left.
type forest struct {
	size  int64
	nodes []tlog.Hash
}

func (f *forest) add(h tlog.Hash) {
	for n := f.size; n&1 == 1; n >>= 1 {
		last := len(f.nodes) - 1
		h, f.nodes = tlog.NodeHash(f.nodes[last], h), f.nodes[:last]
	}
	f.nodes = append(f.nodes, h)
	f.size++
}

// root is the hash of all leaves.
func (f forest) root() annals.Hash {
	h, err := tlog.TreeHash(f.size, tlog.HashReaderFunc(func([]int64) ([]tlog.Hash, error) { return f.nodes, nil }))
	if err != nil {
		panic(err) // the nodes are those that TreeHash asks for
	}
	return annals.Hash(h)
}

func (f *forest) clear() { f.size, f.nodes = 0, f.nodes[:0] }
