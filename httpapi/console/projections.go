package console

import (
	"cmp"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/projection"
)

var projectionScreens = []screen{
	{path: "projections", template: "projections.html", nav: "Projections", key: "p", read: (*console).projections, live: true, views: true},
	{path: "projections/{name}", template: "projection.html", read: (*console).projection, live: true},
	{path: "projections/{name}/definition", template: "definition.html", read: (*console).definition},
	{path: "projections/{name}/documents", template: "documents.html", read: (*console).documents},
	{path: "projections/{name}/document", template: "document.html", read: (*console).document},
	{path: "projections/{name}/diff", template: "diff.html", read: (*console).diff},
	{path: "consumers", template: "consumers.html", nav: "Consumers", key: "c", read: (*console).consumers, live: true, views: true},
	{path: "consumers/{name}", template: "consumer.html", read: (*console).consumer, live: true},
	{path: "consumers/{name}/parked/{position}", template: "parked_event.html", read: (*console).parkedEvent},
	{path: "parked", template: "parked.html", nav: "Parked events", key: "k", read: (*console).parked, live: true, views: true},
}

// projectionsData is what the list of projections shows.
type projectionsData struct {
	Projections []projectionRow
	Command     string
}

type projectionRow struct {
	projection.Info
	Serving *standing // the live generation; nil where none is
	Next    *standing // the one that is built; nil where none is
}

// Address is where a projection is shown.
func (r projectionRow) Address() string { return projectionAddress(r.Name) }

func projectionAddress(name string) string { return Path + "projections/" + url.PathEscape(name) }

// A standing is where a consumer stands, as pages show it.
type standing struct {
	consumer.Status
	Generation int // of the projection's; 0 of other consumers
}

// Class is that of the state's pill.
func (s *standing) Class() string {
	switch s.State {
	case consumer.Stalled:
		return "bad"
	case consumer.Running, consumer.Idle:
		return "ok"
	}
	return "muted"
}

// Behind is the lag in seconds.
func (s *standing) Behind() string { return strconv.FormatFloat(s.Seconds, 'f', 1, 64) }

// Address is where the consumer is shown.
func (s *standing) Address() string { return consumerAddress(s.Name) }

// standingOf is a generation of a projection.
func standingOf(g *projection.Generation) *standing { return &standing{g.Status, g.Number} }

func (c *console) projections(r *http.Request) (string, any, error) {
	const title = "Projections"
	if c.opts.Projections == nil {
		return title, nil, noProjections()
	}
	all, err := c.opts.Projections.List(r.Context())
	if err != nil {
		return title, nil, err
	}
	data := &projectionsData{Command: c.cli("projection", "list")}
	for _, info := range all {
		row := projectionRow{Info: info}
		for i := range info.Generations {
			switch g := &info.Generations[i]; g.Role {
			case projection.Live:
				row.Serving = standingOf(g)
			case projection.Building:
				row.Next = standingOf(g)
			}
		}
		data.Projections = append(data.Projections, row)
	}
	return title, data, nil
}

// projectionData is what the page of a projection shows.
type projectionData struct {
	projectionRow
	Generations []generationRow
	Trend       *trend
	// Paused says that a generation is paused.
	Paused bool
	// Switch, Rollback and Gone are what those operations would do; nil for what
	// can't be done. Delete has those generations that can be deleted.
	Switch, Rollback, Gone *planned
	Delete                 []planned
	Commands               []string
}

// A generationRow is a generation with its progress.
type generationRow struct {
	projection.Generation
	*standing
	Rate *rate
}

// A planned operation is shown before it is done, and done as it was shown.
type planned struct {
	projection.Plan
	Number int    // the generation that is deleted
	Target string // what is typed to confirm it
	Digest string
	Short  string // why it needs force; empty if nothing is known against it
}

func (c *console) projection(r *http.Request) (string, any, error) {
	name := r.PathValue("name")
	title := "Projection " + name
	set := c.opts.Projections
	if set == nil {
		return title, nil, noProjections()
	}
	info, err := set.Show(r.Context(), name)
	if err != nil {
		return title, nil, err
	}
	data := &projectionData{projectionRow: projectionRow{Info: info}, Commands: []string{
		c.cli("projection", "show", name), c.cli("projection", "rebuild", name), c.curl(http.MethodGet, "/v1/projections/"+name),
	}}
	var statuses []consumer.Status
	for i := range info.Generations {
		if g := &info.Generations[i]; g.Role != projection.Deleted && g.Role != projection.Stale {
			statuses = append(statuses, g.Status)
		}
	}
	data.Trend = c.lags.note("projection "+name, c.opts.Clock(), statuses)
	for i := range info.Generations {
		g := &info.Generations[i]
		data.Paused = data.Paused || g.Status.State == consumer.Paused
		data.Generations = append(data.Generations, generationRow{*g, standingOf(g), data.Trend.rate(g.Status.Name)})
		if g.Role == projection.Building {
			data.Next = standingOf(g)
		}
		if g.Role == projection.Live {
			data.Serving = standingOf(g)
		}
	}
	slices.SortFunc(data.Generations, func(x, y generationRow) int { return cmp.Compare(y.Number, x.Number) })
	return title, data, c.plans(r, data)
}

// small is a number of the query from 0 on; 0 if it is not given.
func small(r *http.Request, name string) (int, error) {
	n, err := number(name, r.URL.Query().Get(name), math.MaxInt32)
	return int(n), err
}

// number reads a whole number from 0 to most; 0 for nothing.
func number(name, text string, most int64) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, annals.Invalid(name, "must be a whole number from 0 to %d", most)
	}
	return n, nil
}
