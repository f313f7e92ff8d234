package embedded

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/eb901187/annals"
)

// A record is one event in the log, little-endian, padded to recordAlign:
//
//	 0  u32  CRC-32C of bytes 4 to headerSize
//	 4  u32  CRC-32C of the body
//	 8  u32  length of the body
//	12  u16  index of the event in its commit, from 0
//	14  u16  events of the commit
//	16  i64  position
//	24  i64  version
//	32  i64  address of the batch that the record was written with: when it
//	         was written, all before this address was synced
//	40  i64  time, Unix seconds
//	48  u32  time, nanoseconds
//	52  u32  recordMagic
//	56       the body: seven strings, the attributes, the data
//
// The header has a checksum of its own so that its length can be trusted when
// the body is damaged, and so that a flipped bit can't pass for the log's end.
const (
	headerSize  = 56
	recordAlign = 8
	recordMagic = 0x4c4e4e41 // "ANNL"
	// maxBody bounds a body: the largest data and every other field at its limit.
	maxBody = annals.MaxDataBytes + 64<<10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type header struct {
	bodyCRC         uint32
	bodyLen         int64
	index, count    int
	position        int64
	version         int64
	batch           int64
	seconds         int64
	nanos           uint32
	lastOfItsCommit bool
}

func (h *header) size() int64 { return alignUp(headerSize + h.bodyLen) }

func alignUp(n int64) int64 { return (n + recordAlign - 1) &^ (recordAlign - 1) }

// parseHeader reads the header at the start of b; false if it is not one.
func parseHeader(b []byte) (header, bool) {
	if len(b) < headerSize || binary.LittleEndian.Uint32(b[52:]) != recordMagic ||
		binary.LittleEndian.Uint32(b) != crc32.Checksum(b[4:headerSize], castagnoli) {
		return header{}, false
	}
	h := header{
		bodyCRC:  binary.LittleEndian.Uint32(b[4:]),
		bodyLen:  int64(binary.LittleEndian.Uint32(b[8:])),
		index:    int(binary.LittleEndian.Uint16(b[12:])),
		count:    int(binary.LittleEndian.Uint16(b[14:])),
		position: int64(binary.LittleEndian.Uint64(b[16:])),
		version:  int64(binary.LittleEndian.Uint64(b[24:])),
		batch:    int64(binary.LittleEndian.Uint64(b[32:])),
		seconds:  int64(binary.LittleEndian.Uint64(b[40:])),
		nanos:    binary.LittleEndian.Uint32(b[48:]),
	}
	h.lastOfItsCommit = h.index == h.count-1
	return h, h.bodyLen <= maxBody && h.index < h.count
}

// appendRecord appends the record of one event. Position, version and batch are
// known only to the committer: see finishRecord.
func appendRecord(b []byte, stream string, e *annals.Event, index, count int) []byte {
	start := len(b)
	b = append(b, make([]byte, headerSize)...)
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
	bodyLen := len(b) - start - headerSize
	h, body := b[start:start+headerSize], b[start+headerSize:]
	binary.LittleEndian.PutUint32(h[4:], crc32.Checksum(body, castagnoli))
	binary.LittleEndian.PutUint32(h[8:], uint32(bodyLen))
	binary.LittleEndian.PutUint16(h[12:], uint16(index))
	binary.LittleEndian.PutUint16(h[14:], uint16(count))
	binary.LittleEndian.PutUint64(h[40:], uint64(e.Time.Unix()))
	binary.LittleEndian.PutUint32(h[48:], uint32(e.Time.Nanosecond()))
	binary.LittleEndian.PutUint32(h[52:], recordMagic)
	padding := alignUp(headerSize+int64(bodyLen)) - headerSize - int64(bodyLen)
	return append(b, make([]byte, padding)...)
}

func appendField(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// finishRecord completes the record at the start of b and returns its size.
func finishRecord(b []byte, position, version, batch int64) int64 {
	binary.LittleEndian.PutUint64(b[16:], uint64(position))
	binary.LittleEndian.PutUint64(b[24:], uint64(version))
	binary.LittleEndian.PutUint64(b[32:], uint64(batch))
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:headerSize], castagnoli))
	return alignUp(headerSize + int64(binary.LittleEndian.Uint32(b[8:])))
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
