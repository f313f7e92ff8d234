package fuzzapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// An Answer is what came back to a request.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// Cut says that the client stopped reading: the last line may be a part of one.
	Cut bool
}

const (
	mediaNDJSON  = "application/x-ndjson"
	mediaSSE     = "text/event-stream"
	mediaProblem = "application/problem+json"
)

// Check returns what is wrong with an answer to a request for op; nil if nothing is.
// serverErrors says which statuses of 500 and above are no fault.
func (d *Document) Check(op *Operation, method string, a *Answer, serverErrors func(status int) bool) error {
	if a.Status >= 500 && !serverErrors(a.Status) {
		return fmt.Errorf("the server failed: %d %.600s", a.Status, a.Body)
	}
	media := a.Header.Get("Content-Type")
	if parsed, _, err := mime.ParseMediaType(media); err == nil {
		media = parsed
	}
	if method != op.Method && method != http.MethodHead {
		return d.checkStray(media, a)
	}
	listed, known := op.answers[a.Status]
	if !known {
		return fmt.Errorf("the status %d is not documented: %.600s", a.Status, a.Body)
	}
	schema, known := listed[media]
	switch {
	case len(listed) == 0 && media == "" && len(a.Body) == 0:
		return nil
	case !known:
		return fmt.Errorf("the media type %q of status %d is not documented: %.300s", media, a.Status, a.Body)
	case method == http.MethodHead:
		if len(a.Body) > 0 {
			return fmt.Errorf("HEAD is answered with a body: %.300s", a.Body)
		}
		return nil
	case media == mediaNDJSON || media == mediaSSE:
		return d.checkLines(op, media, a)
	case strings.HasSuffix(media, "json"):
		return d.checkJSON(schema, media, a)
	}
	return nil
}

// checkStray is for methods that the path does not have.
func (d *Document) checkStray(media string, a *Answer) error {
	if a.Status < 400 || media != mediaProblem {
		return fmt.Errorf("a method that is not documented is answered %d as %q: %.300s", a.Status, media, a.Body)
	}
	return d.checkJSON(d.problem, media, a)
}

func (d *Document) checkJSON(schema *jsonschema.Schema, media string, a *Answer) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.Body))
	if a.Cut && errors.Is(err, io.ErrUnexpectedEOF) {
		return nil // the rest was not waited for
	}
	if err != nil {
		return fmt.Errorf("%d is no JSON: %w: %.300s", a.Status, err, a.Body)
	}
	if err := schema.Validate(value); err != nil {
		return fmt.Errorf("%d is not what the schema says: %w: %.600s", a.Status, err, a.Body)
	}
	if media != mediaProblem {
		return nil
	}
	var p struct {
		Type, Detail, Code string
		Status             int
	}
	if err := json.Unmarshal(a.Body, &p); err != nil || p.Status != a.Status || !strings.HasSuffix(p.Type, ":"+p.Code) || p.Detail == "" {
		return fmt.Errorf("the problem does not fit its status %d: %.300s", a.Status, a.Body)
	}
	return nil
}

// checkLines judges events as they follow each other.
func (d *Document) checkLines(op *Operation, media string, a *Answer) error {
	text := string(a.Body)
	if !a.Cut && text != "" && !strings.HasSuffix(text, "\n") {
		return fmt.Errorf("the last line has no end: %.300q", text[max(0, len(text)-300):])
	}
	named := false // a server-sent event with a name holds no event of the log
	for line := range strings.Lines(text) {
		if !strings.HasSuffix(line, "\n") {
			return nil // cut
		}
		line = strings.TrimSuffix(line, "\n")
		if media == mediaSSE {
			field, value, _ := strings.Cut(line, ": ")
			switch {
			case line == "":
				named = false
				continue
			case field == "event":
				named = true
				continue
			case line[0] == ':', field == "id":
				continue
			case field != "data":
				return fmt.Errorf("a line is no field of a server-sent event: %.300q", line)
			}
			if line = value; named {
				continue
			}
		}
		if line == "" {
			continue // a heartbeat
		}
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err != nil {
			return fmt.Errorf("a line is no JSON: %w: %.300q", err, line)
		}
		if err := d.event.Validate(value); op.events && err != nil {
			return fmt.Errorf("an event is not what the schema says: %w: %.600s", err, line)
		}
	}
	return nil
}
