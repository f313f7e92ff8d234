package annals

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"time"
)

// newUUIDv7 makes an id whose first 48 bits are the time in milliseconds and
// whose other bits are random (RFC 9562, section 5.7).
func newUUIDv7(now time.Time, random func() uint64) string {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], uint64(now.UnixMilli())<<16|random()&0x0fff|0x7000)
	binary.BigEndian.PutUint64(id[8:], random()&^(3<<62)|1<<63)
	var text [36]byte
	hex.Encode(text[0:8], id[0:4])
	text[8] = '-'
	hex.Encode(text[9:13], id[4:6])
	text[13] = '-'
	hex.Encode(text[14:18], id[6:8])
	text[18] = '-'
	hex.Encode(text[19:23], id[8:10])
	text[23] = '-'
	hex.Encode(text[24:36], id[10:16])
	return string(text[:])
}

func defaultID(clock func() time.Time) func() string {
	return func() string { return newUUIDv7(clock(), rand.Uint64) }
}
