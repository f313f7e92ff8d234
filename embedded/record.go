package embedded

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/eb901187/annals"
)

// A record is one event in the log, little-endian, padded to recordAlign:
//
//	 0  u32  CRC-32C of bytes 4 to headerSize
//	 4  u32  CRC-32C of the body
//	 8  u32  length of the body, and from bit lengthBits on how many of the sectors
//	         that it lies in hold nothing but zeros of it
//	12  u16  index of the event in its commit, from 0
//	14  u16  events of the commit
//	16  i64  position
//	24  i64  version
//	32  i64  address of the batch that the record was written with: when it
//	         was written, all before this address was synced
//	40  i64  time, Unix seconds
//	48  u32  time, nanoseconds
//	52  u32  recordMagic, or firstMagic for the first event of a commit
//	56       with firstMagic, the hash of the commit before it in its stream, every
//	         bit inverted, as a part of the header
//	         the body: seven strings, the attributes, the data
//
// The header has a checksum of its own so that its length can be trusted when
// the body is damaged, and so that a flipped bit can't pass for the log's end.
// The hash is inverted, and zeros of the body are counted, because a sector of
// zeros is what tells a torn write from damage: see damageAt.
//
// Format 1 has recordMagic for all events, no hashes, and counts no zeros.
const (
	headerSize      = 56
	firstHeaderSize = headerSize + sha256.Size
	recordAlign     = 8
	recordMagic     = 0x4c4e4e41 // "ANNL"
	firstMagic      = 0x464e4e41 // "ANNF"
	// maxBody bounds a body: the largest data and every other field at its limit.
	maxBody    = annals.MaxDataBytes + 64<<10
	lengthBits = 21
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type header struct {
	bodyCRC         uint32
	headerLen       int64 // headerSize or firstHeaderSize
	bodyLen         int64
	zeroSectors     int
	index, count    int
	position        int64
	version         int64
	batch           int64
	seconds         int64
	nanos           uint32
	lastOfItsCommit bool
	// previous is the hash of the commit before it, inverted: a view of the log, nil
	// in all events of a commit but its first, and in those of format 1.
	previous []byte
}

func (h *header) size() int64 { return alignUp(h.headerLen + h.bodyLen) }

// previousHash is the hash of the commit before it, for the first event of a commit;
// false for one of format 1.
func (h *header) previousHash() (hash annals.Hash, ok bool) {
	for i, b := range h.previous {
		hash[i] = ^b
	}
	return hash, h.previous != nil
}

func alignUp(n int64) int64 { return (n + recordAlign - 1) &^ (recordAlign - 1) }

// headerLength is how long the header at the start of b is by its magic number, 0 if
// it has none. b has at least headerSize bytes.
func headerLength(b []byte) int {
	switch binary.LittleEndian.Uint32(b[52:]) {
	case recordMagic:
		return headerSize
	case firstMagic:
		return firstHeaderSize
	}
	return 0
}

// parseHeader reads the header at the start of b; false if it is not one.
func parseHeader(b []byte) (header, bool) {
	if len(b) < headerSize {
		return header{}, false
	}
	n := headerLength(b)
	if n == 0 || n > len(b) || binary.LittleEndian.Uint32(b) != crc32.Checksum(b[4:n], castagnoli) {
		return header{}, false
	}
	length := binary.LittleEndian.Uint32(b[8:])
	h := header{
		headerLen: int64(n), bodyLen: int64(length & (1<<lengthBits - 1)), zeroSectors: int(length >> lengthBits),
		bodyCRC:  binary.LittleEndian.Uint32(b[4:]),
		index:    int(binary.LittleEndian.Uint16(b[12:])),
		count:    int(binary.LittleEndian.Uint16(b[14:])),
		position: int64(binary.LittleEndian.Uint64(b[16:])),
		version:  int64(binary.LittleEndian.Uint64(b[24:])),
		batch:    int64(binary.LittleEndian.Uint64(b[32:])),
		seconds:  int64(binary.LittleEndian.Uint64(b[40:])),
		nanos:    binary.LittleEndian.Uint32(b[48:]),
	}
	h.lastOfItsCommit = h.index == h.count-1
	if n == firstHeaderSize {
		h.previous = b[headerSize:n:n]
	}
	return h, h.bodyLen <= maxBody && h.index < h.count && (h.previous == nil || h.index == 0)
}

// appendRecord appends the record of one event. Its place and what is before it are
// known only to the committer: see finishRecord.
func appendRecord(b []byte, stream string, e *annals.Event, index, count int) []byte {
	start, length, magic := len(b), headerSize, uint32(recordMagic)
	if index == 0 {
		length, magic = firstHeaderSize, firstMagic
	}
	b = append(b, make([]byte, length)...)
	contentType := e.ContentType
	if contentType == annals.JSONContentType {
		contentType = ""
	}
	for _, s := range [...]string{stream, e.ID, e.Type, e.Source, e.Correlation, e.Causation, contentType} {
		b = appendField(b, s)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Attributes)))
	for name, value := range e.Attributes {
		b = appendField(appendField(b, name), value)
	}
	b = append(b, e.Data...)
	h, body := b[start:start+length], b[start+length:]
	binary.LittleEndian.PutUint32(h[4:], crc32.Checksum(body, castagnoli))
	binary.LittleEndian.PutUint32(h[8:], uint32(len(body)))
	binary.LittleEndian.PutUint16(h[12:], uint16(index))
	binary.LittleEndian.PutUint16(h[14:], uint16(count))
	binary.LittleEndian.PutUint64(h[40:], uint64(e.Time.Unix()))
	binary.LittleEndian.PutUint32(h[48:], uint32(e.Time.Nanosecond()))
	binary.LittleEndian.PutUint32(h[52:], magic)
	size := int64(len(b) - start)
	return append(b, make([]byte, alignUp(size)-size)...)
}

func appendField(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// A place is where a record stands, and what is before it.
type place struct {
	address, batch    int64
	position, version int64
	previous          annals.Hash // of the commit before it; the first event takes it
}

// finishRecord completes the record at the start of b and returns its size.
func finishRecord(b []byte, at place) int64 {
	length := headerLength(b)
	size := int64(length) + int64(binary.LittleEndian.Uint32(b[8:]))
	zeros := min(zeroSectors(b[:size], at.address, length), 1<<(32-lengthBits)-1)
	binary.LittleEndian.PutUint32(b[8:], uint32(size)-uint32(length)|uint32(zeros)<<lengthBits)
	binary.LittleEndian.PutUint64(b[16:], uint64(at.position))
	binary.LittleEndian.PutUint64(b[24:], uint64(at.version))
	binary.LittleEndian.PutUint64(b[32:], uint64(at.batch))
	for i := headerSize; i < length; i++ {
		b[i] = ^at.previous[i-headerSize]
	}
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:length], castagnoli))
	return alignUp(size)
}

// sector is the most that a disk writes all or none of.
const sector = 512

// zeroSectors counts the sectors in which b, which stands at address and is looked at
// from the offset from on, has nothing but zeros.
func zeroSectors(b []byte, address int64, from int) (n int) {
	for from < len(b) {
		to := min((address+int64(from))/sector*sector+sector-address, int64(len(b)))
		if allZero(b[from:to]) {
			n++
		}
		from = int(to)
	}
	return n
}

// A body is a view of a record's body: nothing is copied until event.
type body struct {
	raw                                 []byte
	stream, id, typ, source             span
	correlation, causation, contentType span
	attributes                          int // offset of the first attribute
	attributeCount                      uint64
	data                                int // offset of the data
}

type span struct{ from, to int }

func (b *body) bytes(s span) []byte { return b.raw[s.from:s.to] }

// parseBody finds the fields of a body; false if their lengths don't fit.
func parseBody(raw []byte) (body, bool) {
	b := body{raw: raw}
	at := 0
	for _, field := range [...]*span{&b.stream, &b.id, &b.typ, &b.source, &b.correlation, &b.causation, &b.contentType} {
		s, ok := nextField(raw, at)
		if !ok {
			return b, false
		}
		*field, at = s, s.to
	}
	n, size := binary.Uvarint(raw[at:])
	if size <= 0 || n > annals.MaxAttributes {
		return b, false
	}
	at += size
	b.attributes, b.attributeCount = at, n
	for range 2 * n {
		s, ok := nextField(raw, at)
		if !ok {
			return b, false
		}
		at = s.to
	}
	b.data = at
	return b, true
}

func nextField(raw []byte, at int) (span, bool) {
	n, size := binary.Uvarint(raw[at:])
	if size <= 0 || n > uint64(len(raw)-at-size) {
		return span{}, false
	}
	return span{at + size, at + size + int(n)}, true
}

// event copies the record out of the log.
func (b *body) event(h *header) annals.Event {
	text := string(b.raw[:b.data])
	field := func(s span) string { return text[s.from:s.to] }
	e := annals.Event{
		ID: field(b.id), Type: field(b.typ), Source: field(b.source),
		Time:        time.Unix(h.seconds, int64(h.nanos)).UTC(),
		Correlation: field(b.correlation), Causation: field(b.causation), ContentType: field(b.contentType),
		Stream: field(b.stream), Version: h.version, Position: h.position,
	}
	if e.ContentType == "" {
		e.ContentType = annals.JSONContentType
	}
	if b.data < len(b.raw) {
		e.Data = append([]byte(nil), b.raw[b.data:]...)
	}
	if b.attributeCount > 0 {
		e.Attributes = make(map[string]string, b.attributeCount)
		at := b.attributes
		for range b.attributeCount {
			name, _ := nextField(b.raw, at)
			value, _ := nextField(b.raw, name.to)
			e.Attributes[field(name)], at = field(value), value.to
		}
	}
	return e
}
