package embedded

import (
	"slices"
	"sync"
	"sync/atomic"
)

// An idFilter says of most ids that are not in the index on disk that they are
// not, without reading it: a blocked Bloom filter (Putze, Sanders, Singler 2007)
// in layers, each twice as large as the one before. One id costs 16 bits; of
// the new ids fewer than one in 200 have to be looked up all the same.
//
// It is filled behind the scenes after the store has been opened. Until then
// ready is false and every id has to be looked up.
type idFilter struct {
	ready  atomic.Bool
	mu     sync.Mutex // held while adding
	layers atomic.Pointer[[]*filterLayer]
}

type filterLayer struct {
	blocks   [][8]uint64
	room     int // ids that may still be added
	capacity int
}

const (
	filterBits     = 16
	firstLayerIDs  = 256 << 10
	filterProbes   = 7
	filterBlockLen = 512 // bits: a cache line
)

func newIDFilter() *idFilter {
	f := &idFilter{}
	f.layers.Store(&[]*filterLayer{newFilterLayer(firstLayerIDs)})
	return f
}

func newFilterLayer(ids int) *filterLayer {
	return &filterLayer{blocks: make([][8]uint64, ids*filterBits/filterBlockLen), room: ids, capacity: ids}
}

// add puts an id into the filter. It may run beside mayHold.
func (f *idFilter) add(hash uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	layers := *f.layers.Load()
	last := layers[len(layers)-1]
	if last.room == 0 {
		last = f.grow(layers)
	}
	last.room--
	block, bits := last.block(hash), hash
	for range filterProbes {
		bit := bits % filterBlockLen
		atomic.OrUint64(&block[bit/64], 1<<(bit%64))
		bits = bits>>9 | bits<<55
	}
}

func (f *idFilter) grow(layers []*filterLayer) *filterLayer {
	last := newFilterLayer(2 * layers[len(layers)-1].capacity)
	layers = append(slices.Clone(layers), last)
	f.layers.Store(&layers)
	return last
}

// mayHold is false only for a hash that was not added.
func (f *idFilter) mayHold(hash uint64) bool {
	if !f.ready.Load() {
		return true
	}
	for _, layer := range *f.layers.Load() {
		if layer.mayHold(hash) {
			return true
		}
	}
	return false
}

func (l *filterLayer) mayHold(hash uint64) bool {
	block, bits := l.block(hash), hash
	for range filterProbes {
		bit := bits % filterBlockLen
		if atomic.LoadUint64(&block[bit/64])&(1<<(bit%64)) == 0 {
			return false
		}
		bits = bits>>9 | bits<<55
	}
	return true
}

// block takes the bits that the probes leave, well mixed.
func (l *filterLayer) block(hash uint64) *[8]uint64 {
	mixed := hash * 0x9e3779b97f4a7c15 // Knuth's multiplicative hashing
	return &l.blocks[(mixed>>32)*uint64(len(l.blocks))>>32]
}
