package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/eb901187/annals"
)

var searchScreens = []screen{
	{path: "search", template: "search.html", nav: "Search", key: "f", read: (*console).search},
}

// What a search reads at most for a page.
const (
	searchPage = 50
	mostSearch = 200
	// searchSpan is how many positions are looked at where no type, source or
	// correlation leads to the events.
	searchSpan = 50_000
)

// searchFields are those of the form, in its order.
var searchFields = []searchField{
	{"types", "Types, separated by commas", "text"}, {"sources", "Sources, separated by commas", "text"},
	{"correlation", "Correlation", "text"}, {"prefix", "Stream starts with", "text"},
	{"since", "Since (RFC 3339)", "text"}, {"before", "Before (RFC 3339)", "text"},
	{"at", "From position", "number"}, {"limit", "Events on a page", "number"},
}

type searchField struct{ Name, Label, Kind string }

// A searchInput is a field with what was put in, and what is wrong with that.
type searchInput struct {
	searchField
	Value, Error string
}

// searchData is what search.html gets.
type searchData struct {
	Inputs []searchInput
	Oldest bool
	Failed bool // an input is at fault
	Events []eventView
	// From and To are the positions that were looked at, 0 where there are none. More
	// is the address of what follows, empty at the end of the log.
	From, To int64
	More     string
	Export   string // the events of the page from the HTTP API; empty where it asks for a token, which a link has not
	Copies   []fact
}

// Status is that of the answer.
func (d *searchData) Status() int {
	if d.Failed {
		return http.StatusBadRequest
	}
	return http.StatusOK
}

func (c *console) search(r *http.Request) (string, any, error) {
	values := r.URL.Query()
	d := &searchData{Oldest: values.Get("order") == "oldest"}
	for _, f := range searchFields {
		d.Inputs = append(d.Inputs, searchInput{searchField: f, Value: strings.TrimSpace(values.Get(f.Name))})
	}
	q, at, err := d.query()
	if err == nil {
		err = c.searchLog(r.Context(), d, q, at)
	}
	return "Search", d, d.atFault(err)
}

// atFault shows violations beside their inputs. Any other error is the page's.
func (d *searchData) atFault(err error) error {
	var invalid *annals.InvalidError
	if !errors.As(err, &invalid) {
		return err
	}
	for _, v := range invalid.Violations {
		i := slices.IndexFunc(d.Inputs, func(in searchInput) bool { return in.Name == v.Field })
		if i < 0 {
			return err
		}
		d.Inputs[i].Error, d.Failed = v.Message, true
	}
	return nil
}

func (d *searchData) value(name string) string {
	return d.Inputs[slices.IndexFunc(d.Inputs, func(in searchInput) bool { return in.Name == name })].Value
}

// query reads the inputs. at is the position that the page begins at, 0 for the
// first one.
func (d *searchData) query() (q annals.Query, at int64, err error) {
	invalid := &annals.InvalidError{}
	bad := func(name, message string) {
		invalid.Violations = append(invalid.Violations, annals.Violation{Field: name, Message: message})
	}
	when := func(name string) (t time.Time) {
		if text := d.value(name); text != "" {
			var err error
			if t, err = time.Parse(time.RFC3339Nano, text); err != nil {
				bad(name, "must be an RFC 3339 time such as 2020-05-01T20:00:00Z")
			}
		}
		return t
	}
	number := func(name string, most int64) (n int64) {
		if text := d.value(name); text != "" {
			var err error
			if n, err = strconv.ParseInt(text, 10, 64); err != nil || n < 1 || most > 0 && n > most {
				bad(name, "must be a whole number from 1"+upTo(most))
			}
		}
		return n
	}
	q = annals.Query{
		Types: commas(d.value("types")), Sources: commas(d.value("sources")), Correlation: d.value("correlation"), Prefix: d.value("prefix"),
		Since: when("since"), Before: when("before"), Backward: !d.Oldest, Limit: searchPage,
	}
	at = number("at", 0)
	if n := number("limit", mostSearch); n > 0 {
		q.Limit = int(n)
	}
	if len(invalid.Violations) > 0 {
		return q, 0, invalid
	}
	return q, at, nil
}

func upTo(most int64) string {
	if most == 0 {
		return ""
	}
	return " to " + strconv.FormatInt(most, 10)
}

func commas(text string) (names []string) {
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// searchLog reads the page that begins at a position.
func (c *console) searchLog(ctx context.Context, d *searchData, q annals.Query, at int64) error {
	end, err := c.store.End(ctx)
	if err != nil {
		return err
	}
	d.commands(c, q, at)
	d.From, d.To = max(at, 1), end
	if q.Backward {
		d.From, d.To = 1, end
		if at > 0 {
			d.To = min(at, end)
		}
	}
	led := len(q.Types) > 0 || len(q.Sources) > 0 || q.Correlation != ""
	filtered := q.Prefix != "" || !q.Since.IsZero() || !q.Before.IsZero()
	if filtered && !led && q.Backward {
		d.From = max(d.From, d.To-searchSpan+1)
	} else if filtered && !led {
		d.To = min(d.To, d.From+searchSpan-1)
	}
	if d.From > d.To {
		d.From, d.To = 0, 0
		q.Until, q.Limit = 1, 1 // the fields are still checked
		q.After = 1
	} else {
		q.After, q.Until = d.From-1, d.To
	}
	for e, err := range c.store.Log(ctx, q) {
		if err != nil {
			return err
		}
		d.Events = append(d.Events, newEventView(&e, shortData))
	}
	if len(d.Events) == q.Limit {
		// The page ended at its last event.
		if last := d.Events[q.Limit-1].Position; q.Backward {
			d.From = last
		} else {
			d.To = last
		}
	}
	switch {
	case q.Backward && d.From > 1:
		d.More = d.address(d.From - 1)
	case !q.Backward && d.To > 0 && d.To < end:
		d.More = d.address(d.To + 1)
	}
	return nil
}

// address is that of the same search from another position.
func (d *searchData) address(at int64) string {
	values := url.Values{"at": {strconv.FormatInt(at, 10)}}
	for _, in := range d.Inputs {
		if in.Value != "" && in.Name != "at" {
			values.Set(in.Name, in.Value)
		}
	}
	if d.Oldest {
		values.Set("order", "oldest")
	}
	return withQuery(Path+"search", values)
}

// commands sets what does the same elsewhere.
func (d *searchData) commands(c *console, q annals.Query, at int64) {
	words, values := []string{"log"}, url.Values{}
	add := func(name, value string) {
		if value != "" {
			words = append(words, "--"+name, value)
			values.Set(name, value)
		}
	}
	add("types", strings.Join(q.Types, ","))
	add("sources", strings.Join(q.Sources, ","))
	for _, name := range []string{"correlation", "prefix", "since", "before"} {
		add(name, d.value(name))
	}
	switch {
	case at > 0 && q.Backward:
		add("until", strconv.FormatInt(at, 10))
	case at > 1:
		add("after", strconv.FormatInt(at-1, 10))
	}
	if q.Backward {
		words = append(words, "--backward")
		values.Set("backward", "true")
	}
	add("limit", strconv.Itoa(q.Limit))
	export := withQuery("/v1/events", values)
	if c.opts.Authenticator == nil {
		d.Export = export
	}
	d.Copies = []fact{
		{"Copy as CLI", c.cli(words...)},
		{"Copy as curl, for NDJSON", c.curl(http.MethodGet, export, "-H", "Accept: application/x-ndjson")},
	}
}
