package annals

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"iter"
	"maps"
	"slices"
	"sync"
)

// A Hash is a SHA-256 sum. The zero Hash stands for no commit.
type Hash [sha256.Size]byte

// String is h in 64 lower-case hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash reads what Hash.String writes. Error: *InvalidError.
func ParseHash(s string) (Hash, error) {
	var h Hash
	sum, err := hex.DecodeString(s)
	if copy(h[:], sum); err != nil || len(sum) != len(h) {
		return Hash{}, Invalid("hash", "must have 64 hexadecimal digits, not %.80q", s)
	}
	return h, nil
}

// Digest is the SHA-256 sum of what a commit of events to stream says, as it is
// stored: every field but Version and Position, which the events have from their
// place. All drivers make the same of the same events.
//
// It is that of "annals commit 1\n", then the stream, the number of events and, for
// each, id, type, source, time (Unix seconds and nanoseconds), correlation, causation,
// content type, the number of attributes and their names and values in the order of
// the names, and the data. Numbers are eight bytes, big-endian; texts and data follow
// their length.
func Digest(stream string, events []Event) Hash {
	w := digestStates.Get().(*digestState)
	defer digestStates.Put(w)
	w.sum.Reset()
	sum, d := w.sum, append(w.buf[:0], "annals commit 1\n"...)
	d.text(stream)
	d.number(int64(len(events)))
	for i := range events {
		e := &events[i]
		for _, s := range [...]string{e.ID, e.Type, e.Source} {
			d.text(s)
		}
		d.number(e.Time.Unix())
		d.number(int64(e.Time.Nanosecond()))
		contentType := e.ContentType
		if contentType == "" {
			contentType = JSONContentType
		}
		for _, s := range [...]string{e.Correlation, e.Causation, contentType} {
			d.text(s)
		}
		d.number(int64(len(e.Attributes)))
		if len(e.Attributes) > 0 {
			for _, name := range slices.Sorted(maps.Keys(e.Attributes)) {
				d.text(name)
				d.text(e.Attributes[name])
			}
		}
		d.number(int64(len(e.Data)))
		sum.Write(d)
		sum.Write(e.Data)
		d = d[:0]
	}
	if len(events) == 0 {
		sum.Write(d)
	}
	w.buf = d
	return Hash(sum.Sum(d[:0]))
}

// digestStates spare a fifth of what a Digest costs: its allocations.
var digestStates = sync.Pool{New: func() any { return &digestState{sha256.New(), make(digester, 0, 1024)} }}

type digestState struct {
	sum hash.Hash
	buf digester
}

type digester []byte

func (d *digester) number(n int64) { *d = binary.BigEndian.AppendUint64(*d, uint64(n)) }

func (d *digester) text(s string) {
	d.number(int64(len(s)))
	*d = append(*d, s...)
}

// Link is the hash of a commit: of the hash of the one before it in its stream, of
// the version of its first event, of how many there are, and of their Digest.
func Link(previous Hash, first int64, count int, digest Hash) Hash {
	const tag = "annals link 1\n"
	b := make(digester, 0, len(tag)+2*len(previous)+16)
	b = append(b, tag...)
	b = append(b, previous[:]...)
	b.number(first)
	b.number(int64(count))
	b = append(b, digest[:]...)
	return sha256.Sum256(b)
}

// A ChainedCommit is a commit as it is stored, tied to the one before it in its
// stream: data that is sealed for a subject stays sealed.
type ChainedCommit struct {
	// Previous is the Hash of the commit before it in its stream; zero for a
	// stream's first, and where Unchained.
	Previous Hash
	// Unchained says that the commit was stored by a format that had no hashes
	// yet. The one behind it names its hash all the same.
	Unchained bool
	// Events are those of the commit, with stream, versions and positions.
	Events []Event
}

// Hash is the commit's Link.
func (c *ChainedCommit) Hash() Hash {
	e := &c.Events[0]
	return Link(c.Previous, e.Version, len(c.Events), Digest(e.Stream, c.Events))
}

// A Chainer is a Driver whose commits carry the hash of the one before them.
type Chainer interface {
	// Chain yields the commits whose last event has a position past after and up to
	// until, in the order of the log.
	Chain(ctx context.Context, after, until int64) iter.Seq2[ChainedCommit, error]
}

// Chain reads the log as commits with their hashes, those that end past position
// after and up to position until (0: the log's end at the call). Nothing is unsealed.
// The sequence ends after its first error; where the store's driver has no hashes,
// such as a client's, that is one of CodeUsage.
func (s *Store) Chain(ctx context.Context, after, until int64) iter.Seq2[ChainedCommit, error] {
	failed := func(err error) iter.Seq2[ChainedCommit, error] {
		return func(yield func(ChainedCommit, error) bool) { yield(ChainedCommit{}, err) }
	}
	chainer, ok := s.driver.(Chainer)
	switch {
	case !ok:
		return failed(&Error{
			Code: CodeUsage, Message: "this store does not show the hashes of its commits",
			Hint: "read them where the store is kept: in its directory, its tables, or its server",
		})
	case after < 0 || until < 0:
		return failed(Invalid("positions", "must not be negative"))
	case until == 0:
		end, err := s.End(ctx)
		if err != nil {
			return failed(err)
		}
		until = end
	}
	return chainer.Chain(ctx, after, until)
}
