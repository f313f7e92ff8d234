package annals

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"iter"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// CloudEventsType is the media type of one event in CloudEvents' JSON format.
const CloudEventsType = "application/cloudevents+json"

// reserved are the names that no attribute of an event may have: CloudEvents'
// own and those that Annals adds to its JSON form.
var reserved = map[string]bool{
	"specversion": true, "id": true, "type": true, "source": true, "time": true, "data": true,
	"datacontenttype": true, "stream": true, "version": true, "position": true,
	"correlation": true, "causation": true,
}

// AppendJSON appends e in CloudEvents 1.0 JSON format on one line. Stream,
// version, position, correlation and causation are extension attributes;
// version and position are strings, as JSON numbers lose them past 2^53.
//
// JSON data stands there as it is, without its insignificant line breaks and
// without white space around it. With exact, data that this would change is
// given as data_base64, so that ParseEvent restores every byte.
func (e *Event) AppendJSON(b []byte, exact bool) []byte {
	b = append(b, `{"specversion":"1.0"`...)
	b = appendMember(b, "id", e.ID)
	b = appendMember(b, "type", e.Type)
	b = appendMember(b, "source", e.Source)
	if !e.Time.IsZero() {
		b = append(b, `,"time":"`...)
		b = e.Time.UTC().AppendFormat(b, time.RFC3339Nano)
		b = append(b, '"')
	}
	b = appendMember(b, "stream", e.Stream)
	b = appendNumber(b, "version", e.Version)
	b = appendNumber(b, "position", e.Position)
	b = appendMember(b, "correlation", e.Correlation)
	b = appendMember(b, "causation", e.Causation)
	if len(e.Attributes) > 0 {
		names := make([]string, 0, len(e.Attributes))
		for name := range e.Attributes {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			b = append(b, ',', '"')
			b = append(append(b, name...), '"', ':')
			b = AppendJSONString(b, e.Attributes[name])
		}
	}
	contentType := e.ContentType
	if contentType == "" {
		contentType = JSONContentType
	}
	b = appendMember(b, "datacontenttype", contentType)
	return append(e.appendData(b, exact), '}')
}

func (e *Event) appendData(b []byte, exact bool) []byte {
	if len(e.Data) == 0 {
		return b
	}
	if e.IsJSON() {
		trimmed := bytes.Trim(e.Data, " \t\r\n")
		plain := len(trimmed) == len(e.Data) && !bytes.ContainsAny(trimmed, "\r\n")
		switch {
		case plain:
			return append(append(b, `,"data":`...), e.Data...)
		case !exact:
			out := bytes.NewBuffer(append(b, `,"data":`...))
			if json.Compact(out, trimmed) == nil {
				return out.Bytes()
			}
		}
	}
	b = append(b, `,"data_base64":"`...)
	b = base64.StdEncoding.AppendEncode(b, e.Data)
	return append(b, '"')
}

// MarshalJSON is AppendJSON with exact.
func (e Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil, true), nil }

// UnmarshalJSON is ParseEvent.
func (e *Event) UnmarshalJSON(text []byte) error {
	parsed, err := ParseEvent(text)
	if err == nil {
		*e = parsed
	}
	return err
}

func appendMember(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ',', '"')
	b = append(append(b, name...), '"', ':')
	return AppendJSONString(b, value)
}

func appendNumber(b []byte, name string, n int64) []byte {
	if n == 0 {
		return b
	}
	b = append(b, ',', '"')
	b = append(append(b, name...), '"', ':', '"')
	return append(strconv.AppendInt(b, n, 10), '"')
}

// AppendJSONString appends s as a JSON string.
func AppendJSONString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			out := bytes.NewBuffer(b)
			quote := json.NewEncoder(out)
			quote.SetEscapeHTML(false) // it would make six bytes of one
			_ = quote.Encode(s)        // a string always marshals
			return bytes.TrimSuffix(out.Bytes(), []byte{'\n'})
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// ParseEvent reads one event in CloudEvents 1.0 JSON format: what AppendJSON
// writes and what other systems send. Members that CloudEvents does not define
// are extension attributes. It checks the form; Append checks the values. The
// error is a *JSONError or an *InvalidError.
func ParseEvent(text []byte) (Event, error) {
	if err := CheckEnvelope(text); err != nil {
		return Event{}, err
	}
	var e Event
	var v violations
	seenVersion, seenData, asText := false, false, false
	for name, raw := range JSONMembers(text) {
		if string(raw) == "null" && name != "data" {
			continue
		}
		switch name {
		case "specversion":
			seenVersion = true
			v.when(string(raw) != `"1.0"`, "specversion", `must be "1.0"`)
		case "data":
			v.when(seenData, "data", "stands beside data_base64")
			seenData, asText, e.Data = true, raw[0] == '"', bytes.Clone(raw)
		case "data_base64":
			v.when(seenData, "data_base64", "stands beside data")
			seenData, e.Data = true, v.base64(name, raw)
		case "time":
			e.Time = v.time(name, raw)
		case "version":
			e.Version = v.number(name, raw)
		case "position":
			e.Position = v.number(name, raw)
		default:
			v.attribute(&e, name, raw)
		}
	}
	v.when(!seenVersion, "specversion", "must be given")
	if asText && !e.IsJSON() {
		// CloudEvents gives text of other content types as a JSON string.
		unquoted, _ := JSONString(e.Data)
		e.Data = []byte(unquoted)
	}
	return e, v.err()
}

func (v *violations) attribute(e *Event, name string, raw []byte) {
	value, ok := JSONString(raw)
	field := map[string]*string{
		"id": &e.ID, "type": &e.Type, "source": &e.Source, "stream": &e.Stream,
		"correlation": &e.Correlation, "causation": &e.Causation, "datacontenttype": &e.ContentType,
	}[name]
	switch {
	case field != nil && ok:
		*field = value
	case field != nil:
		v.add(CodeInvalid, name, "must be a string")
	case !attributeName(name):
		v.add(CodeInvalid, "attribute", "name %.40q is not 1 to %d of a-z and 0-9", name, MaxAttributeName)
	case !ok && (raw[0] == '{' || raw[0] == '['):
		v.add(CodeInvalid, name, "must be a string, a number or a boolean, as every CloudEvents attribute")
	default:
		if !ok {
			value = string(raw)
		}
		if e.Attributes == nil {
			e.Attributes = map[string]string{}
		}
		e.Attributes[name] = value
	}
}

func (v *violations) base64(field string, raw []byte) []byte {
	s, ok := JSONString(raw)
	data, err := base64.StdEncoding.DecodeString(s)
	v.when(!ok || err != nil, field, "must be a string of padded standard base64")
	return data
}

func (v *violations) time(field string, raw []byte) time.Time {
	s, ok := JSONString(raw)
	t, err := time.Parse(time.RFC3339Nano, s)
	v.when(!ok || err != nil, field, "must be an RFC 3339 time such as 2020-05-01T20:00:00Z")
	return t
}

func (v *violations) number(field string, raw []byte) int64 {
	s, ok := JSONString(raw)
	if !ok {
		s = string(raw)
	}
	n, err := strconv.ParseInt(s, 10, 64)
	v.when(err != nil || n < 0, field, "must be a whole number from 0, as a string")
	return n
}

// JSONMembers yields the members of the object that text holds, in their order:
// names without escapes, values byte for byte. It yields nothing for a value
// that is no object. The text must have passed CheckJSON.
func JSONMembers(text []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		s := jsonScanner{text: text, depth: maxEnvelopeDepth}
		s.space()
		if s.peek() != '{' {
			return
		}
		s.at++
		for {
			s.space()
			if s.peek() != '"' {
				return
			}
			key, escaped, _ := s.str()
			if escaped {
				key = unescape(key)
			}
			s.space()
			s.at++ // the colon
			s.space()
			start := s.at
			if !s.value(0) || !yield(string(key), text[start:s.at]) {
				return
			}
			s.space()
			if s.peek() != ',' {
				return
			}
			s.at++
		}
	}
}

// JSONElements yields the elements of the array that text holds, byte for byte;
// nothing for a value that is no array. The text must have passed CheckJSON.
func JSONElements(text []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		s := jsonScanner{text: text, depth: maxEnvelopeDepth}
		s.space()
		if s.peek() != '[' {
			return
		}
		s.at++
		for {
			s.space()
			if s.peek() == ']' {
				return
			}
			start := s.at
			if !s.value(0) || !yield(text[start:s.at]) {
				return
			}
			s.space()
			if s.peek() != ',' {
				return
			}
			s.at++
		}
	}
}

// JSONString returns the string that raw, one JSON value that has passed
// CheckJSON, stands for; false if it is no string.
func JSONString(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	raw = raw[1 : len(raw)-1]
	if bytes.IndexByte(raw, '\\') >= 0 {
		raw = unescape(raw)
	}
	return string(raw), utf8.Valid(raw)
}
