package console

import (
	"math"
	"net/http"
	"net/url"
	"strconv"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/access"
)

var operatorScreens = []screen{
	{path: "operators", template: "operators.html", nav: "Operators' log", key: "l", read: (*console).operators},
}

// operatorsPage is how many actions a page shows.
const operatorsPage = 50

// operatorsData is what operators.html gets.
type operatorsData struct {
	Who, What string // the filter
	Actions   []access.Action
	Stream    string // that holds them
	// Older and Newest are the addresses of other pages; empty where this is that one.
	Older, Newest string
	CLI           string
}

// operators shows what operators did, the newest first.
func (c *console) operators(r *http.Request) (string, any, error) {
	const title = "Operators' log"
	q := r.URL.Query()
	data := &operatorsData{Who: q.Get("who"), What: q.Get("what"), Stream: access.Stream, CLI: c.cli("read", access.Stream, "--backward", "--limit", strconv.Itoa(operatorsPage))}
	before := int64(0)
	if text := q.Get("before"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 || n == math.MaxInt64 {
			return title, nil, annals.Invalid("before", "must be a version, a whole number from 1")
		}
		before, data.Newest = n, data.page(0)
	}
	page, next, err := access.Actions(r.Context(), c.store, &access.ActionsOptions{Before: before, Limit: operatorsPage, Who: data.Who, What: data.What})
	if err != nil {
		return title, nil, err
	}
	if data.Actions = page; next > 0 {
		data.Older = data.page(next)
	}
	return title, data, nil
}

// page is the address of the page of actions before a version; 0 is the newest.
func (d *operatorsData) page(before int64) string {
	q := url.Values{}
	for name, value := range map[string]string{"who": d.Who, "what": d.What} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if before > 0 {
		q.Set("before", strconv.FormatInt(before, 10))
	}
	if len(q) == 0 {
		return Path + "operators"
	}
	return Path + "operators?" + q.Encode()
}
