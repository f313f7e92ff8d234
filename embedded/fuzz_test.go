package embedded

import (
	"bytes"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/eb901187/annals"
)

// Any bytes either are a record, whose fields then stay within it, or are
// refused; and every event survives its record.
func FuzzRecord(f *testing.F) {
	seed := appendRecord(nil, "order-7", &annals.Event{ID: "1", Type: "T", Source: "s", Data: []byte(`{}`), Attributes: map[string]string{"subject": "x"}}, 0, 1)
	finishRecord(seed, place{address: prologueSize, batch: prologueSize, position: 1, version: 1})
	f.Add(seed, "order-7", "id", []byte(`{"a":1}`), int64(1588363200), "subject")
	f.Add([]byte{}, "", "", []byte(nil), int64(-62135596800), "")
	f.Add(bytes.Repeat([]byte{0xff}, headerSize+8), "a", "b", []byte{0}, int64(253402300799), "k")
	f.Fuzz(func(t *testing.T, raw []byte, stream, id string, data []byte, seconds int64, attribute string) {
		if h, ok := parseHeader(raw); ok && h.headerLen+h.bodyLen <= int64(len(raw)) {
			if b, ok := parseBody(raw[h.headerLen : h.headerLen+h.bodyLen]); ok {
				b.event(&h)
			}
		}
		if b, ok := parseBody(raw); ok {
			b.event(&header{})
		}
		in := annals.Event{ID: id, Type: "T", Source: "s", Time: time.Unix(seconds, 5).UTC(), ContentType: "text/plain", Data: data, Attributes: map[string]string{attribute: id}}
		index := len(id) % 2
		record := appendRecord(nil, stream, &in, index, 5)
		at := place{address: 1000, batch: 64, position: 9, version: 8, previous: annals.Digest(id, nil)}
		if n := finishRecord(record, at); n != int64(len(record)) || n%recordAlign != 0 {
			t.Fatalf("a record of %d bytes says that it has %d", len(record), n)
		}
		h, ok := parseHeader(record)
		if !ok || h.position != 9 || h.version != 8 || h.index != index || h.count != 5 || h.batch != 64 {
			if h.bodyLen > maxBody {
				return
			}
			t.Fatalf("the header came back as %+v, %v", h, ok)
		}
		if previous, ok := h.previousHash(); ok != (index == 0) || ok && previous != at.previous {
			t.Fatalf("the hash came back as %s, %v", previous, ok)
		}
		b, ok := parseBody(record[h.headerLen : h.headerLen+h.bodyLen])
		if !ok {
			t.Fatal("the body is refused")
		}
		out := b.event(&h)
		if out.ID != id || out.Stream != stream || !bytes.Equal(out.Data, data) || !out.Time.Equal(in.Time) || !maps.Equal(out.Attributes, in.Attributes) {
			t.Fatalf("put %+v, got %+v", in, out)
		}
	})
}

// Keys of one list lie together and in order of their numbers, and those of
// another name never between them; chunks survive, and bytes that are no chunk
// are refused or give addresses without a panic.
func FuzzKey(f *testing.F) {
	f.Add("a", "a0", uint32(1), uint32(2), []byte{1, 1})
	f.Add("order", "order-", uint32(0), uint32(255), []byte{0xff})
	f.Add("", "b", uint32(1<<31), uint32(7), []byte(nil))
	f.Fuzz(func(t *testing.T, a, b string, first, second uint32, raw []byte) {
		if bytes.ContainsRune([]byte(a+b), 0) {
			return // names hold no zero byte
		}
		low, high := int64(min(first, second)), int64(max(first, second))
		kLow, kHigh, other := chunkKey(byType, a, low), chunkKey(byType, a, high), chunkKey(byType, b, low)
		if keyOrdinal(kLow) != low || keyOrdinal(kHigh) != high || bytes.Compare(kLow, kHigh) > 0 {
			t.Fatalf("keys of %q: %q, %q", a, kLow, kHigh)
		}
		if a != b && bytes.Compare(kLow, other) < 0 != (bytes.Compare(kHigh, other) < 0) {
			t.Fatalf("a key of %q lies between those of %q", b, a)
		}
		addresses := []int64{low * recordAlign, (low + high + 1) * recordAlign, (low + 2*high + 2) * recordAlign}
		if back, ok := parseChunk(nil, appendChunk(nil, addresses)); !ok || !slices.Equal(back, addresses) {
			t.Fatalf("put %v, got %v", addresses, back)
		}
		parseChunk(nil, raw)
	})
}
