package console

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/eb901187/annals/access"
)

// live sends the template "live" of a screen as server-sent events named "live",
// anew whenever it has changed, until the browser leaves or the server ends.
func (c *console) live(s *screen, w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		select {
		case <-c.opts.Ending:
			cancel()
		case <-ctx.Done():
		}
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	stream := http.NewResponseController(w)
	period := time.NewTicker(c.opts.LivePeriod)
	defer period.Stop()
	before := ""
	for {
		now, err := c.livePart(s, r.WithContext(ctx))
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			c.opts.Logger.Warn("live part of the console failed", "path", r.URL.Path, "error", err)
		case now != before:
			if _, err := fmt.Fprintf(w, "event: live\ndata: %s\n\n", strings.ReplaceAll(now, "\n", "\ndata: ")); err != nil {
				return
			}
			before = now
		default:
			if _, err := fmt.Fprint(w, ":\n\n"); err != nil {
				return
			}
		}
		if stream.Flush() != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-period.C:
		}
	}
}

func (c *console) livePart(s *screen, r *http.Request) (string, error) {
	_, data, err := s.read(c, r)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	p := &page{Screen: s, Who: access.From(r.Context()), Path: r.URL.RequestURI(), Data: data}
	if cookie, err := r.Cookie(csrfCookie); err == nil {
		p.CSRF = cookie.Value
	}
	err = templates[s.template].ExecuteTemplate(&b, "live", p)
	return strings.TrimSpace(b.String()), err
}
