package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/eb901187/annals"
)

var streamScreens = []screen{
	{path: "streams", template: "streams.html", nav: "Streams", key: "s", read: (*console).streams},
	{path: "streams/{name...}", template: "stream.html", read: (*console).stream, live: true},
	{path: "event/{stream...}", template: "event.html", read: (*console).event},
}

const (
	streamsPage   = 100
	streamsGroups = 20   // groups of names on a page, each found by one short read
	recentEvents  = 1000 // of the log, where the store keeps no list of its streams
)

// streamsData is what streams.html gets.
type streamsData struct {
	Prefix, After string
	Streams       []annals.StreamInfo
	// Next is the address of the next page, empty at the end.
	Next string
	// Up are the shorter prefixes that Prefix consists of.
	Up []string
	// Groups are longer prefixes that several streams may share, in order;
	// MoreGroups says that there may be others behind them.
	Groups     []string
	MoreGroups bool
	// Recent says that the store keeps no list, so that Streams are those of its
	// newest events, Looked many.
	Recent bool
	Looked int64
	Copies []fact // labels of buttons, and what they copy
}

func (c *console) streams(r *http.Request) (string, any, error) {
	q := r.URL.Query()
	d := &streamsData{Prefix: q.Get("prefix"), After: q.Get("after")}
	d.Up = upwards(d.Prefix)
	err := c.listStreams(r.Context(), d)
	if errors.Is(err, annals.ErrNotFound) {
		return "Streams", d, c.recentStreams(r.Context(), d)
	}
	words, values := []string{"streams"}, url.Values{}
	if d.Prefix != "" {
		words = append(words, d.Prefix)
		values.Set("prefix", d.Prefix)
	}
	d.Copies = []fact{{"Copy as CLI", c.cli(words...)}, {"Copy as curl", c.curl(http.MethodGet, withQuery("/v1/streams", values))}}
	return "Streams", d, err
}

func (c *console) listStreams(ctx context.Context, d *streamsData) error {
	for info, err := range c.store.Streams(ctx, annals.StreamsQuery{Prefix: d.Prefix, After: d.After, Limit: streamsPage + 1}) {
		if err != nil {
			return err
		}
		if len(d.Streams) == streamsPage {
			d.Next = streamsAddress(d.Prefix, d.Streams[streamsPage-1].Name)
			break
		}
		d.Streams = append(d.Streams, info)
	}
	if d.After != "" {
		return nil
	}
	if d.Next == "" {
		for _, info := range d.Streams {
			if g := group(d.Prefix, info.Name); g != "" && !slices.Contains(d.Groups, g) {
				d.Groups = append(d.Groups, g)
			}
		}
		return nil
	}
	return c.groups(ctx, d)
}

// groups finds the groups of the names behind d.Prefix: the first name of each tells
// it, and the next read goes on behind it.
func (c *console) groups(ctx context.Context, d *streamsData) error {
	after := ""
	for range streamsGroups {
		name := ""
		for info, err := range c.store.Streams(ctx, annals.StreamsQuery{Prefix: d.Prefix, After: after, Limit: 1}) {
			if err != nil {
				return err
			}
			name = info.Name
		}
		if name == "" {
			return nil
		}
		after = name
		if g := group(d.Prefix, name); g != "" {
			d.Groups = append(d.Groups, g)
			after = g + strings.Repeat("~", annals.MaxStreamBytes-len(g)) // no name that starts with g is behind
		}
	}
	d.MoreGroups = true
	return nil
}

// recentStreams takes the streams from the newest events.
func (c *console) recentStreams(ctx context.Context, d *streamsData) error {
	d.Recent = true
	end, err := c.store.End(ctx)
	if err != nil {
		return err
	}
	d.Looked = min(end, recentEvents)
	known := map[string]bool{}
	for e, err := range c.store.Log(ctx, annals.Query{Prefix: d.Prefix, After: max(0, end-recentEvents), Until: end, Backward: true}) {
		if err != nil {
			return err
		}
		own := strings.HasPrefix(e.Stream, annals.OwnPrefix) && !strings.HasPrefix(d.Prefix, annals.OwnPrefix)
		if !known[e.Stream] && !own && e.Stream > d.After {
			known[e.Stream] = true
			d.Streams = append(d.Streams, annals.StreamInfo{Name: e.Stream, Version: e.Version})
		}
	}
	slices.SortFunc(d.Streams, func(a, b annals.StreamInfo) int { return strings.Compare(a.Name, b.Name) })
	if len(d.Streams) > streamsPage {
		d.Streams = d.Streams[:streamsPage]
		d.Next = streamsAddress(d.Prefix, d.Streams[streamsPage-1].Name)
	}
	return nil
}

// separators end the parts of streams' names.
const separators = "-/.:@"

// group is the beginning of name up to the first separator behind prefix, empty for
// none.
func group(prefix, name string) string {
	i := strings.IndexAny(name[len(prefix):], separators)
	if i < 0 || len(prefix)+i+1 == len(name) {
		return ""
	}
	return name[:len(prefix)+i+1]
}

// upwards are the prefixes of prefix that end in a separator.
func upwards(prefix string) (all []string) {
	for i := range len(prefix) - 1 {
		if strings.IndexByte(separators, prefix[i]) >= 0 {
			all = append(all, prefix[:i+1])
		}
	}
	return all
}

func (c *console) streamExists(ctx context.Context, name string) (head int64, err error) {
	if err := annals.CheckStream(name); err != nil {
		return 0, err
	}
	for e, err := range c.store.Stream(ctx, name, &annals.StreamOptions{Backward: true, Limit: 1}) {
		return e.Version, err
	}
	return 0, noStream(name)
}

func noStream(name string) error {
	return &annals.Error{Code: annals.CodeNotFound, Message: "there is no stream " + name, Hint: "the screen Streams lists them"}
}
