package httpapi

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/ingest"
)

// Commit is the answer to an append. Position is "0" from a store that numbers its
// log later; it is never left out, as clients parse it.
type Commit struct {
	Stream   string `json:"stream"`
	Version  string `json:"version"`
	Position string `json:"position"`
	Count    int    `json:"count"`
	Replayed bool   `json:"replayed"`
}

// NewCommit is c as it stands in JSON.
func NewCommit(c annals.Commit) Commit {
	return Commit{c.Stream, number(c.Version), number(c.Position), c.Count, c.Replayed}
}

func (s *server) append(w http.ResponseWriter, r *request) error {
	a := args{r: r}
	expected := a.expected()
	if err := a.err(); err != nil {
		return err
	}
	events, err := s.appended(w, r)
	if err != nil {
		return err
	}
	return s.commit(w, r, r.vars[0], expected, events)
}

// commit appends events and answers with what became of them.
func (s *server) commit(w http.ResponseWriter, r *request, stream string, expected int64, events []annals.Event) error {
	if err := mayAppend(access.From(r.Context()), stream); err != nil {
		return err
	}
	if err := s.mayBeSealed(events); err != nil {
		return err
	}
	commit, err := s.store.Append(r.Context(), stream, expected, events...)
	if err != nil {
		return err
	}
	if s.opts.Stored != nil {
		s.opts.Stored(r.Context(), commit, events)
	}
	status := http.StatusCreated
	if commit.Replayed {
		status = http.StatusOK
	} else {
		s.stats.stored.Add(float64(commit.Count))
	}
	w.Header().Set("ETag", `"`+number(commit.Version)+`"`)
	writeJSON(w, status, mediaJSON, NewCommit(commit))
	return nil
}

// appended reads the events of an append's body.
func (s *server) appended(w http.ResponseWriter, r *request) ([]annals.Event, error) {
	if attributes, err := binaryAttributes(r.Header); err != nil || attributes != nil {
		if err != nil {
			return nil, err
		}
		if err := r.plainBody(); err != nil {
			return nil, err
		}
		body, err := s.read(w, r, MaxAppendBytes)
		if err != nil {
			return nil, err
		}
		m, err := ingest.DecodeBinary(attributes, r.Header.Get("Content-Type"), body, r.vars[0])
		return []annals.Event{m.Event}, err
	}
	media, err := r.media()
	if err != nil {
		return nil, err
	}
	body, err := s.read(w, r, MaxAppendBytes)
	if err != nil {
		return nil, err
	}
	if err := annals.CheckEnvelope(body); err != nil {
		return nil, err
	}
	if bytes.TrimLeft(body, " \t\r\n")[0] != '[' {
		e, err := decodeEvent(media, body, r.vars[0])
		return []annals.Event{e}, err
	}
	var events []annals.Event
	for element := range annals.JSONElements(body) {
		e, err := decodeEvent(media, element, r.vars[0])
		if err != nil {
			return nil, inElement(len(events), err)
		}
		if events = append(events, e); len(events) > annals.MaxCommitEvents {
			break // Append says what is wrong
		}
	}
	return events, nil
}

func decodeEvent(media string, text []byte, stream string) (annals.Event, error) {
	if media != mediaJSON {
		// These types promise CloudEvents and exclude the plain shape.
		if _, err := annals.ParseEvent(text); err != nil {
			return annals.Event{}, err
		}
	}
	return ingest.DecodeEvent(text, stream)
}

// inElement names the element of an array in its violations.
func inElement(i int, err error) error {
	invalid, ok := err.(*annals.InvalidError)
	if !ok {
		return err
	}
	named := &annals.InvalidError{Code: invalid.Code}
	for _, v := range invalid.Violations {
		v.Field = "events[" + number(int64(i)) + "]." + v.Field
		named.Violations = append(named.Violations, v)
	}
	return named
}

// binaryAttributes returns the attributes of a CloudEvent in binary mode, nil if
// the request is in another mode.
func binaryAttributes(h http.Header) (map[string]string, error) {
	var attributes map[string]string
	for name, values := range h {
		attribute, ok := strings.CutPrefix(name, ingest.BinaryAttribute)
		if !ok {
			continue
		}
		if attributes == nil {
			attributes = map[string]string{}
		}
		if len(values) > 1 {
			return nil, annals.Invalid(name, "is given more than once")
		}
		attributes[strings.ToLower(attribute)] = values[0]
	}
	return attributes, nil
}
