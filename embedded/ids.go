package embedded

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"iter"
	"runtime"
	"slices"
	"sort"

	"github.com/cockroachdb/pebble/v2"
)

// The index keeps the ids of each sealed tail as a run of its own: pairs of a
// hash and an address, sorted, in chunks of idChunk pairs.
//
//	'z' start of the tail, first hash of the chunk → pairs of 16 bytes
//
// Runs never overlap, so that Pebble never rewrites one: as single keys with
// random hashes, ids were most of what compaction had to move. A lookup that the
// filter does not answer tries the runs one by one, the newest first.
const byID indexKind = 'z'

const (
	idChunk = 256
	idPair  = 16 // bytes
)

func runKey(start int64, hash uint64) []byte {
	b := append(make([]byte, 0, 18), byte(byID))
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, uint64(start)), hash)
}

func runOf(key []byte) int64 { return int64(binary.BigEndian.Uint64(key[1:])) }

var idBounds = pebble.IterOptions{LowerBound: []byte{byte(byID)}, UpperBound: []byte{byte(byID) + 1}}

// idPairs yields the ids of a tail in the order of a run, in parts: sorting all
// at once would keep appends from a core for tens of milliseconds.
func (t *tail) idPairs() iter.Seq[[][2]uint64] {
	const parts = 256 // by the first byte of the hash
	return func(yield func([][2]uint64) bool) {
		var split [parts][][2]uint64
		for part := range split {
			split[part] = make([][2]uint64, 0, len(t.addresses)/parts*5/4)
		}
		n := 0
		add := func(hash uint64, address int64) {
			split[hash>>56] = append(split[hash>>56], [2]uint64{hash, uint64(address)})
			if n++; n%1024 == 0 {
				runtime.Gosched()
			}
		}
		for hash, address := range t.ids {
			add(hash, address)
		}
		for hash, addresses := range t.sameHash {
			for _, address := range addresses {
				add(hash, address)
			}
		}
		for _, pairs := range split {
			slices.SortFunc(pairs, func(a, b [2]uint64) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) })
			if !yield(pairs) {
				return
			}
		}
	}
}

// run writes the ids of a tail. Pairs of one hash stay in one chunk.
func (w *tableWriter) run(t *tail) {
	for pairs := range t.idPairs() {
		for len(pairs) > 0 {
			n := min(idChunk, len(pairs))
			for n < len(pairs) && pairs[n][0] == pairs[n-1][0] {
				n++
			}
			w.buf = w.buf[:0]
			for _, pair := range pairs[:n] {
				w.buf = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(w.buf, pair[0]), pair[1])
			}
			w.set(runKey(t.start, pairs[0][0]), w.buf)
			pairs = pairs[n:]
		}
	}
}

// pairsOf yields the pairs of a chunk.
func pairsOf(value []byte) iter.Seq2[uint64, int64] {
	return func(yield func(uint64, int64) bool) {
		for ; len(value) >= idPair; value = value[idPair:] {
			if !yield(binary.BigEndian.Uint64(value), int64(binary.BigEndian.Uint64(value[8:]))) {
				return
			}
		}
	}
}

// idAddresses yields where the log may hold an id with this hash. Ask the filter
// first. The index stays open meanwhile.
func (x *index) idAddresses(hash uint64) iter.Seq2[int64, error] {
	return func(yield func(int64, error) bool) {
		stopped := false
		err := x.use(func() error {
			it, err := x.db.NewIter(&idBounds)
			if err != nil {
				return err
			}
			runs := *x.runs.Load()
			for i := len(runs) - 1; i >= 0 && !stopped; i-- {
				pairs, err := inRun(it, runs[i], hash)
				if err != nil {
					return cmp.Or(it.Close(), err)
				}
				for other, address := range pairsOf(pairs) {
					if other != hash {
						break
					}
					if stopped = !yield(address, nil); stopped {
						break
					}
				}
			}
			return cmp.Or(it.Error(), it.Close())
		})
		if err != nil && !stopped {
			yield(0, x.err(err))
		}
	}
}

// inRun is the part of a run that begins with the pairs of a hash, if it has any.
func inRun(it *pebble.Iterator, run int64, hash uint64) ([]byte, error) {
	// The chunk that starts at or before the hash: keys have no zero behind.
	if !it.SeekLT(append(runKey(run, hash), 0)) {
		return nil, it.Error() // the next seek clears it
	}
	if runOf(it.Key()) != run {
		return nil, nil
	}
	value := it.Value()
	i := sort.Search(len(value)/idPair, func(i int) bool { return binary.BigEndian.Uint64(value[i*idPair:]) >= hash })
	return value[i*idPair:], nil
}

// findRuns learns which runs there are.
func (x *index) findRuns() error {
	it, err := x.db.NewIter(&idBounds)
	if err != nil {
		return x.err(err)
	}
	runs := []int64{}
	for valid := it.First(); valid; valid = it.SeekGE(runKey(runs[len(runs)-1]+1, 0)) {
		if !isRunKey(it.Key()) {
			return cmp.Or(it.Close(), damagedIndex(x.dir, "it holds a key of unknown kind", nil))
		}
		runs = append(runs, runOf(it.Key()))
	}
	x.runs.Store(&runs)
	return x.err(cmp.Or(it.Error(), it.Close()))
}

// addRun makes an ingested run known.
func (x *index) addRun(t *tail) {
	runs := append(slices.Clone(*x.runs.Load()), t.start)
	x.runs.Store(&runs)
	n := 0
	for hash := range t.ids {
		x.ids.add(hash)
		if n++; n%1024 == 0 {
			runtime.Gosched()
		}
	}
}

// fillFilter adds the ids that the index holds to its filter, until stop closes.
func (x *index) fillFilter(stop <-chan struct{}) error {
	it, err := x.db.NewIter(&idBounds)
	if err != nil {
		return x.err(err)
	}
	for valid := it.First(); valid; valid = it.Next() {
		for hash := range pairsOf(it.Value()) {
			x.ids.add(hash)
		}
		select {
		case <-stop:
			return it.Close()
		default:
		}
	}
	if err := cmp.Or(it.Error(), it.Close()); err != nil {
		return x.err(err)
	}
	x.ids.ready.Store(true)
	return nil
}

// isRunKey reports whether key is one of a run.
func isRunKey(key []byte) bool { return len(key) == 17 && bytes.HasPrefix(key, []byte{byte(byID)}) }
