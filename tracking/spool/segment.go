package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

const (
	segmentMagic  = 0x4c4f5053_4e4e4101 // "ANNSPOL", 1
	recordMagic   = 0x4345524e          // "NREC"
	segmentHeader = 28
	recordHeader  = 32
	suffix        = ".spool"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segmentName sorts like the numbers.
func segmentName(first int64) string { return fmt.Sprintf("%019d%s", first, suffix) }

// parseName returns the number of the first record; false for other files.
func parseName(name string) (int64, bool) {
	digits, is := strings.CutSuffix(name, suffix)
	first, err := strconv.ParseInt(digits, 10, 64)
	return first, is && err == nil && name == segmentName(first)
}

// appendSegmentHeader says that a segment begins at first, and that all records
// below ends were synced before it.
func appendSegmentHeader(b []byte, first, ends int64) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint64(b, segmentMagic)
	b = binary.LittleEndian.AppendUint64(b, uint64(first))
	b = binary.LittleEndian.AppendUint64(b, uint64(ends))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseSegmentHeader returns what records before the segment end at; false if
// the header is not whole.
func parseSegmentHeader(b []byte) (ends int64, ok bool) {
	if len(b) < segmentHeader || binary.LittleEndian.Uint64(b) != segmentMagic ||
		binary.LittleEndian.Uint32(b[24:]) != crc32.Checksum(b[:24], castagnoli) {
		return 0, false
	}
	return int64(binary.LittleEndian.Uint64(b[16:])), true
}

func appendRecord(b []byte, number, batch int64, body []byte) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, recordMagic)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = binary.LittleEndian.AppendUint64(b, uint64(number))
	b = binary.LittleEndian.AppendUint64(b, uint64(batch))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(body, castagnoli))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
	return append(b, body...)
}

// A record is one of a segment's.
type record struct {
	number int64
	batch  int64 // number of the first record of its append: all before were synced
	body   []byte
	end    int64 // offset behind it
}

// parseHeader reads the header at the start of b; false if it is not one.
func parseHeader(b []byte) (r record, bodyCRC uint32, ok bool) {
	if len(b) < recordHeader || binary.LittleEndian.Uint32(b) != recordMagic ||
		binary.LittleEndian.Uint32(b[28:]) != crc32.Checksum(b[:28], castagnoli) {
		return record{}, 0, false
	}
	r = record{number: int64(binary.LittleEndian.Uint64(b[8:])), batch: int64(binary.LittleEndian.Uint64(b[16:]))}
	r.end = recordHeader + int64(binary.LittleEndian.Uint32(b[4:]))
	return r, binary.LittleEndian.Uint32(b[24:]), true
}

// next finds the first whole record of b at or behind offset from; false if
// there is none. What is not whole is passed over.
func next(b []byte, from int64) (record, bool) {
	magic := binary.LittleEndian.AppendUint32(nil, recordMagic)
	for from < int64(len(b)) {
		r, bodyCRC, ok := parseHeader(b[from:])
		if start := from + recordHeader; ok && from+r.end <= int64(len(b)) {
			r.end += from
			if r.body = b[start:r.end]; crc32.Checksum(r.body, castagnoli) == bodyCRC {
				return r, true
			}
			from = r.end // the header can be trusted: the body alone is damaged
			continue
		}
		skip := bytes.Index(b[from+1:], magic)
		if skip < 0 {
			return record{}, false
		}
		from += 1 + int64(skip)
	}
	return record{}, false
}
