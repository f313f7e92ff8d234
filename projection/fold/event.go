package fold

import (
	"encoding/base64"
	"strconv"
	"time"

	"github.com/eb901187/annals"
)

// eventFields are the names of what jq sees of an event.
var eventFields = []string{
	"id", "type", "source", "time", "stream", "version", "position", "correlation",
	"causation", "contentType", "attributes", "erased", "data", "data_base64",
}

// fields is a set of event fields, or every one of them.
type fields struct {
	all   bool
	names []string
}

func (f *fields) add(name string) {
	for _, have := range f.names {
		if have == name {
			return
		}
	}
	f.names = append(f.names, name)
}

// value is what jq sees of e in these fields.
func (f fields) value(e *annals.Event) (map[string]any, error) {
	names := f.names
	if f.all {
		names = eventFields
	}
	v := make(map[string]any, len(names))
	for _, name := range names {
		switch name {
		case "data":
			data, err := dataOf(e)
			if err != nil {
				return nil, err
			}
			v[name] = data
		case "data_base64":
			if len(e.Data) > 0 && !e.IsJSON() {
				v[name] = base64.StdEncoding.EncodeToString(e.Data)
			}
		case "erased":
			if e.Erased() {
				v[name] = true
			}
		default:
			v[name] = fieldOf(e, name)
		}
	}
	return v, nil
}

func fieldOf(e *annals.Event, name string) any {
	var text string
	switch name {
	case "id":
		return e.ID
	case "type":
		return e.Type
	case "source":
		return e.Source
	case "stream":
		return e.Stream
	case "time":
		return e.Time.UTC().Format(time.RFC3339Nano)
	case "version":
		return int(e.Version)
	case "position":
		return int(e.Position)
	case "correlation":
		text = e.Correlation
	case "causation":
		text = e.Causation
	case "contentType":
		if text = e.ContentType; text == "" {
			text = annals.JSONContentType
		}
	case "attributes":
		attributes := make(map[string]any, len(e.Attributes))
		for name, value := range e.Attributes {
			attributes[name] = value
		}
		return attributes
	}
	if text == "" {
		return nil
	}
	return text
}

// dataOf is the data of e as jq's value; nil if e carries none, or none in JSON.
func dataOf(e *annals.Event) (any, error) {
	if len(e.Data) == 0 || !e.IsJSON() {
		return nil, nil
	}
	data, err := decode(e.Data)
	if err != nil {
		return nil, &annals.Error{Code: annals.CodeInvalidJSON, Message: "the data of event " + nameOf(e) + " is not JSON", Err: err}
	}
	return data, nil
}

// nameOf is e as people and causations name it: stream@version.
func nameOf(e *annals.Event) string { return e.Stream + "@" + strconv.FormatInt(e.Version, 10) }

// Input is what jq sees of e: an object of id, type, source, time (RFC 3339 with
// nanoseconds, in UTC), stream, version and position (numbers), correlation and
// causation (null if there is none), contentType, attributes (an object), and
// data, decoded; null if there is none. Only an event whose data is gone because its
// subject was erased has erased: true. Data that is not JSON is a string of
// base64 under data_base64. The error says that the data of a JSON content type
// is no JSON, which no store lets in.
func Input(e *annals.Event) (any, error) { return fields{all: true}.value(e) }

// textAt is the text of e at a path such as data.customer.id, found without
// decoding the data; false if there is none or this is no way to find it.
func textAt(e *annals.Event, path []string) (string, bool) {
	if len(path) == 1 && path[0] != "data" && path[0] != "data_base64" {
		text, ok := fieldOf(e, path[0]).(string)
		return text, ok
	}
	if len(path) < 2 || path[0] != "data" || !e.IsJSON() {
		return "", false
	}
	raw := e.Data
	for _, name := range path[1:] {
		found := false
		for member, value := range annals.JSONMembers(raw) {
			if found = member == name; found {
				raw = value
				break
			}
		}
		if !found {
			return "", false
		}
	}
	return annals.JSONString(raw)
}
