package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/eb901187/annals"
)

const (
	maxCauses   = 32  // steps up
	effectsSpan = 200 // events of the request behind the event that are looked at
)

// eventData is what event.html gets.
type eventData struct {
	Event      eventView
	Prev, Next string // the neighbours in the stream, empty for none
	// Causes lead from the first cause down to the event's own; MoreCauses says that
	// they go on above, Missing names a cause that the store does not hold.
	Causes     []stepView
	MoreCauses bool
	Missing    string
	// Effects are what the event led to, in the order of the log, of the first Looked
	// events of its request behind it; AllLooked says that there are no more of those.
	Effects   []stepView
	Looked    int
	AllLooked bool
	Trace     string
	Reversal  string
	Copies    []fact // labels of buttons, and what they copy
}

// A stepView is an event so many steps from the one that the page is about.
type stepView struct {
	annals.Event
	Steps int
}

func (c *console) event(r *http.Request) (string, any, error) {
	name := r.PathValue("stream")
	version, err := queryNumber(r, "version", 0)
	if err == nil && version == 0 {
		err = annals.Invalid("version", "must be given")
	}
	if err == nil {
		err = annals.CheckStream(name)
	}
	if err != nil {
		return name, nil, err
	}
	title := eventRef{name, version}.String()
	e, next, err := c.eventAt(r.Context(), name, version)
	if err != nil {
		return title, nil, err
	}
	d := &eventData{Event: newEventView(e, fullData)}
	if version > 1 {
		d.Prev = eventPath(name, version-1)
	}
	if next {
		d.Next = eventPath(name, version+1)
	}
	if e.Correlation != "" {
		d.Trace = tracePath(e.Correlation)
	}
	if !strings.HasPrefix(name, annals.OwnPrefix) {
		d.Reversal = withQuery(Path+"reversal", url.Values{"stream": {name}, "version": {strconv.FormatInt(version, 10)}})
	}
	c.eventCommands(d, e)
	if err := c.causes(r.Context(), d, e); err != nil {
		return title, nil, err
	}
	return title, d, c.effectsOf(r.Context(), d, e)
}

// eventAt reads an event, and whether the stream goes on behind it.
func (c *console) eventAt(ctx context.Context, name string, version int64) (found *annals.Event, next bool, err error) {
	for e, err := range c.store.Stream(ctx, name, &annals.StreamOptions{From: version, Limit: 2}) {
		if err != nil {
			return nil, false, err
		}
		if e.Version == version {
			found = &e
		} else {
			next = true
		}
	}
	if found == nil {
		return nil, false, &annals.Error{
			Code: annals.CodeNotFound, Message: fmt.Sprintf("there is no version %d of stream %s", version, name), Hint: "the page of the stream shows its versions, if there is one",
		}
	}
	return found, next, nil
}

func (c *console) eventCommands(d *eventData, e *annals.Event) {
	at := strconv.FormatInt(e.Version, 10)
	d.Copies = []fact{
		{"Copy as CLI", c.cli("read", e.Stream, "--from", at, "--to", at, "--json")},
		{"Copy as curl", c.curl(http.MethodGet, "/v1/streams/"+url.PathEscape(e.Stream)+"/events?from="+at+"&to="+at)},
	}
	const enough = 64 << 10
	if len(e.Data) <= enough {
		d.Copies = append(d.Copies, fact{"Copy as CloudEvent", string(e.AppendJSON(nil, true))})
	}
}

// causes goes up from e by what each event names as its cause.
func (c *console) causes(ctx context.Context, d *eventData, e *annals.Event) error {
	known := map[string]bool{eventRef{e.Stream, e.Version}.String(): true}
	for up := e; up.Causation != "" && !known[up.Causation]; {
		stream, version, err := annals.ParseCausation(up.Causation)
		if err != nil || len(d.Causes) == maxCauses {
			d.MoreCauses = err == nil
			return nil
		}
		known[up.Causation] = true
		var cause *annals.Event
		for found, err := range c.store.Stream(ctx, stream, &annals.StreamOptions{From: version, To: version}) {
			if err != nil {
				return err
			}
			cause = &found
		}
		if cause == nil {
			d.Missing = up.Causation
			return nil
		}
		d.Causes = append([]stepView{{*cause, len(d.Causes) + 1}}, d.Causes...)
		up = cause
	}
	return nil
}

// effectsOf goes down from e through the events of its request: a cause is in the
// log before its effects, so that one pass finds all.
func (c *console) effectsOf(ctx context.Context, d *eventData, e *annals.Event) error {
	if e.Correlation == "" {
		return nil
	}
	d.AllLooked = true
	steps := map[string]int{eventRef{e.Stream, e.Version}.String(): 0}
	for found, err := range c.store.Log(ctx, annals.Query{Correlation: e.Correlation, After: e.Position, Limit: effectsSpan}) {
		if err != nil {
			return err
		}
		d.Looked++
		d.AllLooked = d.Looked < effectsSpan
		if n, ok := steps[found.Causation]; ok && found.Causation != "" {
			steps[eventRef{found.Stream, found.Version}.String()] = n + 1
			d.Effects = append(d.Effects, stepView{found, n + 1})
		}
	}
	return nil
}
