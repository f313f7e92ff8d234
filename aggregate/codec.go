package aggregate

import (
	"bytes"
	"encoding/json"
	"reflect"

	"github.com/eb901187/annals"
)

// A Codec turns values into bytes and back. It must be safe for concurrent use.
// What Decode makes of the bytes must mean the same as what Encode was given: of
// a Codec of your own nobody checks that.
type Codec interface {
	// ContentType is the media type of the bytes.
	ContentType() string
	Encode(v any) ([]byte, error)
	// Decode fills what v points to.
	Decode(data []byte, v any) error
}

// JSON is the Codec of encoding/json. With it, a value that JSON would not bring
// back as it was is refused when it is encoded: one with unexported fields that
// are set, for example, or text that is not UTF-8.
type JSON struct{}

// ContentType is annals.JSONContentType.
func (JSON) ContentType() string { return annals.JSONContentType }

// Encode returns v as JSON on one line.
func (JSON) Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// Decode fills what v points to; members that it does not have are passed over.
func (JSON) Decode(data []byte, v any) error { return json.Unmarshal(data, v) }

// lost names the part of before that after, its copy by way of bytes, lacks.
func (JSON) lost(before, after any, exactMaps bool) string {
	return difference{exactMaps}.find(reflect.ValueOf(before), reflect.ValueOf(after), "", 0)
}
