package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/eb901187/annals/access"
	"github.com/eb901187/annals/httpapi"
)

// Limits of live parts.
const (
	liveWrite = 10 * time.Second // how long a browser may take to receive one change
	// maxViewers is how many live parts are served at once; who comes later is asked
	// to come again.
	maxViewers = 2000
	// maxLive is how long a live part lasts until the browser asks again, so that who
	// has lost the right to look is noticed.
	maxLive    = 10 * time.Minute
	retryAfter = "5" // seconds
)

// wantsLive reports whether the live part of a page is asked for.
func wantsLive(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Accept"), "text/event-stream")
}

// live sends the template "live" of a screen as server-sent events named "live",
// anew whenever it has changed, until the browser leaves or the server ends. While
// it can't be read, events named "trouble" say why, as text.
func (c *console) live(s *screen, w http.ResponseWriter, r *http.Request) {
	feed, leave := c.feeds.join(c, s, r)
	if feed == nil {
		w.Header().Set("Retry-After", retryAfter)
		http.Error(w, "too many live pages are open", http.StatusServiceUnavailable)
		return
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), maxLive)
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no") // proxies hold back what they buffer
	stream := http.NewResponseController(w)
	before := ""
	for {
		reading, ended := feed.next(ctx)
		if ended {
			return
		}
		message := c.liveMessage(s, r, reading)
		text := message
		if message == before {
			text = ":\n\n"
		}
		// Not every ResponseWriter has deadlines; those of net/http do.
		if err := stream.SetWriteDeadline(time.Now().Add(liveWrite)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return
		}
		if _, err := fmt.Fprint(w, text); err != nil || stream.Flush() != nil {
			return
		}
		before = message
	}
}

// liveMessage is the event for what was read.
func (c *console) liveMessage(s *screen, r *http.Request, read reading) string {
	event, text := "live", ""
	err := read.err
	if err == nil {
		text, err = c.livePart(s, r, read.data)
		if err != nil {
			c.opts.Logger.Error("console template failed", "path", r.URL.Path, "error", err)
		}
	}
	if err != nil {
		event, text = "trouble", httpapi.NewProblem(err).Detail
	}
	text = strings.NewReplacer("\r\n", "\ndata: ", "\n", "\ndata: ", "\r", "\ndata: ").Replace(text)
	return fmt.Sprintf("event: %s\ndata: %s\n\n", event, text)
}

// livePart renders data for the browser that asks.
func (c *console) livePart(s *screen, r *http.Request, data any) (string, error) {
	var b bytes.Buffer
	p := &page{Screen: s, Who: access.From(r.Context()), CSRF: csrfOf(r), Path: r.URL.RequestURI(), Data: data}
	err := templates[s.template].ExecuteTemplate(&b, "live", p)
	return strings.TrimSpace(b.String()), err
}
