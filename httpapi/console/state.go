package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/projection"
	"github.com/eb901187/annals/projection/fold"
)

var stateScreens = []screen{
	{path: "state", template: "state.html", nav: "State", key: "h", read: (*console).state},
	{path: "state/{stream...}", template: "state.html", read: (*console).state},
}

// maxStateEvents is how many events a page folds at most: a state takes all events
// of its stream up to its version.
const maxStateEvents = 10_000

// stateData is what state.html gets.
type stateData struct {
	Stream  string // empty where none is chosen yet
	Head    int64
	Version int64     // of the state shown
	At      time.Time // what was asked for; zero for none
	AtText  string
	Event   *eventView // the one that made the state of the one before; nil where it was not read
	// Document is the state as indented JSON, empty for none; Cut says that it is the
	// beginning.
	Document string
	Cut      bool
	Changes  []stateChange
	More     bool // there are other changes
	// Prev and Next are the pages of the versions beside, empty for none.
	Prev, Next string
	// Long says that the stream is too long for the page to fold up to Version;
	// Kept that Document is what the server's view of states holds instead.
	Long, Kept bool
	Copies     []fact
}

// Most is how many events a page folds.
func (d *stateData) Most() int64 { return maxStateEvents }

func (c *console) state(r *http.Request) (string, any, error) {
	q := r.URL.Query()
	d := &stateData{Stream: r.PathValue("stream"), AtText: q.Get("time")}
	if d.Stream == "" {
		d.Stream = q.Get("stream")
	}
	if d.Stream == "" {
		return "State", d, nil
	}
	title := "State of " + d.Stream
	version, err := queryNumber(r, "version", 0)
	if err == nil && d.AtText != "" {
		if d.At, err = time.Parse(time.RFC3339Nano, d.AtText); err != nil {
			err = annals.Invalid("time", "must be an RFC 3339 time such as 2020-05-01T20:00:00Z")
		}
	}
	if err == nil && d.AtText != "" && version > 0 {
		err = annals.Invalid("time", "can't be given with version")
	}
	if err == nil {
		d.Head, err = c.streamExists(r.Context(), d.Stream)
	}
	if err != nil {
		return title, nil, err
	}
	if d.Version = version; version == 0 {
		d.Version = d.Head
	}
	if version > d.Head {
		return title, nil, &annals.Error{
			Code: annals.CodeNotFound, Message: fmt.Sprintf("stream %s is at version %d and has no version %d", d.Stream, d.Head, version), Hint: "ask for a version up to that one",
		}
	}
	if err := c.readState(r.Context(), d); err != nil {
		return title, nil, err
	}
	d.links(c)
	return title, d, nil
}

// links sets the neighbours, and what does the same elsewhere.
func (d *stateData) links(c *console) {
	if d.Version > 1 {
		d.Prev = statePath(d.Stream, d.Version-1)
	}
	if d.Version < d.Head {
		d.Next = statePath(d.Stream, d.Version+1)
	}
	at := strconv.FormatInt(d.Version, 10)
	d.Copies = []fact{
		{"Copy as CLI", c.cli("state", d.Stream, "--at-version", at)},
		{"Copy as curl", c.curl(http.MethodGet, "/v1/streams/"+url.PathEscape(d.Stream)+"/state?atVersion="+at)},
	}
}

// readState folds the stream up to d.Version or d.At.
func (c *console) readState(ctx context.Context, d *stateData) error {
	if d.At.IsZero() && d.Version > maxStateEvents {
		return c.keptState(ctx, d)
	}
	rules := fold.MergePatchRules()
	steps := &stateSteps{opts: annals.StreamOptions{To: d.Version, Limit: maxStateEvents + 1}, until: d.At}
	before, _, _, err := fold.State(steps.before(c.store.Stream(ctx, d.Stream, &steps.opts)), rules, d.Stream)
	if err != nil {
		return err
	}
	last := steps.last
	if last == nil {
		return &annals.Error{
			Code: annals.CodeNotFound, Message: fmt.Sprintf("stream %s has no event by then", d.Stream), Hint: "ask for a later time; the page of the stream shows the times of its events",
		}
	}
	if d.Version = last.Version; d.Version > maxStateEvents {
		return c.keptState(ctx, d)
	}
	after, _, err := rules.Apply(before, last, nil)
	if err != nil {
		return err
	}
	view := newEventView(last, shortData)
	d.Event = &view
	d.Changes, d.More = changesOf(before, after)
	if after == nil {
		return nil
	}
	text, err := fold.Encode(after)
	d.Document, d.Cut = firstBytes(prettyJSON(text, fullData), fullData)
	return err
}

// keptState shows what the view of states holds of a stream that is too long to be
// folded for a page.
func (c *console) keptState(ctx context.Context, d *stateData) error {
	d.Long = true
	if c.opts.Projections == nil || d.Version < d.Head {
		return nil
	}
	doc, _, err := c.opts.Projections.Get(ctx, projection.StateName, d.Stream, nil)
	if errors.Is(err, annals.ErrNotFound) {
		return nil
	}
	d.Kept = err == nil
	d.Document, d.Cut = firstBytes(prettyJSON(doc.Data, fullData), fullData)
	return err
}
