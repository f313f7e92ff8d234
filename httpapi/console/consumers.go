package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/projection"
)

// consumersData is what the list of consumers shows.
type consumersData struct {
	Consumers []consumerRow
	Commands  []string
}

// A consumerRow is a consumer and what it is for.
type consumerRow struct {
	standing
	Kind       string
	Projection string // that it is a generation of; empty for others
}

func consumerAddress(name string) string { return Path + "consumers/" + url.PathEscape(name) }

// consumerOf tells by its name what a consumer is for.
func consumerOf(s consumer.Status) consumerRow {
	row := consumerRow{standing: standing{Status: s}, Kind: "reaction"}
	at := strings.LastIndexByte(s.Name, '@')
	if at > 0 {
		if n, err := strconv.Atoi(s.Name[at+1:]); err == nil && n > 0 {
			row.Kind, row.Projection, row.Generation = "projection", s.Name[:at], n
		}
	}
	if strings.HasPrefix(s.Name, "saga-") && row.Projection == "" {
		row.Kind = "saga"
	}
	return row
}

func (c *console) consumers(r *http.Request) (string, any, error) {
	const title = "Consumers"
	if c.opts.Projections == nil {
		return title, nil, noProjections()
	}
	all, err := c.opts.Projections.Consumers(r.Context())
	if err != nil {
		return title, nil, err
	}
	data := &consumersData{Commands: []string{c.curl(http.MethodGet, "/v1/consumers")}}
	for _, status := range all {
		data.Consumers = append(data.Consumers, consumerOf(status))
	}
	return title, data, nil
}

// consumerData is what the page of a consumer shows.
type consumerData struct {
	consumerRow
	Trend    *trend
	Rate     *rate
	Parked   parkedPage
	Commands []string
}

func (c *console) consumer(r *http.Request) (string, any, error) {
	title := "Consumer " + r.PathValue("name")
	set := c.opts.Projections
	if set == nil {
		return title, nil, noProjections()
	}
	name, err := set.ConsumerName(r.Context(), r.PathValue("name"))
	if err != nil {
		return title, nil, err
	}
	title = "Consumer " + name
	after, err := afterOf(r)
	if err != nil {
		return title, nil, err
	}
	status, err := set.Status(r.Context(), name)
	if err != nil {
		return title, nil, err
	}
	data := &consumerData{consumerRow: consumerOf(status), Commands: []string{
		c.cli("parked", "list", name), c.curl(http.MethodGet, "/v1/consumers/"+url.PathEscape(name)+"/parked"),
	}}
	data.Trend = c.lags.note("consumer "+name, c.opts.Clock(), []consumer.Status{status})
	data.Rate = data.Trend.rate(name)
	err = c.readParked(r.Context(), &data.Parked, name, after)
	return title, data, err
}

func (c *console) pauseConsumer(r *http.Request) (done, next string, err error) {
	return c.steered(r, func(set *projection.Set, name string) (string, error) {
		return name + " is paused", set.Control(name).Pause(r.Context())
	})
}

func (c *console) resumeConsumer(r *http.Request) (done, next string, err error) {
	return c.steered(r, func(set *projection.Set, name string) (string, error) {
		return name + " goes on", set.Control(name).Resume(r.Context())
	})
}

// steered is the answer to an action on a consumer, which is woken so that it
// notices.
func (c *console) steered(r *http.Request, do func(set *projection.Set, name string) (string, error)) (done, next string, err error) {
	set := c.opts.Projections
	if set == nil {
		return "", "", noProjections()
	}
	name, err := set.ConsumerName(r.Context(), r.PathValue("name"))
	if err != nil {
		return "", "", err
	}
	if done, err = do(set, name); err != nil {
		return "", "", err
	}
	set.Wake(name)
	return done, consumerAddress(name), nil
}
