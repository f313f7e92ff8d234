package dynamo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/klauspost/compress/zstd"

	"github.com/eb901187/annals"
)

// Events are kept as lines of JSON, one an event, as AppendJSON writes it less
// what the place of the line says.
const (
	lineStart = `{"specversion":"1.0",`
	plainType = `,"datacontenttype":"application/json"`
)

// appendLine appends e as one line. AppendJSON with exact leaves no line break
// in it.
func appendLine(b []byte, e *annals.Event) []byte {
	start := len(b)
	b = e.AppendJSON(b, true)
	b = append(b[:start+1], b[start+len(lineStart):]...)
	if e.ContentType == annals.JSONContentType {
		// The first one is the attribute: before it stand JSON strings only, in
		// which a quote is escaped.
		if i := bytes.Index(b[start:], []byte(plainType)); i >= 0 {
			b = append(b[:start+i], b[start+i+len(plainType):]...)
		}
	}
	return append(b, '\n')
}

func parseLine(line []byte) (annals.Event, error) {
	if len(line) < 2 || line[0] != '{' {
		return annals.Event{}, fmt.Errorf("a line is no event: %.40q", line)
	}
	text := make([]byte, 0, len(lineStart)+len(line))
	text = append(append(text, lineStart...), line[1:]...)
	e, err := annals.ParseEvent(text)
	if e.ContentType == "" {
		e.ContentType = annals.JSONContentType
	}
	return e, err
}

// lines yields the lines of text without their ends.
func lines(text []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(text) > 0 {
			i := bytes.IndexByte(text, '\n')
			if i < 0 {
				i = len(text) - 1
			}
			if !yield(bytes.TrimSuffix(text[:i+1], []byte{'\n'})) {
				return
			}
			text = text[i+1:]
		}
	}
}

// Codecs of a packed body, its first byte.
const codecZstd = 1

// maxUnpacked bounds what a body may unpack to, far above what is ever packed.
const maxUnpacked = 256 << 20

var (
	packer   = must(zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault)))
	unpacker = must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxUnpacked)))
)

// must is for constructors that fail on a wrong option only.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func pack(text []byte) []byte {
	return packer.EncodeAll(text, append(make([]byte, 0, len(text)/3+64), codecZstd))
}

func unpack(body []byte) ([]byte, error) {
	if len(body) == 0 || body[0] != codecZstd {
		return nil, fmt.Errorf("its first byte names no codec of this version")
	}
	return unpacker.DecodeAll(body[1:], nil)
}

// attribute is text as an attribute's value: readable where that costs no more
// write units than packed. rest is the item without it.
func attribute(rest item, text []byte) types.AttributeValue {
	plain := textValue(string(text[:len(text)-1])) // without the last line's end
	with := func(v types.AttributeValue) int {
		rest[attrEvents] = v
		defer delete(rest, attrEvents)
		return rest.writeUnits()
	}
	units := with(plain)
	if units == 1 {
		return plain
	}
	if packed := bytesValue(pack(text)); with(packed) < units {
		return packed
	}
	return plain
}

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
