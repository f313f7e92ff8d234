package console

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/tracking"
)

var traceScreens = []screen{
	{path: "traces", template: "traces.html", nav: "Traces", key: "t", read: (*console).traces, live: true},
	{path: "traces/{id...}", template: "trace.html", read: (*console).trace},
	{path: "services", template: "services.html", nav: "Service map", key: "m", read: (*console).serviceMap, live: true},
}

// requestsShown is how many requests a page lists.
const requestsShown = 50

// A tracesPage is a part of the list of recent requests.
type tracesPage struct {
	Service, ID string
	Failing     bool
	Requests    []requestRow
	Names       []string // of services, to choose from
	Newest      string   // the address of the first page; empty on it
	Older       string   // that of the next page; empty on the last
	State       tracking.BoardState
	Keeps       int
}

type requestRow struct{ tracking.Request }

// What is the call at the top.
func (r *requestRow) What() string { return strings.TrimSpace(r.Method + " " + r.Path) }

// Took is how long the request took.
func (r *requestRow) Took() string { return tookText(r.Duration) }

// tookText is a duration with three digits or so.
func tookText(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return strconv.FormatFloat(float64(d.Round(100*time.Microsecond))/float64(time.Millisecond), 'f', -1, 64) + "ms"
	default:
		return d.Round(10 * time.Millisecond).String()
	}
}

func (c *console) traces(r *http.Request) (string, any, error) {
	values := r.URL.Query()
	p := &tracesPage{Service: values.Get("service"), ID: values.Get("id"), Failing: values.Get("failing") == "1", Keeps: tracking.BoardRequests}
	q := tracking.RequestQuery{Service: p.Service, Failing: p.Failing, Prefix: p.ID, BeforeID: values.Get("before_id"), Limit: requestsShown}
	if before := values.Get("before"); before != "" {
		at, err := time.Parse(time.RFC3339Nano, before)
		if err != nil {
			return "Traces", nil, annals.Invalid("before", "must be a time such as 2026-05-01T20:00:00Z")
		}
		q.Before = at
		p.Newest = tracesAddress(p.Service, p.ID, p.Failing, nil)
	}
	requests, more, state, err := c.board.Requests(r.Context(), q)
	if err != nil {
		return "Traces", nil, err
	}
	p.State = state
	for i := range requests {
		p.Requests = append(p.Requests, requestRow{requests[i]})
	}
	if more {
		p.Older = tracesAddress(p.Service, p.ID, p.Failing, &requests[len(requests)-1])
	}
	services, _, err := c.board.Services(r.Context())
	for _, s := range services.Services {
		p.Names = append(p.Names, s.Service)
	}
	return "Traces", p, err
}

// tracesAddress is the list of requests behind one, or from the newest on.
func tracesAddress(service, id string, failing bool, before *tracking.Request) string {
	values := url.Values{}
	set := func(name, value string) {
		if value != "" {
			values.Set(name, value)
		}
	}
	set("service", service)
	set("id", id)
	if failing {
		set("failing", "1")
	}
	if before != nil {
		set("before", before.Began.UTC().Format(time.RFC3339Nano))
		set("before_id", before.ID)
	}
	return withQuery(Path+"traces", values)
}

// traceEvents is the most events of a request that its page reads and shows.
const traceEvents = 1000

// A tracePage is a request.
type tracePage struct {
	*tracking.Trace
	Calls  []waterfallRow
	Others []eventView // events that are no call's
	Began  time.Time
	Took   string
	Open   bool
	Cut    bool // there are more events than traceEvents
	Most   int
	Copies []fact
}

// A waterfallRow is a call with its place in the waterfall, in thousandths of the request.
type waterfallRow struct {
	*tracking.Call
	First       bool // it is the one at fault
	Indent      int  // in pixels
	From, Width int
	Took        string
	Where       string // From and Width in words
	Class       string // of its bar and pill
	Events      []eventView
}

// What is the method and path.
func (c *waterfallRow) What() string { return strings.TrimSpace(c.Method + " " + c.Path) }

// Bytes says how long the bodies were.
func (c *waterfallRow) Bytes() string {
	var known []string
	if c.RequestBytes >= 0 {
		known = append(known, fmt.Sprintf("%d sent", c.RequestBytes))
	}
	if c.ResponseBytes >= 0 {
		known = append(known, fmt.Sprintf("%d received", c.ResponseBytes))
	}
	return strings.Join(known, ", ")
}

func (c *console) trace(r *http.Request) (string, any, error) {
	id, now := r.PathValue("id"), c.opts.Clock()
	title := "Request " + id
	var events []annals.Event
	if id != "" {
		for e, err := range c.store.Log(r.Context(), annals.Query{Correlation: id, Limit: traceEvents + 1}) {
			if err != nil {
				return title, nil, err
			}
			events = append(events, e)
		}
	}
	if len(events) == 0 {
		return "", nil, &annals.Error{Code: annals.CodeNotFound, Message: "there are no events of request " + strconv.Quote(id), Hint: "a request's id is the correlation of its events; those just sent may not be there yet"}
	}
	p := &tracePage{Cut: len(events) > traceEvents, Most: traceEvents}
	p.Trace = tracking.New(id, events[:min(len(events), traceEvents)], now)
	p.Copies = []fact{{"Copy as CLI", c.cli("trace", id)}, {"Copy as curl", c.curl("GET", "/v1/traces/"+url.PathEscape(id))}}
	p.rows(now)
	return title, p, nil
}

// rows makes what the page shows of calls and events.
func (p *tracePage) rows(now time.Time) {
	p.Began = p.Trace.Events[0].Time
	ended := p.Trace.Events[len(p.Trace.Events)-1].Time
	of := map[*annals.Event]bool{}
	for i := range p.Trace.Calls {
		c := &p.Trace.Calls[i]
		of[c.Request], of[c.Response] = true, true
		p.Open = p.Open || c.Open()
		if c.Began.Before(p.Began) {
			p.Began = c.Began
		}
		if c.Ended.After(ended) {
			ended = c.Ended
		}
	}
	if p.Open && now.After(ended) {
		ended = now
	}
	p.Took = tookText(ended.Sub(p.Began))
	for c := range p.Trace.Walk() {
		p.Calls = append(p.Calls, newWaterfallRow(c, c == p.FaultyCall(), p.Began, ended))
	}
	softenConsequences(p.Calls)
	for i := range p.Trace.Events {
		if e := &p.Trace.Events[i]; !of[e] {
			p.Others = append(p.Others, newEventView(e, shortData))
		}
	}
}

// softenConsequences gives failed calls another look within which one failed, so that
// causes stand out. rows are in the order of Walk.
func softenConsequences(rows []waterfallRow) {
	var within []int // the rows around the one looked at, the nearest last
	for i := range rows {
		for len(within) > 0 && rows[within[len(within)-1]].Depth >= rows[i].Depth {
			within = within[:len(within)-1]
		}
		if rows[i].Class == "bad" {
			for _, at := range slices.Backward(within) {
				if rows[at].Class == "consequence" {
					break // and so are those around it
				}
				if rows[at].Class == "bad" && !rows[at].First {
					rows[at].Class = "consequence"
				}
			}
		}
		within = append(within, i)
	}
}

const (
	indentBy   = 16 // pixels a level
	mostIndent = 15 // levels
)

func newWaterfallRow(c *tracking.Call, first bool, began, ended time.Time) waterfallRow {
	row := waterfallRow{Call: c, First: first, Indent: indentBy * min(c.Depth, mostIndent), Took: tookText(c.Duration), Class: "ok"}
	end := c.Ended
	switch {
	case c.Open():
		row.Class, row.Took, end = "warn", "still open", ended
	case c.Failed() || first:
		row.Class = "bad"
	case c.Canceled():
		row.Class = "warn"
	}
	whole := max(float64(ended.Sub(began)), 1) // in floating point, as ten years times 1000 go past an int64
	place := func(at time.Time) int { return max(0, min(int(1000*float64(at.Sub(began))/whole), 1000)) }
	row.From = min(place(c.Began), 996)
	row.Width = max(place(end)-row.From, 4) // visible, however short
	row.Where = fmt.Sprintf("from %s to %s of %s", tookText(c.Began.Sub(began)), tookText(end.Sub(began)), tookText(ended.Sub(began)))
	for _, e := range []*annals.Event{c.Request, c.Response} {
		if e != nil {
			row.Events = append(row.Events, newEventView(e, shortData))
		}
	}
	return row
}
