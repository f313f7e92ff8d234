package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/tracking"
)

// ServerOptions changes how ToServer sends; nil means the defaults.
type ServerOptions struct {
	// Token is sent as a bearer token; none if it is empty.
	Token string
	// HTTP sends the requests; a client of its own by default, which follows no
	// redirects and keeps a few connections.
	HTTP *http.Client
}

// ToServer delivers to the ingest of the server at address, such as
// http://127.0.0.1:4000: many events in each request.
func ToServer(address string, opts *ServerOptions) (tracking.Sink, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return nil, annals.Invalid("address", "must be a URL without a path, such as http://127.0.0.1:4000")
	}
	s := &toServer{base: u.Scheme + "://" + u.Host}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.HTTP == nil {
		s.opts.HTTP = &http.Client{
			Transport: http.DefaultTransport.(*http.Transport).Clone(),
			// What was sent there would not be stored here.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return s, nil
}

type toServer struct {
	base string
	opts ServerOptions
}

// What one request holds at most, far below the limits of a server.
const (
	requestEvents = 5000
	requestBytes  = 8 << 20
)

// Deliver implements tracking.Sink.
func (s *toServer) Deliver(ctx context.Context, events []annals.Event) error {
	good, refused := storable(events)
	errs := []error{refused}
	for len(good) > 0 {
		body, n := []byte{'['}, 0
		for n < min(len(good), requestEvents) && (n == 0 || len(body) < requestBytes) {
			if n > 0 {
				body = append(body, ',')
			}
			body = good[n].AppendJSON(body, true)
			n++
		}
		err := s.send(ctx, append(body, ']'), good[:n])
		if err != nil && !annals.IsRefusal(err) {
			return err
		}
		errs, good = append(errs, err), good[n:]
	}
	return first(errs...)
}

// A problem is what a server says about a request, or a message of it, that it refused.
type problem struct {
	Type    string      `json:"type"`
	Code    annals.Code `json:"code"`
	Detail  string      `json:"detail"`
	Hint    string      `json:"hint"`
	Results []result    `json:"results"`
}

type result struct {
	Number int      `json:"number"` // from 1
	Error  *problem `json:"error"`
}

// maxAnswer is more than the answer to requestEvents takes.
const maxAnswer = 32 << 20

func (s *toServer) send(ctx context.Context, body []byte, events []annals.Event) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/v1/ingest", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/cloudevents-batch+json")
	if s.opts.Token != "" {
		r.Header.Set("Authorization", "Bearer "+s.opts.Token)
	}
	answer, err := s.opts.HTTP.Do(r)
	if err != nil {
		return &unavailable{"the server at " + s.base + " can't be reached", err}
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return &unavailable{"the answer of the server at " + s.base + " was lost", err}
	}
	var p problem
	err = json.Unmarshal(text, &p)
	switch {
	case err == nil && answer.StatusCode == http.StatusOK && p.Results != nil:
		return refusal(p.Results, events)
	case err == nil && answer.StatusCode == http.StatusAccepted:
		return nil
	case err != nil || p.Type != "urn:annals:problem:"+string(p.Code):
		return &unavailable{s.base + " did not answer as an Annals server does", fmt.Errorf("%s: %.80q", answer.Status, text)}
	}
	if err := refusal(p.Results, events); err != nil {
		return err
	}
	return s.failure(&p)
}

// refusal is what is wrong with the first event that was refused.
func refusal(results []result, events []annals.Event) error {
	for i := range results {
		if r := &results[i]; r.Error != nil && r.Number >= 1 && r.Number <= len(events) {
			return about(&events[r.Number-1], r.Error.err())
		}
	}
	return nil
}

// failure is why a request failed as a whole.
func (s *toServer) failure(p *problem) error {
	if err := p.err(); annals.IsRefusal(err) {
		return err
	}
	switch p.Code {
	case annals.CodeUnauthorized, annals.CodeForbidden, annals.CodeNotFound:
		return &annals.Error{Code: p.Code, Message: s.base + ": " + p.Detail, Hint: p.Hint}
	}
	return &unavailable{"the server at " + s.base + " stored nothing", fmt.Errorf("%s", p.Detail)}
}

// err is a refusal if the code is that of one.
func (p *problem) err() error {
	switch p.Code {
	case annals.CodeInvalid, annals.CodeInvalidJSON:
		return &annals.InvalidError{Code: p.Code, Violations: []annals.Violation{{Field: "it", Message: "was refused: " + p.Detail}}}
	}
	return &annals.Error{Code: p.Code, Message: p.Detail, Hint: p.Hint}
}
