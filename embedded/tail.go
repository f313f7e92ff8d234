package embedded

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/eb901187/annals"
)

// A tail is the index of the newest events, in memory. Lists only grow at their
// ends, so that a reader may keep the slice that it saw. The driver's lock
// guards everything else.
type tail struct {
	start     int64   // address of the first event that the tail may hold
	first     int64   // position of the first event
	addresses []int64 // of all events
	streams   map[string]*streamTail
	names     []string    // of streams, in the order in which they came
	sorted    sortedNames // names in their own order; it has a lock of its own
	types     map[string][]int64
	sources   map[string][]int64
	requests  map[string][]int64 // by correlation
	ids       map[uint64]int64   // hash of stream and id → address
	sameHash  map[uint64][]int64 // further addresses of the same hash
}

type streamTail struct {
	first     int64 // version of the first address
	addresses []int64
	hash      annals.Hash // of the last commit; zero where it was not computed
}

func (s *streamTail) version() int64 { return s.first + int64(len(s.addresses)) - 1 }

func newTail(end logEnd) *tail {
	return &tail{
		start: end.address, first: end.position + 1,
		streams: map[string]*streamTail{}, types: map[string][]int64{}, sources: map[string][]int64{},
		requests: map[string][]int64{}, ids: map[uint64]int64{}, sameHash: map[uint64][]int64{},
	}
}

// entry is what the index keeps of an event.
type entry struct {
	stream, typ, source, correlation string
	id                               uint64 // idHash
	version                          int64
	address                          int64
	hash                             annals.Hash // of its commit, if it is the last of one; zero where it was not computed
}

func (t *tail) add(e entry) {
	t.addresses = append(t.addresses, e.address)
	s := t.streams[e.stream]
	if s == nil {
		s = &streamTail{first: e.version}
		t.streams[e.stream] = s
		t.names = append(t.names, e.stream)
	}
	s.addresses, s.hash = append(s.addresses, e.address), e.hash
	t.types[e.typ] = append(t.types[e.typ], e.address)
	t.sources[e.source] = append(t.sources[e.source], e.address)
	if e.correlation != "" {
		t.requests[e.correlation] = append(t.requests[e.correlation], e.address)
	}
	if _, taken := t.ids[e.id]; taken {
		t.sameHash[e.id] = append(t.sameHash[e.id], e.address)
	} else {
		t.ids[e.id] = e.address
	}
}

// lists returns the posting lists of a kind.
func (t *tail) lists(kind indexKind) map[string][]int64 {
	switch kind {
	case byType:
		return t.types
	case bySource:
		return t.sources
	}
	return t.requests
}

func (t *tail) idAddresses(hash uint64) []int64 {
	first, ok := t.ids[hash]
	if !ok {
		return nil
	}
	return append([]int64{first}, t.sameHash[hash]...)
}

// idHash is where the index looks for an id of a stream. Two ids may share a
// hash: the record tells.
func idHash(stream, id string) uint64 {
	var digest xxhash.Digest
	digest.Reset()
	var length [8]byte
	binary.LittleEndian.PutUint64(length[:], uint64(len(stream)))
	_, _ = digest.Write(length[:])
	_, _ = digest.WriteString(stream)
	_, _ = digest.WriteString(id)
	return digest.Sum64()
}
