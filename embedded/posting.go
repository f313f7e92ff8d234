package embedded

import (
	"encoding/binary"
	"slices"
)

// A posting list holds the addresses of some events in order: those of a
// stream, a type, a source, a correlation, or all events of the log. Sealed,
// it is cut into chunks, each one value of the index: the first address as a
// uvarint, then the differences, all divided by recordAlign.

// chunkLength is the most addresses in a chunk.
const chunkLength = 512

func appendChunk(b []byte, addresses []int64) []byte {
	last := int64(0)
	for _, a := range addresses {
		b = binary.AppendUvarint(b, uint64(a-last)/recordAlign)
		last = a
	}
	return b
}

// parseChunk appends the addresses of a chunk to into; false if it is damaged.
func parseChunk(into []int64, b []byte) ([]int64, bool) {
	last := int64(0)
	for len(b) > 0 {
		delta, n := binary.Uvarint(b)
		if n <= 0 {
			return into, false
		}
		last += int64(delta) * recordAlign
		into, b = append(into, last), b[n:]
	}
	return into, true
}

// addressSeq is a sequence of addresses that can skip, in one direction.
type addressSeq interface {
	// at returns the current address; false behind the last, or after a failure.
	at() (int64, bool)
	// skip moves to the first address not before the given one, in the
	// direction of the sequence. It never moves back.
	skip(to int64)
	// err is why the sequence ended early, if it did.
	err() error
	close()
}

// direction compares addresses the way a sequence runs.
type direction bool

const backward direction = true

func (d direction) before(a, b int64) bool {
	if d == backward {
		return a > b
	}
	return a < b
}

// after is the nearest place behind address.
func (d direction) after(address int64) int64 {
	if d == backward {
		return address - recordAlign
	}
	return address + recordAlign
}

// union is every address of its parts, once.
type union struct {
	parts []addressSeq
	dir   direction
}

func (u *union) at() (int64, bool) {
	best, found := int64(0), false
	for _, p := range u.parts {
		if a, ok := p.at(); ok && (!found || u.dir.before(a, best)) {
			best, found = a, true
		}
	}
	return best, found && u.err() == nil
}

func (u *union) skip(to int64) { each(u.parts, func(p addressSeq) { p.skip(to) }) }
func (u *union) err() error    { return firstErr(u.parts) }
func (u *union) close()        { each(u.parts, addressSeq.close) }

// intersection is the addresses that all of its parts hold.
type intersection struct {
	parts []addressSeq
	dir   direction
}

func (x *intersection) at() (int64, bool) {
	candidate, ok := x.parts[0].at()
	for i := 1; ok && i < len(x.parts); {
		var a int64
		x.parts[i].skip(candidate)
		if a, ok = x.parts[i].at(); !ok || a == candidate {
			i++
			continue
		}
		x.parts[0].skip(a)
		candidate, ok = x.parts[0].at()
		i = 1
	}
	return candidate, ok
}

func (x *intersection) skip(to int64) { x.parts[0].skip(to) }
func (x *intersection) err() error    { return firstErr(x.parts) }
func (x *intersection) close()        { each(x.parts, addressSeq.close) }

func each(parts []addressSeq, do func(addressSeq)) {
	for _, p := range parts {
		do(p)
	}
}

func firstErr(parts []addressSeq) error {
	for _, p := range parts {
		if err := p.err(); err != nil {
			return err
		}
	}
	return nil
}

// clip returns the part of ascending addresses in [from, to).
func clip(addresses []int64, from, to int64) []int64 {
	i, _ := slices.BinarySearch(addresses, from)
	j, _ := slices.BinarySearch(addresses, to)
	return addresses[i:max(i, j)]
}
