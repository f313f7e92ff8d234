package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/eb901187/annals"
	"github.com/eb901187/annals/consumer"
	"github.com/eb901187/annals/projection"
)

// Limits of what is shown of parked events.
const (
	parkedShown = 50
	editedBytes = 64 << 10 // of data that a form edits
	reasonShown = 200      // of a reason in the operators' log
)

// parkedPage is some of the parked events.
type parkedPage struct {
	Streams []parkedStream
	Next    string // the address of the page behind this one; empty at the end
	count   int
}

// A parkedStream is the events of one stream that are parked, in order: the first
// failed, others wait behind it.
type parkedStream struct {
	Consumer, Stream string
	Events           []parkedRow
}

type parkedRow struct {
	consumer.Parked
	Address string
}

func parkedAddress(name string, position int64) string {
	return fmt.Sprintf("%s/parked/%d", consumerAddress(name), position)
}

// Waiting reports whether events wait behind the first.
func (s parkedStream) Waiting() bool { return s.Events[len(s.Events)-1].Waiting }

// add puts an event with those of its consumer and stream.
func (p *parkedPage) add(event consumer.Parked) {
	p.count++
	row := parkedRow{event, parkedAddress(event.Consumer, event.Position)}
	i := slices.IndexFunc(p.Streams, func(s parkedStream) bool { return s.Stream == event.Stream && s.Consumer == event.Consumer })
	if i < 0 {
		p.Streams = append(p.Streams, parkedStream{event.Consumer, event.Stream, []parkedRow{row}})
		return
	}
	p.Streams[i].Events = append(p.Streams[i].Events, row)
}

// EventAddress is where the event is shown as the log has it.
func (p parkedRow) EventAddress() string { return eventPath(p.Stream, p.Version) }

// ConsumerAddress is where the consumer is shown.
func (p parkedRow) ConsumerAddress() string { return consumerAddress(p.Consumer) }

// ShortError is the start of the error.
func (p parkedRow) ShortError() string { return snippet([]byte(p.Error)) }

// State is what became of the event, in a word.
func (p parkedRow) State() string {
	switch {
	case p.Waiting:
		return "waits"
	case p.Retry:
		return "is tried again"
	}
	return "failed"
}

// Class is that of the state's pill.
func (p parkedRow) Class() string {
	switch {
	case p.Waiting:
		return "muted"
	case p.Retry:
		return "warn"
	}
	return "bad"
}

func afterOf(r *http.Request) (int64, error) {
	return number("after", r.URL.Query().Get("after"), math.MaxInt64)
}

// readParked adds the parked events of a consumer behind after, as far as page has
// room.
func (c *console) readParked(ctx context.Context, page *parkedPage, name string, after int64) error {
	last := after
	for event, err := range c.opts.Projections.Control(name).ParkedAfter(ctx, after) {
		if err != nil {
			return err
		}
		if page.count == parkedShown {
			page.Next = consumerAddress(name) + query("after", fmt.Sprint(last))
			return nil
		}
		page.add(event)
		last = event.Position
	}
	return nil
}

// parkedData is what the list of all parked events shows.
type parkedData struct {
	Parked  parkedPage
	Total   int // of all consumers
	Command string
}

// parked reads from the consumer and the position on that the query names.
func (c *console) parked(r *http.Request) (string, any, error) {
	const title = "Parked events"
	set, from := c.opts.Projections, r.URL.Query().Get("consumer")
	if set == nil {
		return title, nil, noProjections()
	}
	after, err := afterOf(r)
	if err != nil {
		return title, nil, err
	}
	all, err := set.Consumers(r.Context())
	if err != nil {
		return title, nil, err
	}
	data := &parkedData{Command: c.cli("parked", "list")}
	for _, status := range all {
		data.Total += status.Parked
		if status.Parked == 0 || status.Name < from || data.Parked.Next != "" {
			continue
		}
		at := int64(0)
		if status.Name == from {
			at = after
		}
		if err := c.readParked(r.Context(), &data.Parked, status.Name, at); err != nil {
			return title, nil, err
		}
		if data.Parked.Next != "" {
			data.Parked.Next = data.behind(status.Name, at)
		}
	}
	return title, data, nil
}

// behind is the address of the page that goes on behind what is shown of a consumer.
func (d *parkedData) behind(name string, after int64) string {
	for _, s := range d.Parked.Streams {
		if s.Consumer == name {
			after = max(after, s.Events[len(s.Events)-1].Position)
		}
	}
	return Path + "parked" + query("consumer", name, "after", fmt.Sprint(after))
}

// parkedEventData is what the page of a parked event shows.
type parkedEventData struct {
	parkedRow
	Event    *annals.Event // as the log has it
	Text     string        // of its data
	Edited   bool          // an operator gave it other data, which Text is
	Why      string        // the reason for that
	Editable bool          // by a form
	Target   string
	Commands []string
}

func (c *console) parkedEvent(r *http.Request) (string, any, error) {
	title := "Parked event"
	set := c.opts.Projections
	if set == nil {
		return title, nil, noProjections()
	}
	position, err := positionOf(r)
	if err != nil {
		return title, nil, err
	}
	name, err := set.ConsumerName(r.Context(), r.PathValue("name"))
	if err != nil {
		return title, nil, err
	}
	control := set.Control(name)
	parked, err := control.ParkedAt(r.Context(), position)
	if err != nil {
		return title, nil, err
	}
	title = fmt.Sprintf("Parked event %s@%d", parked.Stream, parked.Version)
	data := &parkedEventData{parkedRow: parkedRow{parked, parkedAddress(name, position)}, Target: fmt.Sprintf("%s/%d", name, position)}
	for e, err := range c.store.Stream(r.Context(), parked.Stream, &annals.StreamOptions{From: parked.Version, Limit: 1}) {
		if err != nil {
			return title, nil, err
		}
		data.Event = &e
	}
	if data.Event == nil {
		return title, nil, &annals.Error{Code: annals.CodeDamaged, Message: fmt.Sprintf("the store has no event %s@%d, which %s has parked", parked.Stream, parked.Version, name), Hint: "are the views those of this store?"}
	}
	return title, data, c.describe(r, data, control)
}

// describe fills in the data that the event is handled with, and the commands.
func (c *console) describe(r *http.Request, d *parkedEventData, control *consumer.Control) error {
	data, why, err := control.Edited(r.Context(), d.Position)
	if err != nil {
		return err
	}
	if d.Edited, d.Why = data != nil, why; !d.Edited {
		data = d.Event.Data
	}
	text, cut := firstBytes(prettyJSON(data, wholeJSON), wholeJSON)
	d.Editable = d.Event.IsJSON() && len(data) <= editedBytes && !cut
	if d.Text = text; cut {
		d.Text += "\n" + notShown
	}
	at := fmt.Sprint(d.Position)
	d.Commands = []string{
		c.cli("parked", "retry", d.Consumer, at),
		c.cli("parked", "edit", d.Consumer, at, "--data", "mended.json", "--reason", "why"),
		c.cli("parked", "drop", d.Consumer, at, "--reason", "why"),
		c.curl(http.MethodPost, "/v1/consumers/"+url.PathEscape(d.Consumer)+"/parked/"+at+"/retry"),
	}
	return nil
}

func parkedOf(r *http.Request) string { return r.PathValue("name") + "/" + r.PathValue("position") }

func positionOf(r *http.Request) (int64, error) {
	position, err := number("position", r.PathValue("position"), math.MaxInt64)
	if err == nil && position == 0 {
		err = annals.Invalid("position", "must be that of a parked event")
	}
	return position, err
}

func (c *console) retryAll(r *http.Request) (done, next string, err error) {
	return c.steered(r, func(set *projection.Set, name string) (string, error) {
		n, err := set.Control(name).Retry(r.Context())
		if n == 1 {
			return "1 event of " + name + " is tried again", err
		}
		return fmt.Sprintf("%d events of %s are tried again", n, name), err
	})
}

func (c *console) retryOne(r *http.Request) (done, next string, err error) {
	return c.decided(r, func(control *consumer.Control, p consumer.Parked) (string, error) {
		_, err := control.Retry(r.Context(), p.Position)
		return "is tried again", err
	})
}

func (c *console) editParked(r *http.Request) (done, next string, err error) {
	return c.decided(r, func(control *consumer.Control, p consumer.Parked) (string, error) {
		text, reason := []byte(r.PostFormValue("data")), r.PostFormValue("reason")
		if err := annals.CheckJSON(text); err != nil {
			return "", err
		}
		var data bytes.Buffer // without the layout of the form
		if err := json.Compact(&data, text); err != nil {
			return "", annals.Invalid("data", "is not JSON: %v", err)
		}
		return fmt.Sprintf("is handled with other data %s: %s", inTurn(p), shortReason(reason)), control.Edit(r.Context(), p.Position, data.Bytes(), reason)
	})
}

func (c *console) dropParked(r *http.Request) (done, next string, err error) {
	return c.decided(r, func(control *consumer.Control, p consumer.Parked) (string, error) {
		reason := r.PostFormValue("reason")
		return "is passed over: " + shortReason(reason), control.Drop(r.Context(), p.Position, reason)
	})
}

// decided is the answer to what was asked about one parked event; ask says what
// becomes of it.
func (c *console) decided(r *http.Request, ask func(*consumer.Control, consumer.Parked) (string, error)) (done, next string, err error) {
	return c.steered(r, func(set *projection.Set, name string) (string, error) {
		position, err := positionOf(r)
		if err != nil {
			return "", err
		}
		control := set.Control(name)
		p, err := control.ParkedAt(r.Context(), position)
		if err != nil {
			return "", err
		}
		what, err := ask(control, p)
		return fmt.Sprintf("event %d of %s (%s@%d) %s", position, name, p.Stream, p.Version, what), err
	})
}

// inTurn is when a parked event is tried.
func inTurn(p consumer.Parked) string {
	if p.Waiting {
		return "when its turn comes"
	}
	return "now"
}

func shortReason(reason string) string {
	reason = strings.Join(strings.Fields(reason), " ")
	if len(reason) > reasonShown {
		return strings.ToValidUTF8(reason[:reasonShown], "") + "…"
	}
	return reason
}
