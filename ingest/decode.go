package ingest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/eb901187/annals"
)

// A Message is an event and the stream that it goes to.
type Message struct {
	Stream string
	Event  annals.Event
}

// Decode reads one message of any shape that names its stream. It checks the
// form; Append checks the values. Errors are *annals.JSONError and
// *annals.InvalidError.
func Decode(text []byte) (Message, error) {
	if err := checkObject(text); err != nil {
		return Message{}, err
	}
	for name := range annals.JSONMembers(text) {
		switch name {
		case "specversion":
			return decodeCloudEvent(text)
		case "requestId":
			return decodeTracking(text)
		case "aggregateId":
			return decodeCommand(text)
		}
	}
	return Message{}, annals.Invalid("message", "is of no known shape: a CloudEvent has specversion, a tracking message requestId, a command body aggregateId")
}

// DecodeEvent reads one event for a stream that is known: a CloudEvent or the
// plain shape. A stream that the event itself names must be the same.
func DecodeEvent(text []byte, stream string) (annals.Event, error) {
	if err := checkObject(text); err != nil {
		return annals.Event{}, err
	}
	for name := range annals.JSONMembers(text) {
		if name != "specversion" {
			continue
		}
		e, err := annals.ParseEvent(text)
		if err == nil && e.Stream != "" && e.Stream != stream {
			err = annals.Invalid("stream", "is %q in the event and %q in the request", e.Stream, stream)
		}
		return e, err
	}
	return decodePlain(text)
}

func checkObject(text []byte) error {
	if err := annals.CheckEnvelope(text); err != nil {
		return err
	}
	if bytes.TrimLeft(text, " \t\r\n")[0] != '{' {
		return annals.Invalid("message", "must be a JSON object")
	}
	return nil
}

func decodeCloudEvent(text []byte) (Message, error) {
	e, err := annals.ParseEvent(text)
	if err != nil {
		return Message{}, err
	}
	stream := e.Stream
	if stream == "" {
		stream = e.Attributes["subject"]
	}
	var p problems
	p.when(stream == "", "stream", "must be given, as the attribute stream or subject")
	// A CloudEvent without these is none; the store would make them up.
	p.when(e.ID == "", "id", "must be given")
	p.when(e.Source == "", "source", "must be given")
	return Message{stream, e}, p.err()
}

// BinaryAttribute is the prefix of the HTTP headers that hold the attributes of
// a CloudEvent in binary mode.
const BinaryAttribute = "Ce-"

// DecodeBinary makes an event of a CloudEvent in HTTP's binary mode: its
// attributes by lower-case name without prefix, its data and content type. With
// an empty stream the event must name one.
func DecodeBinary(attributes map[string]string, contentType string, data []byte, stream string) (Message, error) {
	// Going through the structured form applies the same rules to both.
	b := []byte(`{`)
	var p problems
	for name, value := range attributes {
		plain, err := url.PathUnescape(value) // CloudEvents' HTTP binding, section 3.1.3.2
		p.when(err != nil || !utf8.ValidString(plain), BinaryAttribute+name, "must be percent-encoded UTF-8")
		b = appendMember(b, name, plain)
	}
	p.when(attributes["specversion"] == "", BinaryAttribute+"Specversion", "must be given: headers that start so make the body a CloudEvent")
	if err := p.err(); err != nil {
		return Message{}, err
	}
	if contentType != "" {
		b = appendMember(b, "datacontenttype", contentType)
	}
	if len(data) > 0 {
		b = appendMember(b, "data_base64", base64.StdEncoding.EncodeToString(data))
	}
	b = append(bytes.TrimSuffix(b, []byte{','}), '}')
	if stream == "" {
		return Decode(b)
	}
	e, err := DecodeEvent(b, stream)
	return Message{stream, e}, err
}

func appendMember(b []byte, name, value string) []byte {
	return append(annals.AppendJSONString(append(annals.AppendJSONString(b, name), ':'), value), ',')
}

func decodePlain(text []byte) (annals.Event, error) {
	var e annals.Event
	var p problems
	for name, raw := range annals.JSONMembers(text) {
		switch name {
		case "type":
			e.Type = p.text(name, raw)
		case "data":
			e.Data = bytes.Clone(raw)
		case "id":
			e.ID = p.text(name, raw)
		case "source":
			e.Source = p.text(name, raw)
		case "time":
			e.Time = p.time(name, raw)
		case "correlation":
			e.Correlation = p.text(name, raw)
		case "causation":
			e.Causation = p.text(name, raw)
		default:
			p.unknown(name, "type, data, id, source, time, correlation, causation")
		}
	}
	return e, p.err()
}

func decodeTracking(text []byte) (Message, error) {
	var e annals.Event
	var p problems
	for name, raw := range annals.JSONMembers(text) {
		switch name {
		case "id":
			e.ID = p.text(name, raw)
		case "requestId":
			e.Correlation = p.text(name, raw)
		case "timestamp":
			e.Time = p.time(name, raw)
		case "type":
			e.Type = p.text(name, raw)
		case "source":
			e.Source = p.text(name, raw)
		case "data":
			p.when(raw[0] != '{' && raw[0] != 'n', name, "must be an object")
			e.Data = withoutNulls(raw)
		default:
			p.unknown(name, "id, requestId, timestamp, type, source, data")
		}
	}
	p.when(e.ID == "", "id", "must be given: it keeps the message from being stored twice")
	p.when(e.Correlation == "", "requestId", "must be given")
	p.when(e.Time.IsZero(), "timestamp", "must be given")
	p.when(e.Source == "", "source", "must be given")
	return Message{e.Correlation, e}, p.err()
}

// withoutNulls drops the members of an object that are null and keeps all
// others byte for byte; null itself is no data.
func withoutNulls(raw []byte) []byte {
	if raw[0] != '{' {
		return nil
	}
	nulls := false
	for _, value := range annals.JSONMembers(raw) {
		nulls = nulls || value[0] == 'n'
	}
	if !nulls {
		return bytes.Clone(raw)
	}
	b := []byte{'{'}
	for name, value := range annals.JSONMembers(raw) {
		if value[0] != 'n' {
			b = append(append(append(annals.AppendJSONString(b, name), ':'), value...), ',')
		}
	}
	return append(bytes.TrimSuffix(b, []byte{','}), '}')
}

// DecodeCommand reads a command body, {aggregateId, eventType, eventData, id?}, and
// no other shape.
func DecodeCommand(text []byte) (Message, error) {
	if err := checkObject(text); err != nil {
		return Message{}, err
	}
	m, err := decodeCommand(text)
	if err == nil && m.Stream == "" {
		err = annals.Invalid("aggregateId", "must be given")
	}
	return m, err
}

func decodeCommand(text []byte) (Message, error) {
	var m Message
	var p problems
	for name, raw := range annals.JSONMembers(text) {
		switch name {
		case "aggregateId":
			m.Stream = p.text(name, raw)
		case "eventType":
			m.Event.Type = p.text(name, raw)
		case "eventData":
			m.Event.Data = bytes.Clone(raw)
		case "id":
			m.Event.ID = p.text(name, raw)
		default:
			p.unknown(name, "aggregateId, eventType, eventData, id")
		}
	}
	p.when(m.Event.Type == "", "eventType", "must be given")
	return m, p.err()
}

// problems gathers what is wrong with a message.
type problems struct{ list []annals.Violation }

func (p *problems) when(bad bool, field, message string) {
	const enough = 20
	if bad && len(p.list) < enough {
		p.list = append(p.list, annals.Violation{Field: field, Message: message})
	}
}

func (p *problems) unknown(name, known string) {
	p.when(true, fmt.Sprintf("%.80q", name), "is not known here; known are "+known)
}

// text reads a string that must not be empty, for an empty one would be taken
// for one that is not given.
func (p *problems) text(name string, raw []byte) string {
	s, ok := annals.JSONString(raw)
	p.when(!ok, name, "must be a string")
	p.when(ok && s == "", name, "must not be empty")
	return s
}

func (p *problems) time(name string, raw []byte) time.Time {
	s, ok := annals.JSONString(raw)
	t, err := time.Parse(time.RFC3339Nano, s)
	p.when(!ok || err != nil, name, "must be an RFC 3339 time such as 2020-05-01T20:00:00Z")
	return t
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	return &annals.InvalidError{Violations: p.list}
}
