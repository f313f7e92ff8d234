package console

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/eb901187/annals"
)

// eventsPage is the most events on a page.
const eventsPage = 50

// streamData is what stream.html gets.
type streamData struct {
	Name   string
	Head   int64 // the stream's version
	Oldest bool  // oldest first
	Events []eventView
	// Older and Newer are the neighbouring pages, empty where there is none; Newest
	// is the one that shows the head.
	Older, Newer, Newest, Other string
	// Seen is the newest version that the browser has been shown, New how many came
	// since.
	Seen, New int64
	Copies    []fact // labels of buttons, and what they copy
}

// LivePath is the address of the live part, which counts what came since the page.
func (d *streamData) LivePath() string {
	return streamPath(d.Name) + "?seen=" + strconv.FormatInt(d.Seen, 10)
}

func (c *console) stream(r *http.Request) (string, any, error) {
	d := &streamData{Name: r.PathValue("name"), Oldest: r.URL.Query().Get("order") == "oldest"}
	head, err := c.streamExists(r.Context(), d.Name)
	if err != nil {
		return d.Name, nil, err
	}
	d.Head, d.Newest = head, streamPath(d.Name)
	if r.Header.Get("Accept") == "text/event-stream" {
		d.Seen, err = queryNumber(r, "seen", d.Head)
		d.New = max(0, d.Head-d.Seen)
		return d.Name, d, err
	}
	d.Seen = d.Head
	at, err := queryNumber(r, "at", 0)
	if err != nil {
		return d.Name, nil, err
	}
	opts := d.page(at)
	for e, err := range c.store.Stream(r.Context(), d.Name, &opts) {
		if err != nil {
			return d.Name, nil, err
		}
		d.Events = append(d.Events, newEventView(&e, shortData))
	}
	d.Copies = []fact{
		{"Copy as CLI", c.cli("read", d.Name)}, {"Copy as curl", c.curl(http.MethodGet, "/v1/streams/"+url.PathEscape(d.Name)+"/events")},
	}
	return d.Name, d, nil
}

// page is what to read of the stream for the page that begins at a version, 0 for
// the first one; it sets the links to others.
func (d *streamData) page(at int64) annals.StreamOptions {
	link := func(at int64) string {
		values := url.Values{"at": {strconv.FormatInt(at, 10)}}
		if d.Oldest {
			values.Set("order", "oldest")
		}
		return withQuery(streamPath(d.Name), values)
	}
	if d.Oldest {
		d.Other = streamPath(d.Name)
		first := max(at, 1)
		last := min(d.Head, first+eventsPage-1)
		if first > 1 {
			d.Older = link(max(1, first-eventsPage))
		}
		if last < d.Head {
			d.Newer = link(last + 1)
		}
		return annals.StreamOptions{From: first, To: last}
	}
	d.Other = withQuery(streamPath(d.Name), url.Values{"order": {"oldest"}})
	last := d.Head
	if at > 0 {
		last = min(at, d.Head)
	}
	first := max(1, last-eventsPage+1)
	if first > 1 {
		d.Older = link(first - 1)
	}
	if last < d.Head {
		d.Newer = link(min(d.Head, last+eventsPage))
	}
	return annals.StreamOptions{From: first, To: last, Backward: true}
}

// queryNumber reads a whole number from 1 of the address, none where it is absent.
func queryNumber(r *http.Request, name string, none int64) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return none, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, annals.Invalid(name, "must be a whole number from 1")
	}
	return n, nil
}
