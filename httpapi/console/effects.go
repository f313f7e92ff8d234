package console

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/effect"
)

var effectScreens = []screen{
	{path: "effects", template: "effects.html", nav: "Effects", key: "e", read: (*console).effects},
	{path: "effects/calls", template: "effect_calls.html", read: (*console).effectCalls},
}

var effectActions = []action{
	{
		path: "effects/resolve", what: "effect.resolve", role: access.Operate,
		target: func(r *http.Request) string {
			return r.PostFormValue("handler") + " " + r.PostFormValue("event") + " " + r.PostFormValue("call")
		},
		do: (*console).resolveEffect,
	},
}

// effectsPerPage is how many outside calls a page lists.
const effectsPerPage = 50

// effectStatuses are those that calls are chosen by.
var effectStatuses = []effect.Status{effect.Unknown, effect.Failed, effect.Intended, effect.Answered}

type effectsData struct {
	Handlers []string // that the store knows
	Statuses []effect.Status
	Handler  string
	Status   effect.Status
	Calls    []callRow
	Older    string // the address of the next page; empty for none
	Newest   string // that of the first page; empty on it
	CLI      string
}

// A callRow is an outside call in a list.
type callRow struct {
	effect.Entry
	Asks      string // the request in a line
	EventPath string
	Path      string // where it is shown
}

func (c *console) effects(r *http.Request) (string, any, error) {
	q := r.URL.Query()
	d := effectsData{Handler: q.Get("handler"), Status: effect.Status(q.Get("status")), Statuses: effectStatuses}
	filter := effect.Filter{Handler: d.Handler}
	if d.Status != "" {
		if !slices.Contains(effectStatuses, d.Status) {
			return "Effects", nil, annals.Invalid("status", "must be unknown, failed, intended or answered")
		}
		filter.Status = []effect.Status{d.Status}
	}
	until, err := positionParam(q, "until")
	if err != nil {
		return "Effects", nil, err
	}
	for name, err := range effect.HandlerNames(r.Context(), c.store) {
		if err != nil {
			return "Effects", nil, err
		}
		d.Handlers = append(d.Handlers, name)
	}
	page, err := effect.Recent(r.Context(), c.store, filter, until, effectsPerPage)
	if err != nil {
		return "Effects", nil, err
	}
	for i := range page.Entries {
		d.Calls = append(d.Calls, callRowOf(&page.Entries[i]))
	}
	d.Older, d.Newest = olderPath("effects", q, page.Older, until)
	args := []string{"effect", "list"}
	if d.Handler != "" {
		args = append(args, "--handler", d.Handler)
	}
	if d.Status != "" {
		args = append(args, "--status", string(d.Status))
	}
	d.CLI = c.cli(args...)
	return "Effects", d, nil
}

// positionParam is a position in the query; 0 where there is none.
func positionParam(q url.Values, name string) (int64, error) {
	text := q.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, annals.Invalid(name, "must be a position from 1, and not %.40q", text)
	}
	return n, nil
}

// olderPath makes the addresses of the page behind the present one, from a position
// on, and of the first one.
func olderPath(path string, q url.Values, next, until int64) (older, newest string) {
	if next > 0 {
		q.Set("until", strconv.FormatInt(next, 10))
		older = Path + path + "?" + q.Encode()
	}
	if until > 0 {
		q.Del("until")
		newest = Path + path + "?" + q.Encode()
	}
	return older, newest
}

func callRowOf(e *effect.Entry) callRow {
	row := callRow{Entry: *e, EventPath: causePath(e.Event), Asks: asks(e.Past())}
	row.Path = callsPath(e.Handler, e.Event) + "#" + callID(e.Call)
	return row
}

// asks is a request in a line.
func asks(r *effect.Request) string {
	const most = 120
	text := r.Method + " " + r.URL
	switch {
	case r.Method == "" && r.Data != nil:
		text = string(plainJSON(r.Data))
	case r.Method == "":
		text = bodyText(&r.Body)
	}
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return text
}

func callsPath(handler, event string) string {
	return Path + "effects/calls?" + url.Values{"handler": {handler}, "event": {event}}.Encode()
}

// callID is the id that a call has within its page.
func callID(call string) string { return "call-" + call }

// causePath is the page of an event that is named as stream@version; empty for what
// names none.
func causePath(event string) string {
	stream, version, err := annals.ParseCausation(event)
	if err != nil {
		return ""
	}
	return eventPath(stream, version)
}

type effectCallsData struct {
	Handler, Event, EventPath, Journal string
	Calls                              []callData
	CLI                                string
}

// callData is one outside call, whole.
type callData struct {
	effect.Entry
	ID        string
	Asked     []exchangePart // the request, and what a repair has put in its place
	Answer    *exchangePart  // nil for none
	Steps     []callStep
	CanDecide bool // its outcome is unknown
}

// An exchangePart is a request or a response.
type exchangePart struct {
	Name    string
	Line    string
	Headers []header
	Body    string
	Note    string // of a body that was not kept
	Error   string
}

type header struct{ Name, Value string }

// A callStep is an event of the journal.
type callStep struct {
	Version int64
	Type    string
	Time    time.Time
	Attempt int
	Says    string
}

func (c *console) effectCalls(r *http.Request) (string, any, error) {
	q := r.URL.Query()
	d := effectCallsData{Handler: q.Get("handler"), Event: q.Get("event")}
	title := "Calls of " + d.Handler
	calls, err := effect.Journal(r.Context(), c.store, d.Handler, d.Event)
	if err != nil {
		return title, nil, err
	}
	if len(calls) == 0 {
		return title, nil, &annals.Error{
			Code: annals.CodeNotFound, Message: d.Handler + " has made no outside call for " + d.Event,
			Hint: "the page Effects lists the calls that were made",
		}
	}
	stream, version, err := annals.ParseCausation(d.Event)
	if err != nil {
		return title, nil, err
	}
	journal := effect.JournalStream(d.Handler, &annals.Event{Stream: stream, Version: version})
	steps, err := c.callSteps(r.Context(), journal)
	if err != nil {
		return title, nil, err
	}
	for i := range calls {
		d.Calls = append(d.Calls, callDataOf(&calls[i], steps[calls[i].Call]))
	}
	d.EventPath, d.Journal, d.CLI = eventPath(stream, version), streamPath(journal), c.cli("effect", "show", d.Handler, d.Event)
	return title, d, nil
}

// callSteps are the events of a journal, by call.
func (c *console) callSteps(ctx context.Context, journal string) (map[string][]callStep, error) {
	steps := map[string][]callStep{}
	for e, err := range c.store.Stream(ctx, journal, nil) {
		if err != nil {
			return nil, err
		}
		var about struct {
			Call                            string
			Attempt                         int
			Runner, Error, Decision, Reason string
		}
		if err := json.Unmarshal(e.Data, &about); err != nil {
			continue // effect.Journal has refused what it can't read
		}
		s := callStep{Version: e.Version, Type: e.Type, Time: e.Time, Attempt: about.Attempt, Says: about.Error}
		switch {
		case about.Decision != "":
			s.Says = about.Decision + ": " + about.Reason
		case about.Runner != "" && s.Says == "":
			s.Says = "by the process " + about.Runner
		}
		steps[about.Call] = append(steps[about.Call], s)
	}
	return steps, nil
}

func callDataOf(e *effect.Entry, steps []callStep) callData {
	d := callData{Entry: *e, ID: callID(e.Call), Steps: steps, CanDecide: e.Status == effect.Unknown}
	d.Asked = []exchangePart{requestPart("Request", &e.Request)}
	if e.Corrected != nil {
		d.Asked = append(d.Asked, requestPart("Corrected request", e.Corrected))
	}
	if a := e.Response; a != nil {
		d.Answer = &exchangePart{Name: "Response", Error: a.Error}
		if a.Status > 0 {
			d.Answer.Line = strconv.Itoa(a.Status) + " " + http.StatusText(a.Status)
		}
		d.Answer.fill(a.Headers, &a.Body)
	}
	return d
}

func requestPart(name string, r *effect.Request) exchangePart {
	p := exchangePart{Name: name}
	if r.Method != "" {
		p.Line = r.Method + " " + r.URL
	}
	p.fill(r.Headers, &r.Body)
	return p
}

func (p *exchangePart) fill(headers http.Header, b *effect.Body) {
	for name, values := range headers {
		for _, v := range values {
			p.Headers = append(p.Headers, header{name, v})
		}
	}
	slices.SortStableFunc(p.Headers, func(a, b header) int { return cmp.Compare(a.Name, b.Name) })
	p.Body = bodyText(b)
	if b.Truncated {
		p.Note = strconv.FormatInt(b.Size, 10) + " bytes, of which the journal keeps the hash " + b.Sum
	}
}

// plainJSON is a value as JSON without the escapes that HTML needs: templates make
// those.
func plainJSON(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return []byte(err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// bodyText is a body as people read it.
func bodyText(b *effect.Body) string {
	switch {
	case b.Data != nil:
		return shortJSON(plainJSON(b.Data))
	case b.Text != "":
		return shortText([]byte(b.Text))
	case len(b.Bytes) > 0:
		return strconv.Itoa(len(b.Bytes)) + " bytes that are no text"
	}
	return ""
}

// resolveEffect says what became of a call whose outcome is unknown.
func (c *console) resolveEffect(r *http.Request) (done, next string, err error) {
	handler, event, call := r.PostFormValue("handler"), r.PostFormValue("event"), r.PostFormValue("call")
	decision, reason := effect.Decision(r.PostFormValue("decision")), r.PostFormValue("reason")
	var answer *effect.Response
	if decision == effect.DecideAnswered {
		if answer, err = effect.ParseResponse("response", []byte(r.PostFormValue("response"))); err != nil {
			return "", "", err
		}
	}
	if err := effect.Resolve(r.Context(), c.store, handler, event, call, decision, answer, reason); err != nil {
		return "", "", err
	}
	return "call " + call + " of " + handler + " for " + event + " is resolved: " + string(decision) + ", " + reason, callsPath(handler, event) + "#" + callID(call), nil
}
