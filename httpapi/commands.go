package httpapi

import (
	"bytes"
	"net/http"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/ingest"
)

// command appends command bodies to the stream that all of them name.
func (s *server) command(w http.ResponseWriter, r *request) error {
	a := args{r: r}
	expected := a.expected()
	if err := a.err(); err != nil {
		return err
	}
	if _, err := r.media(); err != nil {
		return err
	}
	body, err := s.read(w, r, MaxAppendBytes)
	if err != nil {
		return err
	}
	stream, events, err := commands(body)
	if err != nil {
		return err
	}
	return s.commit(w, r, stream, expected, events)
}

// commands reads one command body, or an array of them for one stream.
func commands(body []byte) (stream string, events []annals.Event, err error) {
	if err := annals.CheckEnvelope(body); err != nil {
		return "", nil, err
	}
	if bytes.TrimLeft(body, " \t\r\n")[0] != '[' {
		m, err := ingest.DecodeCommand(body)
		return m.Stream, []annals.Event{m.Event}, err
	}
	for element := range annals.JSONElements(body) {
		m, err := ingest.DecodeCommand(element)
		if err != nil {
			return "", nil, inElement(len(events), err)
		}
		if len(events) > 0 && m.Stream != stream {
			return "", nil, annals.Invalid("events["+number(int64(len(events)))+"].aggregateId",
				"must be that of the first, %q, and is %q: one request is one commit of one stream", stream, m.Stream)
		}
		stream = m.Stream
		if events = append(events, m.Event); len(events) > annals.MaxCommitEvents {
			break // Append says what is wrong
		}
	}
	if len(events) == 0 {
		return "", nil, annals.Invalid("body", "holds no command")
	}
	return stream, events, nil
}
